"""A generator as a plain function of images in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np

from keras_vaegan.config.base import VALUE_RANGES


def run_generator(
    generator: Callable, images: np.ndarray, value_range: str, batch_size: int = 8
) -> np.ndarray:
    """Translate prepared images, a batch at a time.

    Args:
        generator: Model, or another function (N, S, S, C) -> (N, S, S, C).
        images: (N, S, S, C) float32 in [0, 1].
        value_range: "tanh" or "sigmoid", the generator's own range.
        batch_size: Images per forward pass.

    Returns:
        (N, S, S, C) float32 in [0, 1].
    """
    low, high = VALUE_RANGES[value_range]
    scaled = images.astype("float32") * (high - low) + low
    outputs = [
        keras.ops.convert_to_numpy(generator(scaled[start : start + batch_size]))
        for start in range(0, len(scaled), batch_size)
    ]
    return np.clip((np.concatenate(outputs) - low) / (high - low), 0, 1).astype("float32")
