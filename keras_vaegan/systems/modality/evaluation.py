"""How good a synthetic contrast is: against the real one, in the brain and in the whole volume."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_vaegan.data.brats import find_cases, read_case
from keras_vaegan.data.folders import spread
from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.metrics import map_ssim, summarise, to_decibel
from keras_vaegan.evaluation.report import draw_sample_grid
from keras_vaegan.systems.modality.slices import list_inputs, list_targets
from keras_vaegan.systems.modality.synthesizer import Synthesizer
from keras_vaegan.systems.system import Evaluation, EvaluationOptions

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
WINDOW_MARGIN = 5
ERROR_GAIN = 4
CASE_ROWS = 3
GRID_ROWS = 9


def evaluate_run(weights: Path, data: Path, options: EvaluationOptions) -> Evaluation:
    """Synthesise what a network can of every case that its run has not seen; as `System.evaluate`.

    Of the options `protocol` and `limit` (cases) count.
    """
    if options.protocol not in ("unit", PROTOCOL["name"]):
        raise InputError(f"--protocol {options.protocol}: expected {PROTOCOL['name']}; drop it")
    folders = spread(find_held_out_cases(weights, data), options.limit)
    synthesizer = Synthesizer.load(weights)
    rows, pictures = [], {}
    for target in list_targets(synthesizer.config):
        lines: list = []
        for folder in folders:
            row, drawn = evaluate_case(synthesizer, folder, target)
            rows.append(row)
            lines += drawn if len(lines) < GRID_ROWS else []
            print_case(row)
        pictures[target] = draw_synthesis_grid(lines, list_inputs(target), target)
    metrics = {
        "protocol": PROTOCOL["name"],
        "definitions": PROTOCOL,
        "data": dataclasses.asdict(synthesizer.data),
        "n_cases": len(folders),
        "cases": [folder.resolve().name for folder in folders],
        **summarise_cases(rows),
    }
    return Evaluation(metrics, rows, pictures, list_figures(metrics))


def find_held_out_cases(weights: Path, data: Path) -> list[Path]:
    """The cases of the data that a run, by its `split.json`, was not trained or validated on.

    Raises:
        InputError: there is none, or `split.json` is damaged.
    """
    folders = find_cases(data)
    path, seen = Path(weights) / "split.json", set()
    if path.exists():
        split = read_parts(path)
        seen = {*split["train"], *split["validation"]}
    held = [folder for folder in folders if folder.resolve().name not in seen]
    if not held:
        raise InputError(
            f"the run was trained or validated on all {len(folders)} cases of {data}: expected "
            "others; give another --data"
        )
    return held


def read_parts(path: Path) -> dict[str, list[str]]:
    """Names of cases by part, as a run's split.json has them.

    Raises:
        InputError: it is missing or damaged.
    """
    try:
        split = json.loads(path.read_text())
        return {
            "train": list(split["train"]),
            "validation": list(split["validation"]),
            "test": list(split.get("test", ())),
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is unreadable: expected the run's split; without it nobody knows which "
            "cases it has seen"
        ) from error


def evaluate_case(synthesizer: Synthesizer, folder: Path, target: str) -> tuple[dict, list]:
    """One row of figures, and rows of pictures, of one contrast of one case."""
    case = read_case(folder, list_inputs(target), target, synthesizer.data.percentiles)
    synthetic, _ = synthesizer.synthesize(case, target)
    truth = case.scans[target]
    inputs = {modality: case.scans[modality].unit for modality in list_inputs(target)}
    row = {"case": case.name, "target": target}
    row |= evaluate_synthesis(truth.unit, synthetic, inputs, case.brain)
    row["brain_mae_input_units"] = row["brain_mae"] * (truth.range.high - truth.range.low)
    return row, draw_case(truth.unit, synthetic, inputs, case.brain, CASE_ROWS)


def print_case(row: dict) -> None:
    """Print a case's figures as they come."""
    kinds = {"brain": "", "after a linear fit": "fitted_", f"copy of {row['copy_source']}": "copy_"}
    scores = ", ".join(
        f"{name} {row[prefix + 'brain_psnr']:.2f} dB / {row[prefix + 'brain_ssim']:.3f}"
        for name, prefix in kinds.items()
    )
    print(f"{row['case']} {row['target']}: {scores}", flush=True)


def list_figures(metrics: dict) -> list[str]:
    """The figures that decide, a line a target."""
    lines = []
    for target, figures in metrics["brain"].items():
        copy = figures["copy"]["psnr"]["mean"]
        gain, fitted = (kind["psnr"]["mean"] - copy for kind in (figures, figures["fitted"]))
        lines.append(
            f"{target}: in the brain {figures['psnr']['mean']:.2f} dB / "
            f"{figures['ssim']['mean']:.3f}, {gain:+.2f} dB against the best copy ({fitted:+.2f} "
            f"dB after a linear fit, as the copy has), mean of {metrics['n_cases']} cases"
        )
    return lines


