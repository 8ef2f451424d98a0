"""Random variants of training images, computed in the training graph.

TensorFlow only. Every random number is a function of the seed and the step, so that a resumed
run augments as an uninterrupted one would.
"""

from __future__ import annotations

import math

import tensorflow as tf


def augment(images: tf.Tensor, config, seed: tf.Tensor, value_range: tuple[float, float]):
    """Make one random variant of every image: flip, warp (rotate, zoom, shift), intensity.

    Args:
        images: (N, H, W, C) float32 in `value_range`.
        config: `AugmentationConfig`.
        seed: int32 or int64 tensor of shape (2,).
        value_range: (black, white) of the images.

    Returns:
        The same shape, dtype and range. What a warp uncovers is black.
    """
    count = images.shape[0] or tf.shape(images)[0]
    draws = tf.random.stateless_uniform((8, count), seed, -1.0, 1.0)
    flips = tf.where((draws[0] + 1) / 2 < config.flip, -1.0, 1.0)
    turned, zoomed = _choose_warps(config, draws[1], seed)
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


def _choose_warps(config, draw, seed) -> list:
    """Whether each image is rotated and zoomed: 1 or 0, two vectors (N,)."""
    draws = [draw, draw]
    if config.separate_warps:
        draws = [draw, tf.random.stateless_uniform(tf.shape(draw), seed + 1, -1.0, 1.0)]
    return [tf.cast((d + 1) / 2 < config.warp_probability, tf.float32) for d in draws]


def _warp(unit, flips, angles, zooms, shifts, side):
    """Resample once (bilinear) with the composed affine map about the image's centre."""
    centre_y, centre_x = (side[0] - 1) / 2, (side[1] - 1) / 2
    cosine, sine = zooms * tf.cos(angles), zooms * tf.sin(angles)
    zeros = tf.zeros_like(angles)
    rows = [
        cosine * flips,
        -sine,
        centre_x - cosine * flips * centre_x + sine * centre_y + shifts[0],
        sine * flips,
        cosine,
        centre_y - sine * flips * centre_x - cosine * centre_y + shifts[1],
        zeros,
        zeros,
    ]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=unit,
        transforms=tf.stack(rows, axis=1),
        output_shape=tf.shape(unit)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
