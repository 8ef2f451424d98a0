"""Axial slices: the square windows that a network sees, and the code of what it shall make.

What a synthesis needs is in `keras.ops`: the Python path and the exported graph run the same.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import numpy as np
from keras import ops

from keras_vaegan.config.networks import ANY_TARGET, MODALITIES, ModalityUNetConfig
from keras_vaegan.data.intensity import find_box

# The contrasts whose intensities and header a synthetic one borrows; it resembles the first most.
CLOSEST = {
    "t1": ("t1ce", "flair", "t2"),
    "t1ce": ("t1", "flair", "t2"),
    "t2": ("flair", "t1ce", "t1"),
    "flair": ("t2", "t1", "t1ce"),
}


def list_inputs(target: str) -> tuple[str, ...]:
    """The contrasts that a target is synthesised from: the three others."""
    return tuple(modality for modality in MODALITIES if modality != target)


def list_targets(config: ModalityUNetConfig) -> tuple[str, ...]:
    """The contrasts that a network can synthesise."""
    return MODALITIES if config.target == ANY_TARGET else (config.target,)


def find_closest(target: str, present: Container[str]) -> str:
    """Of the contrasts that a case has, the one that a synthetic one resembles most."""
    return next(name for name in CLOSEST[target] if name in present)


def encode_inputs(images, target: str, config: ModalityUNetConfig, missing: Container[str] = ()):
    """Lay out a network's input.

    Args:
        images: (N, H, W, 4 P) in [0, 1], channels as `MODALITIES`, of each of the network's P
            slices in turn; what is the target's or missing is not looked at.
        target: The contrast to synthesise.
        config: The network.
        missing: Further contrasts that the case lacks; for a network of any target alone.

    Returns:
        (N, H, W, config.channels) float32: the three other contrasts of every slice, or for a
        network of any target all four, with 0 where there is none, and a plane a contrast that is
        1 for the target and -1 for what is missing. An array for an array (the threads that read
        training data stay with NumPy), else a tensor.
    """
    library = np if isinstance(images, np.ndarray) else ops
    zero = library.zeros_like(images[..., 0])
    is_any = config.target == ANY_TARGET
    planes = []
    for channel in range(images.shape[-1]):
        name = MODALITIES[channel % len(MODALITIES)]
        if name == target or name in missing:
            planes += [zero] if is_any else []
        else:
            planes.append(images[..., channel])
    if is_any:
        codes = [float(name == target) - float(name in missing) for name in MODALITIES]
        planes += [zero + code for code in codes]
    return library.stack(planes, axis=-1)


def take_centre(images, neighbours: int):
    """(..., 4 P) of 2 * neighbours + 1 slices -> (..., 4) of the middle one."""
    count = len(MODALITIES)
    return images[..., count * neighbours : count * (neighbours + 1)]


class SliceWindows:
    """Windows over the axial slices of a brain: cut from volumes, blended into one again.

    Args:
        brain: (X, Y, Z) bool, not empty.
        size: Side of a window in pixels.
    """

    def __init__(self, brain, size: int) -> None:
        self.size, self.shape = size, ops.shape(brain)
        self.level, row, column = ops.unstack(plan_windows(brain, size), 3, axis=1)
        steps = ops.arange(size, dtype="int32")
        rows, columns = (row[:, None] + steps)[..., None], (column[:, None] + steps)[:, None]
        height, width, depth = self.shape
        self.inside = ops.logical_and(
            ops.logical_and(rows >= 0, rows < height),
            ops.logical_and(columns >= 0, columns < width),
        )
        rows, columns = ops.clip(rows, 0, height - 1), ops.clip(columns, 0, width - 1)
        self.places = (rows * width + columns) * depth + self.level[:, None, None]

    def cut(self, volume, offset: int = 0):
        """(X, Y, Z) -> (J, size, size) of the slice `offset` above, 0 outside the volume."""
        levels = self.level + offset
        inside = ops.logical_and(levels >= 0, levels < self.shape[2])[:, None, None]
        shift = ops.clip(levels, 0, self.shape[2] - 1) - self.level
        values = ops.take(ops.reshape(volume, (-1,)), self.places + shift[:, None, None])
        return ops.where(ops.logical_and(self.inside, inside), values, 0.0)

    def cut_inputs(self, units: dict, target: str, config: ModalityUNetConfig):
        """Volumes in [0, 1] by name -> the network's input (J, size, size, channels)."""
        missing = [name for name in list_inputs(target) if name not in units]
        present = [name for name in list_inputs(target) if name in units]
        planes = []
        for offset in range(-config.neighbours, config.neighbours + 1):
            cut = {name: self.cut(units[name], offset) for name in present}
            empty = ops.zeros_like(cut[present[0]])
            planes += [cut.get(name, empty) for name in MODALITIES]
        return encode_inputs(ops.stack(planes, -1), target, config, missing)

    def blend(self, pictures):
        """(J, size, size) -> (X, Y, Z): where windows overlap, the average that favours centres."""
        weights = ops.where(self.inside, make_blending_weights(self.size), 0.0)
        height, width, depth = self.shape
        total, weight = (
            ops.segment_sum(
                ops.reshape(values, (-1,)), ops.reshape(self.places, (-1,)), height * width * depth
            )
            for values in (pictures * weights, weights)
        )
        return ops.reshape(total / ops.maximum(weight, 1e-6), self.shape)


