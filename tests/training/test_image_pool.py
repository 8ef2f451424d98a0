"""The pool of past translations."""

import numpy as np
import tensorflow as tf

from keras_vaegan.training.image_pool import ImagePool


def numbered(start, count=2):
    return tf.reshape(tf.range(start, start + count, dtype=tf.float32), (count, 1, 1, 1))


def seed(number):
    return tf.constant([7, number])


def test_a_filling_pool_returns_its_input():
    pool = ImagePool(6, (1, 1, 1))
    for start in (0, 2, 4):
        np.testing.assert_array_equal(pool.query(numbered(start), seed(start)), numbered(start))
    np.testing.assert_array_equal(np.array(pool.images).ravel(), np.arange(6))
    assert int(pool.count.numpy()) == 6


def test_a_full_pool_exchanges_half_and_loses_nothing():
    pool = ImagePool(8, (1, 1, 1))
    for start in range(0, 8, 2):
        pool.query(numbered(start), seed(start))
    past = 0
    for step in range(100):
        given = numbered(100 + 2 * step)
        before = set(np.array(pool.images).ravel())
        answer = set(np.array(pool.query(given, seed(1000 + 4 * step))).ravel())
        after = set(np.array(pool.images).ravel())
        assert answer | after == before | set(np.array(given).ravel())
        assert len(answer) == 2 and len(after) == 8
        past += len(answer & before)
    assert 70 < past < 130  # 200 draws at probability 1/2


def test_capacity_zero_is_no_pool():
    pool = ImagePool(0, (1, 1, 1))
    np.testing.assert_array_equal(pool.query(numbered(3), seed(0)), numbered(3))
    assert not pool.variables


def test_the_same_seed_gives_the_same_exchange():
    answers = []
    for _ in range(2):
        pool = ImagePool(4, (1, 1, 1))
        for step in range(10):
            answer = pool.query(numbered(10 * step), seed(step))
        answers.append(np.array(answer))
    np.testing.assert_array_equal(*answers)
