"""Errors against the truth: in the head, by tissue, by case."""

import numpy as np
import pytest

from keras_vaegan.evaluation.metrics import compute_ssim
from keras_vaegan.evaluation.truth import (
    TissueTable,
    compare_in_head,
    group_by_case,
    summarise_scores,
    tell_cases,
)


def test_air_counts_nothing():
    rng = np.random.default_rng(0)
    truth = rng.uniform(size=(2, 32, 32, 1))
    head = np.zeros((2, 32, 32), bool)
    head[:, 8:20, 8:20] = True
    made = truth.copy()
    made[~head] = 0.5  # wrong all over the air
    scores = compare_in_head(truth, made, head)
    np.testing.assert_allclose(scores["mae"], 0)
    np.testing.assert_allclose(scores["psnr"], 100)
    made = truth + 0.1 * head[..., None]
    scores = compare_in_head(truth, made, head)
    np.testing.assert_allclose(scores["mae"], 0.1)
    np.testing.assert_allclose(scores["psnr"], 20)


def test_in_the_whole_image_the_ssim_is_the_published_one_up_to_the_border():
    rng = np.random.default_rng(1)
    truth = rng.uniform(size=(2, 96, 96))
    made = np.clip(truth + rng.normal(0, 0.2, truth.shape), 0, 1)
    inner = np.zeros(truth.shape, bool)
    inner[:, 5:-5, 5:-5] = True
    ours = compare_in_head(truth, made, inner)["ssim"]
    np.testing.assert_allclose(ours, compute_ssim(truth, made), rtol=1e-9)


def test_an_image_without_a_head_is_left_out():
    truth, made = np.zeros((2, 16, 16)), np.full((2, 16, 16), 0.25)
    head = np.zeros((2, 16, 16), bool)
    head[0] = True
    scores = compare_in_head(truth, made, head)
    assert np.isnan(scores["mae"][1])
    assert summarise_scores(scores)["mae"] == pytest.approx(0.25)
    nowhere = compare_in_head(truth, made, np.zeros_like(head))
    assert set(summarise_scores(nowhere).values()) == {None}
    assert group_by_case(["a", "b"], scores["mae"]) == {"a": {"n": 1, "mean": pytest.approx(0.25)}}


def test_the_tissue_table_shows_white_fluid():
    truth = np.full((1, 8, 8), 0.4)
    fluid = np.zeros((1, 8, 8), bool)
    fluid[0, :4, :4] = True
    truth[fluid] = 0.2
    made = truth.copy()
    made[0, :2, :4] = 1.0  # half of the fluid as white as bone
    tissues = TissueTable()
    for rows in (slice(0, 3), slice(3, 8)):  # in two parts, as batches come
        parts = (x[:, rows] for x in (truth, made, fluid, np.zeros_like(fluid)))
        one, other, wet, nothing = parts
        tissues.add(one, other, {"fluid": wet, "bone": nothing})
    table = tissues.summarise()
    assert table["fluid"] == {
        "truth": pytest.approx(0.2), "made": pytest.approx(0.6), "white": 0.5, "pixels": 16,
    }  # fmt: skip
    assert table["bone"] == {"truth": None, "made": None, "white": None, "pixels": 0}


@pytest.mark.parametrize(
    ("names", "cases"),
    [
        (["16003.png", "16004.png", "20003.png"], ["16", "16", "20"]),
        (["p-7_012.jpg", "p-7_013.jpg", "p-8_001.jpg"], ["p-7", "p-7", "p-8"]),
        (["ct0001.png", "ct0002.png"], None),  # one case: nothing is told apart
        (["mri98.jpg", "mri1010.jpg", "mri1011.jpg"], None),  # running numbers of images
        (["123.png", "16003.png", "16004.png"], None),
        (["a001.png", "b001.png"], None),
    ],
)
def test_cases_are_told_by_names_that_number_slices(names, cases):
    assert tell_cases(names) == cases
