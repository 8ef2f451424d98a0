"""The page of a report: what it says, that it needs no other file, and what it lacks."""

from __future__ import annotations

import base64
import csv
import json
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.report.charts import Axis, draw_curves, draw_distribution
from keras_vaegan.evaluation.report.content import (
    Content,
    Curves,
    Distribution,
    Example,
    Examples,
    Table,
    Tile,
    choose_examples,
)
from keras_vaegan.evaluation.report.embed import embed_maps, embed_pictures, find_top
from keras_vaegan.evaluation.report.page import render_page, write_report

EVIL = "<script>alert('&')</script>"
VOID = ("meta", "link", "img", "line", "rect", "circle", "polyline", "br")


class Checker(HTMLParser):
    """Collects addresses and texts, and sees that tags close."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.identifiers: list[str] = []
        self.scripts = 0
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.scripts += tag == "script"
        self.addresses += [v for k, v in attrs if k in ("src", "href", "action", "data", "srcset")]
        self.identifiers += [v for k, v in attrs if k == "id"]
        if tag == "img":
            assert dict(attrs)["alt"]

    def handle_endtag(self, tag):
        assert tag in VOID or self.open.pop() == tag


def make_example(rank: str = "best", side: int = 24, name: str = "a.png") -> Example:
    """Three pictures with an error and a deviation."""
    rng = np.random.default_rng(0)
    pictures = {title: rng.uniform(size=(side, side, 1)) for title in ("input", "made", "truth")}
    error = np.abs(pictures["made"] - pictures["truth"])[..., 0]
    return Example(rank, name, pictures, error, 0.1 * error, "|made - truth|")


def make_content(word: str = "plain") -> Content:
    """A report of every part, with a word everywhere."""
    points = [(step, 1 / step) for step in range(1, 30)]
    sections = [
        Table(word, ["", word], [[word, "1.5"]], word),
        Distribution(word, {word: np.linspace(0, 1, 60).tolist(), "ct": [0.5, 0.6]}, word),
        Examples(word, [make_example(word, name=word)], word),
        Curves(word, {word: {word: points, "MRI": points[:3]}}, word, {word: word}),
    ]
    tile = Tile(word, word, word, word, "good")
    return Content(word, {word: word}, [tile], [word], sections, [word], {word: [word]})


def test_whatever_it_is_given_is_escaped():
    page = render_page(make_content(EVIL))
    assert EVIL not in page and "alert(" in page
    checked = Checker(page)
    assert checked.scripts == 1


def test_it_needs_no_other_file():
    page = render_page(make_content())
    checked = Checker(page)
    inside = [a for a in checked.addresses if a.startswith("#")]
    assert {a[1:] for a in inside} <= set(checked.identifiers)
    assert all(a.startswith(("data:", "#")) for a in checked.addresses)
    assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttpRequest", page)
    assert "default-src 'none'" in page
    assert "Research use only; not for diagnosis." in page


def test_the_parts_stand_in_the_order_given():
    page = render_page(make_content("word"))
    kinds = re.findall(r'<section id="part-\d" class="(\w+)">', page)
    assert kinds == ["table", "distribution", "examples", "curves"]
    assert len(re.findall(r"<svg", page)) == 2 and page.count("<img") == 5


@pytest.mark.parametrize(
    "content",
    [
        Content("nothing", {}),
        Content(
            "empty parts", {}, sections=[
                Table("t", [], []), Distribution("d", {}), Distribution("e", {"ct": []}),
                Examples("x", []), Examples("y", [Example("", "no picture", {})]),
                Curves("c", {}), Curves("c", {"panel": {"ct": []}}),
                Curves("nan", {"panel": {"ct": [(1, float("nan"))]}}),
            ],
        ),
        Content("one of each", {}, sections=[
            Table("t", [""], [["a"]]), Distribution("d", {"ct": [0.5]}),
            Examples("x", [Example("", "one", {"input": np.zeros((8, 8))})]),
            Curves("c", {"panel": {"": [(1, 0.0)]}}),
        ]),
        Content("missing", {}, missing=["No loss curves."], config={}),
    ],
    ids=lambda content: content.title,
)  # fmt: skip
def test_what_is_missing_breaks_nothing(content):
    page = render_page(content)
    Checker(page)
    if not content.sections:
        assert "This report has no tables, pictures or curves." in page
    assert ("What is missing" in page) == bool(content.missing)


def test_files_of_a_report(tmp_path):
    rows = [{"domain": "ct", "name": name, "psnr": 30.5} for name in ("a,b.png", "ü.png")]
    folder = tmp_path / "new" / "folder"
    write_report(folder, {"protocol": "unit"}, rows, make_content("ü"))
    assert json.loads((folder / "metrics.json").read_text()) == {"protocol": "unit"}
    with (folder / "per_image.csv").open(newline="", encoding="utf-8") as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["a,b.png", "ü.png"]
    assert "<h1>ü</h1>" in (folder / "report.html").read_text(encoding="utf-8")
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["metrics.json", "per_image.csv", "report.html"]


def test_a_report_cannot_be_written_where_a_file_stands(tmp_path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(InputError, match="cannot write"):
        write_report(tmp_path / "file" / "out", {}, [], Content("nothing", {}))
    assert (tmp_path / "file").read_text() == "kept"


def decode(source: str) -> np.ndarray:
    """The pixels of a data address."""
    content = np.frombuffer(base64.b64decode(source.split(",", 1)[1]), "uint8")
    return cv2.imdecode(content, cv2.IMREAD_UNCHANGED)


def test_pictures_are_embedded_without_loss():
    rng = np.random.default_rng(0)
    gray = rng.integers(0, 256, (9, 7)).astype("uint8")
    colour = rng.integers(0, 256, (9, 7, 3)).astype("uint8")
    pictures = {"gray": gray[..., None] / 255, "colour": colour / 255}
    first, second = embed_pictures(Example("", "a", pictures))
    decoded = decode(first.source)
    np.testing.assert_array_equal(decoded if decoded.ndim == 2 else decoded[..., 0], gray)
    np.testing.assert_array_equal(decode(second.source)[..., ::-1], colour)
    assert (first.width, first.height, first.small) == (7, 9, True)
    large = embed_pictures(Example("", "a", {"x": np.zeros((2000, 1000))}))[0]
    assert (large.width, large.height, large.small) == (384, 768, False)


def test_maps_say_their_range():
    example = make_example()
    error, deviation = embed_maps(example, 0.5, 0.05)
    assert error.title == "error: |made - truth|" and error.scale[1:] == ("0", "0.5 or more")
    assert deviation.title == "deviation over the truth" and deviation.scale[2] == "0.05 or more"
    coloured = decode(error.source)
    assert (coloured.max(axis=2) > coloured.min(axis=2)).any()  # colours, not grays
    assert embed_maps(Example("", "a", {}), 1, 1) == []


def test_the_top_of_a_scale_is_round_and_of_the_middle_map():
    maps = [np.full((4, 4), value) for value in (0.01, 0.231, 0.9)]
    assert find_top(maps) == pytest.approx(0.25)
    assert find_top([None, np.zeros((2, 2))]) == find_top([]) == 1.0


def test_best_median_and_worst():
    assert choose_examples([3, 1, None, 2, float("nan"), 5, 4]) == {
        "best": 5, "median": 0, "worst": 1,
    }  # fmt: skip
    assert choose_examples([1, 2]) == {"best": 1, "worst": 0}
    assert choose_examples([None, 0.0]) == {"": 1} and choose_examples([]) == {}


def test_axes_have_round_ticks():
    assert Axis(0, 10, 0, 100).list_ticks(4) == [0, 5, 10]
    assert Axis(0.012, 0.048, 0, 1).list_ticks(4) == pytest.approx([0.02, 0.03, 0.04])
    wide = Axis(0.05, 500, 0, 100, wide=True)
    assert wide.list_ticks(4) == pytest.approx([0.1, 1, 10, 100])
    assert wide.place(5) == pytest.approx(50)
    assert len(Axis(1, 40, 0, 1, wide=True).list_ticks(4)) >= 2


def test_a_distribution_shows_dots_of_a_few_and_bars_of_many():
    few, many = [1.0, 2.0, 4.0], list(range(100))
    chart = draw_distribution("PSNR", {"ct": few, "mri": many})
    assert chart.count("<circle") == 3 and chart.count("<rect") >= 20
    assert chart.count('class="mean"') == chart.count('class="median"') == 2
    assert "CT mean 2.333, median 2" in chart and ">CT<" in chart and ">MRI<" in chart


def test_curves_mark_a_few_points_and_leave_out_what_is_no_number():
    few = draw_curves("loss", {"CT": [(1, 1.0), (2, float("inf")), (3, 0.5)]})
    assert few.count("<circle") == 2 and few.count("<polyline") == 1
    many = draw_curves("loss", {"CT": [(step, 2.0**-step) for step in range(100)]})
    assert "<circle" not in many and "by step" in many
