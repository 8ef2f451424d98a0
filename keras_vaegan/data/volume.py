"""Volumes: an array, where it lies in space, and the unit of its values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation, ornt_transform

CANONICAL = np.array([[0, 1], [1, 1], [2, 1]], float)  # right, front, up


@dataclass(frozen=True)
class Volume:
    """A 3-D image in space.

    Attributes:
        values: (X, Y, Z) array in stored order.
        affine: (4, 4) float64 from voxel indices to mm, axes right, front and up (RAS+).
        unit: Unit of the values: "arbitrary" (MRI), or "hounsfield" (CT).
    """

    values: np.ndarray
    affine: np.ndarray
    unit: str = "arbitrary"


def to_canonical(volume: Volume) -> Volume:
    """Permute and flip the axes to right, front, up (the closest where the grid is oblique).

    Returns:
        A volume whose array is a view of the other's; no value is resampled.
    """
    orientation = io_orientation(volume.affine)
    values = apply_orientation(volume.values, orientation)
    affine = volume.affine @ inv_ornt_aff(orientation, volume.values.shape)
    return Volume(values, affine, volume.unit)


def from_canonical(values: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Undo `to_canonical` for an array of the same grid.

    Args:
        values: (X, Y, Z) in canonical order.
        affine: (4, 4) of the stored volume that the array shall fit.

    Returns:
        The array in the stored order.
    """
    return apply_orientation(values, ornt_transform(CANONICAL, io_orientation(affine)))


def measure_grid_distance(first: Volume, second: Volume) -> float:
    """Largest distance in mm between equal voxels of two grids of one shape.

    An affine difference is largest in a corner, so the eight corners tell it.
    """
    sides = np.array(first.values.shape[:3]) - 1
    corners = np.array(np.meshgrid(*([0, side] for side in sides), [1])).reshape(4, -1)
    return float(np.linalg.norm(((first.affine - second.affine) @ corners)[:3], axis=0).max())
