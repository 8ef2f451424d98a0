"""Augmentation: closed forms for its parts, determinism, range."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from keras_vaegan.config.data import AugmentationConfig
from keras_vaegan.data.augment import _choose_warps, augment
from keras_vaegan.training.random import draw_uniform

OFF = AugmentationConfig(
    flip=0, rotation_degrees=0, zoom=0, translation=0, intensity=0, warp_probability=1
)
SEED = tf.constant([3, 5])


def make_images(count=8, size=33):
    grid = np.linspace(-1, 1, size)
    blob = np.exp(-4 * ((grid[:, None] - 0.2) ** 2 + (grid[None] + 0.3) ** 2))
    return np.repeat((2 * blob - 1)[None, ..., None], count, 0).astype("float32")


def run(config, images=None, seed=SEED):
    images = make_images() if images is None else images
    return augment(tf.constant(images), config, seed, (-1.0, 1.0)).numpy()


def test_everything_off_is_the_identity():
    np.testing.assert_allclose(run(OFF), make_images(), atol=1e-5)


def test_a_sure_flip_mirrors_left_and_right():
    np.testing.assert_allclose(
        run(dataclasses.replace(OFF, flip=1.0)), make_images()[:, :, ::-1], atol=1e-4
    )


@pytest.mark.parametrize("part", ["rotation_degrees", "zoom", "translation", "intensity"])
def test_each_part_changes_the_image_a_little(part):
    changed = run(dataclasses.replace(OFF, **{part: 10.0 if "degrees" in part else 0.1}))
    difference = np.abs(changed - make_images()).mean(axis=(1, 2, 3))
    assert (difference > 1e-3).sum() >= 6 and difference.max() < 0.3


def test_rotation_moves_the_blob_by_the_drawn_angle():
    """The blob's centre keeps its distance from the image's centre."""
    changed = run(dataclasses.replace(OFF, rotation_degrees=15.0))
    axis = np.linspace(-1, 1, changed.shape[1])

    def radius(image):
        mass = image[..., 0] + 1
        return np.hypot((mass.sum(1) @ axis) / mass.sum(), (mass.sum(0) @ axis) / mass.sum())

    before = radius(make_images(1)[0])
    assert [radius(image) for image in changed] == pytest.approx([before] * 8, abs=0.01)


def test_same_seed_same_copy_other_seed_other_copy():
    config = AugmentationConfig()
    np.testing.assert_array_equal(run(config), run(config))
    assert np.abs(run(config) - run(config, seed=SEED + 1)).max() > 0.05


def test_range_is_kept_and_uncovered_pixels_are_black():
    config = AugmentationConfig(
        rotation_degrees=30, zoom=0.3, translation=0.3, intensity=0.3, warp_probability=1
    )
    changed = run(config, np.ones((8, 33, 33, 1), "float32"))
    assert changed.min() == pytest.approx(-1, abs=1e-4) and changed.max() <= 1


def test_separate_warps_draw_for_each_part():
    """With probability 1/2 each: of 400 images a quarter has both, a quarter neither."""
    config = dataclasses.replace(
        OFF, rotation_degrees=15, zoom=0.1, warp_probability=0.5, separate_warps=True
    )
    draws = tf.unstack(2 * draw_uniform((2, 400), SEED) - 1)
    turned, zoomed = _choose_warps(config, *draws)
    shares = [float(tf.reduce_mean(x)) for x in (turned, zoomed, turned * zoomed)]
    assert shares == pytest.approx([0.5, 0.5, 0.25], abs=0.06)
    together = dataclasses.replace(config, separate_warps=False)
    turned, zoomed = _choose_warps(together, *draws)
    np.testing.assert_array_equal(turned, zoomed)


def test_the_published_changes_of_system_c_stay_in_their_limits():
    """Some images keep as they were; a turn and a zoom keep the blob's distance within 10 %."""
    config = dataclasses.replace(
        OFF, flip=0.5, rotation_degrees=15, zoom=0.1, warp_probability=0.5, separate_warps=True
    )
    images = make_images(200)
    changed = run(config, images)
    moved = np.abs(changed - images).max(axis=(1, 2, 3)) > 1e-3
    assert 0.06 < 1 - moved.mean() < 0.2  # an eighth: no flip, no turn, no zoom
    axis = np.linspace(-1, 1, changed.shape[1])
    mass = changed[..., 0] + 1
    total = mass.sum(axis=(1, 2))
    radius = np.hypot((mass.sum(2) @ axis) / total, (mass.sum(1) @ axis) / total)
    still = radius[~moved].mean()
    assert radius.min() > 0.85 * still and radius.max() < 1.15 * still
