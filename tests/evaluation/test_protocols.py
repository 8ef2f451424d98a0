"""The comparison of pairs under a named protocol."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from sklearn.metrics import f1_score, log_loss, roc_auc_score

from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.confidence import bootstrap_mean
from keras_vaegan.evaluation.protocols import PROTOCOLS, PairScores, evaluate_pairs, get_protocol


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
    assert result["psnr"].pop("interval") == list(bootstrap_mean(psnr))
    assert result["psnr"] == pytest.approx({"mean": psnr.mean(), "std": psnr.std()})
    assert set(result["ssim"]) == {"mean", "std", "interval"}
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
    assert json.loads(text)["psnr"] == {"mean": 100.0, "std": 0.0, "interval": [100.0, 100.0]}
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


# -- protocols against other code ---------------------------------------------------------------


@pytest.fixture(scope="module")
def colour() -> tuple[np.ndarray, np.ndarray]:
    """Three noisy pairs of colour images, 40x36, on the levels of 16 bits."""
    rng = np.random.default_rng(3)
    x = rng.uniform(size=(3, 40, 36, 3))
    x, y = (np.round(v * 65_535) / 65_535 for v in (x, np.clip(x + rng.normal(0, 0.3), 0, 1)))
    return x, np.clip(y + rng.normal(0, 0.1, y.shape), 0, 1)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["tf", "seed"])
def test_psnr_and_ssim_are_tensorflows(colour, protocol):
    tf = pytest.importorskip("tensorflow")
    scores = PairScores(protocol)
    scores.add(*colour)
    psnr, ssim = (
        f(*(v.astype("float32") for v in colour), max_val=1.0).numpy()
        for f in (tf.image.psnr, tf.image.ssim)
    )
    np.testing.assert_allclose(scores.per_image["ssim"], ssim, rtol=0, atol=1e-6)
    np.testing.assert_allclose(scores.per_image["psnr"], psnr, rtol=1e-6)


def test_psnr_and_ssim_are_scikit_images(colour):
    scores = PairScores("skimage")
    scores.add(*colour)
    pairs = list(zip(*colour, strict=True))
    psnr = [peak_signal_noise_ratio(a, b, data_range=1) for a, b in pairs]
    ssim = [structural_similarity(a, b, data_range=1, channel_axis=-1) for a, b in pairs]
    np.testing.assert_allclose(scores.per_image["ssim"], ssim, rtol=0, atol=1e-9)
    np.testing.assert_allclose(scores.per_image["psnr"], psnr, rtol=1e-9)


@pytest.mark.parametrize("protocol", ["tf", "skimage", "seed"])
def test_the_published_figures_are_scikit_learns_over_all_values(colour, protocol):
    x, y = colour
    y = np.round(y * 65_535) / 65_535
    result = evaluate_pairs(x, y, protocol)
    label, guess = (v.ravel() >= 0.5 for v in colour)
    assert result["auc_roc"] == pytest.approx(roc_auc_score(label, y.ravel()), abs=1e-9)
    assert result["f1"] == pytest.approx(f1_score(label, guess), abs=1e-12)
    soft = np.concatenate([x.ravel(), 1 - x.ravel()])  # each pixel as two weighted labels
    clipped = np.clip(y.ravel(), 1e-7, 1 - 1e-7)
    hard = np.repeat([1, 0], x.size)
    loss = log_loss(hard, np.tile(clipped, 2), sample_weight=soft)
    assert result["bce"] == pytest.approx(loss, abs=1e-9)


def test_every_protocol_of_images_tells_what_it_is(colour):
    for name, rules in PROTOCOLS.items():
        if rules.dimensions == 2:
            told = json.loads(json.dumps(evaluate_pairs(*colour, name)["protocol"]))
            assert told["name"] == name and told["ssim"]["size"] in (7, 11)


def test_a_protocol_of_volumes_refuses_images(colour):
    with pytest.raises(InputError, match="'synthrad2023'.*Hounsfield.*mask.*use") as caught:
        evaluate_pairs(*colour, protocol="synthrad2023")
    assert "\n" not in str(caught.value)


# -- batch after batch --------------------------------------------------------------------------


def test_batches_give_the_figures_of_the_whole_set(pairs):
    x, y = pairs
    scores = PairScores()
    for start in range(4):
        scores.add(x[start : start + 1], y[start : start + 1])
    assert scores.summarise() == evaluate_pairs(x, y)
    assert {len(values) for values in scores.per_image.values()} == {4}
    assert scores.per_image["auc_roc"][3] is None
    one = evaluate_pairs(x[:1], y[:1])
    assert scores.per_image["f1"][0] == one["f1"]
    assert scores.per_image["mae"][0] == one["mae"]


def test_batches_may_differ_in_size_and_every_image_counts_once(pairs):
    x, y = pairs
    scores = PairScores()
    scores.add(x, y)
    scores.add(np.zeros((1, 64, 40)), np.full((1, 64, 40), 0.5))
    result = scores.summarise()
    assert result["n"] == 5
    assert result["mae"] == pytest.approx((np.abs(x - y).mean() * 4 + 0.5) / 5)
    labels = np.concatenate([x.ravel() >= 0.5, np.zeros(64 * 40, bool)])
    guesses = np.concatenate([y.ravel(), np.full(64 * 40, 0.5)])
    assert result["auc_roc"] == pytest.approx(roc_auc_score(labels, guesses), abs=1e-4)
    assert result["f1"] == pytest.approx(f1_score(labels, guesses >= 0.5))


def test_intervals_hold_the_figures_and_cases_are_drawn_whole(pairs):
    x, y = pairs
    scores = PairScores()
    scores.add(x, y)
    result = scores.summarise()
    for name in ("psnr", "ssim"):
        low, high = result[name]["interval"]
        assert low < result[name]["mean"] < high
    for name in ("mae", "bce", "f1"):
        low, high = result["intervals"][name]
        assert low < result[name] < high
    low, high = result["intervals"]["auc_roc_per_image"]
    assert low < result["auc_roc_per_image"]["mean"] < high
    by_case = scores.summarise(["a", "a", "b", "b"], seed=1)
    psnr = np.reshape(scores.per_image["psnr"], (2, 2)).mean(axis=1)
    assert by_case["psnr"]["interval"] == pytest.approx(sorted(psnr))
    assert by_case["mae"] == result["mae"]
    with pytest.raises(InputError, match="3 cases of 4 images"):
        scores.summarise(["a", "a", "b"])


def test_one_image_has_figures_but_no_interval(pairs):
    result = evaluate_pairs(pairs[0][:1], pairs[1][:1])
    assert result["psnr"]["interval"] is None and result["psnr"]["std"] == 0
    assert set(result["intervals"].values()) == {None}


def test_nothing_added_is_said_in_one_line():
    with pytest.raises(InputError, match="no pairs of images"):
        PairScores().summarise()


def test_what_was_refused_leaves_no_trace(pairs):
    scores = PairScores()
    scores.add(*pairs)
    with pytest.raises(InputError, match="scale them"):
        scores.add(pairs[0] + 3, pairs[1])
    with pytest.raises(InputError, match="8x16 pixels: expected at least 11"):
        scores.add(np.zeros((1, 8, 16)), np.zeros((1, 8, 16)))
    assert scores.summarise() == evaluate_pairs(*pairs)
