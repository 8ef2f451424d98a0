"""How good a synthetic contrast is: against the real one, in the brain and in the whole volume."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_vaegan.data.brats import Scan, find_cases, read_case, read_tumour
from keras_vaegan.data.folders import spread
from keras_vaegan.data.intensity import IntensityRange
from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.report.content import ReportPart, choose_examples
from keras_vaegan.progress import show_progress
from keras_vaegan.systems.modality.data import read_parts
from keras_vaegan.systems.modality.figures import evaluate_synthesis, summarise_cases
from keras_vaegan.systems.modality.pictures import cut_slice, draw_case, draw_synthesis_grid
from keras_vaegan.systems.modality.report import describe_synthesis
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
WINDOW_PERCENTILES = (1.0, 99.0)
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
) -> tuple[ReportPart, list]:
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
    return ReportPart(target, rows, pictures, {k: rows[i] for k, i in chosen.items()}), lines


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
