"""Judge a run: `python -m keras_vaegan.evaluate --weights RUN --data DIR --out DIR`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from keras_vaegan.commands.shell import run
from keras_vaegan.errors import InputError

GRID_ROWS = 3
ENLARGEMENT_ROWS = 5


@dataclass(frozen=True)
class EvaluateArguments:
    """Measure a run.

    A CycleGAN's cycles, honest cycles, realism and, on a paired test set, its error; an RRDBNet's
    enlargements beside bicubic ones; the contrasts that a modality_unet makes.
    """

    weights: Path
    """Run folder, or folder of published weight files."""
    data: Path
    """Folder that holds testA (CT) and testB (MRI), or a parent; for an RRDBNet any images;
    for a modality_unet cases, of which those that it trained or validated on are left out."""
    out: Path
    """Folder for metrics.json, per_image.csv, report.html and pictures."""
    protocol: str = "unit"
    """Metric definitions: unit, images on [0, 1]."""
    limit: int | None = None
    """Use at most this many images per domain, or cases, spread over the set."""
    enhance: Path | None = None
    """RRDBNet weight file: also compare the enlarged and averaged-back cycle with the original."""
    seed: int = 0
    """Seed of the honest cycle's noise and the realism splits."""


def main(argv: list[str] | None = None) -> int:
    """Run the command. Returns the exit status."""
    return run(evaluate, argv, prog="python -m keras_vaegan.evaluate")


def evaluate(arguments: EvaluateArguments) -> int:
    """Evaluate as the arguments say; `metrics.json` also lands in the run folder.

    Raises:
        InputError: bad weights, data or options.
    """
    check_arguments(arguments)
    from keras_vaegan.systems.modality.weights import find_modality_file
    from keras_vaegan.systems.super_resolution.config import SuperResolutionConfig
    from keras_vaegan.training.run_config import is_run, read_run_config

    if find_modality_file(arguments.weights):
        return evaluate_modality(arguments)
    if arguments.limit is not None and arguments.limit < 4:
        raise InputError(f"--limit {arguments.limit}: expected at least 4 images per domain")
    config = read_run_config(arguments.weights) if is_run(arguments.weights) else None
    if isinstance(config, SuperResolutionConfig):
        if arguments.enhance is not None:
            raise InputError("--enhance with an RRDBNet's run: expected a CycleGAN's; drop it")
        return evaluate_enlarger(arguments, config)
    return evaluate_translator(arguments)


def evaluate_translator(arguments: EvaluateArguments) -> int:
    """Evaluate a CycleGAN; the same errors as `evaluate`."""
    from keras_vaegan.data.folders import find_image_root
    from keras_vaegan.data.image import image_to_unit
    from keras_vaegan.systems.cyclegan.evaluation import (
        draw_translation_grid,
        evaluate_translation,
    )
    from keras_vaegan.systems.cyclegan.images import load_test_sets
    from keras_vaegan.systems.cyclegan.translator import Translator
    from keras_vaegan.systems.super_resolution.enhancer import Enhancer

    refine = arguments.enhance and Enhancer.load(arguments.enhance).refine_unit
    to_ct = Translator.load(arguments.weights, "mri2ct")
    to_mri = Translator.load(arguments.weights, "ct2mri")
    if to_ct.data != to_mri.data:
        raise InputError(
            f"the two generators of {arguments.weights} prepare images differently: expected "
            "both from one run; check --weights"
        )
    sets = load_test_sets(find_image_root(arguments.data), to_ct.data, arguments.limit)
    fewest = min(len(sets[name]["names"]) for name in ("testA", "testB"))
    if fewest < 4:
        raise InputError(f"{arguments.data} has a test set of {fewest}: expected at least 4 images")
    result = evaluate_translation(
        to_ct.translate_batch,
        to_mri.translate_batch,
        image_to_unit(sets["testB"]["images"]),
        image_to_unit(sets["testA"]["images"]),
        sets["pairs"],
        arguments.seed,
        arguments.protocol,
        refine,
    )
    metrics = {
        "protocol": arguments.protocol,
        "data": dataclasses.asdict(to_ct.data),
        "seed": arguments.seed,
        **result.metrics,
    }
    rows = result.per_image_rows({"ct": sets["testA"]["names"], "mri": sets["testB"]["names"]})
    print_summary(metrics)
    write_results(arguments, metrics, rows, {"grid": draw_translation_grid(result, GRID_ROWS)})
    return 0


