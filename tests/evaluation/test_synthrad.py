"""The SynthRAD2023 protocol against its definition, voxel by voxel."""

from __future__ import annotations

import numpy as np
import pytest

from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.synthrad import evaluate_volume, find_body


@pytest.fixture(scope="module")
def case() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A head in air with implants beyond the clip, a noisy synthetic CT, and its mask."""
    rng = np.random.default_rng(0)
    grid = np.meshgrid(*(np.linspace(-1, 1, side) for side in (14, 16, 12)), indexing="ij")
    distance = np.sqrt(sum((axis / 0.85) ** 2 for axis in grid))
    truth = np.where(distance < 1, np.where(distance < 0.8, 40, 900), -1000.0)
    truth += rng.normal(0, 20, truth.shape)
    truth[7, 8, 6] = 8000
    synthetic = truth + rng.normal(0, 80, truth.shape)
    synthetic[7, 7, 7] = -5000
    return truth, synthetic, distance < 1


def ssim_oracle(truth, synthetic, mask) -> float:
    """The definition, window by window."""
    x, y = (np.where(mask, np.clip(v, -1024, 3000), -1024) + 1024 for v in (truth, synthetic))
    c1, c2 = (0.01 * 4024) ** 2, (0.03 * 4024) ** 2
    values = []
    for place in np.argwhere(mask):
        low, high = place - 3, place + 4
        if (low < 0).any() or (high > mask.shape).any():
            continue
        a, b = (v[tuple(map(slice, low, high))].ravel() for v in (x, y))
        (var_a, both), (_, var_b) = np.cov(a, b, ddof=1)
        values.append(
            (2 * a.mean() * b.mean() + c1) * (2 * both + c2)
            / (a.mean() ** 2 + b.mean() ** 2 + c1) / (var_a + var_b + c2)
        )  # fmt: skip
    return float(np.mean(values))


def test_the_figures_are_those_of_the_definition(case):
    truth, synthetic, mask = case
    result = evaluate_volume(truth, synthetic, mask)
    x, y = truth[mask], synthetic[mask]
    assert result["mae"] == pytest.approx(np.abs(x - y).mean())
    mse = np.mean((np.clip(x, -1024, 3000) - np.clip(y, -1024, 3000)) ** 2)
    assert result["psnr"] == pytest.approx(10 * np.log10(4024**2 / mse))
    assert result["ssim"] == pytest.approx(ssim_oracle(truth, synthetic, mask), abs=1e-6)


def test_a_mask_up_to_the_border_counts_where_the_window_fits(case):
    truth, synthetic, _ = case
    everywhere = np.ones(truth.shape, bool)
    expected = ssim_oracle(truth, synthetic, everywhere)
    assert evaluate_volume(truth, synthetic, everywhere)["ssim"] == pytest.approx(expected)


def test_what_lies_outside_the_mask_counts_nothing(case):
    truth, synthetic, mask = case
    changed = np.where(mask, synthetic, 500.0)
    assert evaluate_volume(truth, changed, mask) == evaluate_volume(truth, synthetic, mask)


def test_identical_volumes(case):
    truth, _, mask = case
    result = evaluate_volume(truth.astype("int16"), truth.astype("int16"), mask)
    assert result == {"mae": 0, "psnr": 100, "ssim": pytest.approx(1)}


def test_the_body_is_found_without_the_table_and_with_its_air_cells(case):
    truth, _, mask = case
    ct = np.pad(truth, ((0, 4), (0, 0), (0, 0)), constant_values=-1000)
    ct[16:, :, :] = 200  # a table
    ct[7, 9, 5] = -900  # an air cell
    body = find_body(ct)
    assert body[7, 9, 5] and not body[15:].any()
    assert (body[:14] == mask).all()


@pytest.mark.parametrize("value", [-1000.0, 0.0])
def test_no_body_and_no_air_are_refused(value):
    with pytest.raises(InputError, match="expected a body above -500 HU"):
        find_body(np.full((8, 8, 8), value))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t, s, m: (t, s[1:], m), "14x16x12, 13x16x12, 14x16x12 voxels"),
        (lambda t, s, m: (t, np.where(m, np.nan, s), m), "NaN or infinite"),
        (lambda t, s, m: (t, s, m & False), "mask of 0 voxels"),
        (lambda t, s, m: (t[..., :6], s[..., :6], m[..., :6]), "none of them 3 or more"),
        (lambda t, s, m: (t[0], s[0], m[0]), "expected one 3-D shape"),
    ],
    ids=["shape", "nan", "empty", "thin", "flat"],
)
def test_what_cannot_be_compared_is_refused_in_one_line(case, change, told):
    with pytest.raises(InputError, match=told) as caught:
        evaluate_volume(*change(*case))
    assert "\n" not in str(caught.value)
