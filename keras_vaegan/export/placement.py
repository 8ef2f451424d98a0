"""Fit images into the network's square and back, in a TensorFlow graph: `data.alignment` again."""

from __future__ import annotations

import tensorflow as tf

from keras_vaegan.data.alignment import HEAD_MARGIN
from keras_vaegan.export.head import find_head_box
from keras_vaegan.export.resampling import choose_mode, resample, resize_matrix


def choose_region(image, resize: str, align: str):
    """The region of the frame that is to fill the square.

    Args:
        image: (H, W, C) float32.
        resize: "pad" or "stretch".
        align: "head" or "none".

    Returns:
        (4,) int32: top, left, height, width; may reach beyond the frame.
    """
    shape = tf.shape(image)
    height, width = shape[0], shape[1]
    if align == "head":
        channels = shape[2]
        total = tf.foldl(tf.add, tf.transpose(image, [2, 0, 1]))
        box = find_head_box(total / tf.cast(channels, tf.float32))
        box = tf.cast(box, tf.float64)
        side = tf.round(tf.maximum(box[2], box[3]) * (1 + 2 * HEAD_MARGIN))
    elif resize == "stretch":
        return tf.stack([0, 0, height, width])
    else:
        box = tf.cast(tf.stack([0, 0, height, width]), tf.float64)
        side = tf.maximum(box[2], box[3])
    corner = tf.round(box[:2] + box[2:] / 2 - side / 2)
    return tf.cast(tf.concat([corner, [side, side]], axis=0), tf.int32)


def place_image(image, region, size: int):
    """Cut a region out of a frame and resize it to the square; black beyond the frame.

    Args:
        image: (H, W, C) float32.
        region: (4,) int32 of `choose_region`.
        size: Side of the square in pixels.

    Returns:
        (size, size, C) float32, within the region's own range.
    """
    shape = tf.shape(image)
    top, left, height, width = tf.unstack(region)
    mode = choose_mode(height, width, size, size)
    new = tf.range(size)
    rows = resize_matrix(mode, height, size, new, tf.range(shape[0]) - top)
    columns = resize_matrix(mode, width, size, new, tf.range(shape[1]) - left)
    square = resample(tf.cast(image, tf.float64), rows, columns)
    bottom, right = tf.minimum(top + height, shape[0]), tf.minimum(left + width, shape[1])
    patch = image[tf.maximum(top, 0) : bottom, tf.maximum(left, 0) : right]
    covered = tf.shape(patch)
    beyond = tf.logical_or(covered[0] < height, covered[1] < width)
    return _clip_to(tf.cast(square, tf.float32), patch, beyond)


def restore_image(square, region, frame_shape):
    """Put a processed square back into its frame; 0 outside the region.

    Args:
        square: (S, S, C) float32.
        region: (4,) int32 of `choose_region`.
        frame_shape: (2,) int32, height and width of the frame.

    Returns:
        (H, W, C) float32.
    """
    size = square.shape[0]
    top, left, height, width = tf.unstack(region)
    mode = choose_mode(size, size, height, width)
    old = tf.range(size)
    row_numbers = tf.range(frame_shape[0]) - top
    column_numbers = tf.range(frame_shape[1]) - left
    rows = resize_matrix(mode, size, height, row_numbers, old)
    columns = resize_matrix(mode, size, width, column_numbers, old)
    frame = tf.cast(resample(tf.cast(square, tf.float64), rows, columns), tf.float32)
    inside = tf.logical_and(
        tf.logical_and(row_numbers >= 0, row_numbers < height)[:, None],
        tf.logical_and(column_numbers >= 0, column_numbers < width)[None, :],
    )
    return tf.where(inside[..., None], _clip_to(frame, square, False), 0.0)


def _clip_to(image, reference, or_zero):
    """Keep a resized image within the range of what it came from (and 0, where asked)."""
    low, high = tf.reduce_min(reference), tf.reduce_max(reference)
    low = tf.where(or_zero, tf.minimum(low, 0.0), low)
    high = tf.where(or_zero, tf.maximum(high, 0.0), high)
    return tf.clip_by_value(image, low, high)
