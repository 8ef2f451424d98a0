"""Samples of the latent: drawn by their seed alone."""

import dataclasses

import numpy as np
import pytest

from keras_vaegan.config.data import ModalityDataConfig, SliceAugmentationConfig
from keras_vaegan.config.networks import MODALITIES, ModalityUNetConfig
from keras_vaegan.data.brats import Case, read_case
from keras_vaegan.errors import InputError
from keras_vaegan.models.modality_unet import build_modality_unet
from keras_vaegan.systems.modality.slices import SliceWindows, cut_window, plan_windows
from keras_vaegan.systems.modality.synthesizer import Synthesizer


@pytest.fixture(scope="module")
def network():
    config = ModalityUNetConfig(image_size=16, filters=(4, 4), latent_channels=3)
    model, rng = build_modality_unet(config), np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(variable + rng.normal(0, 0.2, variable.shape))
    return model, config, ModalityDataConfig(image_size=16)


def test_samples_follow_from_their_seed(network, tmp_path, write_case):
    case = read_case(write_case(tmp_path / "case"), MODALITIES[:3])
    drawn = [
        Synthesizer(*network, "float32", batch_size).synthesize(case, "flair", 3, seed)
        for batch_size, seed in ((8, 0), (5, 0), (8, 1))
    ]
    for first, second in zip(drawn[0], drawn[1], strict=True):
        np.testing.assert_allclose(first, second, atol=1e-5)
    assert np.abs(drawn[0][0] - drawn[2][0]).max() > 1e-3
    for image, deviation in drawn:
        assert deviation[case.brain].mean() > 1e-3
        assert not image[~case.brain].any() and not deviation[~case.brain].any()


def test_the_mean_does_not_depend_on_the_batch_size(network, tmp_path, write_case):
    case = read_case(write_case(tmp_path / "case"), MODALITIES[:3])
    one, other = (
        Synthesizer(*network, "float32", size).synthesize(case, "flair")[0] for size in (8, 5)
    )
    np.testing.assert_allclose(one, other, atol=1e-6)


def make_any(**fields):
    """A random network of any target, and its data's config."""
    data = ModalityDataConfig(image_size=16, **fields)
    config = ModalityUNetConfig(16, "any", data.neighbours, filters=(4, 4), latent_channels=3)
    model, rng = build_modality_unet(config), np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(variable + rng.normal(0, 0.2, variable.shape))
    return Synthesizer(model, config, data, "float32")


def test_two_contrasts_may_be_missing(tmp_path, write_case):
    dropping = make_any(augmentation=SliceAugmentationConfig(drop_inputs=0.3))
    folder, out = write_case(tmp_path / "case"), tmp_path / "out.nii.gz"
    full = read_case(folder, MODALITIES)
    for name in ("flair", "t2"):
        (folder / f"case_{name}.nii.gz").unlink()
    target, reference = dropping.synthesize_folder(folder, out, "flair")
    assert target == "flair" and reference.name == "case_t1.nii.gz" and out.exists()
    with pytest.raises(InputError, match="lacks t2, flair: expected --target"):
        dropping.synthesize_folder(folder, out)
    with pytest.raises(InputError, match="lacks t2"):
        make_any().synthesize_folder(folder, out, "flair")
    scans = {name: full.scans[name] for name in ("t1", "t1ce")}
    few, _ = dropping.synthesize(Case("case", full.brain, scans), "flair")
    many, _ = dropping.synthesize(full, "flair")
    assert np.abs(few - many)[full.brain].mean() > 1e-4


def test_neighbours_of_a_volume_are_those_of_training(tmp_path, write_case):
    """The window of a slice, cut from the volumes, is the one cut from the cache."""
    case = read_case(write_case(tmp_path / "case"), MODALITIES)
    near = make_any(neighbours=1)
    windows = SliceWindows(case.brain, 16)
    units = {name: scan.unit for name, scan in case.scans.items()}
    inputs = np.asarray(windows.cut_inputs(units, "t2", near.config))
    assert inputs.shape[-1] == near.config.channels == 16
    alone = dataclasses.replace(near.config, neighbours=0)
    middle = np.asarray(windows.cut_inputs(units, "t2", alone))
    np.testing.assert_array_equal(inputs[..., 4:8], middle[..., :4])
    plan = np.asarray(plan_windows(case.brain, 16))
    index = len(plan) // 2
    level, row, column = plan[index]
    for offset, channel in ((-1, 0), (1, 8)):
        expected = cut_window(units["t1"][..., level + offset], (row, column), 16)
        np.testing.assert_array_equal(inputs[index, ..., channel], expected)
