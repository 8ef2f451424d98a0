"""The comparison of pairs under a named protocol."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.protocols import evaluate_pairs, get_protocol


@pytest.fixture
def pairs() -> tuple[np.ndarray, np.ndarray]:
    """Four noisy pairs; the last original holds no pixel above one half."""
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(4, 16, 16, 1))
    x[3] /= 2.1
    return x, np.clip(x + rng.normal(0, 0.1, x.shape), 0.01, 0.99)


def test_every_figure_is_there_and_equals_its_own_computation(pairs):
    x, y = pairs
    result = evaluate_pairs(x, y)
    psnr = -10 * np.log10(((x - y) ** 2).mean(axis=(1, 2, 3)))
    assert result["psnr"] == pytest.approx({"mean": psnr.mean(), "std": psnr.std()})
    assert set(result["ssim"]) == {"mean", "std"}
    assert result["bce"] == pytest.approx(-(x * np.log(y) + (1 - x) * np.log(1 - y)).mean())
    assert result["mae"] == pytest.approx(np.abs(x - y).mean())
    area = roc_auc_score((x >= 0.5).ravel(), y.ravel())
    assert result["auc_roc"] == pytest.approx(area, abs=1e-4)
    each = [roc_auc_score((x[i] >= 0.5).ravel(), y[i].ravel()) for i in range(3)]
    mean = pytest.approx(np.mean(each), abs=1e-4)
    assert result["auc_roc_per_image"] == {"mean": mean, "left_out": 1}
    label, guess = x >= 0.5, y >= 0.5
    assert result["f1"] == pytest.approx(2 * (label & guess).sum() / (label.sum() + guess.sum()))


def test_the_protocol_is_stated(pairs):
    result = evaluate_pairs(*pairs, protocol="unit")
    assert result["protocol"]["name"] == "unit"
    assert result["protocol"]["data_range"] == 1
    assert tuple(result["protocol"]["clip"]) == (0, 1)
    assert {"window", "mask"} <= set(result["protocol"])
    assert result["n"] == 4


def test_values_are_clipped_to_the_protocols_interval(pairs):
    x, y = pairs
    beyond = y + np.where(y >= 0.99, 1e-3, 0)
    expected = evaluate_pairs(x, np.clip(beyond, 0, 1))
    assert evaluate_pairs(x, beyond) == expected


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_identical_constant_images_stay_valid_json(value):
    x = np.full((2, 16, 16), value)
    result = evaluate_pairs(x, x)
    text = json.dumps(result, allow_nan=False)
    assert json.loads(text)["psnr"] == {"mean": 100.0, "std": 0.0}
    assert result["auc_roc"] is None
    assert result["auc_roc_per_image"] == {"mean": None, "left_out": 2}
    assert result["f1"] == (1 if value >= 0.5 else None)


def test_an_unknown_protocol_is_named_with_the_known_ones(pairs):
    with pytest.raises(InputError, match="'synthrad'.*unit"):
        evaluate_pairs(*pairs, protocol="synthrad")


def test_a_protocol_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        get_protocol("unit").data_range = 2


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (np.zeros((16, 16)), "shape"),
        (np.zeros((0, 16, 16)), "shape"),
        (np.zeros((2, 16, 16)), "shape"),
        (np.full((1, 16, 16), np.nan), "NaN or infinite"),
        (np.full((1, 16, 16), np.inf), "NaN or infinite"),
        (np.full((1, 16, 16), -1.0), "scale them"),
        (np.full((1, 16, 16), 255, "uint8"), "scale them"),
    ],
    ids=["single", "empty", "count", "nan", "inf", "tanh", "bytes"],
)
def test_hostile_images_are_refused_in_one_line(bad, told):
    good = bad if bad.ndim != 3 or not len(bad) else np.full((1, 16, 16), 0.5)
    with pytest.raises(InputError, match=told) as caught:
        evaluate_pairs(good, bad)
    assert "\n" not in str(caught.value)
