"""How the intensities of MRI volumes become [0, 1], and what that range stands for.

In `keras.ops`, as `intensity` is. Which way is a field of `ModalityDataConfig`. The way back is the
range's own `from_unit`; a generated contrast, whose range nobody knows, takes that of a scan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from keras_vaegan.config.data import LANDMARK_PERCENTILES, ModalityDataConfig
from keras_vaegan.data.intensity import (
    BACKGROUND_SHARE,
    SMALLEST_BRAIN,
    IntensityRange,
    find_background,
    find_brain,
    find_percentiles,
    measure_range,
)
from keras_vaegan.errors import InputError
from keras_vaegan.kernels import find_peak

# Where white matter lies in [0, 1]: in all of six real cases the 99th percentile then lies below 1.
WHITE_MATTER = {"t1": 0.65, "t1ce": 0.28, "t2": 0.22, "flair": 0.35}
DEVIATIONS = 4.0
BINS = 256
BIN_BLUR = 6.0
_UNEVEN = (
    "its border has no constant background: expected a skull-stripped volume, where one value "
    f"holds at least {BACKGROUND_SHARE} of it; strip it; received share:"
)
_EMPTY = "it holds one value almost everywhere: expected an image; replace it; other voxels:"
_APART = (
    "have no foreground in common: expected registered volumes; check the files; common voxels:"
)
_FLAT = "its brain holds one value between the percentiles: expected contrast; replace it; value:"


@dataclass(frozen=True)
class IntensityCurve(IntensityRange):
    """A range whose values map to [0, 1] piece by piece.

    Attributes:
        values, levels: Rising values, from `low` to `high`, and their levels, from 0 to 1.
    """

    values: Any
    levels: Any

    def to_unit(self, values, brain):
        unit = interpolate(ops.cast(values, "float32"), self.values, self.levels)
        return ops.where(brain, unit, 0.0)

    def from_unit(self, unit, brain):
        values = interpolate(ops.cast(unit, "float32"), self.levels, self.values)
        return ops.where(brain, values, self.background)


def normalize_volumes(
    volumes: dict, inputs: Sequence[str], config: ModalityDataConfig, check: Callable
) -> tuple:
    """Find the brain of volumes on one grid, and bring each of them to [0, 1].

    Args:
        volumes: (X, Y, Z) float32 by name of the contrast, finite.
        inputs: The names whose foreground tells the brain.
        config: Its `normalization` tells how.
        check: `check(condition, name, message, received, result)` gives `result` back, or refuses
            the volume of that name ("" for all together) where the condition does not hold.

    Returns:
        (brain, ranges, units): (X, Y, Z) bool; `IntensityRange` by name; (X, Y, Z) float32 in
        [0, 1] by name, 0 outside the brain.
    """
    backgrounds, foregrounds, ranges, units = {}, {}, {}, {}
    for name, values in volumes.items():
        background, share = find_background(values)
        backgrounds[name] = check(share >= BACKGROUND_SHARE, name, _UNEVEN, share, background)
        foreground = ops.not_equal(values, backgrounds[name])
        count = _count(foreground)
        foregrounds[name] = check(count >= SMALLEST_BRAIN, name, _EMPTY, count, foreground)
    brain = find_brain([foregrounds[name] for name in inputs])
    count, message = _count(brain), f"{', '.join(inputs)} {_APART}"
    brain = check(count >= SMALLEST_BRAIN, "", message, count, brain)
    measure = _MEASURES[config.normalization]
    for name, values in volumes.items():
        span = measure(values, brain, backgrounds[name], name, config)
        unit = span.to_unit(values, brain)
        ranges[name] = span
        units[name] = check(span.high > span.low, name, _FLAT, span.low, unit)
    return brain, ranges, units


def describe_normalization(config: ModalityDataConfig) -> str:
    """What becomes 0 to 1 in each volume, and so what a generated one has in common with a scan."""
    low, high = config.percentiles
    levels = ", ".join(f"{level:g} for {name}" for name, level in WHITE_MATTER.items())
    return {
        "percentile": f"the brain's {low:g}th to {high:g}th percentile become 0 to 1",
        "white_matter": "0 stays 0 and the peak of the brain's histogram, near white matter, "
        f"becomes {levels}",
        "nyul": f"the brain's {LANDMARK_PERCENTILES[0]:g}th to {LANDMARK_PERCENTILES[-1]:g}th "
        "percentile become 0 to 1 by way of the landmarks that were learnt in training",
        "zscore": f"{DEVIATIONS:g} standard deviations of the brain about its mean become 0 to 1",
    }[config.normalization]


def find_mode(values, low, high):
    """The peak of the smoothed histogram of values between two limits.

    Args:
        values: (N,) float32.
        low, high: The limits, in the values' unit.

    Returns:
        A float32 scalar, to 1/256 of the limits' distance.
    """
    step = ops.maximum(high - low, 1e-30) / BINS
    places = ops.cast(ops.floor((values - low) / step), "int32")
    inside = ops.logical_and(places >= 0, places < BINS)
    counts = ops.bincount(ops.where(inside, places, BINS), minlength=BINS + 1)[:BINS]
    distance = np.subtract.outer(np.arange(BINS), np.arange(BINS))
    blur = np.exp(-0.5 * (distance / BIN_BLUR) ** 2).astype("float32")
    peak = find_peak(ops.matmul(blur, ops.cast(counts, "float32")))
    return low + (peak + 0.5) * step


def interpolate(values, points, levels):
    """Piecewise-linear through (point, level), flat beyond: `numpy.interp` of rising points.

    Args:
        values: Any shape, float32.
        points, levels: As many scalars each.
    """
    result = levels[0] + ops.zeros_like(values)
    for index in range(len(points) - 1):
        width = ops.maximum(points[index + 1] - points[index], 1e-30)
        share = ops.clip((values - points[index]) / width, 0.0, 1.0)
        result = result + share * (levels[index + 1] - levels[index])
    return result


def _measure_percentile(values, brain, background, name, config) -> IntensityRange:
    """Between two percentiles."""
    return measure_range(values, brain, config.percentiles, background)


def _measure_white_matter(values, brain, background, name, config) -> IntensityRange:
    """From 0, or a darkest value below it, to a multiple of the histogram's peak."""
    inside = _take_inside(values, brain)
    low, high = find_percentiles(inside, (1.0, 99.0))
    dark = ops.minimum(low, 0.0)
    peak = find_mode(inside, low, high)
    return IntensityRange(dark, dark + (peak - dark) / WHITE_MATTER[name], background)


def _measure_nyul(values, brain, background, name, config) -> IntensityCurve:
    """Along the landmarks."""
    if config.landmarks is None:
        raise InputError(
            "normalization='nyul' without landmarks: expected those of a training; use its weights"
        )
    found = find_percentiles(_take_inside(values, brain), LANDMARK_PERCENTILES)
    levels = getattr(config.landmarks, name)
    return IntensityCurve(found[0], found[-1], background, tuple(found), levels)


def _measure_zscore(values, brain, background, name, config) -> IntensityRange:
    """Standard deviations about the mean."""
    inside = _take_inside(values, brain)
    mean, reach = ops.mean(inside), DEVIATIONS * ops.std(inside)
    return IntensityRange(mean - reach, mean + reach, background)


_MEASURES = {
    "percentile": _measure_percentile,
    "white_matter": _measure_white_matter,
    "nyul": _measure_nyul,
    "zscore": _measure_zscore,
}


def _take_inside(values, brain):
    """(N,) values of the brain's voxels."""
    places = ops.nonzero(ops.reshape(brain, (-1,)))[0]
    return ops.take(ops.reshape(values, (-1,)), places)


def _count(mask):
    """How many voxels of a mask are true."""
    return ops.sum(ops.cast(mask, "int32"))