def compare_volumes(real: np.ndarray, synthetic: np.ndarray, brain: np.ndarray) -> dict[str, float]:
    """PSNR, SSIM and mean absolute error of a synthetic volume.

    Args:
        real: (X, Y, Z) in [0, 1], axial slices along the last axis.
        synthetic: The same shape; taken as 0 outside the brain, as the real one is.
        brain: (X, Y, Z) bool.

    Returns:
        {"brain_psnr", "brain_ssim", "brain_mae", "whole_psnr", ...}: dB, unitless and on the
        [0, 1] scale; identical volumes give a PSNR of `PSNR_CEILING`.
    """
    real = np.where(brain, real, 0).astype("float64")
    synthetic = np.where(brain, synthetic, 0).astype("float64")
    error = np.abs(real - synthetic)
    similarity = _map_similarity(real, synthetic, brain)
    figures = {}
    for part, region in (("brain", brain), ("whole", np.ones_like(brain))):
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
    real: np.ndarray, synthetic: np.ndarray, inputs: dict[str, np.ndarray], brain: np.ndarray
) -> dict:
    """Compare a synthetic volume, and the best copy of one input, with the real one.

    Args:
        real, synthetic, brain: As `compare_volumes`.
        inputs: The contrasts that it comes from, each (X, Y, Z) in [0, 1].

    Returns:
        As `compare_volumes`; the same with "fitted_" before each name, after a linear fit to the
        real contrast; with "copy_", of the input that has the best PSNR in the brain after such a
        fit, and its name as "copy_source".
    """
    copies = {
        name: compare_volumes(real, fit_copy(source, real, brain), brain)
        for name, source in inputs.items()
    }
    best = max(copies, key=lambda name: copies[name]["brain_psnr"])
    fitted = compare_volumes(real, fit_copy(synthetic, real, brain), brain)
    result: dict = compare_volumes(real, synthetic, brain)
    for kind, figures in (("fitted", fitted), ("copy", copies[best])):
        result |= {f"{kind}_{name}": value for name, value in figures.items()}
    return {**result, "copy_source": best}


def summarise_cases(rows: Sequence[dict]) -> dict[str, dict]:
    """Mean and standard deviation over cases.

    Args:
        rows: One dict a case and target, as `evaluate_case` makes them.

    Returns:
        {"brain": {target: {"psnr": {"mean", "std"}, "ssim", "mae", "fitted": {...},
        "copy": {...}}}, "whole": ...}.
    """
    result: dict[str, dict] = {"brain": {}, "whole": {}}
    for target in dict.fromkeys(row["target"] for row in rows):
        chosen = [row for row in rows if row["target"] == target]
        for part, targets in result.items():
            targets[target] = _average(chosen, f"{part}_")
            for kind in ("fitted", "copy"):
                targets[target][kind] = _average(chosen, f"{kind}_{part}_")
    return result


def draw_case(
    real: np.ndarray,
    synthetic: np.ndarray,
    inputs: dict[str, np.ndarray],
    brain: np.ndarray,
    rows: int,
) -> list[list[np.ndarray]]:
    """Pictures of axial slices through a brain, front up.

    Args:
        real, synthetic, inputs, brain: As `evaluate_synthesis`.
        rows: Slices, spread evenly between the brain's first and last.

    Returns:
        A row a slice: the inputs, synthetic, real, and the error times `ERROR_GAIN`.
    """
    levels = np.flatnonzero(brain.any(axis=(0, 1)))
    chosen = levels[np.linspace(0, len(levels) - 1, rows + 2).astype(int)[1:-1]]
    lines = []
    for level in chosen:
        error = np.where(brain, np.abs(real - synthetic), 0)[..., level]
        pictures = [volume[..., level] for volume in (*inputs.values(), synthetic, real)]
        lines.append([np.rot90(p) for p in (*pictures, np.clip(ERROR_GAIN * error, 0, 1))])
    return lines


def draw_synthesis_grid(lines: list, inputs: Sequence[str], target: str) -> np.ndarray:
    """Draw rows of `draw_case` under their titles: (H, W, 3) uint8."""
    titles = [*inputs, f"synthetic {target}", f"real {target}", f"{ERROR_GAIN} x |error|"]
    return draw_sample_grid(lines, titles)


def _average(rows: Sequence[dict], prefix: str) -> dict[str, dict]:
    """Mean and deviation of each measure over rows."""
    return {
        measure: summarise([row[prefix + measure] for row in rows])
        for measure in ("psnr", "ssim", "mae")
    }


def _map_similarity(real: np.ndarray, synthetic: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """SSIM of every voxel within its axial slice; 1 where both are empty all around."""
    result = np.ones(real.shape)
    places = [np.flatnonzero(brain.any(axis=axes)) for axes in ((1, 2), (0, 2))]
    rows, columns = (
        slice(max(0, place[0] - WINDOW_MARGIN), place[-1] + 1 + WINDOW_MARGIN) for place in places
    )
    for level in np.flatnonzero(brain.any(axis=(0, 1))):
        similarity = map_ssim(
            *(np.pad(v[rows, columns, level], 2 * WINDOW_MARGIN) for v in (real, synthetic))
        )
        inner = slice(2 * WINDOW_MARGIN, -2 * WINDOW_MARGIN)
        result[rows, columns, level] = similarity[inner, inner]
    return result
