"""Windows over slices and the layout of a network's input."""

import dataclasses

import numpy as np
import pytest
from keras import ops

from keras_vaegan.config.networks import MODALITIES, ModalityUNetConfig
from keras_vaegan.systems.modality.slices import (
    SliceWindows,
    cut_window,
    encode_inputs,
    list_inputs,
    list_targets,
    make_blending_weights,
    plan_windows,
)

FIXED = ModalityUNetConfig(image_size=16, filters=(4,))


def fill_box(box, shape=(40, 44, 3)):
    """A brain that fills (rows, columns) of the middle slice."""
    brain = np.zeros(shape, bool)
    brain[(*(slice(*part) for part in box), 1)] = True
    return brain


@pytest.mark.parametrize("box", [((3, 9), (2, 14)), ((0, 40), (5, 21)), ((7, 24), (0, 16))])
def test_windows_cover_the_box(box):
    size, brain = 16, fill_box(box)
    windows = SliceWindows(brain, size)
    covered = np.zeros(brain.size, int)
    np.add.at(covered, np.asarray(windows.places)[np.asarray(windows.inside)], 1)
    assert covered.reshape(brain.shape)[brain].min() >= 1
    assert not covered.reshape(brain.shape)[..., [0, 2]].any()


def test_a_small_box_lies_in_the_middle_of_one_window():
    planned = np.asarray(plan_windows(fill_box([(10, 20), (0, 4)]), 16))
    np.testing.assert_array_equal(planned, [[1, 7, -6]])
    planned = np.asarray(plan_windows(fill_box([(0, 17), (0, 33)]), 16))
    np.testing.assert_array_equal(planned[:, 1:], [(r, c) for r in (0, 1) for c in (0, 8, 17)])


def test_halves_are_rounded_from_the_box_on():
    planned = np.asarray(plan_windows(fill_box([(0, 10), (1, 34)]), 16))
    np.testing.assert_array_equal(planned[:, 1:], [(-3, 1), (-3, 9), (-3, 18)])


def test_a_slice_takes_one_window_where_its_brain_fits():
    brain = np.zeros((30, 12, 4), bool)
    brain[:, :, 0] = True
    brain[8:20, :, 2] = True
    planned = np.asarray(plan_windows(brain, 16))
    np.testing.assert_array_equal(planned, [[0, 0, -2], [0, 14, -2], [2, 7, -2]])


def test_windows_pad_and_come_back():
    rng = np.random.default_rng(0)
    brain = np.zeros((40, 9, 5), bool)
    brain[2:38, 1:8, 1:4] = rng.random((36, 7, 3)) < 0.9
    volume = rng.normal(size=brain.shape).astype("float32")
    windows = SliceWindows(brain, 16)
    cut = np.asarray(windows.cut(volume))
    for window, (level, row, column) in zip(cut, plan_windows(brain, 16), strict=True):
        expected = cut_window(volume[..., level], (int(row), int(column)), 16)
        np.testing.assert_array_equal(window, expected)
    back = np.asarray(windows.blend(cut))
    np.testing.assert_allclose(back[brain], volume[brain], rtol=1e-5)


def test_a_window_may_leave_a_picture_altogether():
    picture = np.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(
        cut_window(picture, (-1, 1), 3), [[0, 0, 0], [1, 2, 0], [4, 5, 0]]
    )
    assert not cut_window(picture, (-30, 0), 3).any() and not cut_window(picture, (0, 9), 3).any()


def test_blending_is_smallest_at_the_edge_and_never_zero():
    weights = make_blending_weights(8)
    assert weights.min() > 0 and weights.max() == 1
    np.testing.assert_array_equal(weights, weights.T)
    assert (np.diff(weights[3, :4]) > 0).all()


def test_fixed_targets_see_the_three_others():
    images = np.random.default_rng(0).uniform(size=(2, 16, 16, 4)).astype("float32")
    for index, target in enumerate(MODALITIES):
        config = dataclasses.replace(FIXED, target=target)
        assert list_targets(config) == (target,)
        assert list_inputs(target) == tuple(m for m in MODALITIES if m != target)
        encoded = encode_inputs(images, target, config)
        kept = [channel for channel in range(4) if channel != index]
        np.testing.assert_array_equal(encoded, images[..., kept])
        tensor = encode_inputs(ops.convert_to_tensor(images), target, config)
        np.testing.assert_array_equal(tensor, encoded)


def test_any_target_is_masked_and_coded():
    config = dataclasses.replace(FIXED, target="any")
    images = np.ones((1, 16, 16, 4), "float32")
    assert list_targets(config) == MODALITIES
    for index, target in enumerate(MODALITIES):
        encoded = encode_inputs(images, target, config)
        assert encoded.shape[-1] == config.channels == 8
        expected = [float(i != index) for i in range(4)] + [float(i == index) for i in range(4)]
        np.testing.assert_array_equal(encoded[0, 3, 5], expected)
