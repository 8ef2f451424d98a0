"""What holds for every network: names, weights, gradients, files, backends, refusals."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vaegan.config.base import config_to_dict
from keras_vaegan.config.networks import (
    DiscriminatorConfig,
    ModalityUNetConfig,
    PatchDiscriminatorConfig,
    ResnetGeneratorConfig,
    RRDBNetConfig,
    VAEUNetConfig,
)
from keras_vaegan.errors import InputError
from keras_vaegan.models.build import build_model, find_builder
from keras_vaegan.models.latent import find_latent_model
from keras_vaegan.models.layers import advance_spectral_norms
from keras_vaegan.systems.registry import get_preset

VAE = VAEUNetConfig(
    image_size=32, channels=1, filters=(8, 16, 16), kernel_sizes=(5, 3, 3),
    num_residual_blocks=(0, 1, 1), skip_levels=1, groups=4, latent_channels=6,
)  # fmt: skip
NETWORKS = {
    "vae": VAE,
    "vae_dense": dataclasses.replace(VAE, latent="dense", skip_levels=2),
    "multi_scale": DiscriminatorConfig(
        image_size=32, channels=1, filters=(8, 8, 16, 16), trunk_depth=2, groups=4
    ),
    "resnet": ResnetGeneratorConfig(image_size=32, filters=(4, 8, 16), num_residual_blocks=2),
    "patch": PatchDiscriminatorConfig(image_size=32, filters=(4, 8, 16)),
    "patch_plain": PatchDiscriminatorConfig(image_size=32, filters=(4, 8), instance_norm=False),
    "rrdbnet": RRDBNetConfig(
        scale=2, channels=1, num_features=8, num_blocks=1, growth_channels=4
    ),
    "modality": ModalityUNetConfig(image_size=32, filters=(4, 6), latent_channels=5),
}  # fmt: skip
every_network = pytest.mark.parametrize("config", NETWORKS.values(), ids=NETWORKS)
COUNTS = {
    "vae_cyclegan_small": (1_860_433, 1_171_236),
    "demo": (385_729, 111_332),
    "resnet_cyclegan": (11_365_633, 2_762_689),
    "resnet_cyclegan_small": (490_945, 693_217),
}


def make_images(config, count=2):
    shape = (count, 32, 32, config.channels)
    return np.random.default_rng(0).uniform(0, 1, shape).astype("float32")


def as_arrays(output) -> list[np.ndarray]:
    return [np.array(part) for part in (output if isinstance(output, list) else [output])]


@every_network
def test_names_and_weights_follow_from_the_config_alone(config):
    first, again = build_model(config), build_model(config)
    names = [layer.name for layer in first.layers]
    assert names == [layer.name for layer in again.layers] and len(set(names)) == len(names)
    assert type(first).__name__ == "Functional"
    for a, b in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    other = build_model(dataclasses.replace(config, seed=9))
    assert not np.array_equal(first.get_weights()[0], other.get_weights()[0])


def run_fully(model, images) -> tuple:
    """(outputs, latents) of a training pass in which the latent, where there is one, is drawn."""
    latent = find_latent_model(model)
    if latent is None:
        output = model(images, training=True)
        return (output if isinstance(output, list) else [output]), []
    z_mean, z_log_var, skips = latent.encode(images, training=True)
    z = z_mean + tf.exp(0.5 * z_log_var)
    return [latent.decode(z, skips, training=True)], [z_mean, z_log_var]


@every_network
def test_every_variable_gets_a_finite_gradient(config):
    """A bias before an instance normalisation is taken out again: its gradient is noise."""
    model = build_model(config)
    with tf.GradientTape() as tape:
        outputs, latents = run_fully(model, make_images(config))
        loss = sum(tf.reduce_mean(tf.abs(part - 0.3)) for part in outputs)
        loss += sum(tf.reduce_mean(part**2) for part in latents)
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    has_norm = isinstance(config, ResnetGeneratorConfig) or getattr(config, "instance_norm", False)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None and np.isfinite(gradient).all(), variable.path
        may_be_dead = has_norm and variable.path.endswith("bias")
        assert may_be_dead or np.abs(gradient).max() > 0, variable.path


@every_network
def test_the_keras_format_keeps_it(config, tmp_path):
    model, images = build_model(config), make_images(config)
    advance_spectral_norms(model)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for ours, kept in zip(as_arrays(model(images)), as_arrays(again(images)), strict=True):
        np.testing.assert_allclose(kept, ours, atol=1e-6)


SCRIPT = """
import json, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "tf_keras"):
            raise ImportError(name + " is not installed")
