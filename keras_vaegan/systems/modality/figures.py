"""Figures of a synthetic volume against the real one, and of the best copy of an input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_vaegan.evaluation.confidence import bootstrap_mean
from keras_vaegan.evaluation.metrics import map_ssim, summarise, to_decibel

MEASURES = ("psnr", "ssim", "mae")
WINDOW_MARGIN = 5


def compare_volumes(
    real: np.ndarray, synthetic: np.ndarray, brain: np.ndarray, tumour: np.ndarray | None = None
) -> dict[str, float | None]:
    """PSNR, SSIM and mean absolute error of a synthetic volume.

    Args:
        real: (X, Y, Z) in [0, 1], axial slices along the last axis.
        synthetic: The same shape; taken as 0 outside the brain, as the real one is.
        brain: (X, Y, Z) bool.
        tumour: The same, or None where no segmentation tells it.

    Returns:
        {"brain_psnr", "brain_ssim", "brain_mae", "whole_psnr", ..., "tumour_psnr", ...}: dB,
        unitless and on the [0, 1] scale, None without tumour; identical volumes give a PSNR of
        `PSNR_CEILING`.
    """
    real = np.where(brain, real, 0).astype("float64")
    synthetic = np.where(brain, synthetic, 0).astype("float64")
    error = np.abs(real - synthetic)
    similarity = _map_similarity(real, synthetic, brain)
    regions = {"brain": brain, "whole": np.ones_like(brain), "tumour": tumour}
    figures: dict[str, float | None] = {}
    for part, region in regions.items():
        if region is None or not region.any():
            figures |= {f"{part}_{measure}": None for measure in MEASURES}
            continue
        figures[f"{part}_psnr"] = float(to_decibel(np.mean(error[region] ** 2)))
        figures[f"{part}_ssim"] = float(similarity[region].mean())
        figures[f"{part}_mae"] = float(error[region].mean())
    return figures


def fit_copy(source: np.ndarray, real: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """A contrast after the linear change of intensity that brings it closest to another.

    The fit knows the very volume it is compared with, which no method does: a strict baseline.

    Args:
        source: (X, Y, Z) in [0, 1].
        real: The contrast to come close to.
        brain: (X, Y, Z) bool, where the squared error counts.

    Returns:
        (X, Y, Z) in [0, 1], 0 outside the brain.
    """
    x, y = source[brain].astype("float64"), real[brain].astype("float64")
    variance = x.var()
    slope = ((x - x.mean()) * (y - y.mean())).mean() / variance if variance else 0.0
    fitted = np.clip(slope * (source - x.mean()) + y.mean(), 0, 1)
    return np.where(brain, fitted, 0)


def evaluate_synthesis(
    real: np.ndarray,
    synthetic: np.ndarray,
    inputs: dict[str, np.ndarray],
    brain: np.ndarray,
    tumour: np.ndarray | None = None,
) -> dict:
    """Compare a synthetic volume, and the best copy of one input, with the real one.

    Args:
        real, synthetic, brain, tumour: As `compare_volumes`.
        inputs: The contrasts that it comes from, each (X, Y, Z) in [0, 1].

    Returns:
        As `compare_volumes`; the same with "fitted_" before each name, after a linear fit to the
        real contrast; with "copy_", of the input that has the best PSNR in the brain after such a
        fit, and its name as "copy_source"; with "plain_copy_", of the best input as it is.
    """

    def compare(volume: np.ndarray) -> dict:
        return compare_volumes(real, volume, brain, tumour)

    def find_best(volumes: dict[str, np.ndarray]) -> str:
        """The name of the volume with the smallest squared error in the brain."""
        return min(volumes, key=lambda name: np.square(volumes[name] - real)[brain].mean())

    fitted = {name: fit_copy(source, real, brain) for name, source in inputs.items()}
    best, plain = find_best(fitted), find_best(inputs)
    result = compare(synthetic)
    kinds = {
        "fitted": fit_copy(synthetic, real, brain),
        "copy": fitted[best],
        "plain_copy": inputs[plain],
    }
    for kind, volume in kinds.items():
        result |= {f"{kind}_{name}": value for name, value in compare(volume).items()}
    return {**result, "copy_source": best, "plain_copy_source": plain}


def summarise_cases(rows: Sequence[dict], seed: int = 0) -> dict[str, dict]:
    """Mean, standard deviation and 95 % interval over cases.

    Args:
        rows: One dict a case and target, as `evaluate_case` makes them.
        seed: Seed of the intervals.

    Returns:
        {"brain": {target: {"psnr": {"mean", "std", "interval"}, "ssim", "mae", "fitted": {...},
        "copy": {...}, "plain_copy": {...}}}, "whole": ..., "tumour": ...}, the last where a case
        has a segmentation; an interval is None with a single case.
    """
    result: dict[str, dict] = {"brain": {}, "whole": {}}
    if any(row.get("tumour_psnr") is not None for row in rows):
        result["tumour"] = {}
    for target in dict.fromkeys(row["target"] for row in rows):
        chosen = [row for row in rows if row["target"] == target]
        for part, targets in result.items():
            targets[target] = _average(chosen, f"{part}_", seed)
            for kind in ("fitted", "copy", "plain_copy"):
                targets[target][kind] = _average(chosen, f"{kind}_{part}_", seed)
    return result


def find_brain_window(brain: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns of a volume, (X, Y, Z) bool, that hold its brain, with a margin."""
    places = [np.flatnonzero(brain.any(axis=axes)) for axes in ((1, 2), (0, 2))]
    rows, columns = (
        slice(max(0, place[0] - WINDOW_MARGIN), place[-1] + 1 + WINDOW_MARGIN) for place in places
    )
    return rows, columns


def _average(rows: Sequence[dict], prefix: str, seed: int) -> dict[str, dict]:
    """Mean, deviation and interval of each measure over rows."""
    averages = {}
    for measure in MEASURES:
        values = [row[prefix + measure] for row in rows if row[prefix + measure] is not None]
        averages[measure] = {**summarise(values), "interval": bootstrap_mean(values, seed=seed)}
    return averages


def _map_similarity(real: np.ndarray, synthetic: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """SSIM of every voxel within its axial slice; 1 where both are empty all around."""
    result = np.ones(real.shape)
    rows, columns = find_brain_window(brain)
    for level in np.flatnonzero(brain.any(axis=(0, 1))):
        similarity = map_ssim(
            *(np.pad(v[rows, columns, level], 2 * WINDOW_MARGIN) for v in (real, synthetic))
        )
        inner = slice(2 * WINDOW_MARGIN, -2 * WINDOW_MARGIN)
        result[rows, columns, level] = similarity[inner, inner]
    return result
