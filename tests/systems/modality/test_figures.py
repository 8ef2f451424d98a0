"""Figures of made volumes, against independent formulas and by their limits."""

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from keras_vaegan.systems.modality.figures import (
    compare_volumes,
    evaluate_synthesis,
    fit_copy,
    summarise_cases,
)
from keras_vaegan.systems.modality.pictures import draw_case, draw_synthesis_grid

SHAPE = (30, 34, 6)


def make_pair(seed=0, noise=0.1):
    rng = np.random.default_rng(seed)
    grid = np.meshgrid(*(np.linspace(-1, 1, side) for side in SHAPE), indexing="ij")
    brain = sum(axis**2 for axis in grid) < 0.7
    real = np.where(brain, rng.uniform(0.2, 0.8, SHAPE), 0)
    made = np.clip(real + noise * rng.normal(size=SHAPE), 0, 1)
    return real, made, brain


def test_figures_agree_with_scikit_image():
    real, made, brain = make_pair()
    figures = compare_volumes(real, made, brain)
    masked = np.where(brain, made, 0)
    assert figures["brain_mae"] == pytest.approx(np.abs(real - made)[brain].mean())
    expected = peak_signal_noise_ratio(real[brain], made[brain], data_range=1)
    assert figures["brain_psnr"] == pytest.approx(expected)
    expected = peak_signal_noise_ratio(real, masked, data_range=1)
    assert figures["whole_psnr"] == pytest.approx(expected)
    maps = np.stack([
        structural_similarity(
            np.pad(real[..., z], 20), np.pad(masked[..., z], 20), data_range=1.0, full=True,
            gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        )[1][20:-20, 20:-20]
        for z in range(SHAPE[2])
    ], axis=-1)  # fmt: skip
    assert figures["brain_ssim"] == pytest.approx(maps[brain].mean(), abs=1e-9)
    assert figures["whole_ssim"] == pytest.approx(maps.mean(), abs=1e-9)


def test_what_lies_outside_the_brain_does_not_count_inside():
    real, made, brain = make_pair()
    loud = np.where(brain, made, 0.9)
    assert compare_volumes(real, loud, brain) == compare_volumes(real, made, brain)


def test_identical_volumes_reach_the_ceilings():
    real, _, brain = make_pair()
    figures = compare_volumes(real, real, brain)
    for part in ("brain", "whole"):
        assert figures[f"{part}_psnr"] == 100 and figures[f"{part}_mae"] == 0
        assert figures[f"{part}_ssim"] == pytest.approx(1)


def test_the_copy_is_the_best_linear_one():
    real, _, brain = make_pair()
    source = np.where(brain, 0.9 - 0.8 * real, 0)
    np.testing.assert_allclose(fit_copy(source, real, brain), real, atol=1e-9)
    noisy = np.where(brain, source + 0.2 * np.random.default_rng(3).normal(size=SHAPE), 0)
    fitted = fit_copy(noisy, real, brain)
    slope, intercept = np.polyfit(noisy[brain], real[brain], 1)
    expected = np.clip(slope * noisy[brain] + intercept, 0, 1)
    np.testing.assert_allclose(fitted[brain], expected, atol=1e-9)
    flat = fit_copy(np.full(SHAPE, 0.5), real, brain)
    np.testing.assert_allclose(flat[brain], real[brain].mean())


def test_the_baseline_is_the_best_input():
    real, made, brain = make_pair()
    rng = np.random.default_rng(1)
    inputs = {
        "t1": np.where(brain, rng.uniform(size=SHAPE), 0),
        "t2": np.where(brain, 1 - real, 0),
        "t1ce": np.where(brain, real + 0.05 * rng.normal(size=SHAPE), 0),
    }
    result = evaluate_synthesis(real, made, inputs, brain)
    assert result["copy_source"] == "t2" and result["copy_brain_psnr"] == 100
    assert result["brain_psnr"] == compare_volumes(real, made, brain)["brain_psnr"]
    dim = evaluate_synthesis(real, 0.5 * made, inputs, brain)
    assert dim["brain_psnr"] < result["brain_psnr"]
    assert dim["fitted_brain_psnr"] == pytest.approx(result["fitted_brain_psnr"])


def test_rows_and_their_means():
    rows = []
    for seed in range(3):
        real, made, brain = make_pair(seed, 0.05 * (seed + 1))
        result = evaluate_synthesis(real, made, {"t1": 1 - real}, brain)
        rows.append({"case": f"case{seed}", "target": "flair", **result})
    summary = summarise_cases(rows)
    values = [row["brain_psnr"] for row in rows]
    assert summary["brain"]["flair"]["psnr"]["mean"] == pytest.approx(np.mean(values))
    assert summary["brain"]["flair"]["psnr"]["std"] == pytest.approx(np.std(values))
    copies = [row["copy_whole_ssim"] for row in rows]
    assert summary["whole"]["flair"]["copy"]["ssim"]["mean"] == pytest.approx(np.mean(copies))


def test_pictures_show_the_front_up():
    real, made, brain = make_pair()
    real = np.where(brain, np.linspace(0, 1, SHAPE[1])[None, :, None], 0)
    lines = draw_case(real, made, {"t1": made, "t2": made, "t1ce": made}, brain, 2)
    assert len(lines) == 2 and len(lines[0]) == 6
    shown = lines[0][4]
    assert shown.shape == (SHAPE[1], SHAPE[0])
    columns = np.flatnonzero(shown[:, SHAPE[0] // 2])
    assert shown[columns[0], SHAPE[0] // 2] > shown[columns[-1], SHAPE[0] // 2]
    picture = draw_synthesis_grid(lines, ("t1", "t1ce", "t2"), "flair")
    assert picture.dtype == np.uint8 and picture.std() > 10
