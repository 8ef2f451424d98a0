"""Axial slices: the square windows that a network sees, and the code of what it shall make."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from keras_vaegan.config.networks import ANY_TARGET, MODALITIES, ModalityUNetConfig


def list_inputs(target: str) -> tuple[str, ...]:
    """The contrasts that a target is made from: the three others."""
    return tuple(modality for modality in MODALITIES if modality != target)


def list_targets(config: ModalityUNetConfig) -> tuple[str, ...]:
    """The contrasts that a network can make."""
    return MODALITIES if config.target == ANY_TARGET else (config.target,)


def encode_inputs(images: np.ndarray, target: str, config: ModalityUNetConfig) -> np.ndarray:
    """Lay out a network's input.

    Args:
        images: (N, H, W, 4) in [0, 1], channels as `MODALITIES`; the target's is not looked at.
        target: The contrast to make.
        config: The network.

    Returns:
        (N, H, W, config.channels) float32: the three other contrasts, or for a network of any
        target all four with the target's 0, and four planes that are 1 for the target.
    """
    index = MODALITIES.index(target)
    if config.target != ANY_TARGET:
        return np.delete(images, index, axis=-1).astype("float32")
    encoded = np.zeros((*images.shape[:-1], config.channels), "float32")
    encoded[..., : len(MODALITIES)] = images
    encoded[..., index] = 0
    encoded[..., len(MODALITIES) + index] = 1
    return encoded


def plan_windows(box: Sequence[tuple[int, int]], size: int) -> list[tuple[int, int]]:
    """Lay square windows over a box.

    Args:
        box: (first, last + 1) of the rows and of the columns, in pixels.
        size: Side of a window.

    Returns:
        (row, column) of each window's first pixel, possibly outside the picture: one centred
        window where the box fits into it, else as few as cover the box, evenly spaced.
    """
    starts = []
    for first, last in box:
        count = max(1, math.ceil((last - first) / size))
        if count == 1:
            starts.append([(first + last - size) // 2])
        else:
            places = np.linspace(first, last - size, count)
            starts.append([int(place) for place in np.round(places)])
    return [(row, column) for row in starts[0] for column in starts[1]]


def choose_windows(
    mask: np.ndarray, box: Sequence[tuple[int, int]], size: int
) -> list[tuple[int, int]]:
    """The windows of one slice: the one in the middle of `box` where it holds the slice's brain.

    Args:
        mask: (H, W) bool, the slice's brain.
        box: The brain's box over all slices, so that neighbours get the same windows.
        size: Side of a window.

    Returns:
        As `plan_windows`; none where the slice is empty.
    """
    if not mask.any():
        return []
    middle = tuple((first + last - size) // 2 for first, last in box)
    for axis, start in enumerate(middle):
        places = np.flatnonzero(mask.any(axis=1 - axis))
        if places[0] < start or places[-1] >= start + size:
            return plan_windows(box, size)
    return [middle]


def cut_window(picture: np.ndarray, start: tuple[int, int], size: int) -> np.ndarray:
    """Cut (size, size, ...) out of (H, W, ...), with 0 where the window leaves the picture."""
    window = np.zeros((size, size, *picture.shape[2:]), picture.dtype)
    inner, outer = _overlap(start, size, picture.shape)
    window[inner] = picture[outer]
    return window


def add_window(picture: np.ndarray, window: np.ndarray, start: tuple[int, int]) -> None:
    """Add a window to a picture in place, what lies outside left out."""
    inner, outer = _overlap(start, len(window), picture.shape)
    picture[outer] += window[inner]


def make_blending_weights(size: int) -> np.ndarray:
    """Weights (size, size) float32 that fall linearly to the window's edge, and are never 0."""
    ramp = np.minimum(np.arange(1, size + 1), np.arange(size, 0, -1)).astype("float32")
    return np.outer(ramp, ramp) / ramp.max() ** 2


def _overlap(start: tuple[int, int], size: int, shape: tuple[int, ...]):
    """Where a window and a picture meet, in the coordinates of each."""
    inner, outer = [], []
    for first, length in zip(start, shape[:2], strict=True):
        low, high = max(0, first), max(0, first, min(length, first + size))
        outer.append(slice(low, high))
        inner.append(slice(low - first, high - first))
    return tuple(inner), tuple(outer)
