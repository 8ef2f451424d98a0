"""Bootstrap intervals: what they hold, how wide they are, and where there are none."""

from __future__ import annotations

import numpy as np
import pytest

from keras_vaegan.evaluation import confidence
from keras_vaegan.evaluation.confidence import (
    bootstrap_difference,
    bootstrap_mean,
    bootstrap_ratio,
)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for seed in range(200):
        low, high = bootstrap_mean(rng.normal(3, 2, 60), seed=seed)
        held += low <= 3 <= high
    assert 180 <= held <= 198


def test_the_interval_is_that_of_the_normal_law():
    values = np.random.default_rng(1).normal(5, 1, 400)
    low, high = bootstrap_mean(values)
    reach = 1.96 * values.std() / np.sqrt(len(values))
    assert (low, high) == pytest.approx((values.mean() - reach, values.mean() + reach), abs=0.01)


def test_by_case_the_interval_is_wider_where_slices_resemble_one_another():
    rng = np.random.default_rng(2)
    cases = np.repeat([f"case{i}" for i in range(12)], 15)
    values = np.repeat(rng.normal(0, 1, 12), 15) + rng.normal(0, 0.3, 180)
    by_image, by_case = bootstrap_mean(values), bootstrap_mean(values, cases)
    assert by_case[1] - by_case[0] > 2.5 * (by_image[1] - by_image[0])


def test_a_large_case_weighs_as_many_images_as_it_has():
    values, cases = [0.0] * 9 + [1.0], ["a"] * 9 + ["b"]
    low, high = bootstrap_ratio(values, np.ones(10), cases)
    assert (low, high) == (0, 1)
    drawn = bootstrap_mean([1.0, 3.0, 2.0], ["a", "a", "b"])
    assert drawn == (2, 2)  # both cases have a mean of 2, whatever is drawn


def test_equal_seeds_give_equal_intervals():
    values = np.random.default_rng(3).uniform(size=30)
    assert bootstrap_mean(values, seed=4) == bootstrap_mean(values, seed=4)
    assert bootstrap_mean(values, seed=4) != bootstrap_mean(values, seed=5)


def test_memory_is_bounded_without_a_change(monkeypatch):
    values = np.random.default_rng(3).uniform(size=100)
    whole = bootstrap_mean(values)
    monkeypatch.setattr(confidence, "BATCH_VALUES", 700)
    assert bootstrap_mean(values) == whole


def test_unknown_values_are_left_out():
    assert bootstrap_mean([1.0, None, 2.0, np.nan]) == bootstrap_mean([1.0, 2.0])
    known = bootstrap_mean([1.0, 3.0], ["a", "c"])
    assert bootstrap_mean([1.0, None, 3.0], ["a", "b", "c"]) == known
    assert bootstrap_ratio([1, 0, 1], [1, 0, 2]) == bootstrap_ratio([1, 1], [1, 2])


@pytest.mark.parametrize(
    ("values", "cases"),
    [([], None), ([1.0], None), ([1.0, None], None), ([1.0, 2.0], ["a", "a"]), ([None] * 3, None)],
    ids=["none", "one", "one-known", "one-case", "all-unknown"],
)
def test_fewer_than_two_have_no_interval(values, cases):
    assert bootstrap_mean(values, cases) is None
    found = bootstrap_difference(values, values, cases)
    assert found["interval"] is None and not found["differs"]


def test_equal_values_have_an_interval_of_no_width():
    assert bootstrap_mean([100.0, 100.0, 100.0]) == (100, 100)


def test_a_paired_difference_is_seen_below_the_spread_of_the_images():
    rng = np.random.default_rng(5)
    first = rng.normal(25, 4, 80)
    second = first + 0.3 + rng.normal(0, 0.2, 80)
    found = bootstrap_difference(first, second)
    assert found["difference"] == pytest.approx((second - first).mean())
    assert found["interval"][0] < found["difference"] < found["interval"][1]
    assert found["differs"] and found["interval"][0] > 0.2
    assert not bootstrap_difference(first, first)["differs"]
    assert bootstrap_difference(first, first)["interval"] == [0, 0]
