"""Judge a run: `python -m keras_vaegan.evaluate --weights RUN --data DIR --out DIR`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from keras_vaegan.cli import run
from keras_vaegan.errors import InputError

GRID_ROWS = 3


@dataclass(frozen=True)
class EvaluateArguments:
    """Measure cycles, honest cycles, realism and, on a paired test set, the error itself."""

    weights: Path
    """Run folder, or folder of published weight files."""
    data: Path
    """Folder that holds testA (CT) and testB (MRI), or a parent of it."""
    out: Path
    """Folder for metrics.json, per_image.csv, report.html and pictures."""
    protocol: str = "unit"
    """Metric definitions."""
    limit: int | None = None
    """Use at most this many images per domain, spread over the set."""
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
    from keras_vaegan.checkpoints.run_config import find_commit, is_run
    from keras_vaegan.data.image import write_image
    from keras_vaegan.data.pipeline import find_image_root, load_test_sets
    from keras_vaegan.evaluation.report import write_metrics, write_report
    from keras_vaegan.evaluation.translation import (
        draw_translation_grid,
        evaluate_translation,
        images_to_unit,
    )
    from keras_vaegan.inference import Translator

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
        images_to_unit(sets["testB"]["images"]),
        images_to_unit(sets["testA"]["images"]),
        sets["pairs"],
        arguments.seed,
        arguments.protocol,
    )
    metrics = {
        "protocol": arguments.protocol,
        "commit": find_commit(),
        "data": dataclasses.asdict(to_ct.data),
        "seed": arguments.seed,
        **result.metrics,
    }
    rows = result.per_image_rows({"ct": sets["testA"]["names"], "mri": sets["testB"]["names"]})
    grid = draw_translation_grid(result, GRID_ROWS)
    write_image(arguments.out / "grid.png", grid)
    write_report(arguments.out, metrics, rows, {"grid": grid})
    if is_run(arguments.weights):
        write_metrics(arguments.weights, metrics)
    print_summary(metrics)
    print(f"report: {arguments.out / 'report.html'}")
    return 0


def check_arguments(arguments: EvaluateArguments) -> None:
    """Refuse what can be told wrong before anything is loaded.

    Raises:
        InputError: a value out of range, or weights that are no folder.
    """
    if arguments.limit is not None and arguments.limit < 4:
        raise InputError(f"--limit {arguments.limit}: expected at least 4 images per domain")
    if not arguments.weights.is_dir():
        raise InputError(
            f"--weights {arguments.weights} is no folder: expected a run folder (both generators)"
        )
    if not 0 <= arguments.seed < 2**31:
        raise InputError(f"--seed {arguments.seed}: expected 0 to 2147483647")


def print_summary(metrics: dict) -> None:
    """Print the figures that decide, a line each."""
    for name in ("ct", "mri"):
        cycle, honest = metrics["cycle"][name], metrics["honest_cycle"][name]
        realism = metrics["realism"][name]
        gap = ", ".join(f"{k} {v:.2f}" for k, v in realism["gap"].items() if v is not None)
        print(
            f"{name}: cycle {cycle['psnr']['mean']:.2f} dB / {cycle['ssim']['mean']:.3f}, honest "
            f"{honest['psnr']['mean']:.2f} dB / {honest['ssim']['mean']:.3f}, realism gap {gap}, "
            f"C2ST {realism['c2st_auc']:.3f}"
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
