"""Grids in space: reorientation there and back, and distances between grids."""

import itertools

import nibabel
import numpy as np
import pytest

from keras_vaegan.data.volume import Volume, from_canonical, measure_grid_distance, to_canonical

AXES = ["RAS", "LPS", "LAS", "RPI", "PIR", "SLA", "ASL", "IPL"]


def make_affine(axes: str) -> np.ndarray:
    """An affine whose voxel axes point where the letters say, 1x2x3 mm, off the origin."""
    directions = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, letter in enumerate(axes):
        row, sign = directions[letter]
        affine[row, axis] = sign * (axis + 1)
    affine[:3, 3] = (5, -7, 11)
    return affine


@pytest.mark.parametrize("axes", AXES)
def test_reorientation_keeps_every_voxel_in_its_place(axes):
    values = np.random.default_rng(0).normal(size=(3, 4, 5))
    volume = Volume(values, make_affine(axes))
    assert "".join(nibabel.aff2axcodes(volume.affine)) == axes
    canonical = to_canonical(volume)
    assert "".join(nibabel.aff2axcodes(canonical.affine)) == "RAS"
    np.testing.assert_array_equal(from_canonical(canonical.values, volume.affine), values)
    places = {}
    for voxel in itertools.product(*map(range, canonical.values.shape)):
        places[tuple(np.round(canonical.affine @ (*voxel, 1), 6))] = canonical.values[voxel]
    for voxel in itertools.product(*map(range, values.shape)):
        assert places[tuple(np.round(volume.affine @ (*voxel, 1), 6))] == values[voxel]


def test_an_oblique_grid_takes_the_closest_axes():
    angle = np.radians(20)
    affine = make_affine("LPS")
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    volume = Volume(np.arange(60).reshape(3, 4, 5), turn @ affine)
    back = from_canonical(to_canonical(volume).values, volume.affine)
    np.testing.assert_array_equal(back, volume.values)


def test_grid_distance_is_the_farthest_corners():
    values = np.zeros((11, 21, 31))
    first = Volume(values, np.eye(4))
    moved = np.eye(4)
    moved[:3, 3] = (3, 4, 0)
    assert measure_grid_distance(first, Volume(values, moved)) == pytest.approx(5)
    assert measure_grid_distance(first, Volume(values, np.diag([1, 1, 1.1, 1]))) == pytest.approx(3)
