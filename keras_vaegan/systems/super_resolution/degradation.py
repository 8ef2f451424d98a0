"""How a low-resolution input comes from an image: blur, shrink, noise, JPEG.

All functions are TensorFlow graph functions of single images, so that the input pipeline can run
them in parallel; images are (H, W, C) or (N, H, W, C) float32 in [0, 1].
"""

from __future__ import annotations

import math

from keras_vaegan.systems.super_resolution.config import DegradationConfig

HIGHEST_JPEG_QUALITY = 95


def shrink(images, scale: int, kind: str = "bicubic"):
    """Reduce images by an integer factor.

    Args:
        images: (H, W, C) or (N, H, W, C) float32 in [0, 1], sides divisible by `scale`.
        scale: Factor along an axis; 1 returns the images.
        kind: "bicubic" (Keys' cubic, antialiased, as super-resolution's benchmarks use) or
            "area" (the mean of scale x scale pixels).

    Returns:
        The shrunken images, clipped to [0, 1].
    """
    import tensorflow as tf

    if scale == 1:
        return images
    sides = tf.shape(images)[-3:-1] // scale
    small = tf.image.resize(images, sides, kind, antialias=True)
    return tf.clip_by_value(small, 0.0, 1.0)


def enlarge_bicubic(images, scale: int):
    """Enlarge images by Keys' cubic: the baseline. (…, H, W, C) -> (…, H * scale, W * scale, C)."""
    import tensorflow as tf

    sides = tf.shape(images)[-3:-1] * scale
    return tf.clip_by_value(tf.image.resize(images, sides, "bicubic"), 0.0, 1.0)


def degrade(image, scale: int, settings: DegradationConfig, seed):
    """Make the low-resolution input of one image.

    Args:
        image: (H, W, C) float32 in [0, 1], sides divisible by `scale`, 1 or 3 channels.
        scale: Factor along an axis.
        settings: What happens to it, and how strongly.
        seed: (2,) int; equal seeds give equal results.

    Returns:
        (H / scale, W / scale, C) float32 in [0, 1].
    """
    import tensorflow as tf

    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 5))
    if settings.blur_sigma:
        sigma = tf.random.stateless_uniform((), seeds[0], 0.0, settings.blur_sigma)
        image = _blur(image, sigma, math.ceil(3 * settings.blur_sigma))
    if settings.downsample == "mixed":
        small = tf.cond(
            tf.random.stateless_uniform((), seeds[1]) < 0.5,
            lambda: shrink(image, scale, "bicubic"),
            lambda: shrink(image, scale, "area"),
        )
    else:
        small = shrink(image, scale, settings.downsample)
    if settings.noise:
        sigma = tf.random.stateless_uniform((), seeds[2], 0.0, settings.noise)
        small += sigma * tf.random.stateless_normal(tf.shape(small), seeds[3])
        small = tf.clip_by_value(small, 0.0, 1.0)
    if settings.jpeg_quality:
        stored = tf.image.convert_image_dtype(small, tf.uint8, saturate=True)
        stored = tf.image.stateless_random_jpeg_quality(
            stored, settings.jpeg_quality, HIGHEST_JPEG_QUALITY + 1, seeds[4]
        )
        small = tf.image.convert_image_dtype(stored, tf.float32)
    return small


def _blur(image, sigma, reach: int):
    """Gaussian blur of (H, W, C) by two one-dimensional passes, the border mirrored."""
    import tensorflow as tf

    offsets = tf.range(-reach, reach + 1, dtype=tf.float32)
    kernel = tf.exp(-0.5 * tf.square(offsets / tf.maximum(sigma, 1e-3)))
    kernel /= tf.reduce_sum(kernel)
    stack = tf.transpose(image, (2, 0, 1))[..., None]
    stack = tf.pad(stack, ((0, 0), (reach, reach), (reach, reach), (0, 0)), "SYMMETRIC")
    stack = tf.nn.conv2d(stack, kernel[:, None, None, None], 1, "VALID")
    stack = tf.nn.conv2d(stack, kernel[None, :, None, None], 1, "VALID")
    return tf.transpose(stack[..., 0], (1, 2, 0))
