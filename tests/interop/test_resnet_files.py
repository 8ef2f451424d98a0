"""Weight files of System C: written, perturbed, read back; refused."""

import dataclasses

import numpy as np
import pytest

from keras_vaegan.config.data import DataConfig
from keras_vaegan.config.networks import PatchDiscriminatorConfig, ResnetGeneratorConfig
from keras_vaegan.errors import InputError
from keras_vaegan.interop.keras_h5.load import load_generator, load_network
from keras_vaegan.models.build import build_model
from keras_vaegan.systems.cyclegan.translator import Translator
from keras_vaegan.weights.legacy_h5 import load_legacy_h5, save_legacy_h5
from keras_vaegan.weights.record import WeightsRecord

GENERATOR = ResnetGeneratorConfig(image_size=32, filters=(4, 8, 16), num_residual_blocks=2)
UNIT_OF_SIX = dataclasses.replace(
    GENERATOR, num_residual_blocks=1, convs_per_block=6, activate_block_output=True
)
JUDGE = PatchDiscriminatorConfig(image_size=32, filters=(4, 8))
CONFIGS = {"generator": GENERATOR, "unit of six": UNIT_OF_SIX, "judge": JUDGE}


def make_model(config, seed=0):
    """A model in which every weight is random, the power iteration's vectors included."""
    rng = np.random.default_rng(seed)
    model = build_model(config)
    for variable in model.weights:
        variable.assign(variable + rng.normal(0, 0.1, variable.shape))
    return model


def run(model):
    return np.array(model(np.random.default_rng(9).uniform(-1, 1, (2, 32, 32, 1))))


@pytest.mark.parametrize("name", CONFIGS)
def test_a_file_alone_gives_the_model(tmp_path, name):
    """Save, perturb, load: the same outputs; the record comes back too."""
    config = CONFIGS[name]
    record = WeightsRecord(config, DataConfig(image_size=32, channels=1))
    model = make_model(config)
    expected = run(model)
    save_legacy_h5(model, tmp_path / "w.h5", record)
    network = load_network(tmp_path / "w.h5")
    assert network.record == record
    np.testing.assert_array_equal(run(network.model), expected)
    for variable in model.weights:
        variable.assign(variable + 1)
    assert not np.array_equal(run(model), expected)
    load_legacy_h5(model, tmp_path / "w.h5")
    np.testing.assert_array_equal(run(model), expected)


@pytest.mark.parametrize("name", CONFIGS)
def test_without_a_config_the_first_layer_that_differs_is_named(tmp_path, name):
    save_legacy_h5(make_model(CONFIGS[name]), tmp_path / "w.h5")
    message = "alone tell no network: at layer with weights number .* where the closest one, a"
    with pytest.raises(InputError, match=message) as caught:
        load_network(tmp_path / "w.h5")
    assert "\n" not in str(caught.value)


def test_a_judge_is_no_generator(tmp_path):
    save_legacy_h5(make_model(JUDGE), tmp_path / "d.h5", JUDGE)
    with pytest.raises(InputError, match="holds a discriminator"):
        load_generator(tmp_path / "d.h5")


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_that_claims_far_more_is_refused(tmp_path, name):
    wide = dataclasses.replace(CONFIGS[name], filters=(2**13, 2**14))
    save_legacy_h5(make_model(CONFIGS[name]), tmp_path / "w.h5", wide)
    with pytest.raises(InputError, match="far larger"):
        load_network(tmp_path / "w.h5")


def test_the_translator_takes_any_image(tmp_path):
    save_legacy_h5(make_model(GENERATOR), tmp_path / "g.h5", GENERATOR)
    image = (np.arange(40 * 50).reshape(40, 50) % 251).astype("uint8")
    translation, _ = Translator.load(tmp_path / "g.h5").translate(image)
    assert translation.shape == image.shape and translation.dtype == image.dtype
