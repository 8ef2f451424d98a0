"""Windows over slices and the layout of a network's input."""

import dataclasses

import numpy as np
import pytest

from keras_vaegan.config.networks import MODALITIES, ModalityUNetConfig
from keras_vaegan.systems.modality.slices import (
    add_window,
    choose_windows,
    cut_window,
    encode_inputs,
    list_inputs,
    list_targets,
    make_blending_weights,
    plan_windows,
)

FIXED = ModalityUNetConfig(image_size=16, filters=(4,))


@pytest.mark.parametrize("box", [((3, 9), (2, 14)), ((0, 40), (5, 21)), ((7, 24), (0, 16))])
def test_windows_cover_the_box(box):
    size = 16
    picture = np.zeros((40, 40))
    for start in plan_windows(box, size):
        add_window(picture, np.ones((size, size)), start)
    (top, bottom), (left, right) = box
    assert picture[top:bottom, left:right].min() >= 1


def test_a_small_box_lies_in_the_middle_of_one_window():
    assert plan_windows([(10, 20), (0, 4)], 16) == [(7, -6)]
    assert len(plan_windows([(0, 17), (0, 33)], 16)) == 2 * 3


def test_a_slice_takes_one_window_where_its_brain_fits():
    mask = np.zeros((30, 12), bool)
    box = [(0, 30), (0, 12)]
    assert choose_windows(mask, box, 16) == []
    mask[8:20] = True
    assert choose_windows(mask, box, 16) == [(7, -2)]
    mask[2] = True
    assert choose_windows(mask, box, 16) == plan_windows(box, 16)


def test_windows_pad_and_come_back():
    picture = np.random.default_rng(0).normal(size=(10, 12, 2))
    for start in ((-3, -4), (2, 3), (5, -2), (-30, 0)):
        window = cut_window(picture, start, 9)
        back = np.zeros_like(picture)
        add_window(back, window, start)
        inside = np.zeros((10, 12), bool)
        inside[max(0, start[0]) : max(0, start[0] + 9), max(0, start[1]) : start[1] + 9] = True
        np.testing.assert_array_equal(back, np.where(inside[..., None], picture, 0))


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


def test_any_target_is_masked_and_coded():
    config = dataclasses.replace(FIXED, target="any")
    images = np.ones((1, 16, 16, 4), "float32")
    assert list_targets(config) == MODALITIES
    for index, target in enumerate(MODALITIES):
        encoded = encode_inputs(images, target, config)
        assert encoded.shape[-1] == config.channels == 8
        expected = [float(i != index) for i in range(4)] + [float(i == index) for i in range(4)]
        np.testing.assert_array_equal(encoded[0, 3, 5], expected)
