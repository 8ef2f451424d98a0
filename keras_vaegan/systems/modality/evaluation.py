"""How good a synthetic contrast is: against the real one, in the brain and in the whole volume."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_vaegan.data.brats import Scan, find_cases, read_case, read_tumour
from keras_vaegan.data.folders import spread
from keras_vaegan.data.image import unit_to_image
from keras_vaegan.data.intensity import IntensityRange
from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.confidence import bootstrap_mean
from keras_vaegan.evaluation.metrics import map_ssim, summarise, to_decibel
from keras_vaegan.evaluation.pictures import draw_sample_grid
from keras_vaegan.evaluation.report.content import choose_examples
from keras_vaegan.progress import show_progress
from keras_vaegan.systems.modality.report import TargetPart, describe_synthesis
from keras_vaegan.systems.modality.slices import list_inputs, list_targets
from keras_vaegan.systems.modality.synthesizer import Synthesizer
from keras_vaegan.systems.system import Evaluation, EvaluationOptions

PROTOCOL = {
    "name": "modality",
    "data_range": 1.0,
    "window": "1st to 99th percentile of each real volume's brain becomes [0, 1], whatever the "
    "run's normalisation; the synthesis comes into it by the real volume's own range",
    "clip": [0.0, 1.0],
    "mask": "brain: what is foreground in every input; whole: all voxels, 0 outside the brain; "
    "tumour: what a segmentation beside the scans labels",
    "ssim": "axial slices, 11x11 Gaussian of sigma 1.5, averaged over the voxels that count",
    "fitted": "the synthesis after the copy's linear fit, to compare the two on equal terms",
    "copy": "the input that is best by PSNR after a linear fit to the real contrast in the brain",
    "plain_copy": "the input that is best by PSNR as it is, in its own window",
}
MEASURES = ("psnr", "ssim", "mae")
WINDOW_PERCENTILES = (1.0, 99.0)
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
    rows: list[dict] = []
    pictures, parts = {}, []
    for target in list_targets(synthesizer.config):
        part, lines = evaluate_target(synthesizer, folders, target)
        rows += part.rows
        pictures[target] = draw_synthesis_grid(lines, list_inputs(target), target)
        parts.append(part)
    metrics = {
        "protocol": PROTOCOL["name"],
        "definitions": PROTOCOL,
        "data": dataclasses.asdict(synthesizer.data),
        "n_cases": len(folders),
        "cases": [folder.resolve().name for folder in folders],
        **summarise_cases(rows, options.seed),
    }
    content = describe_synthesis(metrics, parts)
    return Evaluation(metrics, rows, pictures, list_figures(metrics), content)


def evaluate_target(
    synthesizer: Synthesizer, folders: Sequence[Path], target: str
) -> tuple[TargetPart, list]:
    """One contrast of every case.

    Of each case a slice of bytes is held until the best, median and worst are known.

    Returns:
        What the report shows, and rows of pictures of the first cases.
    """
    rows: list[dict] = []
    slices: list[dict[str, np.ndarray]] = []
    lines: list = []
    for folder in show_progress(folders, f"generating {target}"):
        row, drawn, shown = evaluate_case(synthesizer, folder, target)
        rows.append(row)
        slices.append(shown)
        lines += drawn if len(lines) < GRID_ROWS else []
        print_case(row)
    chosen = choose_examples([row["brain_psnr"] for row in rows])
    pictures = {rank: slices[index] for rank, index in chosen.items()}
    return TargetPart(target, rows, pictures, {k: rows[i] for k, i in chosen.items()}), lines


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


def evaluate_case(
    synthesizer: Synthesizer, folder: Path, target: str
) -> tuple[dict, list, dict[str, np.ndarray]]:
    """One row of figures, rows of pictures, and `cut_slice`, of one contrast of one case."""
    case = read_case(folder, list_inputs(target), target, synthesizer.data)
    synthetic, _ = synthesizer.synthesize(case, target)
    truth = case.scans[target]
    window = find_window(truth, case.brain)
    real, synthetic = (view(unit, truth, window, case.brain) for unit in (truth.unit, synthetic))
    inputs = {}
    for modality in list_inputs(target):
        scan = case.scans[modality]
        inputs[modality] = view(scan.unit, scan, find_window(scan, case.brain), case.brain)
    row = {"case": case.name, "target": target}
    row |= evaluate_synthesis(real, synthetic, inputs, case.brain, read_tumour(folder, case))
    row["brain_mae_input_units"] = row["brain_mae"] * (window.high - window.low)
    volumes = {**inputs, "synthetic": synthetic, "real": real}
    lines = draw_case(real, synthetic, inputs, case.brain, CASE_ROWS)
    return row, lines, cut_slice(volumes, case.brain)


def find_window(scan: Scan, brain: np.ndarray) -> IntensityRange:
    """The values between which figures are taken: percentiles of a scan's brain."""
    values = np.asarray(scan.range.from_unit(scan.unit, brain))[brain]
    low, high = np.percentile(values, WINDOW_PERCENTILES)
    return IntensityRange(float(low), float(high), scan.range.background)


def view(unit: np.ndarray, scan: Scan, window: IntensityRange, brain: np.ndarray) -> np.ndarray:
    """Bring an image from the range of a scan into a window: (X, Y, Z) float32 in [0, 1]."""
    return np.asarray(window.to_unit(scan.range.from_unit(unit, brain), brain))


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


def cut_slice(volumes: dict[str, np.ndarray], brain: np.ndarray) -> dict[str, np.ndarray]:
    """The axial slice with the most brain, front up, cut to the brain with a margin.

    Args:
        volumes: By name, each (X, Y, Z) in [0, 1].
        brain: (X, Y, Z) bool.

    Returns:
        The same names: (H, W) uint8.
    """
    level = int(brain.sum(axis=(0, 1)).argmax())
    places = [np.flatnonzero(brain.any(axis=axes)) for axes in ((1, 2), (0, 2))]
    rows, columns = (
        slice(max(0, place[0] - WINDOW_MARGIN), place[-1] + 1 + WINDOW_MARGIN) for place in places
    )
    return {
        name: unit_to_image(np.rot90(volume[rows, columns, level]), "uint8")
        for name, volume in volumes.items()
    }


def draw_synthesis_grid(lines: list, inputs: Sequence[str], target: str) -> np.ndarray:
    """Draw rows of `draw_case` under their titles: (H, W, 3) uint8."""
    titles = [*inputs, f"synthetic {target}", f"real {target}", f"{ERROR_GAIN} x |error|"]
    return draw_sample_grid(lines, titles)


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
