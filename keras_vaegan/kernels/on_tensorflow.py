"""Forms that need TensorFlow's own operations."""

from __future__ import annotations

import tensorflow as tf

from keras_vaegan.kernels import plain


def normalize_instances(images, epsilon: float):
    """Normalise each image by the fused batch-normalisation kernel, as a batch of one.

    It reads the image twice and writes it once, with float32 sums in any precision; the formula
    in separate operations goes over memory seven times. An unknown batch size takes the formula.

    Args:
        images: (N, H, W, C) float32, bfloat16 or float16.
        epsilon: Added to the variance.

    Returns:
        The same shape and type.
    """
    count, channels = images.shape[0], images.shape[-1]
    is_fusible = images.dtype in (tf.float32, tf.bfloat16, tf.float16)
    if not count or not is_fusible:
        return plain.normalize_instances(images, epsilon)
    one, zero, none = tf.ones(channels), tf.zeros(channels), tf.zeros(0)
    parts = [
        tf.raw_ops.FusedBatchNormV3(
            x=part, scale=one, offset=zero, mean=none, variance=none, epsilon=epsilon
        ).y
        for part in tf.split(images, count)
    ]
    return parts[0] if count == 1 else tf.concat(parts, axis=0)
