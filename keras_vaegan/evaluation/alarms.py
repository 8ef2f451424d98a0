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


def find_alarms(
    domain: str,
    inputs: np.ndarray,
    made: np.ndarray,
    real: np.ndarray,
    starts: Mapping[str, np.ndarray] | None = None,
) -> list[Alarm]:
    """Look for the known failures of an unpaired translator.

    Args:
        domain: Modality of the translations.
        inputs: (N, S, S[, C]) images of the other modality.
        made: Their translations.
        real: (M, S, S[, C]) real images of the domain.
        starts: Hand-drawn starts of the inputs, by name, where a trace of one is looked for.

    Returns:
        The alarms raised, in a fixed order.
    """
    inputs, made, real = (to_gray(np.asarray(x, "float64")) for x in (inputs, made, real))
    head, real_head = find_head(inputs), find_head(real)
    copy = _correlate(inputs, made, head)
    inversion = _correlate_profiles((made, head), (real, real_head))
    variety = _measure_variety(made) / max(_measure_variety(real), 1e-8)
    saturation = _measure_saturation(made, head) - _measure_saturation(real, real_head)
    found = [
        ("copy", copy, COPY_LIMIT, "is nearly its input: correlation"),
        *(
            ("start", _correlate(to_gray(np.asarray(start, "float64")), made, head), START_LIMIT,
             f"has not left the hand-drawn start {name!r}: correlation")
            for name, start in (starts or {}).items()
        ),
        ("inverted", inversion, INVERSION_LIMIT,
         "is dark where real images are bright, from the surface inwards: correlation"),
        ("monotony", variety, VARIETY_LIMIT, "hardly differs between inputs: share of the variety"),
        ("saturation", saturation, SATURATION_LIMIT,
         "is black or white in more of the head than real images: share beyond"),
    ]  # fmt: skip
    below = ("inverted", "monotony")
    return [
        Alarm(kind, domain, float(value), limit, text)
        for kind, value, limit, text in found
        if (value < limit if kind in below else value > limit)
    ]


def _correlate(first: np.ndarray, second: np.ndarray, head: np.ndarray) -> float:
    """Median over images of the correlation inside the head; 0 where either is constant."""
    values = []
    for one, other, mask in zip(first, second, head, strict=True):
        one, other = one[mask], other[mask]
        flat = len(one) < 2 or one.std() < 1e-6 or other.std() < 1e-6
        values.append(0.0 if flat else np.corrcoef(one, other)[0, 1])
    return float(np.median(values))


def _correlate_profiles(*sets: tuple[np.ndarray, np.ndarray]) -> float:
    """Correlation of two sets' mean intensities by depth in the head; 0 where one is constant."""
    profiles = []
    for images, head in sets:
        bins = np.minimum((measure_depth(head) * DEPTH_BINS).astype(int), DEPTH_BINS - 1)[head]
        sums = np.bincount(bins, images[head], DEPTH_BINS)
        profiles.append(sums / np.maximum(np.bincount(bins, minlength=DEPTH_BINS), 1))
    flat = any(profile.std() < 1e-3 for profile in profiles)
    return 0.0 if flat else float(np.corrcoef(profiles[0], profiles[1])[0, 1])


def _measure_variety(images: np.ndarray) -> float:
    """Mean over pixels of the standard deviation over images."""
    return float(images.std(axis=0).mean())


def _measure_saturation(images: np.ndarray, head: np.ndarray) -> float:
    """Share of the heads' pixels that are black or white."""
    values = images[head]
    return float(np.mean((values <= EXTREMES[0]) | (values >= EXTREMES[1]))) if len(values) else 0.0
