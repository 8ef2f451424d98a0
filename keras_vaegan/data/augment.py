"""Random variants of training images, computed in the training step, in `keras.ops`."""

from __future__ import annotations

import math

from keras import ops

from keras_vaegan.config.data import AugmentationConfig

DRAWS = 9
WARP_PROBABILITY = 0.5


def augment(images, config: AugmentationConfig, draws, value_range: tuple[float, float]):
    """Make one random variant of every image: flip, warp (rotate, zoom, shift), intensity.

    Args:
        images: (N, H, W, C) float32 in `value_range`.
        config: How strongly.
        draws: (DRAWS, N) float32, uniform in [0, 1): all that is random.
        value_range: (black, white) of the images.

    Returns:
        The same shape, dtype and range. What a warp uncovers is black.
    """
    signed = [2 * draws[index] - 1 for index in range(DRAWS)]
    second = draws[8] if config.separate_warps else draws[1]
    turned, zoomed = (ops.cast(d < WARP_PROBABILITY, "float32") for d in (draws[1], second))
    flips = ops.where(draws[0] < config.flip, -1.0, 1.0)
    angles = turned * signed[2] * (config.rotation_degrees * math.pi / 180)
    zooms = 1 / (1 + zoomed * signed[3] * config.zoom)
    height, width = images.shape[1:3]
    right, down = (
        ops.round(signed[4 + axis] * (config.translation * side))
        for axis, side in enumerate((width, height))
    )
    low, high = value_range
    unit = (images - low) / (high - low)
    cosine, sine = zooms * ops.cos(angles), zooms * ops.sin(angles)
    unit = _warp(unit, cosine, sine, flips, right, down)
    gain, gamma = (
        1 + config.intensity * ops.reshape(signed[index], (-1, 1, 1, 1)) for index in (6, 7)
    )
    unit = ops.power(ops.clip(unit * gain, 1e-6, 1.0), gamma)
    return ops.clip(unit, 0.0, 1.0) * (high - low) + low


def _warp(unit, cosine, sine, flips, right, down):
    """Resample once (bilinear) with the composed affine map about the image's centre."""
    height, width = unit.shape[1:3]
    y = ops.reshape(ops.arange(height, dtype="float32"), (1, -1, 1)) - (height - 1) / 2
    x = ops.reshape(ops.arange(width, dtype="float32"), (1, 1, -1)) - (width - 1) / 2
    cosine, sine, flips, right, down = (
        ops.reshape(values, (-1, 1, 1)) for values in (cosine, sine, flips, right, down)
    )
    columns = cosine * flips * x - sine * y + (width - 1) / 2 + right
    rows = sine * flips * x + cosine * y + (height - 1) / 2 + down
    return _sample(unit, rows, columns)


def _sample(images, rows, columns):
    """Read (N, H, W, C) between pixels by bilinear interpolation; black outside.

    Gathers and sums alone, so that XLA compiles it.
    """
    height, width, channels = images.shape[1:]
    flat = ops.reshape(images, (-1, height * width, channels))
    top, left = ops.floor(rows), ops.floor(columns)
    result = ops.zeros_like(images)
    for row, row_weight in ((top, 1 - (rows - top)), (top + 1, rows - top)):
        for column, column_weight in ((left, 1 - (columns - left)), (left + 1, columns - left)):
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            weight = ops.expand_dims(ops.where(inside, row_weight * column_weight, 0.0), -1)
            index = ops.clip(row, 0, height - 1) * width + ops.clip(column, 0, width - 1)
            index = ops.cast(ops.reshape(index, (-1, height * width, 1)), "int32")
            pixels = ops.take_along_axis(flat, index, axis=1)
            result = result + weight * ops.reshape(pixels, ops.shape(images))
    return result
