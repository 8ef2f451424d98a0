"""System B's network: shapes, counts, samples, folding, files."""

import dataclasses

import h5py
import keras
import numpy as np
import pytest

from keras_vaegan.config.data import ModalityDataConfig
from keras_vaegan.config.networks import ModalityUNetConfig, VAEUNetConfig
from keras_vaegan.errors import InputError
from keras_vaegan.interop.keras_h5.load import load_generator
from keras_vaegan.models.latent import find_latent_model
from keras_vaegan.models.modality_unet import build_modality_unet, fold_normalization
from keras_vaegan.models.vae_unet import build_generator
from keras_vaegan.systems.cyclegan.translator import Translator
from keras_vaegan.systems.modality.synthesizer import Synthesizer
from keras_vaegan.systems.registry import open_predictor
from keras_vaegan.weights.legacy_h5 import save_legacy_h5
from keras_vaegan.weights.record import WeightsRecord

TINY = ModalityUNetConfig(image_size=16, filters=(4, 6), latent_channels=5)


def make_inputs(config=TINY, count=2):
    shape = (count, config.image_size, config.image_size, config.channels)
    return np.random.default_rng(0).uniform(0, 1, shape).astype("float32")


def make_network(config=TINY, seed=0):
    """A network in which every weight is random, normalisation statistics included."""
    rng = np.random.default_rng(seed)
    model = build_modality_unet(config)
    for variable in model.weights:
        noise = rng.normal(0, 0.1, variable.shape)
        variable.assign(
            np.abs(variable + noise) if "variance" in variable.name else variable + noise
        )
    return model


@pytest.mark.parametrize("target", ["flair", "any"])
def test_contrasts_in_one_out(target):
    config = dataclasses.replace(TINY, target=target)
    output = np.array(make_network(config)(make_inputs(config)))
    assert output.shape == (2, 16, 16, 1)
    assert output.min() >= 0 and output.max() <= 1 and output.std() > 1e-3


@pytest.mark.parametrize("kind", ["group", "instance"])
def test_a_slice_can_have_statistics_of_its_own(kind, tmp_path):
    config = dataclasses.replace(TINY, normalization=kind, filters=(8, 16))
    model, images = make_network(config), make_inputs(config)
    together = np.array(model(images, training=False))
    np.testing.assert_allclose(np.array(model(images[:1]))[0], together[0], atol=1e-6)
    folded = fold_normalization(model, config)
    np.testing.assert_allclose(np.array(folded(images)), together, atol=1e-6)
    save_legacy_h5(model, tmp_path / "m.h5", WeightsRecord(config, ModalityDataConfig(16)))
    loaded = Synthesizer.load(tmp_path / "m.h5", "float32")
    assert loaded.config == config
    np.testing.assert_allclose(np.array(loaded.network(images)), together, atol=1e-6)
    if kind == "group":
        with pytest.raises(InputError, match="multiples of groups=8"):
            dataclasses.replace(config, filters=(4,))


def test_neighbours_are_input_channels():
    config = dataclasses.replace(TINY, neighbours=1)
    assert config.channels == 9 and build_modality_unet(config).input_shape[-1] == 9
    assert dataclasses.replace(config, target="any").channels == 16


def test_the_published_shape():
    model = build_modality_unet()
    shapes = {layer.name: layer.output.shape for layer in model.layers}
    assert model.input_shape == (None, 160, 160, 3) and model.output_shape == (None, 160, 160, 1)
    assert shapes["encoder_3_pool"] == (None, 10, 10, 256)
    assert shapes["z_mean"] == shapes["z_log_var"] == (None, 128)
    assert shapes["latent_reshape"] == (None, 10, 10, 256)
    convs = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert sum(layer.kernel_size == (3, 3) for layer in convs) == 16
    assert model.count_params() == 13_820_001


def test_samples_neither_move_nor_use_batch_statistics():
    """A latent at its mean gives the plain output; another one another, of the same statistics."""
    model, images = make_network(), make_inputs()
    before = model.get_weights()
    latent = find_latent_model(model)
    z_mean, _, skips = latent.encode(images)
    plain = np.array(model(images))
    np.testing.assert_allclose(np.array(latent.decode(z_mean, skips)), plain, atol=1e-6)
    moved = np.array(latent.decode(z_mean + 1.0, skips))
    assert np.abs(moved - plain).max() > 1e-6
    alone = latent.encode(images[:1])[0]
    np.testing.assert_allclose(np.array(alone), np.array(z_mean)[:1], atol=1e-5)
    for held, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(held, now)


def test_folding_keeps_the_inference_output():
    model = make_network()
    folded = fold_normalization(model, TINY)
    assert not any(isinstance(x, keras.layers.BatchNormalization) for x in folded.layers)
    np.testing.assert_allclose(
        np.array(folded(make_inputs())), np.array(model(make_inputs())), atol=1e-5
    )
    drawn = [np.array(folded(make_inputs(), training=True)) for _ in range(2)]
    assert np.abs(drawn[0] - drawn[1]).max() > 1e-6


@pytest.mark.parametrize("record", [True, False], ids=["record", "model"])
def test_a_file_alone_gives_the_network(tmp_path, record):
    model, data = make_network(), ModalityDataConfig(image_size=16, percentiles=(2.0, 98.0))
    save_legacy_h5(model, tmp_path / "m.h5", WeightsRecord(TINY, data) if record else TINY)
    found = Synthesizer.load(tmp_path / "m.h5", "float32")
    assert found.config == TINY
    assert found.data == (data if record else ModalityDataConfig(image_size=16))
    expected = np.array(model(make_inputs()))
    np.testing.assert_array_equal(
        np.array(load_generator(tmp_path / "m.h5")(make_inputs())), expected
    )
    fresh = build_modality_unet(TINY, seed=3)
    fresh.load_weights(tmp_path / "m.h5")
    np.testing.assert_array_equal(np.array(fresh(make_inputs())), expected)


def test_foreign_files_are_refused(tmp_path):
    other = VAEUNetConfig(
        image_size=16, channels=1, filters=(8, 16), kernel_sizes=(3, 3), num_residual_blocks=(0, 1),
        skip_levels=1, groups=4, latent_channels=3,
    )  # fmt: skip
    save_legacy_h5(build_generator(other), tmp_path / "g.h5", other)
    with pytest.raises(InputError, match="VAEUNetConfig"):
        Synthesizer.load(tmp_path / "g.h5")
    with pytest.raises(InputError, match="no modality_unet_weights.h5"):
        Synthesizer.load(tmp_path)
    save_legacy_h5(make_network(), tmp_path / "m.h5", TINY)
    with pytest.raises(InputError, match="ModalityUNetConfig: expected VAEUNetConfig or"):
        Translator.load(tmp_path / "m.h5")
    with pytest.raises(InputError, match="use the synthesize command"):
        open_predictor("translate", tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        text = file.attrs["keras_vaegan_config"]
        text = text.decode() if isinstance(text, bytes) else text
        file.attrs["keras_vaegan_config"] = text.replace("[4, 6]", "[4, 60000]")
    with pytest.raises(InputError, match="far larger"):
        Synthesizer.load(tmp_path / "m.h5")
