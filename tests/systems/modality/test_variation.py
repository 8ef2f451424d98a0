"""Random variants of slices: what they change, what they leave, and that their seed decides."""

import numpy as np

from keras_vaegan.config.data import SliceAugmentationConfig
from keras_vaegan.config.networks import MODALITIES
from keras_vaegan.systems.modality.variation import choose_dropped, vary_intensities, warp

SIDE = 48


def make_slice(slices=1):
    """A disc of rising brightness in every channel."""
    rows, columns = np.indices((SIDE, SIDE)) - SIDE / 2
    brain = (np.hypot(rows, columns) < 20).astype("float32")[..., None]
    ramp = ((rows + SIDE / 2) / SIDE)[..., None].astype("float32")
    return brain * ramp * np.linspace(0.5, 1, 4 * slices, dtype="float32"), brain


def test_a_warp_moves_all_channels_alike_and_keeps_the_edge_bright():
    images, brain = make_slice()
    flat = np.where(brain > 0, 0.8, 0).astype("float32") * np.ones(4, "float32")
    moved, inside = warp(flat, brain, 2.0, np.random.default_rng(0))
    np.testing.assert_allclose(moved[inside[..., 0] > 0], 0.8, atol=1e-5)
    assert not moved[inside[..., 0] == 0].any()
    moved, inside = warp(images, brain, 2.0, np.random.default_rng(0))
    assert 0 < np.abs(inside - brain).sum() < 0.3 * brain.sum()
    ratio = moved[..., 3][inside[..., 0] > 0] / np.maximum(moved[..., 0][inside[..., 0] > 0], 1e-6)
    np.testing.assert_allclose(ratio, 2.0, rtol=1e-3)
    again, _ = warp(images, brain, 2.0, np.random.default_rng(0))
    np.testing.assert_array_equal(moved, again)
    still, same = warp(images, brain, 0.0, np.random.default_rng(0))
    np.testing.assert_allclose(still, images, atol=1e-6)
    np.testing.assert_array_equal(same, brain)


def test_intensities_change_by_contrast_and_alike_in_all_its_slices():
    images, _ = make_slice(slices=3)
    images[..., 4:8] = images[..., 8:] = images[..., :4]
    changes = SliceAugmentationConfig(intensity=0.2, bias_field=0.1)
    varied = vary_intensities(images, changes, np.random.default_rng(1))
    assert varied.dtype == np.float32 and varied.min() >= 0 and varied.max() <= 1
    np.testing.assert_array_equal(varied[..., 4:8], varied[..., :4])
    assert not varied[images == 0].any()
    changes_made = [np.abs(varied[..., k] - images[..., k]).max() for k in range(4)]
    assert min(changes_made) > 0.01 and len(set(changes_made)) == 4
    same = vary_intensities(images, SliceAugmentationConfig(), np.random.default_rng(1))
    np.testing.assert_array_equal(same, images)


def test_one_input_always_stays():
    rng = np.random.default_rng(0)
    counts = np.zeros(3, int)
    for _ in range(200):
        dropped = choose_dropped("t2", 0.49, rng)
        assert "t2" not in dropped and set(dropped) < set(MODALITIES)
        counts[len(dropped)] += 1
    assert counts.min() > 10
