"""Axial slices of volumes stored in any order: seen the same, and put back as they were."""

import nibabel
import numpy as np
import pytest

from keras_vaegan.data.planes import cut_axial, cut_middle
from keras_vaegan.data.volume import Volume

VALUES = np.random.default_rng(0).normal(size=(5, 6, 7))  # right, front, up
SPACING = (0.5, 0.75, 3.0)
PICTURES = VALUES[::-1, ::-1].transpose(2, 1, 0)  # the patient's right on the left, the nose up


def test_every_order_of_axes_gives_the_same_pictures(volumes):
    assert len(set(volumes.ORIENTATIONS)) == 48
    for order, signs in volumes.ORIENTATIONS:
        volume = volumes.store(VALUES, order, signs, SPACING)
        slices = cut_axial(volume)
        np.testing.assert_array_equal(slices.pictures, PICTURES)
        assert np.shares_memory(slices.pictures, VALUES)
        assert slices.spacing == (0.75, 0.5) and slices.thickness == 3
        np.testing.assert_array_equal(slices.restore(slices.pictures), volume.values)


def test_finer_pictures_go_back_to_the_same_order(volumes):
    for order, signs in volumes.ORIENTATIONS:
        slices = cut_axial(volumes.store(VALUES, order, signs))
        fine = volumes.store(VALUES.repeat(2, 0).repeat(2, 1), order, signs)
        restored = slices.restore(slices.pictures.repeat(2, 1).repeat(2, 2))
        np.testing.assert_array_equal(restored, fine.values)


@pytest.mark.parametrize("degrees", [-40, 10, 40])
def test_an_oblique_grid_gives_its_nearest_slices(volumes, degrees):
    turn = np.eye(4)
    turn[:3, :3] = nibabel.eulerangles.euler2mat(*np.radians([degrees / 2, 5, degrees]))
    for order, signs in volumes.FEW:
        volume = volumes.store(VALUES, order, signs, SPACING)
        slices = cut_axial(Volume(volume.values, turn @ volume.affine))
        np.testing.assert_array_equal(slices.pictures, PICTURES)
        np.testing.assert_allclose((*slices.spacing, slices.thickness), (0.75, 0.5, 3))
        np.testing.assert_array_equal(slices.restore(PICTURES), volume.values)


def test_the_three_middle_slices_stand_upright(volumes):
    expected = [
        (VALUES[:, :, 3].T, 0.75 / 0.5), (VALUES[:, 3].T, 3 / 0.5), (VALUES[2].T, 3 / 0.75),
    ]  # fmt: skip
    for order, signs in volumes.ORIENTATIONS:
        cut = cut_middle(volumes.store(VALUES, order, signs, SPACING))
        for (picture, aspect), (upside_down, ratio) in zip(cut, expected, strict=True):
            np.testing.assert_array_equal(picture, upside_down[::-1, ::-1])
            assert aspect == pytest.approx(ratio)
