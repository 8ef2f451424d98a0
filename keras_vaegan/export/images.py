"""Images of any type as [0, 1] and back inside a TensorFlow graph, with readable refusals."""

from __future__ import annotations

import tensorflow as tf

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as data.image
DTYPES = (tf.float32, tf.uint8, tf.uint16)
FULL_SCALE = {tf.uint8: 255.0, tf.uint16: 65535.0}


def graph_function(function, signature=None):
    """A graph of a function as it stands: nothing in these modules leans on rewritten Python."""
    return tf.function(function, input_signature=signature, autograph=False)


def expect(condition, message: str, value):
    """An assertion whose message ends in the offending value."""
    return tf.debugging.Assert(condition, [message, value], summarize=8)


def check_images(images, smallest_side: int):
    """Refuse what cannot be processed, by an error of the graph that says what was expected.

    Args:
        images: (N, H, W, C), uint8, uint16 or float32.
        smallest_side: Fewest pixels a side.

    Returns:
        `images`, to be used in their place, so that the checks come first.
    """
    shape = tf.shape(images)
    checks = [
        expect(shape[0] > 0, "empty batch: expected (N, H, W, C) with at least one image", shape),
        expect(
            tf.logical_or(tf.equal(shape[3], 1), tf.equal(shape[3], 3)),
            "expected images of 1 or 3 channels, (N, H, W, C); got the shape",
            shape,
        ),
        expect(
            tf.reduce_min(shape[1:3]) >= smallest_side,
            f"image too small: expected at least {smallest_side} pixels a side; got the shape",
            shape,
        ),
    ]
    if images.dtype.is_floating:
        finite = tf.reduce_all(tf.math.is_finite(images))
        checks.append(
            expect(finite, "images hold NaN or infinite values: expected finite ones", shape)
        )
    with tf.control_dependencies(checks):
        return tf.identity(images)


def check_at_least(value, least: int, name: str):
    """Refuse a number that is too small; returns it for use in its place."""
    check = expect(value >= least, f"{name}: expected at least {least}; got", value)
    with tf.control_dependencies([check]):
        return tf.identity(value)


def images_to_unit(images):
    """Images -> [0, 1]: integers by their type's range, each float image by its own.

    Args:
        images: (N, H, W, C), uint8, uint16 or float32.

    Returns:
        (unit, low, span): (N, H, W, C) float32, and (N, 1, 1, 1) float32 lowest value and range,
        to come back.
    """
    full = FULL_SCALE.get(images.dtype)
    if full is not None:
        # In float64, since a graph may turn a division by a constant into a product.
        unit = tf.cast(tf.cast(images, tf.float64) / full, tf.float32)
        zero = tf.zeros([tf.shape(images)[0], 1, 1, 1])
        return unit, zero, zero + 1
    low = tf.reduce_min(images, axis=[1, 2, 3], keepdims=True)
    high = tf.reduce_max(images, axis=[1, 2, 3], keepdims=True)
    span = tf.cast(tf.cast(high, tf.float64) - tf.cast(low, tf.float64), tf.float32)
    return (images - low) / tf.maximum(span, 1e-12), low, span


def unit_to_images(unit, low, span, dtype):
    """[0, 1] -> images of a type: the way back of `images_to_unit`, rounded and clipped."""
    unit = tf.clip_by_value(unit, 0.0, 1.0)
    full = FULL_SCALE.get(dtype)
    if full is not None:
        return tf.cast(tf.round(unit * full), dtype)
    return unit * span + low


def to_channels(images, channels: int):
    """Bring (N, H, W, 1 or 3) float32 images to 1 channel (the luma) or 3 (repeated)."""
    given = tf.shape(images)[-1]

    def convert():
        if channels == 3:
            return tf.repeat(images, 3, axis=-1)
        wide = tf.cast(images, tf.float64)
        red, green, blue = (wide[..., k : k + 1] for k in range(3))
        luma = red * LUMA[0] + green * LUMA[1] + blue * LUMA[2]
        return tf.cast(luma, tf.float32)

    result = tf.cond(tf.equal(given, channels), lambda: images, convert)
    return tf.ensure_shape(result, (*images.shape[:-1], channels))


def match_channels(images, given):
    """Give processed images the channels of the input: the mean for 1, repeated for 3.

    Args:
        images: (N, H, W, C) float32, C = 1 or 3.
        given: int32 scalar, channels of the input.
    """
    if images.shape[-1] == 1:
        return tf.cond(tf.equal(given, 1), lambda: images, lambda: tf.repeat(images, 3, axis=-1))
    return tf.cond(
        tf.equal(given, 1), lambda: tf.reduce_mean(images, axis=-1, keepdims=True), lambda: images
    )
