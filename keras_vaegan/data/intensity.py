"""Intensities of MRI volumes: background, brain, and the range that becomes [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from skimage.measure import label

from keras_vaegan.errors import InputError

BACKGROUND_SHARE = 0.5
SMALLEST_BRAIN = 64


@dataclass(frozen=True)
class IntensityRange:
    """How one volume's values map to [0, 1] and back.

    Attributes:
        low, high: Values, in the volume's unit, that become 0 and 1.
        background: Value outside the brain.
    """

    low: float
    high: float
    background: float

    def to_unit(self, values: np.ndarray, brain: np.ndarray) -> np.ndarray:
        """Values -> float32 in [0, 1], clipped; 0 outside the brain."""
        unit = (values.astype("float32") - np.float32(self.low)) / np.float32(self.high - self.low)
        return np.where(brain, np.clip(unit, 0, 1), np.float32(0))

    def from_unit(self, unit: np.ndarray, brain: np.ndarray) -> np.ndarray:
        """[0, 1] -> float32 in the volume's unit, its background outside the brain."""
        values = unit.astype("float32") * (self.high - self.low) + self.low
        return np.where(brain, values, np.float32(self.background))


def find_background(values: np.ndarray) -> float:
    """The value that most voxels of a volume's six faces have.

    A brain without its skull lies in a constant background, of any value: 0 is common, but real
    volumes also hold negative values inside the brain, or a negative background.

    Args:
        values: (X, Y, Z).

    Raises:
        InputError: no value holds half of the faces.
    """
    faces = [np.take(values, (0, -1), axis).ravel() for axis in range(3)]
    found, counts = np.unique(np.concatenate(faces), return_counts=True)
    if counts.max() < BACKGROUND_SHARE * counts.sum():
        raise InputError(
            f"its border has no constant background ({found[counts.argmax()]:g} holds "
            f"{counts.max() / counts.sum():.0%} of it): expected a skull-stripped volume; strip it"
        )
    return float(found[counts.argmax()])


def find_brain(foregrounds: list[np.ndarray]) -> np.ndarray:
    """What is foreground in every volume, with the holes inside it filled.

    Args:
        foregrounds: (X, Y, Z) bool, one a volume.

    Returns:
        (X, Y, Z) bool; empty where nothing is common.
    """
    common = np.logical_and.reduce(foregrounds)
    if not common.any():
        return common
    box = tuple(slice(first, last) for first, last in find_box(common))
    padded = np.pad(~common[box], 1, constant_values=True)
    outside = label(padded, connectivity=1)
    inside = (padded & (outside != outside[0, 0, 0]))[1:-1, 1:-1, 1:-1]
    common[box] |= inside
    return common


def find_box(mask: np.ndarray) -> list[tuple[int, int]]:
    """The (first, last + 1) of a mask's true voxels along every axis; the mask is not empty."""
    box = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        places = np.flatnonzero(mask.any(axis=others))
        box.append((int(places[0]), int(places[-1]) + 1))
    return box


def measure_range(
    values: np.ndarray, brain: np.ndarray, percentiles: tuple[float, float], background: float
) -> IntensityRange:
    """The range between two percentiles of a volume's brain.

    Raises:
        InputError: the two are equal.
    """
    low, high = np.percentile(values[brain], percentiles)
    if not high > low:
        raise InputError(
            f"its brain holds {low:g} from the {percentiles[0]:g}th to the {percentiles[1]:g}th "
            "percentile: expected an image with contrast"
        )
    return IntensityRange(float(low), float(high), background)
