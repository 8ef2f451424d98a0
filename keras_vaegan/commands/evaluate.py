"""Evaluate weights: `python -m keras_vaegan.evaluate --weights RUN --data DIR --out DIR`."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from keras_vaegan.commands.shell import CommandOptions, import_backend, run
from keras_vaegan.errors import InputError
from keras_vaegan.systems.registry import SYSTEMS, find_system, open_predictor
from keras_vaegan.systems.system import Evaluation, EvaluationOptions, System

if TYPE_CHECKING:
    from keras_vaegan.evaluation.report.content import Content, Curves


IMAGE_KEYS = ("domain", "folder", "case", "target", "name")  # columns that tell a row's image


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
    """Metric definitions: unit (images on [0, 1]), tf, skimage, seed, or synthrad2023 (volumes)."""
    compare: Path | None = None
    """Another run folder, or folder of weight files: evaluate it too, and compare."""
    keep_leaks: bool = False
    """Keep test images that are among the training images too; by default they are left out."""
    limit: int | None = None
    """Use at most this many images per domain, or cases, spread over the set."""
    enhance: Path | None = None
    """RRDBNet weight file: also compare the enlarged and averaged-back cycle with the original."""
    seed: int = 0
    """Seed of the honest cycle's noise, the realism splits and the intervals."""


def evaluate(options: EvaluateOptions) -> int:
    """Measure trained weights.

    A CycleGAN's cycles, honest cycles, realism and, on a paired test set, its error; an RRDBNet's
    enlargements beside bicubic ones; the contrasts that a modality_unet generates.

    Raises:
        InputError: bad weights, data or options.
    """
    check_options(options)
    system = find_weights_system(options.weights)
    if options.compare and find_weights_system(options.compare) is not system:
        raise InputError(
            f"--compare {options.compare} holds weights of another system than {options.weights}: "
            "expected two of one kind"
        )
    if options.enhance is not None and not system.takes_enhancer:
        raise InputError(
            f"--enhance {options.enhance} given with {options.weights}: expected it with a "
            "CycleGAN's weights only; drop it"
        )
    import_backend()
    enhancer = open_predictor("enhance", options.enhance) if options.enhance else None
    enhance = enhancer.enhance_same_size if enhancer else None
    chosen = EvaluationOptions(
        protocol=options.protocol, limit=options.limit, seed=options.seed,
        keep_leaks=options.keep_leaks, enhance=enhance,
    )  # fmt: skip
    result = system.evaluate(options.weights, options.data, chosen)
    print(*result.summary, sep="\n")
    if options.compare:
        other = system.evaluate(options.compare, options.data, chosen)
        names = name_folders(options.weights, options.compare)
        result = compare_results(result, other, names, options.seed)
    write_results(options, result)
    return 0


def check_options(options: EvaluateOptions) -> None:
    """Refuse what can be told wrong before anything is loaded.

    Raises:
        InputError: a value out of range, or weights that are no folder.
    """
    if options.limit is not None and options.limit < 1:
        raise InputError(f"--limit {options.limit}: expected at least 1")
    for name, folder in (("weights", options.weights), ("compare", options.compare)):
        if folder is not None and not folder.is_dir():
            raise InputError(
                f"--{name} {folder} is no folder: expected a run folder, or the weights that "
                "ship, as `keras-vaegan weights` writes them"
            )
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


def compare_results(
    result: Evaluation, other: Evaluation, names: tuple[str, str], seed: int
) -> Evaluation:
    """Set a second run beside the first: what differs by more than chance, and print it.

    Raises:
        InputError: the two were not evaluated on the same images.
    """
    from keras_vaegan.evaluation.comparison import compare_rows
    from keras_vaegan.evaluation.report import side_by_side

    keys = [key for key in IMAGE_KEYS if key in result.rows[0]]
    found = compare_rows(result.rows, other.rows, keys, seed)
    for part in found:
        verdict = side_by_side.give_verdict(part, names)
        title = side_by_side.name_measure(part)
        print(f"{title} {part['first']:.4g} and {part['second']:.4g}: {verdict}")
    comparison = {"first": names[0], "second": names[1], "differences": found,
                  "second_metrics": other.metrics}  # fmt: skip
    content = dataclasses.replace(
        result.content,
        sections=[
            side_by_side.tabulate_headlines(result.content, other.content, names),
            side_by_side.tabulate_differences(found, names),
            *result.content.sections,
        ],
    )
    return dataclasses.replace(
        result, metrics={**result.metrics, "comparison": comparison}, content=content
    )


def name_folders(first: Path, second: Path) -> tuple[str, str]:
    """Names of two folders, with what lies above where they are called alike."""
    parts = [path.resolve().parts for path in (first, second)]
    longest = max(map(len, parts))
    for count in range(1, longest):
        one, other = ("/".join(part[-count:]) for part in parts)
        if one != other:
            return one, other
    return str(first), str(second)


def write_results(options: EvaluateOptions, result: Evaluation) -> None:
    """Write pictures, tables and report; the metrics into the run's folder as well.

    Raises:
        InputError: a folder cannot be written to.
    """
    from keras_vaegan.data.image import write_image
    from keras_vaegan.evaluation.report.page import write_report
    from keras_vaegan.files import write_json
    from keras_vaegan.training.run_folder import find_commit, is_run

    metrics = {"commit": find_commit(), **result.metrics}
    for name, picture in result.pictures.items():
        write_image(options.out / f"{name}.png", picture)
    write_report(options.out, metrics, result.rows, complete_content(options, result, metrics))
    if is_run(options.weights):
        write_json(options.weights / "metrics.json", metrics)
    print(f"report: {options.out / 'report.html'}")


def complete_content(options: EvaluateOptions, result: Evaluation, metrics: dict) -> Content:
    """A system's content, with what is known of its run: facts, curves and config.

    Whatever a run lacks is said, and stops nothing.
    """
    from keras_vaegan.evaluation.history import read_curves

    content = result.content
    name = options.weights.resolve().name
    curves: list[Curves] = []
    missing = list(content.missing)
    try:
        curves = read_curves(options.weights / "logs" / "history.csv")
        if not curves:
            missing.append("Loss curves: the history of the run is empty.")
    except InputError:
        missing.append(f"Loss curves: the folder {name} has no readable logs/history.csv.")
    config = read_record(options.weights)
    if config is None:
        missing.append(f"Configuration of the training: the folder {name} has no config.json.")
    facts = {
        **content.facts,
        "Protocol": str(metrics.get("protocol", "not told")),
        "Weights": name,
        "Data": options.data.resolve().name,
        "Commit": (metrics["commit"] or "not told")[:12],
    }
    sections = [*content.sections, *curves]
    return dataclasses.replace(
        content, facts=facts, sections=sections, missing=missing, config=config
    )


def read_record(folder: Path) -> dict | None:
    """A run's config.json, as it is stored, or None where there is none that can be read."""
    try:
        record = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


main = partial(run, evaluate, prog="python -m keras_vaegan.evaluate")
