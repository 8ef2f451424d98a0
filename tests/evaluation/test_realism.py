"""Two-sample tests against brute force, and on sets whose answer is known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics.pairwise import polynomial_kernel

from keras_vaegan.evaluation.realism import (
    compute_c2st,
    compute_features,
    compute_mmd,
    compute_realism_gap,
    describe_stored,
    evaluate_realism,
)

GROUPS = {"all", "hog", "histogram", "spectrum"}


def make_images(kind: str, count: int, seed: int, size: int = 48) -> np.ndarray:
    """Blobs on a ground; "bright" ones are inverted and hold bars: every feature differs."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size] / size
    images = []
    for _ in range(count):
        y, x, radius = rng.uniform((0.35, 0.35, 0.15), (0.65, 0.65, 0.25))
        blob = np.exp(-((((rows - y) ** 2 + (columns - x) ** 2) / radius**2) ** 2))
        images.append(0.2 + 0.6 * blob + rng.normal(0, 0.03, blob.shape))
    images = np.clip(images, 0, 1)
    bars = 0.15 * (np.arange(size) % 12 < 6)
    return images if kind == "dark" else np.clip(1 - images**2 - bars, 0, 1)


def evaluate(*images: np.ndarray, seed: int = 0) -> dict:
    """`evaluate_realism` of images as they are stored."""
    return evaluate_realism(*map(describe_stored, images), seed)


def measure_mmd(x: np.ndarray, y: np.ndarray) -> float:
    """The discrepancy of two sets of features."""
    rows = np.arange(len(x) + len(y))
    return compute_mmd(polynomial_kernel(np.concatenate([x, y])), rows[: len(x)], rows[len(x) :])


