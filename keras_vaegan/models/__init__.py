"""Functional Keras models, written in keras.layers and keras.ops alone."""

from __future__ import annotations

from collections.abc import Callable

import keras

from keras_vaegan.config import (
    DiscriminatorConfig,
    ModalityUNetConfig,
    PatchDiscriminatorConfig,
    ResnetGeneratorConfig,
    RRDBNetConfig,
    VAEUNetConfig,
    WeightsRecord,
)
from keras_vaegan.errors import InputError
from keras_vaegan.models.discriminators import build_discriminator
from keras_vaegan.models.latent import split_at_latent
from keras_vaegan.models.layers import advance_spectral_norms
from keras_vaegan.models.modality_unet import build_modality_unet, fold_normalization
from keras_vaegan.models.patch_discriminator import build_patch_discriminator
from keras_vaegan.models.resnet import build_resnet_generator
from keras_vaegan.models.rrdbnet import build_rrdbnet
from keras_vaegan.models.running import run_generator
from keras_vaegan.models.vae_unet import build_generator

__all__ = [
    "advance_spectral_norms",
    "build_discriminator",
    "build_generator",
    "build_modality_unet",
    "build_model",
    "fold_normalization",
    "build_rrdbnet",
    "find_builder",
    "build_patch_discriminator",
    "build_resnet_generator",
    "run_generator",
    "split_at_latent",
]

_BUILDERS = {
    VAEUNetConfig: build_generator,
    DiscriminatorConfig: build_discriminator,
    ModalityUNetConfig: build_modality_unet,
    RRDBNetConfig: build_rrdbnet,
    ResnetGeneratorConfig: build_resnet_generator,
    PatchDiscriminatorConfig: build_patch_discriminator,
}


def build_model(config) -> keras.Model:
    """Build the model that a config, or a weight file's record, describes.

    Raises:
        InputError: no builder takes this kind of config.
    """
    if isinstance(config, WeightsRecord):
        config = config.model
    return find_builder(config)(config)


def find_builder(config) -> Callable[..., keras.Model]:
    """The `build_*` function that takes this kind of config.

    Raises:
        InputError: there is none.
    """
    builder = _BUILDERS.get(type(config))
    if builder is None:
        kinds = ", ".join(kind.__name__ for kind in _BUILDERS)
        raise InputError(f"cannot build a model from {type(config).__name__}: expected {kinds}")
    return builder
