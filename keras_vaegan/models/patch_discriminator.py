"""System C's discriminator: one map of scores, each for a patch of the image."""

from __future__ import annotations

import keras
from keras import layers

from keras_vaegan.config.base import resolve_config
from keras_vaegan.config.networks import PatchDiscriminatorConfig
from keras_vaegan.models.blocks import LEAKY_SLOPE, Seeds, apply_conv
from keras_vaegan.models.layers import InstanceNormalization, SpectralConv2D

KERNEL_SIZE = 4
PAD = KERNEL_SIZE // 2 - 1  # around what is convolved at stride 1


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

    Examples:
        >>> import keras_vaegan as kv
        >>> kv.build_patch_discriminator(image_size=64, filters=(8, 16, 16, 16)).output_shape
        (None, 6, 6, 1)

    Reference: Isola et al. 2017, appendix 6.1.2; System C.
    """
    config = resolve_config(PatchDiscriminatorConfig, config, fields)
    seeds = Seeds(config.seed + 500)
    image = keras.Input((config.image_size, config.image_size, config.channels), name="image")
    x = image
    for level, filters in enumerate(config.filters, start=1):
        name, strides, padding = f"level_{level}", config.layer_strides[level - 1], "same"
        if strides == 1:  # loses one pixel; the others halve the resolution
            x, padding = layers.ZeroPadding2D(PAD, name=f"{name}_pad")(x), "valid"
        settings = {"kernel_initializer": seeds.initializer(), "seed": config.seed + 700 + level}
        x = SpectralConv2D(filters, KERNEL_SIZE, strides, padding, name=f"{name}_conv", **settings)(
            x
        )
        if config.instance_norm and level > 1:
            x = InstanceNormalization(name=f"{name}_norm")(x)
        x = layers.LeakyReLU(LEAKY_SLOPE, name=f"{name}_activation")(x)
    x = layers.ZeroPadding2D(PAD, name="output_pad")(x)
    settings = {"padding": "valid", "gain": 0.25, "dtype": "float32"}
    x = apply_conv(x, 1, KERNEL_SIZE, seeds, "output_conv", **settings)
    return keras.Model(image, x, name="patch_discriminator")
