"""Augmentation: closed forms for its parts, determinism, range."""

import dataclasses

import numpy as np
import pytest

from keras_vaegan.config.data import AugmentationConfig
from keras_vaegan.data.augment import DRAWS, augment

OFF = AugmentationConfig(flip=0, rotation_degrees=0, zoom=0, translation=0, intensity=0)
SYSTEM_C = dataclasses.replace(OFF, flip=0.5, rotation_degrees=15, zoom=0.1, separate_warps=True)
FLIP, WARP, ANGLE, ZOOM, RIGHT, DOWN, GAIN, GAMMA, SECOND_WARP = range(DRAWS)


def make_images(count=8, size=33):
    grid = np.linspace(-1, 1, size)
    blob = np.exp(-4 * ((grid[:, None] - 0.2) ** 2 + (grid[None] + 0.3) ** 2))
    return np.repeat((2 * blob - 1)[None, ..., None], count, 0).astype("float32")


def make_draws(count=8, seed=0, **rows):
    """Random draws that warp every image; a row by name may hold one value."""
    draws = np.random.default_rng(seed).uniform(0, 1, (DRAWS, count)).astype("float32")
    draws[[WARP, SECOND_WARP]] = 0.0
    for name, value in rows.items():
        draws[globals()[name]] = value
    return draws


def run(config, images=None, **rows):
    images = make_images() if images is None else images
    return np.array(augment(images, config, make_draws(len(images), **rows), (-1.0, 1.0)))


def find_radii(images):
    """Distances of the blob's centre from the image's centre."""
    axis = np.linspace(-1, 1, images.shape[1])
    mass = images[..., 0] + 1
    total = mass.sum(axis=(1, 2))
    return np.hypot((mass.sum(2) @ axis) / total, (mass.sum(1) @ axis) / total)


def test_everything_off_is_the_identity():
    np.testing.assert_allclose(run(OFF), make_images(), atol=1e-5)


def test_a_sure_flip_mirrors_left_and_right():
    flipped = run(dataclasses.replace(OFF, flip=1.0))
    np.testing.assert_allclose(flipped, make_images()[:, :, ::-1], atol=1e-4)


def test_a_shift_is_of_whole_pixels():
    """A quarter of 32 pixels to the left and an eighth up, by the largest draws."""
    images = np.random.default_rng(1).uniform(-1, 1, (2, 32, 32, 1)).astype("float32")
    shifted = run(dataclasses.replace(OFF, translation=0.25), images, RIGHT=0.99999, DOWN=0.75)
    np.testing.assert_allclose(shifted[:, :28, :24], images[:, 4:, 8:], atol=1e-5)
    np.testing.assert_allclose(shifted[:, :, 24:], -1, atol=1e-5)


def test_a_quarter_turn_is_exact():
    images = np.random.default_rng(1).uniform(-1, 1, (2, 9, 9, 1)).astype("float32")
    turned = run(dataclasses.replace(OFF, rotation_degrees=90.0), images, ANGLE=0.0)
    np.testing.assert_allclose(turned, np.rot90(images, -1, axes=(1, 2)), atol=1e-3)


def test_gain_and_gamma_are_a_power_of_the_unit_image():
    changed = run(dataclasses.replace(OFF, intensity=0.2), GAIN=0.0, GAMMA=0.75)
    unit = np.clip((make_images() + 1) / 2 * 0.8, 1e-6, 1) ** 1.1
    np.testing.assert_allclose(changed, 2 * unit - 1, atol=1e-5)


@pytest.mark.parametrize("part", ["rotation_degrees", "zoom", "translation", "intensity"])
def test_each_part_changes_the_image_a_little(part):
    changed = run(dataclasses.replace(OFF, **{part: 10.0 if "degrees" in part else 0.1}))
    difference = np.abs(changed - make_images()).mean(axis=(1, 2, 3))
    assert (difference > 1e-3).sum() >= 6 and difference.max() < 0.3


def test_a_turn_keeps_the_distance_from_the_centre():
    changed = run(dataclasses.replace(OFF, rotation_degrees=15.0))
    np.testing.assert_allclose(find_radii(changed), find_radii(make_images()), atol=0.01)


def test_a_zoom_scales_the_distance_from_the_centre():
    spot = np.full((1, 65, 65, 1), -1, "float32")
    spot[:, 40:45, 18:23] = 1.0
    changed = run(dataclasses.replace(OFF, zoom=0.1), spot, ZOOM=0.99999)
    assert find_radii(changed)[0] / find_radii(spot)[0] == pytest.approx(1.1, abs=0.01)


def test_equal_draws_equal_variants():
    config = AugmentationConfig()
    np.testing.assert_array_equal(run(config), run(config))
    assert np.abs(run(config) - run(config, seed=1)).max() > 0.05


def test_range_is_kept_and_uncovered_pixels_are_black():
    config = AugmentationConfig(rotation_degrees=30, zoom=0.3, translation=0.3, intensity=0.3)
    changed = run(config, np.ones((8, 33, 33, 1), "float32"))
    assert changed.min() == pytest.approx(-1, abs=1e-4) and changed.max() <= 1


def test_separate_warps_draw_for_each_part():
    """Turn where the first draw says so, zoom where the second does; together by the first."""
    rows = {"WARP": [0.4, 0.4, 0.6, 0.6] * 2, "SECOND_WARP": [0.4, 0.6, 0.4, 0.6] * 2}
    rows |= {"ANGLE": 0.0, "ZOOM": 0.0}
    for part, moved in (("rotation_degrees", [1, 1, 0, 0]), ("zoom", [1, 0, 1, 0])):
        config = dataclasses.replace(
            SYSTEM_C, **{"flip": 0.0, "rotation_degrees": 0.0, "zoom": 0.0, part: 0.2}
        )
        for separate, expected in ((True, moved), (False, [1, 1, 0, 0])):
            changed = run(dataclasses.replace(config, separate_warps=separate), **rows)
            difference = np.abs(changed - make_images()).max(axis=(1, 2, 3))
            np.testing.assert_array_equal(difference > 1e-4, np.array(expected * 2) > 0)


def test_the_published_changes_of_system_c_stay_in_their_limits():
    """Some images keep as they were; a turn and a zoom keep the blob's distance within 10 %."""
    images = make_images(200)
    draws = np.random.default_rng(0).uniform(0, 1, (DRAWS, 200)).astype("float32")
    changed = np.array(augment(images, SYSTEM_C, draws, (-1.0, 1.0)))
    moved = np.abs(changed - images).max(axis=(1, 2, 3)) > 1e-3
    assert 0.06 < 1 - moved.mean() < 0.2  # an eighth: no flip, no turn, no zoom
    radii = find_radii(changed)
    still = radii[~moved].mean()
    assert radii.min() > 0.85 * still and radii.max() < 1.15 * still
