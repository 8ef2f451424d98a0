"""What is measured of one domain's images on their way to the other domain and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from keras import ops

from keras_vaegan.evaluation.alarms import AlarmWatch
from keras_vaegan.evaluation.protocols import PairScores
from keras_vaegan.evaluation.realism import describe_stored, join_features
from keras_vaegan.evaluation.truth import SCORES, tell_cases
from keras_vaegan.losses.start import choose_start, find_air
from keras_vaegan.losses.structure import gradient_correlation
from keras_vaegan.systems.cyclegan.config import OTHER
from keras_vaegan.systems.cyclegan.paired import Intensities, TruthScores
from keras_vaegan.systems.cyclegan.two_way import TwoWay
from keras_vaegan.systems.system import EvaluationOptions

BATCH = 16
DOMAINS = {"mri": "source", "ct": "target"}
STARTS = ("negative", "shell", "tissue")


class Side:
    """The images of one domain: batch after batch goes round, of each a few numbers are kept.

    Args:
        sets: The translators and the images.
        domain: Whose images, "mri" or "ct"; their translations are of the other.
        options: Metric definitions, seed and super-resolution.

    Attributes:
        cases: A case an image, where the names tell.
        edges: `gradient_correlation` of input and translation, an image.
        watch: Looks for signs of failure in the translations.
    """

    def __init__(self, sets: TwoWay, domain: str, options: EvaluationOptions) -> None:
        self.sets, self.domain, self.options = sets, domain, options
        self.cases = tell_cases(sets.names[domain]) if sets.names else None
        self.edges: list[float] = []
        self.watch = AlarmWatch(OTHER[domain])
        kinds = ("cycle", "honest_cycle", *(("cycle_enhanced",) if options.enhance else ()))
        self.scores = {kind: PairScores(options.protocol) for kind in kinds}
        self._random = np.random.default_rng(options.seed + (domain == "ct"))
        self._copies: list[float] = []
        self._inputs: list[dict] = []
        self._translations: list[dict] = []
        self._partners = sets.find_partners(domain)
        self._paired: list[int] = []
        self._truth: TruthScores | None = None
        if self._partners:
            reference = Intensities()
            for places in _cut(sets.count(OTHER[domain])):
                reference.add(sets.read(OTHER[domain], places))
            self._truth = TruthScores(OTHER[domain], reference, options.protocol)

    def cut(self) -> Iterator[np.ndarray]:
        """Places of the images, a batch at a time."""
        return _cut(self.sets.count(self.domain))

    def add(self, places: np.ndarray) -> np.ndarray:
        """Measure the images at some places, and give them back: (n, S, S, C) in [0, 1]."""
        part = self.sets.go_round(self.domain, places, self._random)
        images, translations = part["input"], part["translation"]
        self.scores["cycle"].add(images, part["cycle"])
        self.scores["honest_cycle"].add(images, part["honest"])
        if self.options.enhance:
            self.scores["cycle_enhanced"].add(images, self.options.enhance(part["cycle"]))
        self._copies += np.abs(images - translations).mean(axis=(1, 2, 3)).tolist()
        self._inputs.append(describe_stored(images))
        self._translations.append(describe_stored(translations))
        self.edges += measure_edges(images, translations)
        self.watch.add(images, translations, draw_starts(images, OTHER[self.domain]))
        rows = [row for row, place in enumerate(places) if int(place) in self._partners]
        if self._truth and rows:
            own = [int(places[row]) for row in rows]
            truth = self.sets.read(OTHER[self.domain], [self._partners[place] for place in own])
            self._truth.add(images[rows], translations[rows], truth)
            self._paired += own
        return images

    @property
    def features(self) -> tuple[dict, dict]:
        """Of the images and of their translations, as `evaluate_realism` takes them."""
        return join_features(self._inputs), join_features(self._translations)

    @property
    def copy(self) -> float:
        """Mean absolute difference of inputs and translations: near 0, nothing was done."""
        return float(np.mean(self._copies))

    def summarise_cycle(self, kind: str) -> dict[str, Any] | None:
        """Figures of "cycle", "honest_cycle" or "cycle_enhanced"; None without an enhancer."""
        if kind not in self.scores:
            return None
        return self.scores[kind].summarise(self.cases, self.options.seed)

    def summarise_truth(self) -> dict[str, Any]:
        """As `TruthScores.summarise`; all None where there are no pairs."""
        if self._truth is None:
            return dict.fromkeys(("translation", "translation_in_head", "tissues"))
        cases = self.cases and [self.cases[place] for place in self._paired]
        return self._truth.summarise(cases, self.options.seed)

    def list_rows(self) -> list[dict[str, Any]]:
        """A row an image: its name, PSNR and SSIM of both kinds of cycle, and where it has a true
        counterpart the translation's error in the head."""
        rows = []
        for index in range(self.sets.count(self.domain)):
            row = {"domain": self.domain, "name": self.sets.name(self.domain, index)}
            for kind in ("cycle", "honest_cycle"):
                for score in ("psnr", "ssim"):
                    row[f"{kind}_{score}"] = self.scores[kind].per_image[score][index]
            rows.append(row)
        if self._truth:
            errors = self._truth.in_head["translation"]
            for place, *values in zip(self._paired, *(errors[s] for s in SCORES), strict=True):
                named = zip(SCORES, values, strict=True)
                rows[place] |= {f"translation_{score}": value for score, value in named}
        return rows


def draw_starts(images: np.ndarray, domain: str) -> dict[str, np.ndarray]:
    """Every hand-drawn start of images in [0, 1], by name; `domain` is the translations'."""
    unit = ops.convert_to_tensor(np.asarray(images, "float32"))
    air = find_air(unit)
    starts = {name: choose_start(unit, air, name, DOMAINS[domain]) for name in STARTS}
    return {name: ops.convert_to_numpy(start) for name, start in starts.items()}


def measure_edges(images: np.ndarray, translations: np.ndarray) -> list[float]:
    """`gradient_correlation` of inputs and translations: how much of the structure is left."""
    pair = (ops.convert_to_tensor(np.asarray(x, "float32")) for x in (images, translations))
    return ops.convert_to_numpy(gradient_correlation(*pair)).tolist()


def _cut(count: int) -> Iterator[np.ndarray]:
    """Places 0 to `count` - 1 in batches of at most `BATCH`."""
    return (np.arange(first, min(first + BATCH, count)) for first in range(0, count, BATCH))
