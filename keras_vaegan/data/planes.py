"""A volume as a stack of axial slices, seen as radiologists see them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from nibabel.affines import voxel_sizes

from keras_vaegan.data.volume import Volume, from_canonical, to_canonical


@dataclass(frozen=True)
class AxialSlices:
    """The axial slices of a volume, from the feet up.

    The plane is chosen by the affine: the stored axes come in any order and direction, and the
    slices of an oblique grid are those nearest to axial ones.

    Attributes:
        pictures: (N, H, W): the nose up, the patient's right on the left; a view of the volume.
        spacing: (between rows, between columns) in mm.
        thickness: Between slices, in mm.
        volume: Where they come from.
    """

    pictures: np.ndarray
    spacing: tuple[float, float]
    thickness: float
    volume: Volume

    def restore(self, pictures: np.ndarray) -> np.ndarray:
        """(N, H, W) in any number of pixels of the same frame -> the volume's stored order."""
        return from_canonical(np.flip(pictures, (1, 2)).transpose(2, 1, 0), self.volume.affine)


def cut_axial(volume: Volume) -> AxialSlices:
    """See a volume as axial slices; no value is copied or resampled."""
    canonical = to_canonical(volume)
    right, front, up = (float(size) for size in voxel_sizes(canonical.affine))
    pictures = np.flip(canonical.values.transpose(2, 1, 0), (1, 2))
    return AxialSlices(pictures, (front, right), up, volume)


def cut_middle(volume: Volume) -> list[tuple[np.ndarray, float]]:
    """The axial, coronal and sagittal slice through the middle, head up, and their aspect.

    Returns:
        Three of (picture (H, W), height of a pixel in its widths).
    """
    canonical = to_canonical(volume)
    right, front, up = voxel_sizes(canonical.affine)
    x, y, z = (side // 2 for side in canonical.values.shape)
    planes = (
        (canonical.values[:, :, z].T, front / right),
        (canonical.values[:, y, :].T, up / right),
        (canonical.values[x, :, :].T, up / front),
    )
    return [(np.flip(picture, (0, 1)), aspect) for picture, aspect in planes]
