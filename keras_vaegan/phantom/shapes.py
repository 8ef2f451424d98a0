"""Planes through space, smooth noise on them, and distances to simple shapes."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Plane:
    """A flat pixel grid in space.

    Attributes:
        origin: (3,) mm, the point that rows 0 and columns 0 mean.
        down, right: (3,) unit vectors along the rows and the columns of the picture.
        rows, columns: (H,) and (W,) mm, pixel centres along these vectors.
    """

    origin: np.ndarray
    down: np.ndarray
    right: np.ndarray
    rows: np.ndarray
    columns: np.ndarray

    def points(self) -> np.ndarray:
        """Coordinates of all pixels: (3, H, W) float32, mm."""
        along = self.rows[None, :, None] * self.down[:, None, None]
        across = self.columns[None, None, :] * self.right[:, None, None]
        return (self.origin[:, None, None] + along + across).astype("float32")


@dataclass(frozen=True)
class Waves:
    """Smooth 3-D noise of unit variance: a sum of plane waves, cheap on a plane.

    A plane wave is a product of a function of the row and one of the column, so a whole picture
    of noise is one matrix product.

    Attributes:
        vectors: (K, 3) wave vectors in radians per mm.
        phases: (K,) radians.
    """

    vectors: np.ndarray
    phases: np.ndarray

    def evaluate(self, plane: Plane) -> np.ndarray:
        """Noise on the plane: (H, W) float32, mean 0, variance 1."""
        return _real_product(*self._factors(plane))

    def distance_to_zero(self, plane: Plane) -> np.ndarray:
        """Estimate each point's distance in mm to the sheets where the noise vanishes: (H, W)."""
        down, right = self._factors(plane)
        value = _real_product(down, right)
        slopes = [_real_product(down * (1j * k), right) for k in self.vectors.T]
        typical = np.sqrt((self.vectors**2).sum(axis=1).mean())
        steepness = np.sqrt(sum(slope**2 for slope in slopes) + (0.3 * typical) ** 2)
        return np.abs(value) / steepness

    def _factors(self, plane: Plane) -> tuple[np.ndarray, np.ndarray]:
        """The row factor (H, K) and the column factor (K, W) of the sum."""
        start = self.vectors @ plane.origin + self.phases
        down = np.exp(1j * (np.outer(plane.rows, self.vectors @ plane.down) + start))
        right = np.exp(1j * np.outer(self.vectors @ plane.right, plane.columns))
        scale = np.sqrt(2 / len(self.phases))
        return scale * down, right


def _real_product(down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Real part of a complex matrix product, float32.

    OpenCV's product: NumPy's takes ten times longer while other processes occupy the cores, and
    its rounding may depend on their number.
    """
    left = np.hstack([down.real, -down.imag]).astype("float32")
    right = np.vstack([right.real, right.imag]).astype("float32")
    return cv2.gemm(left, right, 1, None, 0)  # type: ignore[call-overload]  # None: no third


def make_waves(rng: np.random.Generator, shortest: float, longest: float, count: int) -> Waves:
    """Draw noise whose wavelengths lie between `shortest` and `longest` mm."""
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lengths = rng.uniform(shortest, longest, (count, 1))
    return Waves(2 * np.pi / lengths * directions, rng.uniform(0, 2 * np.pi, count))


def ellipsoid(points, centre, radii) -> np.ndarray:
    """Approximate signed distance to an ellipsoid: exact on its surface, positive outside."""
    scaled = [(p - c) / r for p, c, r in zip(points, centre, radii, strict=True)]
    value = np.sqrt(sum(s * s for s in scaled))
    slope = np.sqrt(sum((s / r) ** 2 for s, r in zip(scaled, radii, strict=True)))
    return value * (value - 1) / np.maximum(slope, 1e-6)


def join(*distances: np.ndarray) -> np.ndarray:
    """Distance to the union of several shapes."""
    return functools.reduce(np.minimum, distances)


def step(value: np.ndarray, start: float, end: float) -> np.ndarray:
    """Smooth step from 0 at `start` to 1 at `end`; `end` may be the smaller."""
    share = np.clip((value - start) / (end - start), 0, 1)
    return share * share * (3 - 2 * share)


def bump(value: np.ndarray, centre: float, width: float) -> np.ndarray:
    """A Gaussian bump of height 1."""
    return np.exp(-(((value - centre) / width) ** 2))
