"""How well a contrast was made: against the real one, in the brain and in the whole volume."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from skimage.metrics import structural_similarity

from keras_vaegan.evaluation.metrics import PSNR_CEILING
from keras_vaegan.evaluation.report import draw_sample_grid

PROTOCOL = {
    "name": "modality",
    "data_range": 1.0,
    "window": "1st to 99th percentile of each volume's brain becomes [0, 1] (the run's own)",
    "clip": [0.0, 1.0],
    "mask": "brain: what is foreground in every input; whole: all voxels, 0 outside the brain",
    "ssim": "axial slices, 11x11 Gaussian of sigma 1.5, averaged over the voxels that count",
    "fitted": "the synthesis after the copy's linear fit, to compare the two on equal terms",
    "copy": "the input that is best by PSNR after a linear fit to the real contrast in the brain",
}
COMPARED = ("fitted", "copy")
WINDOW_MARGIN = 5
ERROR_GAIN = 4


def compare_volumes(real: np.ndarray, made: np.ndarray, brain: np.ndarray) -> dict[str, dict]:
    """PSNR, SSIM and mean absolute error of a made volume.

    Args:
        real: (X, Y, Z) in [0, 1], axial slices along the last axis.
        made: The same shape; taken as 0 outside the brain, as the real one is.
        brain: (X, Y, Z) bool.

    Returns:
        {"brain": {"psnr", "ssim", "mae"}, "whole": {...}}: dB, unitless and on the [0, 1] scale;
        identical volumes give a PSNR of `PSNR_CEILING`.
    """
    real = np.where(brain, real, 0).astype("float64")
    made = np.where(brain, made, 0).astype("float64")
    error = np.abs(real - made)
    similarity = _map_similarity(real, made, brain)
    return {
        name: {
            "psnr": _to_decibel(np.mean(error[region] ** 2)),
            "ssim": float(similarity[region].mean()),
            "mae": float(error[region].mean()),
        }
        for name, region in (("brain", brain), ("whole", np.ones_like(brain)))
    }


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
    real: np.ndarray, made: np.ndarray, inputs: dict[str, np.ndarray], brain: np.ndarray
) -> dict[str, dict]:
    """Compare a made volume, and the best copy of one input, with the real one.

    Args:
        real, made, brain: As `compare_volumes`.
        inputs: The contrasts that it was made from, each (X, Y, Z) in [0, 1].

    Returns:
        As `compare_volumes`, of the volume as it was made; in each part also "fitted", the same
        figures after a linear fit to the real contrast, and "copy", those of the input that has
        the best PSNR in the brain after such a fit, with its "source".
    """
    result = compare_volumes(real, made, brain)
    copies = {
        name: compare_volumes(real, fit_copy(source, real, brain), brain)
        for name, source in inputs.items()
    }
    fitted = compare_volumes(real, fit_copy(made, real, brain), brain)
    best = max(copies, key=lambda name: copies[name]["brain"]["psnr"])
    for part, figures in result.items():
        figures["fitted"] = fitted[part]
        figures["copy"] = {**copies[best][part], "source": best}
    return result


def summarise_cases(rows: Sequence[dict]) -> dict[str, dict]:
    """Mean and standard deviation over cases.

    Args:
        rows: One dict a case and target, as `flatten_case` makes them.

    Returns:
        {"brain": {target: {"psnr": {"mean", "std"}, "ssim", "mae", "fitted": {...},
        "copy": {...}}}, "whole": ...}.
    """
    result: dict[str, dict] = {"brain": {}, "whole": {}}
    for target in dict.fromkeys(row["target"] for row in rows):
        chosen = [row for row in rows if row["target"] == target]
        for part, targets in result.items():

            def average(prefix: str, chosen=chosen, part=part) -> dict:
                """The figures of one part and kind."""
                figures = {}
                for measure in ("psnr", "ssim", "mae"):
                    values = [row[f"{prefix}{part}_{measure}"] for row in chosen]
                    figures[measure] = {
                        "mean": float(np.mean(values)), "std": float(np.std(values)),
                    }  # fmt: skip
                return figures

            kinds = {kind: average(f"{kind}_") for kind in COMPARED}
            targets[target] = {**average(""), **kinds}
    return result


def flatten_case(name: str, target: str, result: dict, unit_span: float) -> dict:
    """One row of per_image.csv.

    Args:
        name: The case.
        target: The contrast that was made.
        result: Of `evaluate_synthesis`.
        unit_span: What 1 stands for in the real volume's own unit.
    """
    row: dict = {"case": name, "target": target}
    for part, figures in result.items():
        for measure in ("psnr", "ssim", "mae"):
            row[f"{part}_{measure}"] = figures[measure]
            for kind in COMPARED:
                row[f"{kind}_{part}_{measure}"] = figures[kind][measure]
    row["brain_mae_input_units"] = row["brain_mae"] * unit_span
    row["copy_source"] = result["brain"]["copy"]["source"]
    return row


def draw_case(
    real: np.ndarray, made: np.ndarray, inputs: dict[str, np.ndarray], brain: np.ndarray, rows: int
) -> list[list[np.ndarray]]:
    """Pictures of axial slices through a brain, front up.

    Args:
        real, made, inputs, brain: As `evaluate_synthesis`.
        rows: Slices, spread evenly between the brain's first and last.

    Returns:
        A row a slice: the inputs, made, real, and the error times `ERROR_GAIN`.
    """
    levels = np.flatnonzero(brain.any(axis=(0, 1)))
    chosen = levels[np.linspace(0, len(levels) - 1, rows + 2).astype(int)[1:-1]]
    lines = []
    for level in chosen:
        error = np.where(brain, np.abs(real - made), 0)[..., level]
        pictures = [volume[..., level] for volume in (*inputs.values(), made, real)]
        lines.append([np.rot90(p) for p in (*pictures, np.clip(ERROR_GAIN * error, 0, 1))])
    return lines


def draw_synthesis_grid(lines: list, inputs: Sequence[str], target: str) -> np.ndarray:
    """Draw rows of `draw_case` under their titles: (H, W, 3) uint8."""
    titles = [*inputs, f"synthetic {target}", f"real {target}", f"{ERROR_GAIN} x |error|"]
    return draw_sample_grid(lines, titles)


def _map_similarity(real: np.ndarray, made: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """SSIM of every voxel within its axial slice; 1 where both are empty all around."""
    result = np.ones(real.shape)
    places = [np.flatnonzero(brain.any(axis=axes)) for axes in ((1, 2), (0, 2))]
    box = tuple(
        slice(max(0, place[0] - WINDOW_MARGIN), place[-1] + 1 + WINDOW_MARGIN) for place in places
    )
    for level in np.flatnonzero(brain.any(axis=(0, 1))):
        pair = [np.pad(volume[..., level][box], 2 * WINDOW_MARGIN) for volume in (real, made)]
        similarity = structural_similarity(
            *pair, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0,
            full=True,
        )[1]  # fmt: skip
        inner = slice(2 * WINDOW_MARGIN, -2 * WINDOW_MARGIN)
        result[(*box, level)] = similarity[inner, inner]
    return result


def _to_decibel(mse: float) -> float:
    """PSNR of data range 1."""
    return float(-10 * np.log10(max(mse, 10 ** (-PSNR_CEILING / 10))))
