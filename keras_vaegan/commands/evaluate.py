"""Evaluate weights: `python -m keras_vaegan.evaluate --weights RUN --data DIR --out DIR`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from keras_vaegan.commands.shell import CommandOptions, import_backend, run
from keras_vaegan.errors import InputError
from keras_vaegan.systems.registry import SYSTEMS, find_system, open_predictor
from keras_vaegan.systems.system import Evaluation, EvaluationOptions, System


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(CommandOptions):
    """Options of `evaluate`."""

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


def evaluate(options: EvaluateOptions) -> int:
    """Measure trained weights.

    A CycleGAN's cycles, honest cycles, realism and, on a paired test set, its error; an RRDBNet's
    enlargements beside bicubic ones; the contrasts that a modality_unet generates.

    Raises:
        InputError: bad weights, data or options.
    """
    check_options(options)
    system = find_weights_system(options.weights)
    if options.enhance is not None and not system.takes_enhancer:
        raise InputError(
            f"--enhance {options.enhance} given with {options.weights}: expected it with a "
            "CycleGAN's weights only; drop it"
        )
    import_backend()
    enhancer = open_predictor("enhance", options.enhance) if options.enhance else None
    enhance = enhancer.enhance_same_size if enhancer else None
    chosen = EvaluationOptions(options.protocol, options.limit, options.seed, enhance)
    result = system.evaluate(options.weights, options.data, chosen)
    print(*result.summary, sep="\n")
    write_results(options, result)
    return 0


def check_options(options: EvaluateOptions) -> None:
    """Refuse what can be told wrong before anything is loaded.

    Raises:
        InputError: a value out of range, or weights that are no folder.
    """
    if options.limit is not None and options.limit < 1:
        raise InputError(f"--limit {options.limit}: expected at least 1")
    if not options.weights.is_dir():
        raise InputError(f"--weights {options.weights} is no folder: expected a run folder")
    if not 0 <= options.seed < 2**31:
        raise InputError(f"--seed {options.seed}: expected 0 to 2147483647")


def find_weights_system(folder: Path) -> System:
    """The system of a run, or else of the weight files that lie in a folder.

    Raises:
        InputError: there are none.
    """
    from keras_vaegan.training.run_folder import is_run, read_run_config
    from keras_vaegan.weights.names import find_in_folder

    if is_run(folder):
        return find_system(read_run_config(folder))
    for system in SYSTEMS:
        if any(find_in_folder(folder, name) for name in system.weight_files.values()):
            return system
    names = " or ".join(next(iter(system.weight_files.values())) for system in SYSTEMS)
    raise InputError(f"no weights in {folder}: expected a run folder, or {names} in it")


def write_results(options: EvaluateOptions, result: Evaluation) -> None:
    """Write pictures, tables and report; the metrics into the run's folder as well.

    Raises:
        InputError: a folder cannot be written to.
    """
    from keras_vaegan.data.image import write_image
    from keras_vaegan.evaluation.report import write_report
    from keras_vaegan.files import write_json
    from keras_vaegan.training.run_folder import find_commit, is_run

    metrics = {"commit": find_commit(), **result.metrics}
    for name, picture in result.pictures.items():
        write_image(options.out / f"{name}.png", picture)
    write_report(options.out, metrics, result.rows, result.pictures)
    if is_run(options.weights):
        write_json(options.weights / "metrics.json", metrics)
    print(f"report: {options.out / 'report.html'}")


main = partial(run, evaluate, prog="python -m keras_vaegan.evaluate")