def evaluate_enlarger(arguments: EvaluateArguments, config) -> int:
    """Evaluate an RRDBNet's run; the same errors as `evaluate`."""
    from keras_vaegan.data.folders import spread
    from keras_vaegan.systems.super_resolution.data import find_pictures, load_pictures
    from keras_vaegan.systems.super_resolution.enhancer import Enhancer
    from keras_vaegan.systems.super_resolution.evaluation import (
        draw_enlargements,
        evaluate_enlargement,
    )

    enhancer = Enhancer.load(arguments.weights, tile=0)
    figures, rows, grids = {}, [], {}
    for name, paths in find_pictures(arguments.data, test=True).items():
        images, names = load_pictures(spread(paths, arguments.limit), config.network.channels)
        result = evaluate_enlargement(
            enhancer.enhance_unit, images, config.network.scale, config.degradation.downsample
        )
        figures[name] = {"n": len(images), **result.summarise()}
        rows += [
            {"folder": name, "name": n, **row} for n, row in zip(names, result.rows(), strict=True)
        ]
        grids[name] = draw_enlargements(result, ENLARGEMENT_ROWS)
    metrics = {
        "protocol": arguments.protocol,
        "scale": config.network.scale,
        "downsample": config.degradation.downsample,
        "enlargement": figures,
    }
    for name, part in figures.items():
        scores = ", ".join(
            f"{kind} {part[kind]['psnr']['mean']:.2f} dB / {part[kind]['ssim']['mean']:.3f}"
            for kind in ("network", "bicubic")
        )
        print(f"{name}: {scores} over {part['n']} images, x{config.network.scale}")
    write_results(arguments, metrics, rows, grids)
    return 0


def evaluate_modality(arguments: EvaluateArguments) -> int:
    """Make every contrast that a network makes of every case, and compare it with the real one.

    Raises:
        InputError: bad weights, data or options.
    """
    from keras_vaegan.systems.modality.evaluation import (
        PROTOCOL,
        draw_synthesis_grid,
        summarise_cases,
    )
    from keras_vaegan.systems.modality.slices import list_inputs, list_targets
    from keras_vaegan.systems.modality.synthesizer import Synthesizer

    if arguments.protocol not in ("unit", PROTOCOL["name"]):
        raise InputError(f"--protocol {arguments.protocol}: expected {PROTOCOL['name']}; drop it")
    if arguments.enhance is not None:
        raise InputError(
            f"--enhance {arguments.enhance} given with a modality_unet run: expected it with a "
            "CycleGAN only; drop it"
        )
    folders = find_held_out_cases(arguments)
    synthesizer = Synthesizer.load(arguments.weights)
    rows, grids = [], {}
    for target in list_targets(synthesizer.config):
        lines: list = []
        for folder in folders:
            row, pictures = judge_case(synthesizer, folder, target)
            rows.append(row)
            lines += pictures if len(lines) < GRID_ROWS * GRID_ROWS else []
            print_case(row)
        grids[target] = draw_synthesis_grid(lines, list_inputs(target), target)
    metrics = {
        "protocol": PROTOCOL["name"],
        "definitions": PROTOCOL,
        "data": dataclasses.asdict(synthesizer.data),
        "n_cases": len(folders),
        "cases": [folder.resolve().name for folder in folders],
        **summarise_cases(rows),
    }
    for target, figures in metrics["brain"].items():
        copy = figures["copy"]["psnr"]["mean"]
        gain, fitted = (kind["psnr"]["mean"] - copy for kind in (figures, figures["fitted"]))
        print(
            f"{target}: in the brain {figures['psnr']['mean']:.2f} dB / "
            f"{figures['ssim']['mean']:.3f}, {gain:+.2f} dB against the best copy ({fitted:+.2f} "
            f"dB after a linear fit, as the copy has), mean of {len(folders)} cases"
        )
    write_results(arguments, metrics, rows, grids)
    return 0


def write_results(arguments: EvaluateArguments, metrics: dict, rows: list, grids: dict) -> None:
    """Write pictures, tables and report; the metrics into the run's folder as well.

    Args:
        metrics: Figures with their definitions; the package's commit is added.
        rows: One dict per image or case.
        grids: Pictures by name, (H, W, 3) uint8.
    """
    from keras_vaegan.data.image import write_image
    from keras_vaegan.evaluation.report import write_metrics, write_report
    from keras_vaegan.training.run_config import find_commit, is_run

    metrics = {"commit": find_commit(), **metrics}
    for name, grid in grids.items():
        write_image(arguments.out / f"{name}.png", grid)
    write_report(arguments.out, metrics, rows, grids)
    if is_run(arguments.weights):
        write_metrics(arguments.weights, metrics)
    print(f"report: {arguments.out / 'report.html'}")


