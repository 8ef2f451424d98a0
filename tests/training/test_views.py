"""What a discriminator sees of an image: shifted, mirrored, cut, and nothing else."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vaegan.training.views import DRAWS, draw_view

SIDE = 32
IMAGES = np.random.default_rng(0).uniform(-0.9, 1, (3, SIDE, SIDE, 2)).astype("float32")


def make_draws(**changes):
    """Draws that change nothing (probability 0.5), but for those named."""
    names = ("shift", "mirror", "cut", "down", "right", "row", "column")
    draws = dict.fromkeys(names, 0.0) | {"shift": 0.9, "mirror": 0.9, "cut": 0.9} | changes
    assert len(draws) == DRAWS
    return np.array([[draws[name]] * 3 for name in names], "float32")


def view(**changes):
    return np.array(draw_view(IMAGES, 0.5, make_draws(**changes), -1.0))


def test_unlikely_draws_change_nothing():
    np.testing.assert_allclose(view(), IMAGES, atol=1e-6)


def test_mirroring_is_left_and_right():
    np.testing.assert_allclose(view(mirror=0.1), IMAGES[:, :, ::-1], atol=1e-6)


@pytest.mark.parametrize(("draw", "shift"), [(0.0, -4), (0.5, 0), (0.999, 4)])
def test_shifts_are_whole_pixels_and_black_beyond(draw, shift):
    moved = view(shift=0.1, down=draw, right=0.5)
    expected = np.full_like(IMAGES, -1)
    low, high = max(0, -shift), SIDE - max(0, shift)
    expected[:, low:high] = IMAGES[:, low + shift : high + shift]
    np.testing.assert_allclose(moved, expected, atol=1e-6)


def test_the_hole_is_half_the_side_and_black():
    cut = view(cut=0.1, row=0.5, column=0.5)
    hole = np.zeros((SIDE, SIDE), bool)
    hole[9:24, 9:24] = True
    np.testing.assert_allclose(cut[:, hole], -1, atol=1e-6)
    np.testing.assert_allclose(cut[:, ~hole], IMAGES[:, ~hole], atol=1e-6)


def test_gradients_pass_to_the_pixels_that_are_seen():
    images = tf.Variable(IMAGES)
    with tf.GradientTape() as tape:
        seen = tf.reduce_sum(draw_view(images, 0.5, make_draws(cut=0.1, mirror=0.1), -1.0))
    gradient = tape.gradient(seen, images).numpy()
    assert set(np.unique(gradient.round(5))) == {0.0, 1.0}
    assert not gradient[:, :8, -8:].any()  # the corner's hole, mirrored back
