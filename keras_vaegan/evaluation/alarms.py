"""Signs that translations are not what they look like: copies, traces, negatives, monotony.

Each alarm compares a set of translations with their inputs and with real images of the domain, in
[0, 1] and inside the head. An alarm is a reason to look, not a verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from keras_vaegan.evaluation.anatomy import find_head, measure_depth
from keras_vaegan.evaluation.metrics import to_gray

COPY_LIMIT = 0.97  # correlation with the input
START_LIMIT = 0.99  # correlation with a hand-drawn start
INVERSION_LIMIT = -0.5  # correlation of depth profiles
VARIETY_LIMIT = 0.3  # of the real images' variety
SATURATION_LIMIT = 0.3  # share of the head beyond the real images'
DEPTH_BINS = 12
EXTREMES = (2 / 255, 253 / 255)


@dataclass(frozen=True)
class Alarm:
    """What was found in the translations into one domain.

    Attributes:
        kind: "copy", "start", "inverted", "monotony" or "saturation".
        domain: Modality of the translations, "ct" or "mri".
        value: What was measured.
        limit: Where the alarm begins.
        text: What it means, in one line.
    """

    kind: str
    domain: str
    value: float
    limit: float
    text: str

    def __str__(self) -> str:
        return f"alarm: generated {self.domain.upper()} {self.text} ({self.value:.2f})"


class AlarmWatch:
    """Watches translations into one domain go by, and says at the end what is wrong with them.

    It keeps sums and a few numbers an image, so that sets of any size fit.

    Args:
        domain: Modality of the translations, "ct" or "mri".
    """

    def __init__(self, domain: str) -> None:
        self.domain = domain
        self._copies: list[float] = []
        self._starts: dict[str, list[float]] = {}
        self._generated, self._real = _SetSums(), _SetSums()

    def add(
        self,
        inputs: np.ndarray,
        generated: np.ndarray,
        starts: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Look at some translations.

        Args:
            inputs: (N, S, S[, C]) images of the other modality.
            generated: Their translations.
            starts: Hand-drawn starts of the inputs, by name, where a trace of one is looked for.
        """
        inputs, generated = (to_gray(np.asarray(x, "float64")) for x in (inputs, generated))
        head = find_head(inputs)
        self._copies += _correlate(inputs, generated, head)
        for name, start in (starts or {}).items():
            gray = to_gray(np.asarray(start, "float64"))
            self._starts.setdefault(name, []).extend(_correlate(gray, generated, head))
        self._generated.add(generated, head)

    def add_real(self, real: np.ndarray) -> None:
        """Look at some real images of the domain: (N, S, S[, C])."""
        gray = to_gray(np.asarray(real, "float64"))
        self._real.add(gray, find_head(gray))

    def find(self) -> list[Alarm]:
        """The alarms raised so far, in a fixed order."""
        generated, real = self._generated, self._real
        found = [
            ("copy", np.median(self._copies), COPY_LIMIT, "is nearly its input: correlation"),
            *(
                ("start", np.median(values), START_LIMIT,
                 f"has not left the hand-drawn start {name!r}: correlation")
                for name, values in self._starts.items()
            ),
            ("inverted", _correlate_profiles(generated.profile, real.profile), INVERSION_LIMIT,
             "is dark where real images are bright, from the surface inwards: correlation"),
            ("monotony", generated.variety / max(real.variety, 1e-8), VARIETY_LIMIT,
             "hardly differs between inputs: share of the variety"),
            ("saturation", generated.saturation - real.saturation, SATURATION_LIMIT,
             "is black or white in more of the head than real images: share beyond"),
        ]  # fmt: skip
        below = ("inverted", "monotony")
        return [
            Alarm(kind, self.domain, float(value), limit, text)
            for kind, value, limit, text in found
            if (value < limit if kind in below else value > limit)
        ]


class _SetSums:
    """Sums over a set of images, from which its depth profile, variety and saturation follow."""

    def __init__(self) -> None:
        self._count, self._pixels, self._extreme = 0, 0, 0
        self._sum, self._squares = np.zeros(()), np.zeros(())
        self._by_depth = np.zeros((2, DEPTH_BINS))

    def add(self, images: np.ndarray, head: np.ndarray) -> None:
        """Add (N, S, S) float64 images and their heads."""
        self._count += len(images)
        self._sum = self._sum + images.sum(axis=0)
        self._squares = self._squares + np.square(images).sum(axis=0)
        values = images[head]
        bins = np.minimum((measure_depth(head) * DEPTH_BINS).astype(int), DEPTH_BINS - 1)[head]
        self._by_depth += [
            np.bincount(bins, values, DEPTH_BINS), np.bincount(bins, minlength=DEPTH_BINS)
        ]  # fmt: skip
        self._pixels += len(values)
        self._extreme += int(((values <= EXTREMES[0]) | (values >= EXTREMES[1])).sum())

    @property
    def profile(self) -> np.ndarray:
        """Mean intensity by depth in the head."""
        sums, counts = self._by_depth
        return sums / np.maximum(counts, 1)

    @property
    def variety(self) -> float:
        """Mean over pixels of the standard deviation over images."""
        mean, square = self._sum / self._count, self._squares / self._count
        return float(np.sqrt(np.maximum(square - mean**2, 0)).mean())

    @property
    def saturation(self) -> float:
        """Share of the heads' pixels that are black or white."""
        return self._extreme / max(self._pixels, 1)


def _correlate(first: np.ndarray, second: np.ndarray, head: np.ndarray) -> list[float]:
    """Correlation inside the head, an image; 0 where either is constant."""
    values = []
    for one, other, mask in zip(first, second, head, strict=True):
        one, other = one[mask], other[mask]
        flat = len(one) < 2 or one.std() < 1e-6 or other.std() < 1e-6
        values.append(0.0 if flat else float(np.corrcoef(one, other)[0, 1]))
    return values


def _correlate_profiles(first: np.ndarray, second: np.ndarray) -> float:
    """Correlation of two depth profiles; 0 where one is constant."""
    flat = min(first.std(), second.std()) < 1e-3
    return 0.0 if flat else float(np.corrcoef(first, second)[0, 1])