sys.meta_path.insert(0, Refuse())
import jax
import numpy as np
from keras_vaegan.config.base import config_from_dict
from keras_vaegan.models.build import build_model
folder = sys.argv[1]
data, outputs = np.load(folder + "/in.npz"), {}
for name, config in json.load(open(folder + "/configs.json")).items():
    model = build_model(config_from_dict(config))
    model.set_weights([data[f"{name}.{i}"] for i in range(len(model.get_weights()))])
    answers = jax.jit(model)(data[name])
    for head, answer in enumerate(answers if isinstance(answers, list) else [answers]):
        outputs[f"{name}.{head}"] = np.asarray(answer)
assert "tensorflow" not in sys.modules
np.savez(folder + "/out.npz", **outputs)
"""


def test_jax_without_tensorflow_gives_the_same_outputs(tmp_path):
    """Runs where `import tensorflow` is impossible, then compares (<= 1e-4)."""
    pytest.importorskip("jax", reason="the jax backend is not installed")
    arrays, expected = {}, {}
    for name, config in NETWORKS.items():
        model, images = build_model(config), make_images(config)
        arrays[name] = images
        arrays |= {f"{name}.{i}": array for i, array in enumerate(model.get_weights())}
        expected |= {f"{name}.{i}": part for i, part in enumerate(as_arrays(model(images)))}
    np.savez(tmp_path / "in.npz", **arrays)
    configs = {name: config_to_dict(config) for name, config in NETWORKS.items()}
    (tmp_path / "configs.json").write_text(json.dumps(configs))
    environment = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    subprocess.run(command, check=True, env={**os.environ, **environment}, timeout=1800)
    theirs = np.load(tmp_path / "out.npz")
    assert set(theirs.files) == set(expected)
    for name, ours in expected.items():
        np.testing.assert_allclose(theirs[name], ours, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts_are_pinned(name):
    """System C's are the published 11.37 M and 2.76 M."""
    config = get_preset(name)
    discriminator = build_model(config.discriminator)
    trained = sum(int(np.prod(v.shape)) for v in discriminator.trainable_variables)
    assert (build_model(config.generator).count_params(), trained) == COUNTS[name]


def test_what_is_no_network_is_refused():
    with pytest.raises(InputError, match="cannot build a model from LossConfig: expected VAEUNet"):
        build_model(get_preset("demo").losses)


@pytest.mark.parametrize(
    ("name", "change", "word"),
    [
        ("vae", {"image_size": 30}, "stride 4"),
        ("vae", {"channels": 2}, "channels=2: expected 1 or 3"),
        ("vae", {"groups": 5}, "multiples"),
        ("vae", {"skip_levels": 3}, "0 to 2"),
        ("vae", {"kernel_sizes": (3, 3)}, "3 values"),
        ("vae", {"latent": "tree"}, "spatial"),
        ("vae", {"kernel_sizes": (4, 3, 3)}, "odd"),
        ("multi_scale", {"num_heads": 5}, "1 to 4"),
        ("resnet", {"image_size": 30}, "stride 4"),
        ("resnet", {"filters": ()}, "at least 1"),
        ("resnet", {"convs_per_block": 0}, "at least 1"),
        ("resnet", {"num_residual_blocks": -1}, "at least 0"),
        ("resnet", {"output_activation": "relu"}, "tanh"),
        ("patch", {"filters": (4, 0)}, "at least 1"),
        ("patch", {"channels": 2}, "1 or 3"),
        ("patch", {"image_size": 100}, "stride"),
        ("rrdbnet", {"scale": 3}, "1, 2 or 4"),
        ("rrdbnet", {"num_blocks": 0}, "at least 1"),
        ("rrdbnet", {"channels": 0}, "at least 1"),
        ("modality", {"image_size": 18}, "stride 4"),
        ("modality", {"filters": ()}, "at least 1"),
        ("modality", {"target": "pd"}, "flair"),
        ("modality", {"latent_channels": 0}, "at least 1"),
    ],
    ids=str,
)
def test_bad_configs_are_refused_in_one_line(name, change, word):
    config = NETWORKS[name]
    with pytest.raises(InputError, match=word) as caught:
        find_builder(config)(config, **change)
    assert "\n" not in str(caught.value)
