"""Whole volumes through an RRDBNet, axial slice by slice."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from keras_vaegan.data.planes import cut_axial
from keras_vaegan.data.volume import Volume
from keras_vaegan.errors import InputError
from keras_vaegan.systems.super_resolution.enhancer import Enhancer


def enhance_volume(
    enhancer: Enhancer,
    volume: Volume,
    resize_back: bool = False,
    progress: Callable[[Iterator, str, int], Iterator] = lambda items, what, total: items,
) -> np.ndarray:
    """Enlarge a volume in its axial plane; one mapping of its values serves all slices.

    Args:
        enhancer: The network.
        volume: Its lowest value is the network's 0, its highest 1.
        resize_back: Average every slice down to its own size.
        progress: Wraps the slices, to show how far it is.

    Returns:
        The values in the volume's stored order, with `enhancer.scale` times its voxels in the
        axial plane, unless they are resized back; integers stay in their type, else float32.

    Raises:
        InputError: the volume holds one value.
    """
    slices = cut_axial(volume)
    limits = float(volume.values.min()), float(volume.values.max())
    if limits[0] == limits[1]:
        raise InputError(
            f"the volume holds {limits[0]:g} everywhere: expected an image; check the file"
        )
    count, height, width = slices.pictures.shape
    factor = 1 if resize_back else enhancer.scale
    dtype = volume.values.dtype if volume.values.dtype.kind in "iu" else np.dtype("float32")
    result = np.empty((count, height * factor, width * factor), dtype)
    for place in progress(iter(range(count)), "enhancing", count):
        picture = np.ascontiguousarray(slices.pictures[place], "float32")
        enlarged = enhancer.enhance(picture, resize_back, limits)
        enlarged = np.clip(enlarged, *limits)
        result[place] = np.round(enlarged) if dtype.kind in "iu" else enlarged
    return slices.restore(result)
