"""The head's bounding box inside a TensorFlow graph: `data.alignment.find_head_box`, op by op.

Each step gives the same integers as the OpenCV call that it stands for: the Gaussian in OpenCV's
fixed-point arithmetic, Otsu's threshold, the opening with a square, the largest connected piece.
"""

from __future__ import annotations

import tensorflow as tf

from keras_vaegan.data.alignment import THRESHOLD_SHARE
from keras_vaegan.export.pieces import join_parts, number_runs

SMALLEST_SHARE = 0.02  # of the frame, for the head's area and the opening's side
FLOAT_EPSILON = 1.1920929e-07


def find_head_box(gray):
    """Find the head in a cross-section.

    Args:
        gray: (H, W) float32.

    Returns:
        (4,) int32: top, left, height, width; the whole frame where nothing stands out.
    """
    shape = tf.shape(gray)
    low, high = tf.reduce_min(gray), tf.reduce_max(gray)
    span = tf.cast(high, tf.float64) - tf.cast(low, tf.float64)
    factor = tf.cast(255.0 / tf.where(span > 0, span, tf.ones_like(span)), tf.float32)
    smooth = blur(tf.floor((gray - low) * factor))
    threshold = find_otsu_threshold(smooth)
    mask = tf.cast(smooth, tf.float64) > THRESHOLD_SHARE * tf.cast(threshold, tf.float64)
    shortest = tf.cast(tf.reduce_min(shape), tf.float64)
    side = tf.maximum(3, tf.cast(shortest * SMALLEST_SHARE, tf.int32))
    mask = open_mask(mask, side + 1 - side % 2)
    box, area = find_largest_piece(mask)
    whole = tf.stack([0, 0, shape[0], shape[1]])
    enough = tf.cast(area, tf.float64) >= SMALLEST_SHARE * tf.cast(tf.size(gray), tf.float64)
    found = tf.logical_and(high > low, tf.logical_and(area > 0, enough))
    return tf.where(found, box, whole)


def blur(image):
    """OpenCV's Gaussian of 8-bit images, its width growing with the image.

    Both passes are whole numbers: 8 fractional bits in the kernel, 16 in the result. Every factor
    has at most 8 bits and every sum at most 24, so that float32 is exact even on hardware that
    cuts factors to 16 bits; the first pass's 16 bits go through the second in two halves.

    Args:
        image: (H, W) float32 of whole numbers from 0 to 255.

    Returns:
        (H, W) int32, 0 to 255.
    """
    shape = tf.shape(image)
    sigma = tf.maximum(tf.cast(tf.reduce_max(shape), tf.float64) / 128, 1.0)
    kernel = tf.cast(_fixed_point_kernel(sigma), tf.float32)
    radius = tf.size(kernel) // 2
    rows = _mirror_indices(shape[0], radius)
    columns = _mirror_indices(shape[1], radius)
    padded = tf.gather(tf.gather(image, rows), columns, axis=1)[None, :, :, None]
    across = tf.nn.conv2d(padded, kernel[None, :, None, None], 1, "VALID")
    high = tf.floor(across / 256)
    halves = tf.concat([high, across - 256 * high], axis=0)
    halves = tf.nn.conv2d(halves, kernel[:, None, None, None], 1, "VALID")[..., 0]
    return tf.cast(tf.floor((256 * halves[0] + halves[1] + 2**15) / 2**16), tf.int32)


def find_otsu_threshold(image):
    """Otsu's threshold of an 8-bit image: int32 scalar.

    Args:
        image: (H, W) int32, 0 to 255.
    """
    counts = tf.math.bincount(tf.reshape(image, [-1]), minlength=256, maxlength=256)
    counts = tf.cast(counts, tf.float64)
    total = tf.cast(tf.size(image), tf.float64)
    below = tf.cumsum(counts) / total
    moment = tf.cumsum(counts * tf.range(256, dtype=tf.float64)) / total
    above = 1 - below
    spread = tf.square(moment[-1] * below - moment) / tf.maximum(below * above, 1e-30)
    usable = tf.minimum(below, above) >= FLOAT_EPSILON
    return tf.argmax(tf.where(usable, spread, tf.zeros_like(spread)), output_type=tf.int32)


def open_mask(mask, side):
    """Erode a mask with a square, then dilate it; beyond the frame counts as neither.

    Args:
        mask: (H, W) bool.
        side: int32 scalar, odd.

    Returns:
        (H, W) bool.
    """
    holes = _sum_windows(tf.cast(tf.logical_not(mask), tf.int32), side)
    return _sum_windows(tf.cast(tf.equal(holes, 0), tf.int32), side) > 0