def mmd_oracle(x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased MMD^2, pair by pair."""

    def kernel(a, b):
        return (float(sum(p * q for p, q in zip(a, b, strict=True))) / len(a) + 1) ** 3

    def within(z):
        pairs = [(i, j) for i in range(len(z)) for j in range(len(z)) if i != j]
        return sum(kernel(z[i], z[j]) for i, j in pairs) / len(pairs)

    across = sum(kernel(a, b) for a in x for b in y) / (len(x) * len(y))
    return within(x) + within(y) - 2 * across


def test_features_have_the_documented_groups_and_do_not_depend_on_channels():
    images = make_images("dark", 3, 0)
    features = compute_features(images)
    assert set(features) == {"hog", "histogram", "spectrum"}
    np.testing.assert_allclose(features["histogram"].sum(axis=1), 1)
    assert features["histogram"].shape == (3, 32)
    replicated = compute_features(np.repeat(images[..., None], 3, axis=3))
    for name, values in features.items():
        assert np.isfinite(values).all()
        np.testing.assert_allclose(replicated[name], values, atol=1e-9)


def test_histogram_bins_are_equal_and_hold_the_end_points():
    image = np.zeros((1, 16, 16))
    image[0, :8] = 1
    expected = np.zeros(32)
    expected[[0, 31]] = 0.5
    np.testing.assert_array_equal(compute_features(image)["histogram"][0], expected)


@pytest.mark.parametrize("cycles", [6, 14, 24])
def test_noise_of_one_scale_peaks_in_its_ring_of_the_spectrum(cycles):
    noise = np.fft.fft2(np.random.default_rng(0).normal(size=(64, 64)))
    frequency = np.fft.fftfreq(64, 1 / 64)
    radius = np.hypot(frequency[:, None], frequency)
    image = np.fft.ifft2(noise * (np.abs(radius - cycles) < 1.5)).real
    image = 0.5 + 0.4 * image / np.abs(image).max()
    spectrum = compute_features(image[None])["spectrum"][0]
    ring = np.argmax(spectrum) / len(spectrum) * 32
    assert ring == pytest.approx(cycles, abs=1.5)


def test_constant_images_have_finite_features():
    for values in compute_features(np.full((2, 32, 32), 0.5)).values():
        assert np.isfinite(values).all()


def test_mmd_equals_brute_force():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 3)), rng.normal(0.5, 2, size=(7, 3))
    assert measure_mmd(x, y) == pytest.approx(mmd_oracle(x, y), rel=1e-12)


def test_mmd_is_unbiased_under_one_distribution():
    rng = np.random.default_rng(1)
    values = [measure_mmd(*rng.normal(size=(2, 10, 2))) for _ in range(2000)]
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 4 * error
    assert min(values) < 0


def test_gap_equals_the_formula_on_standardised_and_clipped_features():
    made, real, source = (
        compute_features(make_images(kind, count, seed))
        for kind, count, seed in (("dark", 6, 1), ("dark", 9, 2), ("bright", 6, 4))
    )
    cases = [["a"] * 6, ["b"] * 4 + ["c"] * 5]
    gap = compute_realism_gap(made, real, source, cases=cases)["gap"]
    assert set(gap) == GROUPS
    mean, deviation = (f(real["spectrum"], axis=0) for f in (np.mean, np.std))
    made, real, source = (
        np.clip((s["spectrum"] - mean) / deviation, -5, 5) for s in (made, real, source)
    )
    assert np.abs(source).max() == 5
    floor = mmd_oracle(real[:4], real[4:])
    expected = [
        (mmd_oracle(made, half) - floor) / (mmd_oracle(source, half) - floor)
        for half in (real[:4], real[4:])
    ]
    assert gap["spectrum"] == pytest.approx(np.mean(expected), rel=1e-9)


def test_untranslated_images_score_one_and_real_ones_about_zero():
    real, fresh = (compute_features(make_images("dark", n, seed)) for seed, n in ((1, 80), (3, 40)))
    source = compute_features(make_images("bright", 40, 4))
    copied = compute_realism_gap(source, real, source)
    assert copied["gap"] == pytest.approx(dict.fromkeys(GROUPS, 1.0))
    found = compute_realism_gap(fresh, real, source)
    for name, value in found["gap"].items():
        low, high = found["gap_interval"][name]
        assert abs(value) < 0.15 and low < value < high
    assert low < 0 < high


def test_the_gap_does_not_depend_on_the_size_of_the_sets():
    """Ten small sets agree on the mean with large ones, and their intervals say how sure."""
    near = compute_features(np.clip(make_images("dark", 120, 5) + 0.04, 0, 1))
    real, source = (
        compute_features(make_images(*kind)) for kind in (("dark", 120, 6), ("bright", 120, 7))
    )
    large = compute_realism_gap(near, real, source)
    small = []
    for part in np.split(np.arange(120), 10):
        sets = ({name: values[part] for name, values in s.items()} for s in (near, real, source))
        small.append(compute_realism_gap(*sets))
    values = np.array([found["gap"]["histogram"] for found in small])
    assert values.mean() == pytest.approx(large["gap"]["histogram"], abs=0.1)
    widths = [np.ptp(found["gap_interval"]["histogram"]) for found in (*small, large)]
    assert widths[-1] < 0.5 * np.median(widths[:-1])


def test_slices_of_a_case_stay_on_one_side_of_the_split():
    """Copies of one image on both sides would make real images look more alike than they are."""
    real, source = (
        compute_features(np.repeat(make_images(kind, 6, seed), 4, axis=0))
        for kind, seed in (("dark", 1), ("bright", 2))
    )
    cases = [name for name in "abcdef" for _ in range(4)]
    fresh = compute_features(np.repeat(make_images("dark", 6, 3), 4, axis=0))
    by_case = compute_realism_gap(fresh, real, source, cases=(cases, cases))["gap"]["all"]
    by_image = compute_realism_gap(fresh, real, source)["gap"]["all"]
    assert by_case < by_image


def test_gap_without_a_scale_is_none():
    real = compute_features(make_images("dark", 6, 1))
    found = compute_realism_gap(real, real, real)
    assert found == {"gap": dict.fromkeys(GROUPS), "gap_interval": dict.fromkeys(GROUPS)}


def test_c2st_separates_domains_but_not_halves_of_one():
    dark, again = (compute_features(make_images("dark", 40, seed)) for seed in (1, 2))
    bright = compute_features(make_images("bright", 40, 3))
    assert compute_c2st(bright, dark) > 0.99
    assert 0.3 < compute_c2st(again, dark) < 0.7
    assert compute_c2st(again, dark, seed=5) == compute_c2st(again, dark, seed=5)


def test_evaluate_realism_tells_copies_from_translations():
    real, source = make_images("dark", 30, 1), make_images("bright", 30, 2)
    copied = evaluate(source, real, source, seed=0)
    good = evaluate(make_images("dark", 30, 3), real, source, seed=0)
    assert copied["gap"] == pytest.approx(dict.fromkeys(GROUPS, 1.0))
    assert copied["c2st_auc"] == copied["untranslated_auc"] > 0.99
    assert abs(good["gap"]["all"]) < 0.15
    assert good["c2st_auc"] < 0.8
    json.dumps(good, allow_nan=False)


def test_what_no_8_bit_file_keeps_does_not_count():
    """A network's black is not quite 0; its slopes must not pass for shapes."""
    rng = np.random.default_rng(0)
    air = np.ones((48, 48), bool)
    air[16:32, 16:32] = False
    real, made = (np.where(air, 0, make_images("dark", 30, seed)) for seed in (0, 1))
    faint = made + np.where(air, rng.uniform(0, 0.4 / 255, made.shape), 0)
    source = make_images("bright", 30, 2)
    assert evaluate(faint, real, source)["gap"] == evaluate(made, real, source)["gap"]
    visible = made + np.where(air, rng.uniform(0, 4 / 255, made.shape), 0)
    assert evaluate(visible, real, source)["gap"]["hog"] > 0.3


def test_evaluate_realism_is_a_function_of_its_seed():
    sets = make_images("dark", 8, 3), make_images("dark", 9, 1), make_images("bright", 8, 2)
    assert evaluate(*sets, seed=4) == evaluate(*sets, seed=4)
    assert evaluate(*sets, seed=4)["gap"] != evaluate(*sets, seed=5)["gap"]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_too_few_images_have_no_gap(count):
    images = make_images("dark", count, 0)
    result = evaluate(images, images, make_images("bright", count, 1))
    assert result["gap"] == dict.fromkeys(GROUPS)
    assert (result["c2st_auc"] is None) == (count == 1)


def test_a_feature_that_never_varies_among_real_images_still_counts():
    rng = np.random.default_rng(0)

    def draw(shift, constant):
        values = rng.normal(shift, 1, (60, 4))
        values[:, 0] = constant
        return {name: values for name in ("hog", "histogram", "spectrum")}

    real, fresh, source = draw(0, 0), draw(0, 0), draw(3, 0)
    stained = {name: values + [0.1, 0, 0, 0] for name, values in fresh.items()}
    clean, dirty = (compute_realism_gap(x, real, source)["gap"] for x in (fresh, stained))
    assert all(dirty[name] > clean[name] + 0.05 for name in GROUPS)
