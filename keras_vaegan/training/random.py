"""Random numbers that follow from a seed alone, on all hardware and under XLA.

`tf.random.stateless_*` gives other numbers of the same seed under XLA, so that a run on a TPU would
augment otherwise than the same run on a CPU. Threefry in plain integer operations does not.
"""

from __future__ import annotations

import math

import tensorflow as tf

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA


def draw_uniform(shape, seed):
    """Numbers in [0, 1).

    Args:
        shape: Of the result: integers, or scalar tensors among them.
        seed: (2,) integer tensor; every pair of values from 0 to 2**32 - 1 is a stream of its own.

    Returns:
        float32 tensor.
    """
    bits = tf.bitwise.right_shift(_draw_bits(shape, seed), tf.constant(8, tf.uint32))
    return tf.cast(bits, tf.float32) * 2.0**-24


def draw_standard_normal(shape, seed):
    """Standard normal numbers, up to 5.3 either way; the rest as `draw_uniform`."""
    bits = tf.bitwise.right_shift(_draw_bits(shape, seed), tf.constant(9, tf.uint32))
    uniform = (tf.cast(bits, tf.float32) + 0.5) * 2.0**-23
    return math.sqrt(2.0) * tf.math.erfinv(2.0 * uniform - 1.0)


def threefry(key: tuple, counter: tuple) -> tuple:
    """Threefry-2x32 of 20 rounds: the random bits of a key at a counter.

    Args:
        key: Two uint32 tensors.
        counter: Two uint32 tensors of one shape.

    Returns:
        Two uint32 tensors of that shape.

    Reference: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
    """
    xor, left, right = tf.bitwise.bitwise_xor, tf.bitwise.left_shift, tf.bitwise.right_shift
    keys = (*key, xor(xor(*key), tf.constant(PARITY, tf.uint32)))
    first, second = counter[0] + keys[0], counter[1] + keys[1]
    for group in range(5):
        for turn in ROTATIONS[group % 2]:
            first += second
            up, down = tf.constant(turn, tf.uint32), tf.constant(32 - turn, tf.uint32)
            second = xor(tf.bitwise.bitwise_or(left(second, up), right(second, down)), first)
        first += keys[(group + 1) % 3]
        second += keys[(group + 2) % 3] + tf.constant(group + 1, tf.uint32)
    return first, second


def _draw_bits(shape, seed):
    """uint32 tensor of a shape: the stream of a seed, in order."""
    count = tf.reduce_prod(tf.convert_to_tensor(shape))
    place = tf.cast(tf.range((count + 1) // 2), tf.uint32)
    bits = threefry(tf.unstack(tf.cast(seed, tf.uint32)), (place, tf.zeros_like(place)))
    return tf.reshape(tf.reshape(tf.stack(bits, axis=-1), (-1,))[:count], shape)