def find_largest_piece(mask):
    """The largest 8-connected piece of a mask; of equal ones the first, as OpenCV scans.

    The pieces are joined from horizontal runs: label every run with its own number, take the
    least label over the runs it touches until nothing changes.

    Args:
        mask: (H, W) bool.

    Returns:
        (box, area): (4,) int32 top, left, height, width, and the piece's pixels, int32 (both 0
        where the mask is empty).
    """
    numbers, starts = number_runs(mask)
    ends = tf.logical_and(mask, tf.logical_not(tf.pad(mask, [[0, 0], [0, 1]])[:, 1:]))
    first, last = tf.where(starts, name="starts"), tf.where(ends, name="ends")
    labels = _join_runs(mask, numbers, starts, ends)
    count = tf.shape(labels)[0]
    row, left, right = (tf.cast(v, tf.int32) for v in (first[:, 0], first[:, 1], last[:, 1]))
    areas = tf.math.unsorted_segment_sum(right - left + 1, labels, count)
    # OpenCV numbers the pieces by blocks of 2x2 pixels.
    blocks = tf.cast((row // 2) * tf.shape(mask)[1] + left // 2, tf.int64)
    order = tf.math.unsorted_segment_min(blocks, labels, count)
    score = tf.where(areas > 0, tf.cast(areas, tf.int64) * 2**32 - order, -1)

    def measure():
        best = tf.argmax(score, output_type=tf.int32)
        own = tf.equal(labels, best)
        top, leftmost = (tf.reduce_min(tf.boolean_mask(v, own)) for v in (row, left))
        bottom, rightmost = (tf.reduce_max(tf.boolean_mask(v, own)) for v in (row, right))
        return tf.stack([top, leftmost, bottom - top + 1, rightmost - leftmost + 1]), areas[best]

    return tf.cond(count > 0, measure, lambda: (tf.zeros([4], tf.int32), tf.constant(0)))


def _join_runs(mask, numbers, starts, ends):
    """(R,) int32: for every run, in reading order, the least number of the runs of its piece."""
    upper, lower = mask[:-1], mask[1:]
    touching = [
        # Runs above each other: where they first overlap, one of them starts.
        (
            tf.logical_and(tf.logical_and(upper, lower), tf.logical_or(starts[:-1], starts[1:])),
            0,
            0,
        ),
        (tf.logical_and(ends[:-1, :-1], starts[1:, 1:]), 0, 1),  # by a corner, to the right
        (tf.logical_and(starts[:-1, 1:], ends[1:, :-1]), 1, 0),  # by a corner, to the left
    ]
    pairs = []
    for where, above, below in touching:
        width = tf.shape(where)[1]
        pairs.append(
            (
                tf.boolean_mask(numbers[:-1, above : above + width], where),
                tf.boolean_mask(numbers[1:, below : below + width], where),
            )
        )
    one, two = (tf.concat(side, axis=0) for side in zip(*pairs, strict=True))
    return join_parts(tf.reduce_sum(tf.cast(starts, tf.int32)), one, two)


def _fixed_point_kernel(sigma):
    """(n,) float64: OpenCV's 8-bit Gaussian kernel, rounding errors passed on; its sum is 256."""
    size = tf.cast(tf.round(sigma * 6 + 1), tf.int32)
    half = (size + 1 - size % 2) // 2
    positions = tf.cast(tf.range(half + 1) - half, tf.float64)
    values = tf.exp(-tf.square(positions) / (2 * tf.square(sigma)))
    values = values * (256 / (2 * tf.reduce_sum(values) - values[-1]))

    def spread_error(state, value):
        wanted = value + state[0]
        return tf.stack([wanted - tf.round(wanted), tf.round(wanted)])

    side = tf.scan(spread_error, values[:-1], tf.zeros([2], tf.float64))[:, 1]
    return tf.concat([side, [256 - 2 * tf.reduce_sum(side)], side[::-1]], axis=0)


def _mirror_indices(size, radius):
    """Positions -radius to size + radius - 1, mirrored into 0..size-1, edges not repeated."""
    period = 2 * size - 2
    positions = tf.math.floormod(tf.range(-radius, size + radius), period)
    return tf.minimum(positions, period - positions)


def _sum_windows(values, side):
    """Sum over a square window around every pixel; 0 beyond the frame."""
    pads = [side // 2 + 1, side // 2]
    sums = tf.cumsum(tf.pad(values, [pads, [0, 0]]), axis=0)
    sums = tf.cumsum(tf.pad(sums[side:] - sums[:-side], [[0, 0], pads]), axis=1)
    return sums[:, side:] - sums[:, :-side]
