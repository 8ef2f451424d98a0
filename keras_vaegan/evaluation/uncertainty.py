"""Whether a predicted deviation tells the error: its rank, what it sorts out, and its size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.integrate import trapezoid
from scipy.stats import spearmanr

from keras_vaegan.errors import InputError, first_line
from keras_vaegan.evaluation.error_map import ErrorMap
from keras_vaegan.files import write_json

UNCERTAINTY_FILE = "uncertainty.json"  # of a run folder, by direction
BINS = 15
SHARES = np.linspace(0, 0.95, 20)  # of the pixels, left out by either order


def fit_scale(deviations: np.ndarray, errors: np.ndarray) -> float:
    """The factor that makes deviations as large as errors, in root mean square.

    Args:
        deviations: (N,) 0 or more.
        errors: (N,) of either sign.

    Raises:
        InputError: all deviations are 0.
    """
    spread = float(np.mean(np.square(deviations, dtype="float64")))
    if spread == 0:
        raise InputError(
            "the samples do not differ at all: expected a network whose latent changes its "
            "translations; nothing can be calibrated"
        )
    return float(np.sqrt(np.mean(np.square(errors, dtype="float64")) / spread))


def measure_uncertainty(deviations: np.ndarray, errors: np.ndarray) -> dict[str, float]:
    """Figures of how well deviations foretell errors.

    Args:
        deviations: (N,) 0 or more, in the errors' unit.
        errors: (N,) of either sign.

    Returns:
        "spearman": rank correlation of deviation and absolute error; "ause": area between the
        sparsification curves, on the mean absolute error's scale (0: leaving out the most
        uncertain pixels helps as much as leaving out the worst); "ause_random": the same of an
        order that knows nothing; "calibration_error": mean difference, over bins of equal count
        by deviation, of the root mean squares of deviation and error, weighted by count, in the
        errors' unit; "deviation" and "error": root mean squares.

    Reference: Ilg et al. 2018 (AUSE); Laves et al. 2020 (the calibration error, there squared).
    """
    size = np.abs(errors)
    rank = (
        float(spearmanr(deviations, size).statistic) if np.ptp(deviations) and np.ptp(size) else 0.0
    )
    mean = float(size.mean()) or 1.0
    oracle = _sparsify(size, size)
    return {
        "spearman": rank,
        "ause": float(trapezoid(_sparsify(deviations, size) - oracle, SHARES) / mean),
        "ause_random": float(trapezoid(size.mean() - oracle, SHARES) / mean),
        "calibration_error": _measure_calibration(deviations, size),
        "deviation": float(np.sqrt(np.mean(np.square(deviations)))),
        "error": float(np.sqrt(np.mean(np.square(size)))),
    }


def write_calibration(folder: Path, table: dict[str, dict[str, Any]]) -> None:
    """Write what a calibration found, by direction; each has an "error_map"."""
    write_json(folder / UNCERTAINTY_FILE, table)


def read_calibration(weights: Path, direction: str | None) -> ErrorMap | None:
    """The error map of a network, where its run has been calibrated.

    Args:
        weights: Run folder, its `best/`, or weight file in one of them.
        direction: "mri2ct" or "ct2mri".

    Raises:
        InputError: the file is damaged.
    """
    folder = (weights if weights.is_dir() else weights.parent).resolve()
    folders = [folder, folder.parent] if folder.name == "best" else [folder]
    files = [place / UNCERTAINTY_FILE for place in folders]
    file = next((file for file in files if file.is_file()), None)
    if direction is None or file is None:
        return None
    try:
        table = json.loads(file.read_text())
        if not isinstance(table, dict):
            raise TypeError(f"a {type(table).__name__} where directions are expected")
        return ErrorMap.from_json(table[direction]["error_map"]) if direction in table else None
    except (OSError, ValueError, TypeError, KeyError, InputError) as error:
        raise InputError(
            f"{file} is damaged ({first_line(error)}): expected what `calibrate` writes; run it "
            "again, or remove the file"
        ) from error


def _sparsify(order: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Mean error of what is left when the shares with the highest `order` are left out."""
    kept = errors[np.argsort(order, kind="stable")]
    means = np.cumsum(kept) / np.arange(1, len(kept) + 1)
    return np.array([means[max(1, round(len(kept) * (1 - share))) - 1] for share in SHARES])


def _measure_calibration(deviations: np.ndarray, errors: np.ndarray) -> float:
    """Mean |RMS deviation - RMS error| over bins of equal count."""
    order = np.argsort(deviations, kind="stable")
    parts = [part for part in np.array_split(order, BINS) if len(part)]
    gaps = [
        abs(np.sqrt(np.mean(deviations[p] ** 2)) - np.sqrt(np.mean(errors[p] ** 2))) * len(p)
        for p in parts
    ]
    return float(sum(gaps) / len(order))
