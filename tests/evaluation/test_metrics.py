"""Metrics against scikit-learn, closed forms and a direct convolution."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import structural_similarity
from sklearn.metrics import f1_score, roc_auc_score

from keras_vaegan.evaluation.metrics import (
    GAUSSIAN,
    PSNR_CEILING,
    UNIFORM,
    average_areas,
    compute_bce,
    compute_mae,
    compute_psnr,
    compute_ssim,
    count_hits,
    count_levels,
    find_area,
    find_f1,
    map_ssim,
    summarise,
    to_decibel,
)

ALL = (compute_mae, compute_psnr, compute_ssim, compute_bce)


@pytest.fixture
def pairs() -> tuple[np.ndarray, np.ndarray]:
    """Three smooth images and noisy versions of them, 24x20."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:24, :20]
    phases = rng.uniform(0, 6, (3, 1, 1))
    original = 0.5 + 0.45 * np.sin(rows / 4 + phases) * np.cos(columns / 5)
    return original, np.clip(original + rng.normal(0, 0.1, original.shape), 0, 1)


def measure_area(x: np.ndarray, y: np.ndarray) -> float | None:
    """The area under the ROC curve of pooled pixels."""
    return find_area(count_levels(x, y))


def measure_f1(x: np.ndarray, y: np.ndarray) -> float | None:
    """F1 of pooled pixels."""
    return find_f1(*count_hits(x, y))


def average_by_image(x: np.ndarray, y: np.ndarray) -> dict:
    """The mean of each image's area."""
    return average_areas([measure_area(*pair) for pair in zip(x, y, strict=True)])


