"""Generators rebuilt from their files alone."""

import h5py
import keras
import numpy as np
import pytest

from keras_vaegan.config.data import DataConfig
from keras_vaegan.config.networks import DiscriminatorConfig, VAEUNetConfig
from keras_vaegan.errors import InputError
from keras_vaegan.interop.keras_h5.load import load_generator, load_network
from keras_vaegan.models.discriminators import build_discriminator
from keras_vaegan.models.vae_unet import build_generator
from keras_vaegan.systems.registry import get_preset
from keras_vaegan.weights.legacy_h5 import save_legacy_h5
from keras_vaegan.weights.names import find_weight_file
from keras_vaegan.weights.record import WeightsRecord

CONFIG = VAEUNetConfig(
    image_size=16, channels=1, filters=(8, 16), kernel_sizes=(5, 3), num_residual_blocks=(0, 1),
    skip_levels=1, groups=4, latent_channels=3, seed=1,
)  # fmt: skip
RECORD = WeightsRecord(CONFIG, DataConfig(image_size=16, channels=1))


def make_generator(seed):
    """A generator in which every weight is random, biases included."""
    rng = np.random.default_rng(seed)
    model = build_generator(CONFIG)
    for variable in model.weights:
        variable.assign(variable + rng.normal(0, 0.1, variable.shape))
    return model


def run(model):
    image = np.random.default_rng(9).uniform(-1, 1, (2, 16, 16, 1)).astype("float32")
    return keras.ops.convert_to_numpy(model(image))


@pytest.mark.parametrize("config", [CONFIG, RECORD], ids=["model", "record"])
def test_a_file_alone_gives_the_generator(tmp_path, config):
    model = make_generator(0)
    save_legacy_h5(model, tmp_path / "g.h5", config)
    network = load_network(tmp_path / "g.h5")
    assert network.config == CONFIG
    assert network.data == getattr(config, "data", None)
    assert np.array_equal(run(load_generator(tmp_path / "g.h5")), run(model))
    fresh = build_generator(CONFIG)
    fresh.load_weights(tmp_path / "g.h5")
    assert np.array_equal(run(fresh), run(model))


@pytest.mark.parametrize("preset", ["demo", "vae_cyclegan_small"])
def test_presets_survive_their_file(tmp_path, preset):
    config = get_preset(preset).generator
    model = build_generator(config)
    save_legacy_h5(model, tmp_path / "g.h5", config, dtype="float16")
    rebuilt = load_generator(tmp_path / "g.h5")
    assert [w.path for w in rebuilt.weights] == [w.path for w in model.weights]
    for ours, theirs in zip(rebuilt.get_weights(), model.get_weights(), strict=True):
        assert np.array_equal(ours, theirs.astype("float16").astype("float32"))


def test_a_run_folder_needs_a_direction_and_prefers_best(tmp_path):
    models = [make_generator(seed) for seed in range(3)]
    names = ("g_target_weights.h5", "g_source_weights.h5", "best/g_target_weights.h5")
    for model, name in zip(models, names, strict=True):
        save_legacy_h5(model, tmp_path / name, RECORD)
    assert np.array_equal(run(load_generator(tmp_path, "mri2ct")), run(models[2]))
    assert np.array_equal(run(load_generator(tmp_path, "ct2mri")), run(models[1]))
    assert find_weight_file(tmp_path / names[0], "ct2mri") == tmp_path / names[0]
    for direction in (None, "ct2pet"):
        with pytest.raises(InputError, match=f"direction {direction!r}.*expected mri2ct or ct2mri"):
            load_generator(tmp_path, direction)
    with pytest.raises(InputError, match="no g_source_weights.h5 in"):
        load_generator(tmp_path / "best", "ct2mri")


def test_a_discriminator_is_no_generator(tmp_path):
    config = DiscriminatorConfig(image_size=32, channels=1, filters=(8, 8), num_heads=2, groups=4)
    save_legacy_h5(build_discriminator(config), tmp_path / "d.h5", config)
    with pytest.raises(InputError, match="holds a discriminator"):
        load_generator(tmp_path / "d.h5")


def test_a_file_without_config_is_inferred(tmp_path, capsys):
    model = make_generator(0)
    save_legacy_h5(model, tmp_path / "g.h5")
    known = {"image_size": CONFIG.image_size, "groups": CONFIG.groups}
    assert np.array_equal(run(load_generator(tmp_path / "g.h5", assume=known)), run(model))
    assert "groups" not in capsys.readouterr().err
    load_generator(tmp_path / "g.h5", assume={"image_size": 16})
    error = capsys.readouterr().err
    assert "groups=8" in error and "assumed" in error and "image_size" not in error
    with pytest.raises(InputError, match="assumed field 'filter'"):
        load_generator(tmp_path / "g.h5", assume={"filter": 3})


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", '{"kind": "Other"}', '{"kind": "VAEUNetConfig", "filters": 3}',
        '{"kind": "VAEUNetConfig", "image_size": "16"}', '{"kind": ["a"]}', "[" * 20_000, 7,
    ],
    ids=lambda text: str(text)[:30],
)  # fmt: skip
def test_a_damaged_config_is_one_line(tmp_path, text):
    save_legacy_h5(make_generator(0), tmp_path / "g.h5")
    with h5py.File(tmp_path / "g.h5", "r+") as opened:
        opened.attrs["keras_vaegan_config"] = text
    with pytest.raises(InputError) as caught:
        load_generator(tmp_path / "g.h5")
    assert str(tmp_path / "g.h5") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_of_another_config_are_refused(tmp_path):
    other = VAEUNetConfig(
        image_size=16, channels=1, filters=(8, 16), kernel_sizes=(3, 3),
        num_residual_blocks=(0, 1), skip_levels=1, groups=4, latent_channels=3,
    )  # fmt: skip
    save_legacy_h5(make_generator(0), tmp_path / "g.h5", other)
    with pytest.raises(InputError, match=r"has shape \(5, 5, .*expected \(3, 3, "):
        load_generator(tmp_path / "g.h5")


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        load_generator(tmp_path / "absent.h5")
