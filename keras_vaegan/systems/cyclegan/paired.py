"""Translations of a paired set against their truth, beside guesses that know no anatomy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_vaegan.evaluation.anatomy import find_head, find_tissues
from keras_vaegan.evaluation.metrics import to_gray
from keras_vaegan.evaluation.protocols import PairScores
from keras_vaegan.evaluation.truth import (
    SCORES,
    TissueTable,
    compare_in_head,
    group_by_case,
    summarise_scores,
)

BASELINES = ("identity", "histogram_matching", "constant")
LEVELS = 65_536
QUANTILES = 1025


class Intensities:
    """How often a domain's real images have each intensity: all that the baselines know of it."""

    def __init__(self) -> None:
        self._whole, self._head = np.zeros((2, LEVELS), "int64")

    def add(self, images: np.ndarray) -> None:
        """Count (N, S, S, C) in [0, 1]."""
        levels = np.round(np.clip(images, 0, 1) * (LEVELS - 1)).astype("int64")
        self._whole += np.bincount(levels.ravel(), minlength=LEVELS)
        self._head += np.bincount(levels[find_head(images)].ravel(), minlength=LEVELS)

    def find_median(self) -> float:
        """The median inside the heads; 0 where there is none."""
        return float(_find_quantiles(self._head, np.array([0.5]))[0]) if self._head.any() else 0.0

    def match(self, images: np.ndarray) -> np.ndarray:
        """Map every image's intensities to the pooled distribution of the domain.

        Args:
            images: (N, ...) in [0, 1].

        Returns:
            The same shape, float32: the baseline that knows intensities but no anatomy.
        """
        shares = np.linspace(0, 1, QUANTILES)
        quantiles = _find_quantiles(self._whole, shares)
        matched = np.empty_like(images, dtype="float32")
        for index, image in enumerate(images):
            values, inverse, counts = np.unique(image, return_inverse=True, return_counts=True)
            ranks = (np.cumsum(counts) - 0.5 * counts) / image.size
            matched[index] = np.interp(ranks, shares, quantiles)[inverse].reshape(image.shape)
        return matched


class TruthScores:
    """Errors of translations into one domain, of whole images, in the head, and by tissue.

    The baselines are the input itself ("identity"), the input with the domain's intensities
    ("histogram_matching"), and the domain's median intensity all over the input's head
    ("constant"): a translation that is worse than a constant may still look right, since an
    absolute error punishes detail in a wrong place more than none.

    Args:
        domain: Modality of the translations, "ct" or "mri".
        reference: Intensities of real images of the domain.
        protocol: Name of the metric definitions of whole images.
    """

    def __init__(self, domain: str, reference: Intensities, protocol: str) -> None:
        self.domain, self.reference = domain, reference
        names = ("translation", *BASELINES)
        self.whole = {name: PairScores(protocol) for name in names}
        self.in_head: dict[str, dict[str, list[float]]] = {
            name: {score: [] for score in SCORES} for name in names
        }
        self.tissues = TissueTable()

    def add(self, inputs: np.ndarray, generated: np.ndarray, truth: np.ndarray) -> None:
        """Compare some translations with the truth: each (N, S, S, C) in [0, 1]."""
        head = find_head(inputs)
        guesses = {
            "translation": generated,
            "identity": inputs,
            "histogram_matching": self.reference.match(inputs),
            "constant": head[..., None] * np.full_like(inputs, self.reference.find_median()),
        }
        head |= find_head(truth)
        for name, guess in guesses.items():
            self.whole[name].add(truth, guess)
            for score, values in compare_in_head(truth, guess, head).items():
                self.in_head[name][score] += values.tolist()
        ct = truth if self.domain == "ct" else inputs
        self.tissues.add(truth, generated, find_tissues(to_gray(ct), head))

    def summarise(self, cases: Sequence[str] | None, seed: int) -> dict[str, Any]:
        """The figures of all pairs so far.

        Args:
            cases: A case a pair, in the order of adding, or None.
            seed: Seed of the intervals.

        Returns:
            {"translation": of whole images, "translation_in_head": each with its baselines inside,
            "tissues"}.
        """
        whole = {name: scores.summarise(cases, seed) for name, scores in self.whole.items()}
        in_head = {
            name: summarise_scores({k: np.array(v) for k, v in scores.items()}, cases, seed)
            for name, scores in self.in_head.items()
        }
        if cases:
            errors = self.in_head["translation"]["mae"]
            in_head["translation"]["mae_by_case"] = group_by_case(cases, errors)
        parts = {"translation": whole, "translation_in_head": in_head}
        return {
            **{
                kind: {**part["translation"], **{name: part[name] for name in BASELINES}}
                for kind, part in parts.items()
            },
            "tissues": self.tissues.summarise(),
        }


def _find_quantiles(counts: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Quantiles of pooled values in [0, 1] from the counts of their levels, as `np.quantile`."""
    up_to = np.cumsum(counts)
    places = shares * (up_to[-1] - 1)
    lower = np.searchsorted(up_to, np.floor(places), side="right")
    upper = np.searchsorted(up_to, np.ceil(places), side="right")
    return (lower + (upper - lower) * (places % 1)) / (len(counts) - 1)