def find_held_out_cases(arguments: EvaluateArguments) -> list[Path]:
    """The cases of the data that the run has not seen, at most `limit`.

    Raises:
        InputError: there is none.
    """
    import json

    from keras_vaegan.data.brats import find_cases

    folders = find_cases(arguments.data)
    try:
        split = json.loads((arguments.weights / "split.json").read_text())
        seen = {*split["train"], *split["validation"]}
    except FileNotFoundError:
        seen = set()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{arguments.weights / 'split.json'} is unreadable: expected the run's split; without "
            "it nobody knows which cases it has seen"
        ) from error
    held = [folder for folder in folders if folder.resolve().name not in seen]
    if not held:
        raise InputError(
            f"the run was trained or validated on all {len(folders)} cases of {arguments.data}: "
            "expected others; give another --data"
        )
    count = min(len(held), arguments.limit or len(held))
    return [held[round(i * (len(held) - 1) / max(1, count - 1))] for i in range(count)]


def judge_case(synthesizer, folder: Path, target: str) -> tuple[dict, list]:
    """One row of figures, and rows of pictures, of one contrast of one case."""
    from keras_vaegan.data.brats import read_case
    from keras_vaegan.systems.modality.evaluation import draw_case, evaluate_synthesis, flatten_case
    from keras_vaegan.systems.modality.slices import list_inputs

    case = read_case(folder, list_inputs(target), target, synthesizer.data.percentiles)
    made, _ = synthesizer.synthesize(case, target)
    truth = case.scans[target]
    inputs = {modality: case.scans[modality].unit for modality in list_inputs(target)}
    result = evaluate_synthesis(truth.unit, made, inputs, case.brain)
    row = flatten_case(case.name, target, result, truth.range.high - truth.range.low)
    return row, draw_case(truth.unit, made, inputs, case.brain, GRID_ROWS)


def print_case(row: dict) -> None:
    """Print a case's figures as they come."""
    print(
        f"{row['case']} {row['target']}: brain {row['brain_psnr']:.2f} dB / "
        f"{row['brain_ssim']:.3f}, after a linear fit {row['fitted_brain_psnr']:.2f} dB / "
        f"{row['fitted_brain_ssim']:.3f}, copy of {row['copy_source']} "
        f"{row['copy_brain_psnr']:.2f} dB / {row['copy_brain_ssim']:.3f}",
        flush=True,
    )


def check_arguments(arguments: EvaluateArguments) -> None:
    """Refuse what can be told wrong before anything is loaded.

    Raises:
        InputError: a value out of range, or weights that are no folder.
    """
    if arguments.limit is not None and arguments.limit < 1:
        raise InputError(f"--limit {arguments.limit}: expected at least 1")
    if not arguments.weights.is_dir():
        raise InputError(f"--weights {arguments.weights} is no folder: expected a run folder")
    if not 0 <= arguments.seed < 2**31:
        raise InputError(f"--seed {arguments.seed}: expected 0 to 2147483647")


def print_summary(metrics: dict) -> None:
    """Print the figures that decide, a line each."""
    for name in ("ct", "mri"):
        cycle, honest = metrics["cycle"][name], metrics["honest_cycle"][name]
        realism = metrics["realism"][name]
        gaps = realism["gap"].items()
        gap = ", ".join(f"{k} -" if v is None else f"{k} {v:.2f}" for k, v in gaps)
        gap += " (-: too few images)" if any(v is None for _, v in gaps) else ""
        print(
            f"{name}: cycle {cycle['psnr']['mean']:.2f} dB / {cycle['ssim']['mean']:.3f}, honest "
            f"{honest['psnr']['mean']:.2f} dB / {honest['ssim']['mean']:.3f}, realism gap {gap}, "
            f"C2ST {realism['c2st_auc']:.3f}"
        )
        if metrics["cycle_enhanced"]:
            enhanced = metrics["cycle_enhanced"][name]
            print(
                f"{name}: original vs high-resolution {enhanced['psnr']['mean']:.2f} dB / "
                f"{enhanced['ssim']['mean']:.3f}, BCE {enhanced['bce']:.4f}, AUC-ROC "
                f"{enhanced['auc_roc']:.4f}, F1 {enhanced['f1']:.4f}"
            )
        if metrics["translation"]:
            truth = metrics["translation"][name]
            print(
                f"{name}: MAE against truth {truth['mae']:.4f} (identity "
                f"{truth['identity']['mae']:.4f}, histogram matching "
                f"{truth['histogram_matching']['mae']:.4f})"
            )


if __name__ == "__main__":
    raise SystemExit(main())
