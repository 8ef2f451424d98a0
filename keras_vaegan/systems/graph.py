"""What the exported graphs share: typed images, refusals that can be read, batches in a loop.

The only module of a system's export that is written for TensorFlow throughout.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

DTYPES = (tf.float32, tf.uint8, tf.uint16)
IMAGES = (None, None, None, None)  # (N, H, W, C), all of them free
TYPED_VALUES = (
    "Batches are (images, height, width, channels) with 1 or 3 channels in RGB order. 8 and 16-bit "
    "values are divided by 255 and 65535; each float image is mapped by its own lowest and highest "
    "value."
)


def graph_function(function: Callable, signature=None):
    """A graph of a function as it stands: nothing in these modules leans on rewritten Python."""
    return tf.function(function, input_signature=signature, autograph=False)


def make_image_signatures(name: str, function, **inputs: tf.TensorSpec) -> dict:
    """A concrete function for every type of images; float32's has the plain name.

    Args:
        name: Of the float32 signature; the others end in `_uint8` and `_uint16`.
        function: A `tf.function` of images (N, H, W, C) and `inputs`.
        inputs: What it takes beside the images.
    """
    return {
        name if dtype == tf.float32 else f"{name}_{dtype.name}": function.get_concrete_function(
            tf.TensorSpec(IMAGES, dtype, "images"), *inputs.values()
        )
        for dtype in DTYPES
    }


def expect(condition, message: str, value):
    """An assertion whose message ends in the offending value."""
    return tf.debugging.Assert(condition, [message, value], summarize=8)


def after(checks: list, value):
    """A tensor for use in its own place, once the checks have passed."""
    with tf.control_dependencies(checks):
        return tf.identity(value)


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
    return after(checks, images)


def map_batches(function: Callable, inputs, size: int, shape: tuple):
    """Apply a function to a long batch, `size` entries at a time.

    Args:
        function: (n, ...) -> (n, *shape) float32, n up to `size`.
        inputs: (N, ...), N of at least 1.
        size: Entries of a pass; the last one may have fewer.
        shape: Of one result.

    Returns:
        (N, *shape) float32.
    """
    count = tf.shape(inputs)[0]
    results = tf.TensorArray(
        tf.float32, 0, dynamic_size=True, infer_shape=False, element_shape=(None, *shape)
    )

    def step(start, results):
        part = inputs[start : start + size]
        if size == 1:
            part = tf.ensure_shape(part, (1, *part.shape[1:]))
        return start + size, results.write(start // size, function(part))

    results = tf.while_loop(
        lambda start, _: start < count, step, (0, results), parallel_iterations=1
    )[1]
    return tf.ensure_shape(results.concat(), (None, *shape))