def ssim_oracle(x: np.ndarray, y: np.ndarray) -> float:
    """SSIM by its definition, window by window."""
    axis = np.arange(11) - 5
    weights = np.exp(-(axis[:, None] ** 2 + axis[None, :] ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    values = []
    for top in range(x.shape[0] - 10):
        for left in range(x.shape[1] - 10):
            a, b = (z[top : top + 11, left : left + 11] for z in (x, y))
            mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
            var_a = (weights * (a - mean_a) ** 2).sum()
            var_b = (weights * (b - mean_b) ** 2).sum()
            covariance = (weights * (a - mean_a) * (b - mean_b)).sum()
            values.append(
                (2 * mean_a * mean_b + 1e-4) * (2 * covariance + 9e-4)
                / (mean_a**2 + mean_b**2 + 1e-4) / (var_a + var_b + 9e-4)
            )  # fmt: skip
    return float(np.mean(values))


def test_ssim_equals_its_definition_over_the_valid_region(pairs):
    expected = [ssim_oracle(x, y) for x, y in zip(*pairs, strict=True)]
    np.testing.assert_allclose(compute_ssim(*pairs), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("shape", [(24, 20), (11, 70), (203, 301)], ids=str)
@pytest.mark.parametrize("window", [GAUSSIAN, UNIFORM], ids=["gaussian", "uniform"])
def test_ssim_equals_scikit_image(shape, window):
    rng = np.random.default_rng(2)
    x = rng.uniform(size=(2, *shape, 2))
    y = np.clip(x + rng.normal(0, 0.2, x.shape), 0, 1)
    options = {"data_range": 1, "full": True, "use_sample_covariance": window is UNIFORM}
    if window is GAUSSIAN:
        options |= {"gaussian_weights": True, "sigma": 1.5}
    maps = [structural_similarity(x[0, ..., i], y[0, ..., i], **options)[1] for i in range(2)]
    ours = [map_ssim(x[0, ..., i], y[0, ..., i], window=window) for i in range(2)]
    for i in range(2):
        np.testing.assert_allclose(ours[i], maps[i], atol=1e-9)
    each = [
        structural_similarity(a, b, channel_axis=-1, **options)[0]
        for a, b in zip(x, y, strict=True)
    ]
    np.testing.assert_allclose(compute_ssim(x, y, window=window, per_channel=True), each, atol=1e-9)
    gray = compute_ssim(x.mean(axis=-1), y.mean(axis=-1), window=window)
    np.testing.assert_allclose(compute_ssim(x, y, window=window), gray, atol=1e-12)


def test_images_smaller_than_the_window_are_refused():
    with pytest.raises(ValueError, match="10x40 pixels: expected at least 11"):
        compute_ssim(np.zeros((1, 10, 40)), np.zeros((1, 10, 40)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "tolerance"), [(11, 1e-5), (64, 1e-6), (256, 1e-6)], ids=["window", "64", "256"]
)
def test_ssim_equals_tensorflow(size, tolerance):
    # TensorFlow computes in float32; with one window only, its rounding does not average out.
    tf = pytest.importorskip("tensorflow")
    rng = np.random.default_rng(1)
    x = rng.uniform(size=(2, size, size, 1)).astype("float32")
    y = np.clip(x + rng.normal(0, 0.2, x.shape), 0, 1).astype("float32")
    expected = tf.image.ssim(x, y, max_val=1.0).numpy()
    np.testing.assert_allclose(compute_ssim(x, y), expected, rtol=0, atol=tolerance)


def test_mae_and_psnr_of_a_constant_offset():
    x, y = np.full((2, 16, 16, 3), 0.4), np.full((2, 16, 16, 3), 0.5)
    np.testing.assert_allclose(compute_mae(x, y), 0.1)
    np.testing.assert_allclose(compute_psnr(x, y), 20.0)


def test_decibels_have_a_ceiling_and_a_summary_is_of_the_population():
    assert to_decibel([1, 0.01, 1e-10, 0]).tolist() == [0, 20, PSNR_CEILING, PSNR_CEILING]
    assert summarise([1, 3]) == {"mean": 2.0, "std": 1.0}


def test_bce_closed_form_and_clipping():
    x, y = np.full((1, 16, 16), 0.25), np.full((1, 16, 16), 0.5)
    np.testing.assert_allclose(compute_bce(x, y), np.log(2))
    worst = compute_bce(np.ones((1, 16, 16)), np.zeros((1, 16, 16)))
    np.testing.assert_allclose(worst, -np.log(1e-7))


def test_identical_images(pairs):
    x, _ = pairs
    assert compute_psnr(x, x).tolist() == [PSNR_CEILING] * 3
    np.testing.assert_allclose(compute_ssim(x, x), 1)
    assert compute_mae(x, x) == 0
    assert measure_area(x, x) == 1
    assert measure_f1(x, x) == 1


def test_constant_images_have_no_classes_to_rank():
    dark, bright = np.full((2, 16, 16), 0.2), np.full((2, 16, 16), 0.7)
    assert measure_area(dark, bright) is None
    assert average_by_image(bright, dark) == {"mean": None, "left_out": 2}
    assert measure_f1(dark, dark) is None
    assert measure_f1(dark, bright) == 0
    luminance = (2 * 0.2 * 0.7 + 1e-4) / (0.2**2 + 0.7**2 + 1e-4)
    np.testing.assert_allclose(compute_ssim(dark, bright), luminance)


def test_auc_of_a_constant_score_is_one_half(pairs):
    assert measure_area(pairs[0], np.full_like(pairs[0], 0.3)) == 0.5


@pytest.mark.parametrize(
    ("levels", "tolerance"), [(4, 1e-12), (256, 1e-12), (65_536, 1e-12), (None, 1e-4)],
    ids=["2-bit", "8-bit", "16-bit", "unquantised"],
)  # fmt: skip
def test_auc_equals_scikit_learn_with_and_without_ties(pairs, levels, tolerance):
    x, y = pairs
    y = y if levels is None else np.round(y * (levels - 1)) / (levels - 1)
    expected = roc_auc_score((x >= 0.5).ravel(), y.ravel())
    assert measure_area(x, y) == pytest.approx(expected, abs=tolerance)
    each = [roc_auc_score((a >= 0.5).ravel(), b.ravel()) for a, b in zip(x, y, strict=True)]
    mean = pytest.approx(np.mean(each), abs=tolerance)
    assert average_by_image(x, y) == {"mean": mean, "left_out": 0}


def test_images_with_one_class_are_left_out_and_counted(pairs):
    x, y = pairs[0].copy(), pairs[1]
    x[1] = 0.2
    each = [roc_auc_score((x[i] >= 0.5).ravel(), y[i].ravel()) for i in (0, 2)]
    mean = pytest.approx(np.mean(each), abs=1e-4)
    assert average_by_image(x, y) == {"mean": mean, "left_out": 1}


def test_f1_equals_scikit_learn(pairs):
    x, y = pairs
    expected = f1_score((x >= 0.5).ravel(), (y >= 0.5).ravel())
    assert measure_f1(x, y) == pytest.approx(expected, abs=1e-12)


def test_the_threshold_itself_is_positive():
    x = np.full((1, 16, 16), 0.5)
    x[0, 0, 0] = np.nextafter(0.5, 0)
    assert measure_f1(x, x) == 1
    assert measure_area(x, x) == 1


def test_three_channels_use_all_values_or_their_mean(pairs):
    x, y = (np.stack([z, z**2, z / 2], axis=3) for z in pairs)
    gray_x, gray_y = (z.sum(axis=3) / 3 for z in (x, y))
    np.testing.assert_allclose(compute_ssim(x, y), compute_ssim(gray_x, gray_y))
    np.testing.assert_allclose(compute_mae(x, y), np.abs(x - y).mean())
    np.testing.assert_allclose(
        compute_psnr(x, y), -10 * np.log10(((x - y) ** 2).mean(axis=(1, 2, 3)))
    )


def test_one_channel_and_float32_give_the_same_figures(pairs):
    x, y = (z.astype("float32") for z in pairs)
    for compute in ALL:
        expected = compute(x.astype("float64"), y.astype("float64"))
        np.testing.assert_allclose(compute(x[..., None], y[..., None]), expected, rtol=1e-12)


@pytest.mark.parametrize("compute", ALL)
def test_unequal_or_single_images_are_refused(compute):
    one, two, single = np.zeros((1, 16, 16)), np.zeros((2, 16, 16)), np.zeros((16, 16))
    with pytest.raises(ValueError, match="expected two equal"):
        compute(one, two)
    with pytest.raises(ValueError, match="expected two equal"):
        compute(single, single)
