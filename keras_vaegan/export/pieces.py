"""Connected pieces inside a TensorFlow graph: join numbered parts by the pairs that touch."""

from __future__ import annotations

import tensorflow as tf


def join_parts(count, one, two):
    """Give all parts of a connected piece the least of their numbers.

    Each round takes the least label over every touching pair, for the two parts and for the parts
    that their labels name, and then follows labels one step; a chain of n parts takes in the
    order of log n rounds.

    Args:
        count: int32 scalar, number of parts.
        one, two: (E,) int32, numbers from 0 to count - 1 of parts that touch.

    Returns:
        (count,) int32 labels.
    """

    def lower_labels(labels, _):
        a, b = tf.gather(labels, one), tf.gather(labels, two)
        targets = tf.concat([one, two, a, b], axis=0)[:, None]
        new = tf.tensor_scatter_nd_min(labels, targets, tf.tile(tf.minimum(a, b), [4]))
        new = tf.gather(new, new)
        return new, tf.reduce_any(tf.not_equal(new, labels))

    return tf.while_loop(
        lambda labels, changed: changed, lower_labels, (tf.range(count), tf.constant(True))
    )[0]


def number_runs(mask):
    """Number the runs of true values along a mask's last axis, in reading order.

    Args:
        mask: (..., W) bool.

    Returns:
        (numbers, starts): int32 of the mask's shape, meaningful where the mask is true, and bool,
        true where a run begins.
    """
    ahead = tf.concat([tf.zeros_like(mask[..., :1]), mask[..., :-1]], axis=-1)
    starts = tf.logical_and(mask, tf.logical_not(ahead))
    numbers = tf.cumsum(tf.cast(tf.reshape(starts, [-1]), tf.int32)) - 1
    return tf.reshape(numbers, tf.shape(mask)), starts


def fill_holes(mask):
    """Add to a mask what no path along the axes connects to the frame's outside.

    Args:
        mask: (X, Y, Z) bool.

    Returns:
        (X, Y, Z) bool.
    """
    free = tf.pad(tf.logical_not(mask), [[1, 1]] * 3, constant_values=True)
    numbers, starts = number_runs(free)
    ones, twos = [], []
    for near, far in (
        ((slice(None, -1), slice(None)), (slice(1, None), slice(None))),
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
    ):
        # Two runs side by side: where they first overlap, one of them starts.
        both = tf.logical_and(free[near], free[far])
        touching = tf.logical_and(both, tf.logical_or(starts[near], starts[far]))
        ones.append(tf.boolean_mask(numbers[near], touching))
        twos.append(tf.boolean_mask(numbers[far], touching))
    count = tf.reduce_sum(tf.cast(starts, tf.int32))
    labels = join_parts(count, tf.concat(ones, axis=0), tf.concat(twos, axis=0))
    # The padding's first run is number 0, and so is the label of all that it touches.
    labels = tf.gather(labels, numbers)
    outside = tf.logical_and(free, tf.equal(labels, 0))
    return tf.logical_not(outside)[1:-1, 1:-1, 1:-1]
