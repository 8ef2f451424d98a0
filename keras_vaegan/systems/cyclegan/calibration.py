"""Learn how wrong a run's translations are where, on pairs whose truth is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from keras_vaegan.data.folders import find_image_root
from keras_vaegan.data.image import image_to_unit
from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.anatomy import find_head
from keras_vaegan.evaluation.error_map import ErrorMap, describe_pixels
from keras_vaegan.evaluation.truth import tell_cases
from keras_vaegan.evaluation.uncertainty import fit_scale, measure_uncertainty
from keras_vaegan.systems.cyclegan.images import load_test_sets
from keras_vaegan.systems.cyclegan.translator import Translator
from keras_vaegan.weights.names import GENERATOR_FILES

FEWEST_PAIRS = 4
FOLDS = 5
Progress = Callable[[Iterable, str, int], Iterable]


def calibrate_run(
    weights: Path,
    data: Path,
    samples: int,
    limit: int | None = None,
    progress: Progress = lambda items, what, total: items,
) -> dict[str, dict]:
    """Fit an error map a direction to the generators of a folder.

    Args:
        weights: Run folder, or folder of published names.
        data: Folder of testA (CT) and testB (MRI) whose files of one name show one anatomy.
        samples: Latents to draw an image; networks without a latent draw none.
        limit: Pairs at most, spread evenly.
        progress: Wraps the images, to show how far it is.

    Returns:
        {direction: {"samples", "images", "cases", "error_map", "figures"}}; the figures are
        `measure_uncertainty`'s, in the head on [0, 1], of "samples" (their deviation as it is),
        "scaled" (by one factor) and "error_map"; factor and map were fitted on other cases (or
        images, where there is one case) than they are judged by; those kept, on all. Without
        samples there is the map alone.

    Raises:
        InputError: no pairs.
    """
    return {
        direction: _calibrate(weights, data, direction, samples, limit, progress)
        for direction in GENERATOR_FILES
    }


def cross_calibrate(features: list, errors: list, spreads: list, cases: list[str]) -> dict:
    """The error map of all images, and figures by folds of cases, as `calibrate_run` gives them.

    Args:
        features: (n, 6) float32 of `describe_pixels` an image, n pixels of its own.
        errors, spreads: (n,) an image: the translation's error, the samples' deviation.
        cases: An image's case; folds never part one, unless there is but one.
    """
    groups = list(dict.fromkeys(cases))
    if len(groups) == 1:
        groups = cases = [str(index) for index in range(len(errors))]
    folds = {group: index % min(FOLDS, len(groups)) for index, group in enumerate(groups)}
    own = np.array([folds[case] for case in cases])
    scaled, mapped = [spread.copy() for spread in spreads], list(spreads)
    for fold in sorted(set(own)):
        others = np.flatnonzero(own != fold)
        parts = (np.concatenate([part[i] for i in others]) for part in (features, errors, spreads))
        known, error, spread = parts
        error_map = ErrorMap.fit(known, error)
        factor = fit_scale(spread, error) if spread.any() else 0.0
        for index in np.flatnonzero(own == fold):
            mapped[index] = error_map.predict(features[index])
            scaled[index] = spreads[index] * factor
    error = np.concatenate(errors)
    judged = {"samples": spreads, "scaled": scaled} if any(map(np.any, spreads)) else {}
    judged["error_map"] = mapped
    return {
        "error_map": ErrorMap.fit(np.concatenate(features), error),
        "figures": {
            name: measure_uncertainty(np.concatenate(part), error) for name, part in judged.items()
        },
    }


def _calibrate(
    weights: Path, data: Path, direction: str, samples: int, limit: int | None, progress: Progress
) -> dict:
    """`calibrate_run` of one direction."""
    translator = Translator.load(weights, direction)
    samples = samples if translator.latent else 0
    sets = load_test_sets(find_image_root(data), translator.data, limit)
    if sets["pairs"] is None or len(sets["pairs"]) < FEWEST_PAIRS:
        raise InputError(
            f"{data} holds no pairs: expected testA and testB with at least {FEWEST_PAIRS} files "
            "of equal names and anatomy; use such a set"
        )
    mri, ct = (image_to_unit(sets[name]["images"]) for name in ("testB", "testA"))
    names = sets["testB"]["names"]
    known = tell_cases(names) or [""] * len(names)
    features, errors, spreads, cases = [], [], [], []
    for place_mri, place_ct in progress(sets["pairs"], direction, len(sets["pairs"])):
        pair = {"mri": mri[place_mri][None], "ct": ct[place_ct][None]}
        source, target = direction.split("2")
        head = (find_head(pair["mri"]) | find_head(pair["ct"]))[0]
        if not head.any():
            continue
        drawn = translator.draw_one(pair[source], samples).mean(axis=-1)
        mean, spread = drawn.mean(axis=0), drawn.std(axis=0)
        told = describe_pixels(pair[source].mean(axis=-1), mean[None], spread[None])[0]
        features.append(told[head])
        errors.append((mean - pair[target][0].mean(axis=-1))[head])
        spreads.append(spread[head])
        cases.append(known[place_mri])
    if len(cases) < FEWEST_PAIRS:
        raise InputError(
            f"{len(cases)} pairs with a head in {data}: expected at least {FEWEST_PAIRS}; use "
            "other images"
        )
    counts = {"samples": samples, "images": len(cases), "cases": len(set(cases))}
    found = cross_calibrate(features, errors, spreads, cases)
    error_map = dataclasses.replace(found["error_map"], samples=samples)
    return {**counts, **found, "error_map": error_map.to_json()}
