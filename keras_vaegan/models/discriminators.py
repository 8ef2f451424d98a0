"""Discriminators: maps of real-or-fake scores, one map a head."""

from __future__ import annotations

import keras

from keras_vaegan.config.base import resolve_config
from keras_vaegan.config.networks import DiscriminatorConfig
from keras_vaegan.models.blocks import Seeds, apply_conv, apply_norm_activation


def build_discriminator(config: DiscriminatorConfig | None = None, **fields) -> keras.Model:
    """Build the multi-scale PatchGAN: K heads on one shared trunk.

    Every trunk level halves the resolution. Each of the last K levels ends in a head, one
    convolution of kernel 5 that compares every position with its neighbours.

    Args:
        config: Architecture; or give its fields as keywords.

    Returns:
        Functional model, (N, S, S, channels) float32 -> list of K float32 logit maps
        (N, S / 2^l, S / 2^l, 1), finest first.

    Raises:
        InputError: the config refuses a value.

    Examples:
        >>> import keras_vaegan as kv
        >>> config = kv.DiscriminatorConfig(image_size=32, filters=(8, 8, 8), num_heads=2, groups=0)
        >>> kv.build_discriminator(config).output_shape
        [(None, 8, 8, 1), (None, 4, 4, 1)]

    Reference: System A; the shared trunk is our reading of its "derivative independence".
    """
    config = resolve_config(DiscriminatorConfig, config, fields)
    seeds = Seeds(config.seed + 500)
    image = keras.Input((config.image_size, config.image_size, config.channels), name="image")
    x, heads = image, []
    for level, filters in enumerate(config.filters, start=1):
        for depth in range(config.trunk_depth):
            name = f"level_{level}_{depth + 1}"
            kernel_size, strides = (4, 2) if depth == 0 else (3, 1)
            x = apply_conv(x, filters, kernel_size, seeds, f"{name}_conv", strides=strides)
            is_first = level == 1 and depth == 0
            x = apply_norm_activation(x, 0 if is_first else config.groups, name)
        if level > len(config.filters) - config.num_heads:
            side, name = config.head_kernel_size, f"head_{level}"
            heads.append(apply_conv(x, 1, side, seeds, name, gain=0.25, dtype="float32"))
    return keras.Model(image, heads, name="multi_scale_discriminator")
