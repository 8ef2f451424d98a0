"""Seeded random numbers: the published algorithm, the distributions, equal under XLA."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vaegan.kernels.random import draw_standard_normal, draw_uniform, threefry

ONES = 2**32 - 1


@pytest.mark.parametrize(
    ("word", "expected"),
    [(0, (0x6B200159, 0x99BA4EFE)), (ONES, (0x1CB996FC, 0xBB002BE7))],
)
def test_threefry_gives_the_published_answers(word, expected):
    """Known answers of Random123, threefry2x32 of 20 rounds."""
    word = tf.constant([word], tf.uint32)
    assert tuple(int(bits[0]) for bits in threefry((word, word), (word, word))) == expected


@pytest.mark.parametrize("draw", [draw_uniform, draw_standard_normal])
@pytest.mark.parametrize("shape", [(3,), (2, 5, 1), (4, 33, 33, 3)])
def test_xla_draws_the_same(draw, shape):
    seed = tf.constant([7, 123_456])
    plain = draw(shape, seed)
    compiled = tf.function(lambda value: draw(shape, value), jit_compile=True)(seed)
    assert plain.shape == shape and plain.dtype == tf.float32
    np.testing.assert_allclose(plain, compiled, atol=1e-4)


def test_the_numbers_have_their_distribution():
    uniform = draw_uniform((100_001,), [1, 2]).numpy()
    assert 0 <= uniform.min() < 1e-3 and 0.999 < uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 0.005 and abs(uniform.var() * 12 - 1) < 0.01
    normal = draw_standard_normal((100_001,), [1, 2]).numpy()
    assert abs(normal.mean()) < 0.01 and abs(normal.var() - 1) < 0.02
    assert abs((normal**4).mean() - 3) < 0.15


def test_every_seed_is_a_stream_of_its_own():
    streams = [draw_standard_normal((4001,), seed).numpy() for seed in ([0, 5], [0, 6], [1, 5])]
    for first in range(3):
        for second in range(first):
            assert abs(np.corrcoef(streams[first], streams[second])[0, 1]) < 0.05
    assert np.array_equal(streams[0], draw_standard_normal((4001,), [0, 5]))
    longer = draw_standard_normal((5000,), [0, 5]).numpy()
    assert np.array_equal(longer[:4001], streams[0])
