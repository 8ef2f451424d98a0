"""Random variants of a training slice, in NumPy and OpenCV: the threads that read data run them."""

from __future__ import annotations

import cv2
import numpy as np

from keras_vaegan.config.data import SliceAugmentationConfig
from keras_vaegan.config.networks import MODALITIES

ELASTIC_GRID = 7  # nodes of the displacement along a side
BIAS_GRID = 4


def warp(
    images: np.ndarray, brain: np.ndarray, strength: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Displace the pixels of all channels alike, by a smooth random field.

    Args:
        images: (S, S, C) float32, 0 outside the brain.
        brain: (S, S, 1) float32, 0 or 1.
        strength: Standard deviation of the displacement in pixels at the field's nodes.
        rng: Draws it.

    Returns:
        The same shapes; near the brain's edge only its own pixels are averaged.
    """
    size = images.shape[0]
    rows, columns = np.indices((size, size), "float32")
    down, right = strength * _draw_smooth(ELASTIC_GRID, 2, size, rng)
    planes = np.concatenate([images, brain], axis=-1)
    moved = np.stack([
        cv2.remap(np.ascontiguousarray(planes[..., channel]), columns + right, rows + down,
                  cv2.INTER_LINEAR)
        for channel in range(planes.shape[-1])
    ], axis=-1)  # fmt: skip
    share = moved[..., -1:]
    inside = (share >= 0.5).astype("float32")
    filled = np.clip(moved[..., :-1] / np.maximum(share, 0.5), 0, 1)
    return filled * inside, inside


def vary_intensities(
    images: np.ndarray, config: SliceAugmentationConfig, rng: np.random.Generator
) -> np.ndarray:
    """Change each contrast's gamma, gain and evenness a little, in all its slices alike.

    Args:
        images: (S, S, 4 P) float32 in [0, 1], channels as `MODALITIES` of each slice in turn.
        config: How strongly.
        rng: Draws the changes.

    Returns:
        The same shape and range; 0 stays 0.
    """
    count = len(MODALITIES)
    slices = images.shape[-1] // count
    if config.intensity:
        strength = config.intensity
        gamma, gain = 1 + rng.uniform(-strength, strength, (2, count)).astype("float32")
        images = np.clip(np.tile(gain, slices) * images ** np.tile(gamma, slices), 0, 1)
    if config.bias_field:
        fields = config.bias_field * _draw_smooth(BIAS_GRID, count, len(images), rng)
        gains = np.exp(np.moveaxis(fields, 0, -1))
        images = np.clip(images * np.tile(gains, slices), 0, 1)
    return images


def choose_dropped(target: str, probability: float, rng: np.random.Generator) -> list[str]:
    """Contrasts to leave out of the inputs of a target; one at least stays."""
    inputs = [name for name in MODALITIES if name != target]
    kept = rng.uniform(size=len(inputs)) >= probability
    kept[rng.integers(len(inputs))] |= not kept.any()
    return [name for name, stays in zip(inputs, kept, strict=True) if not stays]


def _draw_smooth(nodes: int, count: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """(count, size, size) float32: standard normal at the nodes of a grid, cubic between them."""
    grids = rng.normal(size=(count, nodes, nodes)).astype("float32")
    return np.stack([
        cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC) for grid in grids
    ])  # fmt: skip
