"""System C's generator: residual blocks between two strided and two transposed convolutions."""

from __future__ import annotations

import keras
from keras import layers

from keras_vaegan.config.base import resolve_config
from keras_vaegan.config.networks import ResnetGeneratorConfig
from keras_vaegan.models.blocks import Seeds, apply_conv, apply_transposed_conv
from keras_vaegan.models.layers import InstanceNormalization
from keras_vaegan.models.pixel_layers import ReflectionPadding2D

KERNEL_SIZE = 7  # of the first and the last convolution


def build_resnet_generator(config: ResnetGeneratorConfig | None = None, **fields) -> keras.Model:
    """Build the ResNet generator.

    Args:
        config: Architecture; or give its fields as keywords.

    Returns:
        Functional model, (N, S, S, channels) float32 -> the same shape, in [-1, 1] for tanh or
        [0, 1] for sigmoid. Its weights fit any other H, W divisible by the stride when rebuilt
        with that `image_size`.

    Raises:
        InputError: the config refuses a value.

    Examples:
        >>> import keras_vaegan as kv
        >>> config = kv.ResnetGeneratorConfig(image_size=32, channels=1, filters=(4, 8))
        >>> kv.build_resnet_generator(config).output_shape
        (None, 32, 32, 1)

    Reference: Johnson et al. 2016 and Zhu et al. 2017 (CycleGAN), appendix; System C. What the
    strided convolutions see beyond the border (zeros, after the last pixel) is our reading.
    """
    config = resolve_config(ResnetGeneratorConfig, config, fields)
    seeds = Seeds(config.seed + 1)
    image = keras.Input((config.image_size, config.image_size, config.channels), name="image")
    x = _apply_reflected_conv(image, config.filters[0], KERNEL_SIZE, seeds, "stem")
    x = _apply_norm_relu(x, "stem")
    for level, filters in enumerate(config.filters[1:], start=1):
        x = apply_conv(x, filters, 3, seeds, f"down_{level}_conv", strides=2)
        x = _apply_norm_relu(x, f"down_{level}")
    for block in range(config.num_residual_blocks):
        x = _apply_residual_unit(x, config, seeds, f"block_{block + 1}")
    for level in reversed(range(len(config.filters) - 1)):
        filters, name = config.filters[level], f"up_{level}_transpose"
        x = apply_transposed_conv(x, filters, 3, seeds.enlarger(), name)
        x = _apply_norm_relu(x, f"up_{level}")
    x = _apply_reflected_conv(x, config.channels, KERNEL_SIZE, seeds, "output", gain=0.1)
    x = layers.Activation(config.output_activation, name="output_image", dtype="float32")(x)
    return keras.Model(image, x, name="resnet_generator")


def _apply_reflected_conv(
    x, filters: int, kernel_size: int, seeds: Seeds, name: str, gain: float = 1.0
):
    """Convolve at stride 1 with mirrored borders. (N, H, W, C) -> (N, H, W, filters)."""
    x = ReflectionPadding2D(kernel_size // 2, name=f"{name}_pad")(x)
    return apply_conv(x, filters, kernel_size, seeds, f"{name}_conv", gain, padding="valid")


def _apply_norm_relu(x, name: str, activate: bool = True):
    """Instance normalisation, then ReLU where asked for. Shape unchanged."""
    x = InstanceNormalization(name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_activation")(x) if activate else x


def _apply_residual_unit(x, config: ResnetGeneratorConfig, seeds: Seeds, name: str):
    """3x3 convolutions, each normalised, around a shortcut; no activation after the sum."""
    shortcut = x
    for index in range(1, config.convs_per_block + 1):
        is_last = index == config.convs_per_block
        x = _apply_reflected_conv(x, config.filters[-1], 3, seeds, f"{name}_{index}")
        x = _apply_norm_relu(x, f"{name}_{index}", not is_last or config.activate_block_output)
    return layers.Add(name=f"{name}_add")([shortcut, x])
