"""OpenCV's resizing as matrices inside a TensorFlow graph.

`data.alignment` resizes with `cv2.resize`: area averages where an image shrinks, a cubic kernel
where it grows. Both are linear and separable, so each axis is one matrix; the crop to a region,
or the way back into a frame, is the choice of its rows and columns. Everything is float64, since
float32 products may be cut to ten bits on a GPU.
"""

from __future__ import annotations

import tensorflow as tf

CUBIC = -0.75  # OpenCV's constant of the cubic kernel
AREA, LINEAR, CUBIC_MODE = 0, 1, 2


def choose_mode(old_height, old_width, new_height, new_width):
    """The way OpenCV resizes: int32 scalar `AREA`, `LINEAR` or `CUBIC_MODE`.

    Area averages are asked for wherever the number of pixels falls; where one of the two sides
    grows nevertheless, OpenCV takes a linear kernel of its own.

    Args:
        old_height, old_width, new_height, new_width: int32 scalars, pixels.
    """
    shrinks = old_height * old_width > new_height * new_width
    both = tf.logical_and(old_height >= new_height, old_width >= new_width)
    return tf.where(shrinks, tf.where(both, AREA, LINEAR), CUBIC_MODE)


def resize_matrix(mode, old_size, new_size, new_positions, old_positions):
    """One axis of a resize, as a matrix from old pixels to new ones.

    Args:
        mode: int32 scalar of `choose_mode`.
        old_size, new_size: int32 scalars, pixels along the axis before and after.
        new_positions: (M,) int32, the new pixels that are wanted; may reach beyond 0..new_size-1,
            where the matrix is 0.
        old_positions: (K,) int32, which old pixel each column stands for; old pixels that no
            column stands for count as black.

    Returns:
        (M, K) float64 weights.
    """
    inside = tf.logical_and(new_positions >= 0, new_positions < new_size)
    old, new = tf.cast(old_size, tf.float64), tf.cast(new_size, tf.float64)
    i, j = tf.cast(new_positions, tf.float64), old_positions[None, :]
    weights = tf.switch_case(
        mode,
        [
            lambda: _area_weights(i, j, old, old / new),
            lambda: _linear_weights(i, j, old_size, old / new),
            lambda: _cubic_weights(i, j, old_size, old / new),
        ],
    )
    return weights * tf.cast(inside, tf.float64)[:, None]


def resample(image, rows, columns):
    """Apply one matrix to each axis.

    Args:
        image: (H, W, C) float64.
        rows: (M, H) float64.
        columns: (N, W) float64.

    Returns:
        (M, N, C) float64.
    """
    return tf.einsum("jw,iwc->ijc", columns, tf.einsum("ih,hwc->iwc", rows, image))


def _area_weights(i, j, old, scale):
    """The share of the new pixel that each old one covers."""
    first = (i * scale)[:, None]
    last = tf.minimum(first + scale, old)
    low = tf.cast(j, tf.float64)
    covered = tf.minimum(last, low + 1) - tf.maximum(first, low)
    inside = tf.cast(tf.logical_and(low >= 0, low < old), tf.float64)
    return tf.maximum(covered, 0) * inside / tf.maximum(last - first, 1e-9)


def _linear_weights(i, j, old_size, scale):
    """OpenCV's two taps where area averages are asked for and a side grows."""
    first = tf.cast(tf.floor(i * scale), tf.int32)
    share = (i + 1) - (tf.cast(first, tf.float64) + 1) / scale
    share = tf.where(share <= 0, tf.zeros_like(share), share - tf.floor(share))
    share = tf.where(first >= old_size - 1, tf.zeros_like(share), share)
    return _sum_taps(first, [1 - share, share], j, old_size)


def _cubic_weights(i, j, old_size, scale):
    """Four taps of the cubic kernel; beyond the edge its pixel is repeated."""
    centre = (i + 0.5) * scale - 0.5
    first = tf.floor(centre)
    x = centre - first
    taps = [
        ((CUBIC * (x + 1) - 5 * CUBIC) * (x + 1) + 8 * CUBIC) * (x + 1) - 4 * CUBIC,
        ((CUBIC + 2) * x - (CUBIC + 3)) * x * x + 1,
        ((CUBIC + 2) * (1 - x) - (CUBIC + 3)) * (1 - x) * (1 - x) + 1,
    ]
    taps.append(1 - taps[0] - taps[1] - taps[2])
    return _sum_taps(tf.cast(first, tf.int32) - 1, taps, j, old_size)


def _sum_taps(first, taps: list, j, old_size):
    """Consecutive taps from `first` on, as rows of a matrix over the old pixels `j`."""
    rows = [
        tf.where(tf.clip_by_value(first + k, 0, old_size - 1)[:, None] == j, tap[:, None], 0)
        for k, tap in enumerate(taps)
    ]
    return tf.add_n(rows)
