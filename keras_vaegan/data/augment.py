"""Random variants of training images, computed in the training graph.

TensorFlow only. Every random number is a function of the seed and the step, so that a resumed
run augments as an uninterrupted one would.
"""

from __future__ import annotations

import math

import tensorflow as tf

from keras_vaegan.training.random import draw_uniform


def augment(
    images: tf.Tensor, config, seed: tf.Tensor, value_range: tuple[float, float], rows=None
):
    """Make one random variant of every image: flip, warp (rotate, zoom, shift), intensity.

    Args:
        images: (N, H, W, C) float32 in `value_range`.
        config: `AugmentationConfig`.
        seed: int32 or int64 tensor of shape (2,).
        value_range: (black, white) of the images.
        rows: (first, total) where the images are rows of a larger batch, whose random numbers are
            drawn as a whole; None for a batch of their own.

    Returns:
        The same shape, dtype and range. What a warp uncovers is black.
    """
    count = images.shape[0] or tf.shape(images)[0]
    first, total = rows or (0, count)
    draws = 2 * draw_uniform((9, total), seed)[:, first : first + count] - 1
    draws = tf.unstack(tf.ensure_shape(draws, (9, images.shape[0])))
    flips = tf.where((draws[0] + 1) / 2 < config.flip, -1.0, 1.0)
    turned, zoomed = _choose_warps(config, draws[1], draws[8])
    angles = turned * draws[2] * (config.rotation_degrees * math.pi / 180)
    zooms = 1 / (1 + zoomed * draws[3] * config.zoom)
    side = tf.cast(tf.shape(images)[1:3], tf.float32)
    shifts = [tf.round(draws[4 + axis] * config.translation * side[1 - axis]) for axis in range(2)]
    low, high = value_range
    unit = (images - low) / (high - low)
    unit = _warp(unit, flips, angles, zooms, shifts, side)
    gain = 1 + config.intensity * draws[6][:, None, None, None]
    gamma = 1 + config.intensity * draws[7][:, None, None, None]
    unit = tf.pow(tf.clip_by_value(unit * gain, 1e-6, 1.0), gamma)
    return tf.clip_by_value(unit, 0.0, 1.0) * (high - low) + low


def _choose_warps(config, first, second) -> list:
    """Whether each image is rotated and zoomed, 1 or 0, from draws in [-1, 1]: two vectors (N,)."""
    draws = [first, second if config.separate_warps else first]
    return [tf.cast((draw + 1) / 2 < config.warp_probability, tf.float32) for draw in draws]


def _warp(unit, flips, angles, zooms, shifts, side):
    """Resample once (bilinear) with the composed affine map about the image's centre."""
    centre_y, centre_x = (side[0] - 1) / 2, (side[1] - 1) / 2
    cosine, sine = zooms * tf.cos(angles), zooms * tf.sin(angles)
    y, x = (tf.reshape(tf.range(side[k]), shape) for k, shape in ((0, (1, -1, 1)), (1, (1, 1, -1))))
    cosine, sine, flips, right, down = (
        values[:, None, None] for values in (cosine, sine, flips, *shifts)
    )
    x, y = x - centre_x, y - centre_y
    columns = cosine * flips * x - sine * y + centre_x + right
    rows = sine * flips * x + cosine * y + centre_y + down
    return _sample(unit, rows, columns)


def _sample(images, rows, columns):
    """Read (N, H, W, C) between pixels by bilinear interpolation; black outside.

    Gathers and sums alone, so that XLA compiles it.
    """
    height, width = images.shape[1:3]
    top, left = tf.floor(rows), tf.floor(columns)
    result = tf.zeros_like(images)
    for row, row_weight in ((top, 1 - (rows - top)), (top + 1, rows - top)):
        for column, column_weight in ((left, 1 - (columns - left)), (left + 1, columns - left)):
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            weight = tf.where(inside, row_weight * column_weight, 0.0)[..., None]
            index = tf.clip_by_value(row, 0, height - 1) * width
            index += tf.clip_by_value(column, 0, width - 1)
            flat = tf.reshape(images, (-1, height * width, images.shape[-1]))
            index = tf.cast(tf.reshape(index, (-1, height * width)), tf.int32)
            pixels = tf.gather(flat, index, axis=1, batch_dims=1)
            result += weight * tf.reshape(pixels, tf.shape(images))
    return result
