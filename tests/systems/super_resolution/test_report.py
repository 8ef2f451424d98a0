"""What the report of a super-resolution network says of given figures."""

from __future__ import annotations

import numpy as np

from keras_vaegan.evaluation.report.content import Distribution, Examples, ReportPart, Table
from keras_vaegan.evaluation.report.page import render_page
from keras_vaegan.systems.super_resolution.evaluation import (
    cut_close_up,
    evaluate_enlargement,
)
from keras_vaegan.systems.super_resolution.report import describe_enlargements


def enlarge(low: np.ndarray) -> np.ndarray:
    """Pixels repeated, worse than bicubic."""
    return low.repeat(4, axis=1).repeat(4, axis=2)


def make_images(count: int) -> list[np.ndarray]:
    """Smooth images, which bicubic enlargement restores well."""
    rows, columns = np.mgrid[:32, :48] / 9
    waves = [np.sin(rows + index / 4) * np.cos(columns) for index in range(count)]
    return [np.uint8(127 + 100 * wave)[..., None] for wave in waves]


def test_pictures_are_kept_of_those_asked_for():
    images = make_images(4)
    result = evaluate_enlargement(enlarge, images, 4, keep=[1, 3])
    assert list(result.images) == [1, 3] and len(result.rows()) == 4
    every = evaluate_enlargement(enlarge, images, 4)
    assert list(every.images) == [0, 1, 2, 3] and every.scores == result.scores
    close = cut_close_up(every.images[0], 20)
    assert {part.shape for part in close.values()} == {(20, 20, 1)}
    assert list(close) == ["low", "bicubic", "network", "truth"]


def test_a_network_worse_than_bicubic_is_said_to_be():
    result = evaluate_enlargement(enlarge, make_images(5), 4)
    rows = [{"name": f"{i}.png", **row} for i, row in enumerate(result.rows())]
    shown = {"best": cut_close_up(result.images[2], 224)}
    part = ReportPart("testA", rows, shown, {"best": rows[2]})
    figures = {"testA": {"n": 5, **result.summarise()}}
    metrics = {"scale": 4, "downsample": "bicubic", "enlargement": figures}
    content = describe_enlargements(metrics, [part])
    assert content.title == "Super-resolution x4 of 5 CT images"
    assert [tile.tone for tile in content.tiles] == ["bad", "bad"]
    assert "gain -" in content.tiles[0].detail and content.tiles[0].value.endswith(" dB")
    assert [type(section) for section in content.sections] == [Table, Distribution, Examples]
    example = content.sections[2].examples[0]
    assert example.caption.startswith("2.png: ") and example.error.shape == (32, 32)
    assert "low resolution" in render_page(content)


def test_one_image_has_no_interval_and_no_verdict():
    result = evaluate_enlargement(enlarge, make_images(1), 4)
    rows = [{"name": "a.png", **row} for row in result.rows()]
    part = ReportPart("pictures", rows, {}, {})
    figures = {"pictures": {"n": 1, **result.summarise()}}
    metrics = {"scale": 4, "downsample": "area", "enlargement": figures}
    content = describe_enlargements(metrics, [part])
    assert {tile.tone for tile in content.tiles} == {""}
    assert content.sections[0].rows[0][2] == "-" and "No examples." in render_page(content)
