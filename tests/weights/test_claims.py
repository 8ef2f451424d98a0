"""The kernels counted from a config are those of the network that its builder builds."""

import dataclasses
import math

import keras
import pytest

from keras_vaegan.config.networks import (
    DiscriminatorConfig,
    ModalityUNetConfig,
    PatchDiscriminatorConfig,
    ResnetGeneratorConfig,
    RRDBNetConfig,
    VAEUNetConfig,
)
from keras_vaegan.errors import InputError
from keras_vaegan.models.build import BUILDERS, build_model
from keras_vaegan.systems.registry import get_preset
from keras_vaegan.weights.claims import check_claim, count_kernels

VAE = VAEUNetConfig(
    image_size=32, channels=1, filters=(4, 8, 12), kernel_sizes=(7, 3, 5),
    num_residual_blocks=(1, 0, 2), skip_levels=1, groups=4, latent_channels=5,
)  # fmt: skip
MULTI_SCALE = DiscriminatorConfig(image_size=64, filters=(4, 8, 12), num_heads=2, groups=4)
RESNET = ResnetGeneratorConfig(image_size=32, filters=(4, 6, 10), num_residual_blocks=2)
PATCH = PatchDiscriminatorConfig(image_size=64, filters=(4, 6, 10))
RRDB = RRDBNetConfig(num_features=6, num_blocks=2, growth_channels=4)
MODALITY = ModalityUNetConfig(image_size=32, filters=(8, 16, 24), latent_channels=5)
CONFIGS = [
    VAE,
    dataclasses.replace(VAE, channels=3, skip_levels=0, num_residual_blocks=(0, 0, 0)),
    dataclasses.replace(VAE, filters=(12, 4, 8), skip_levels=2, groups=0),
    dataclasses.replace(VAE, filters=(12, 4, 8), upsampling="transpose", kernel_sizes=(1, 1, 1)),
    dataclasses.replace(VAE, latent="dense", latent_channels=2, upsampling="bilinear"),
    dataclasses.replace(VAE, latent="dense", latent_channels=40, filters=(4, 4, 4)),
    MULTI_SCALE,
    dataclasses.replace(MULTI_SCALE, channels=1, num_heads=3, trunk_depth=1, head_kernel_size=2),
    dataclasses.replace(MULTI_SCALE, filters=(12, 8), num_heads=1, trunk_depth=4, groups=-1),
    RESNET,
    dataclasses.replace(RESNET, channels=3, filters=(5,), num_residual_blocks=0),
    dataclasses.replace(RESNET, filters=(9, 3), num_residual_blocks=1, convs_per_block=6),
    PATCH,
    dataclasses.replace(PATCH, channels=3, filters=(7,), instance_norm=False),
    RRDB,
    dataclasses.replace(RRDB, scale=1, channels=1, num_features=3, growth_channels=9),
    dataclasses.replace(RRDB, scale=2, output_channels=5, num_blocks=1),
    MODALITY,
    dataclasses.replace(MODALITY, target="any", neighbours=1, normalization="group"),
    dataclasses.replace(MODALITY, filters=(7,), latent_channels=1, normalization="instance"),
]
PRESETS = ("vae_cyclegan", "resnet_cyclegan", "modality_unet")


def list_kernels(config):
    """The sizes of all kernels of a config's network, which takes no memory here."""
    with keras.StatelessScope(initialize_variables=False):
        weights = build_model(config).trainable_weights
    return [math.prod(weight.shape) for weight in weights if weight.name == "kernel"]


def list_preset_networks():
    """The networks of some presets."""
    presets = {name: get_preset(name) for name in PRESETS}
    return {
        f"{name} {part}": getattr(preset, part)
        for name, preset in presets.items()
        for part in ("generator", "discriminator")
        if hasattr(preset, part)
    }


def test_every_kind_of_network_is_compared():
    assert {type(config) for config in CONFIGS} == set(BUILDERS)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: type(config).__name__)
def test_kernels_are_those_of_the_model(config):
    kernels = list_kernels(config)
    assert count_kernels(config) == (len(kernels), sum(kernels))


@pytest.mark.parametrize("name", list_preset_networks())
def test_kernels_of_a_preset_are_most_of_its_network(name):
    config = list_preset_networks()[name]
    with keras.StatelessScope(initialize_variables=False):
        model = build_model(config)
    kernels, values = count_kernels(config)
    layers = sum(bool(layer.weights) for layer in model.layers)
    assert layers / 2 <= kernels <= layers
    assert 0.99 * model.count_params() < values < model.count_params()
    check_claim("file.h5", config, layers, model.count_params())
    with pytest.raises(InputError, match="asks for a network far larger than its 10 parameters"):
        check_claim("file.h5", config, layers, 10)