def plan_windows(brain, size: int):
    """Lay windows over the slices of a brain.

    A slice whose brain fits takes the window in the middle of the brain's box, so that neighbours
    get the same; another one as few as cover the box, evenly spaced.

    Args:
        brain: (X, Y, Z) bool, not empty.
        size: Side of a window in pixels.

    Returns:
        (J, 3) int32: slice, first row and first column of each window, by slice. A window may
        leave the volume.
    """
    box = find_box(brain)[:2]
    fits: Any = True
    starts = []
    for axis, (first, last) in enumerate(box):
        middle = _centre(first, last, size)
        places = ops.arange(ops.shape(brain)[axis], dtype="int32")
        outside = ops.logical_or(places < middle, places >= middle + size)
        spilt = ops.logical_and(ops.any(brain, axis=1 - axis), outside[:, None])
        fits = ops.logical_and(fits, ops.logical_not(ops.any(spilt, axis=0)))
        starts.append((middle, _spread(first, last, size)))
    (top, rows), (left, columns) = starts
    grid = [rows[:, None] + ops.zeros_like(columns), ops.zeros_like(rows)[:, None] + columns]
    rows, columns = (
        ops.concatenate([middle[None], ops.reshape(part, (-1,))])
        for middle, part in zip((top, left), grid, strict=True)
    )
    is_middle = ops.arange(ops.size(rows), dtype="int32") == 0
    filled = ops.any(brain, axis=(0, 1))
    chosen = ops.logical_and(filled[:, None], fits[:, None] == is_middle)
    levels, windows = ops.nonzero(chosen)
    picked = [levels, ops.take(rows, windows), ops.take(columns, windows)]
    return ops.stack([ops.cast(part, "int32") for part in picked], axis=-1)


def cut_window(picture: np.ndarray, start: tuple[int, int], size: int) -> np.ndarray:
    """Cut (size, size, ...) out of (H, W, ...), with 0 where the window leaves the picture."""
    window = np.zeros((size, size, *picture.shape[2:]), picture.dtype)
    inner, outer = [], []
    for first, length in zip(start, picture.shape, strict=False):
        low, high = max(0, first), max(0, first, min(length, first + size))
        outer.append(slice(low, high))
        inner.append(slice(low - first, high - first))
    window[tuple(inner)] = picture[tuple(outer)]
    return window


def make_blending_weights(size: int) -> np.ndarray:
    """Weights (size, size) float32 that fall linearly to the window's edge, and are never 0."""
    ramp = np.minimum(np.arange(1, size + 1), np.arange(size, 0, -1)).astype("float32")
    return np.outer(ramp, ramp) / ramp.max() ** 2


def _spread(first, last, size: int):
    """First pixels of as few windows as cover an axis from `first` to `last`, evenly spaced."""
    count = ops.maximum(1, (last - first + size - 1) // size)
    span, gaps = (ops.cast(part, "float32") for part in (last - size - first, count - 1))
    places = ops.cast(ops.arange(count, dtype="int32"), "float32") * span / ops.maximum(gaps, 1.0)
    places = first + ops.cast(ops.round(places), "int32")
    return ops.where(count == 1, _centre(first, last, size), places)


def _centre(first, last, size: int):
    """First pixel, perhaps below 0, of a window in the middle of `first` to `last`."""
    return (first + last + size) // 2 - size  # ONNX divides negative numbers another way
