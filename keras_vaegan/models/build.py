"""From a network's config to its model, whichever network it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from keras_vaegan.config.networks import (
    DiscriminatorConfig,
    ModalityUNetConfig,
    PatchDiscriminatorConfig,
    ResnetGeneratorConfig,
    RRDBNetConfig,
    VAEUNetConfig,
)
from keras_vaegan.errors import InputError
from keras_vaegan.models.discriminators import build_discriminator
from keras_vaegan.models.modality_unet import build_modality_unet
from keras_vaegan.models.patch_discriminator import build_patch_discriminator
from keras_vaegan.models.resnet import build_resnet_generator
from keras_vaegan.models.rrdbnet import build_rrdbnet
from keras_vaegan.models.vae_unet import build_generator

BUILDERS: dict[type, Callable[..., keras.Model]] = {
    VAEUNetConfig: build_generator,
    DiscriminatorConfig: build_discriminator,
    ModalityUNetConfig: build_modality_unet,
    RRDBNetConfig: build_rrdbnet,
    ResnetGeneratorConfig: build_resnet_generator,
    PatchDiscriminatorConfig: build_patch_discriminator,
}


def build_model(config: Any) -> keras.Model:
    """Build the network that a config describes.

    Raises:
        InputError: no builder takes this kind of config.
    """
    return find_builder(config)(config)


def find_builder(config: Any) -> Callable[..., keras.Model]:
    """The `build_*` function that takes this kind of config.

    Raises:
        InputError: there is none.
    """
    builder = BUILDERS.get(type(config))
    if builder is None:
        kinds = ", ".join(kind.__name__ for kind in BUILDERS)
        raise InputError(f"cannot build a model from {type(config).__name__}: expected {kinds}")
    return builder
