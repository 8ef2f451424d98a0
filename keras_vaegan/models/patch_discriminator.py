"""System C's discriminator: one map of scores, each for a patch of the image."""

from __future__ import annotations

import keras
from keras import layers

from keras_vaegan.config.base import resolve_config
from keras_vaegan.config.networks import PatchDiscriminatorConfig
from keras_vaegan.models.blocks import LEAKY_SLOPE, Seeds
from keras_vaegan.models.layers import InstanceNormalization, SpectralConv2D

KERNEL_SIZE = 4


def build_patch_discriminator(
    config: PatchDiscriminatorConfig | None = None, **fields
) -> keras.Model:
    """Build the PatchGAN.

    With spectral normalisation, training it takes one `advance_spectral_norms(model)` a step.

    Args:
        config: Architecture; or give its fields as keywords.

    Returns:
        Functional model, (N, S, S, channels) float32 -> float32 logits
        (N, S / stride - 2, S / stride - 2, 1): 30x30 for 256x256 and the published config.

    Raises:
        InputError: the config refuses a value.

    Reference: Isola et al. 2017, appendix 6.1.2; System C.
    """
    config = resolve_config(PatchDiscriminatorConfig, config, fields)
    seeds = Seeds(config.seed + 500)
    image = keras.Input((config.image_size, config.image_size, config.channels), name="image")
    x = image
    for level, filters in enumerate(config.filters, start=1):
        x = _apply_patch_conv(x, filters, config.layer_strides[level - 1], config, seeds, level)
        if config.instance_norm and level > 1:
            x = InstanceNormalization(name=f"level_{level}_norm")(x)
        x = layers.LeakyReLU(LEAKY_SLOPE, name=f"level_{level}_activation")(x)
    x = layers.ZeroPadding2D(KERNEL_SIZE // 2 - 1, name="output_pad")(x)
    x = layers.Conv2D(
        1,
        KERNEL_SIZE,
        padding="valid",
        name="output_conv",
        kernel_initializer=seeds.initializer(0.25),
        dtype="float32",
    )(x)
    return keras.Model(image, x, name="patch_discriminator")


def _apply_patch_conv(
    x, filters: int, strides: int, config: PatchDiscriminatorConfig, seeds: Seeds, level: int
):
    """One trunk convolution: halves the resolution, or at stride 1 loses one pixel."""
    settings = {"name": f"level_{level}_conv", "kernel_initializer": seeds.initializer()}
    if strides == 1:
        x = layers.ZeroPadding2D(KERNEL_SIZE // 2 - 1, name=f"level_{level}_pad")(x)
    settings["padding"] = "valid" if strides == 1 else "same"
    settings["seed"] = config.seed + 700 + level
    return SpectralConv2D(filters, KERNEL_SIZE, strides, **settings)(x)
