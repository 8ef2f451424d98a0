"""Samples of the latent: drawn by their seed alone."""

import numpy as np
import pytest

from keras_vaegan.config.data import ModalityDataConfig
from keras_vaegan.config.networks import MODALITIES, ModalityUNetConfig
from keras_vaegan.data.brats import read_case
from keras_vaegan.models.modality_unet import build_modality_unet
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
