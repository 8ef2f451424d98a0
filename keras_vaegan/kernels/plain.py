"""The forms that every backend has, in keras.ops alone."""

from __future__ import annotations

from keras import ops


def normalize_instances(images, epsilon: float):
    """The defining formula, computed in float32."""
    wide = ops.cast(images, "float32")
    centred = wide - ops.mean(wide, axis=(1, 2), keepdims=True)
    variance = ops.mean(ops.square(centred), axis=(1, 2), keepdims=True)
    return ops.cast(centred * ops.rsqrt(variance + epsilon), images.dtype)
