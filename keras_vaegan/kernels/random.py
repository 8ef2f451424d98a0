"""Random numbers that follow from a seed alone: the same bits on all hardware and backends.

The backends' own generators give other numbers of the same seed under XLA or elsewhere, so that a
run on a TPU would augment otherwise than the same run on a CPU. Threefry in plain integer
operations does not.
"""

from __future__ import annotations

import math

import numpy as np
from keras import ops

from keras_vaegan.kernels import call_shared

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
    bits = ops.right_shift(_draw_bits(shape, seed), _word(8))
    return ops.cast(bits, "float32") * 2.0**-24


def draw_standard_normal(shape, seed):
    """Standard normal numbers, up to 5.3 either way; the rest as `draw_uniform`."""
    bits = ops.right_shift(_draw_bits(shape, seed), _word(9))
    uniform = (ops.cast(bits, "float32") + 0.5) * 2.0**-23
    return math.sqrt(2.0) * ops.erfinv(2.0 * uniform - 1.0)


def threefry(key: tuple, counter: tuple) -> tuple:
    """Threefry-2x32 of 20 rounds: the random bits of a key at a counter.

    Args:
        key: Two uint32 tensors.
        counter: Two uint32 tensors of one shape.

    Returns:
        Two uint32 tensors of that shape.

    Reference: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
    """
    xor = ops.bitwise_xor
    keys = (*key, xor(xor(*key), _word(PARITY)))
    first, second = counter[0] + keys[0], counter[1] + keys[1]
    for group in range(5):
        for turn in ROTATIONS[group % 2]:
            first = first + second
            turned = ops.bitwise_or(
                ops.left_shift(second, _word(turn)), ops.right_shift(second, _word(32 - turn))
            )
            second = xor(turned, first)
        first = first + keys[(group + 1) % 3]
        second = second + keys[(group + 2) % 3] + _word(group + 1)
    return first, second


def _word(value: int):
    """A uint32 constant."""
    return ops.convert_to_tensor(np.uint32(value))


def _draw_bits(shape, seed):
    """uint32 tensor of a shape: the stream of a seed, in order."""
    count = math.prod(shape)
    place = ops.cast(ops.arange((count + 1) // 2, dtype="int32"), "uint32")
    seed = ops.cast(seed, "uint32")
    bits = call_shared(threefry, (seed[0], seed[1]), (place, ops.zeros_like(place)))
    return ops.reshape(ops.reshape(ops.stack(bits, axis=-1), (-1,))[:count], shape)
