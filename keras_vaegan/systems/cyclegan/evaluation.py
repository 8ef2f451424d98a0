"""Every figure of a two-way translator, computed from two plain functions."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_vaegan.data.folders import find_image_root
from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.protocols import get_protocol
from keras_vaegan.evaluation.realism import evaluate_realism
from keras_vaegan.progress import show_progress
from keras_vaegan.systems.cyclegan.config import OTHER
from keras_vaegan.systems.cyclegan.side import Side
from keras_vaegan.systems.cyclegan.two_way import TwoWay, draw_grid
from keras_vaegan.systems.system import Evaluation, EvaluationOptions

FEWEST_IMAGES = 4
DEFAULTS = EvaluationOptions()


@dataclass(frozen=True, eq=False)
class TranslationResult:
    """Figures of one evaluation, and what its pictures are drawn from.

    Attributes:
        metrics: JSON-ready figures, as `metrics.json` holds them.
        rows: One an image: its name, PSNR and SSIM of both kinds of cycle, and in a paired set the
            translation's error against the truth in the head.
        sets: The translators and the images.
    """

    metrics: dict[str, Any]
    rows: list[dict]
    sets: TwoWay


def evaluate_run(weights: Path, data: Path, options: EvaluationOptions) -> Evaluation:
    """Evaluate both generators of a folder of weights on a test set; as `System.evaluate`."""
    from keras_vaegan.systems.cyclegan.images import load_test_sets
    from keras_vaegan.systems.cyclegan.report import describe_result, list_figures
    from keras_vaegan.systems.cyclegan.translator import Translator
    from keras_vaegan.systems.cyclegan.volume_evaluation import evaluate_volume_run

    if get_protocol(options.protocol).dimensions == 3:
        return evaluate_volume_run(weights, data, options)
    if options.limit is not None and options.limit < FEWEST_IMAGES:
        raise InputError(
            f"--limit {options.limit}: expected at least {FEWEST_IMAGES} images per domain"
        )
    to_ct, to_mri = (Translator.load(weights, name) for name in ("mri2ct", "ct2mri"))
    if to_ct.data != to_mri.data:
        raise InputError(
            f"the two generators of {weights} prepare images differently: expected both from one "
            "run; check --weights"
        )
    test = load_test_sets(find_image_root(data), to_ct.data, options.limit, options.keep_leaks)
    fewest = min(len(test[name]["names"]) for name in ("testA", "testB"))
    if fewest < FEWEST_IMAGES:
        raise InputError(
            f"{data} has a test set of {fewest}: expected at least {FEWEST_IMAGES} images"
        )
    sets = TwoWay(
        to_ct.translate_batch, to_mri.translate_batch,
        test["testB"]["images"], test["testA"]["images"], test["pairs"],
        {"mri": test["testB"]["names"], "ct": test["testA"]["names"]},
    )  # fmt: skip
    result = evaluate_translation(sets, options, "evaluating")
    metrics = {
        "protocol": options.protocol,
        "data": dataclasses.asdict(to_ct.data),
        "seed": options.seed,
        "leaks": test["leaks"],
        **result.metrics,
    }
    result = dataclasses.replace(result, metrics=metrics)
    content = describe_result(result, {"ct": to_ct, "mri": to_mri})
    return Evaluation(
        metrics, result.rows, {"grid": draw_grid(sets)}, list_figures(metrics), content
    )


def evaluate_translation(
    sets: TwoWay, options: EvaluationOptions = DEFAULTS, progress: str | None = None
) -> TranslationResult:
    """Evaluate both directions: cycle, honest cycle, realism and, where truth exists, error.

    Images are read and translated a few at a time; of each a few numbers are kept.

    Args:
        sets: The translators and the images.
        options: Metric definitions, seed (of the honest cycle's noise and the realism splits) and
            the super-resolution of "cycle_enhanced", published as "original vs high-resolution".
        progress: Show, under this name, how far it is.

    Returns:
        The figures; "cycle", "honest_cycle", "translation" and "realism" are keyed by the domain
        of the image that is compared (cycle) or generated (translation, realism).
    """
    sides = {domain: Side(sets, domain, options) for domain in ("mri", "ct")}
    turns = [(domain, places) for domain, side in sides.items() for places in side.cut()]
    for domain, places in show_progress(turns, progress) if progress else turns:
        images = sides[domain].add(places)
        sides[OTHER[domain]].watch.add_real(images)
    to = {name: sides[OTHER[name]] for name in ("ct", "mri")}  # the side translated into a domain
    metrics: dict[str, Any] = {"n_ct": sets.count("ct"), "n_mri": sets.count("mri")}
    for kind in ("cycle", "cycle_enhanced", "honest_cycle"):
        metrics[kind] = {name: sides[name].summarise_cycle(kind) for name in to}
    metrics["cycle_enhanced"] = metrics["cycle_enhanced"] if options.enhance else None
    metrics["realism"] = {
        name: _compare_realism(side, sides[name], options.seed) for name, side in to.items()
    }
    metrics["edges"] = {name: float(np.mean(side.edges)) for name, side in to.items()}
    alarms = [alarm for side in to.values() for alarm in side.watch.find()]
    metrics["alarms"] = [dataclasses.asdict(alarm) for alarm in alarms]
    truth = {name: side.summarise_truth() for name, side in to.items()}
    for part in ("translation", "translation_in_head", "tissues"):
        metrics[part] = sets.pairs and {name: figures[part] for name, figures in truth.items()}
    return TranslationResult(metrics, [row for s in sides.values() for row in s.list_rows()], sets)


def _compare_realism(side: Side, real: Side, seed: int) -> dict[str, Any]:
    """Translations of one side against the other side's images."""
    untranslated, generated = side.features
    cases = (side.cases, real.cases) if side.cases and real.cases else None
    figures = evaluate_realism(generated, real.features[0], untranslated, seed, cases)
    return figures | {"copy": side.copy}
