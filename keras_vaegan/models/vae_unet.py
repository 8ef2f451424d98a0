"""System A's generator: a U-Net whose bottleneck is a probabilistic latent."""

from __future__ import annotations

import keras
from keras import layers

from keras_vaegan.config.base import resolve_config
from keras_vaegan.config.networks import VAEUNetConfig
from keras_vaegan.models.blocks import (
    Seeds,
    apply_conv,
    apply_norm_activation,
    apply_residual,
    apply_upsampling,
)
from keras_vaegan.models.latent import (
    MEAN,
    RAW_LOG_VAR,
    apply_dense_latent,
    draw_latent,
    expand_dense_latent,
)
from keras_vaegan.models.layers import AverageChannels


def build_generator(config: VAEUNetConfig | None = None, **fields) -> keras.Model:
    """Build the VAE U-Net generator.

    Encoder levels halve the resolution and hand their features to the decoder where
    `config.skip_levels` allows. At the bottleneck z ~ N(z_mean, exp(z_log_var)) while training
    and z = z_mean at inference; `find_latent_model` gives the two halves around it.

    Args:
        config: Architecture; or give its fields as keywords.

    Returns:
        Functional model, (N, S, S, channels) float32 -> the same shape, in [-1, 1] for tanh or
        [0, 1] for sigmoid. A spatial latent also accepts any other H, W divisible by the stride
        when rebuilt with that `image_size`.

    Raises:
        InputError: the config refuses a value.

    Examples:
        >>> import keras_vaegan as kv
        >>> small = {"filters": (8, 16), "kernel_sizes": (3, 3), "num_residual_blocks": (0, 1)}
        >>> model = kv.build_generator(image_size=32, channels=1, skip_levels=1, groups=4, **small)
        >>> model.output_shape
        (None, 32, 32, 1)

    Reference: System A; skips on the coarse levels only are our reading (see docs/design.md).
    """
    config = resolve_config(VAEUNetConfig, config, fields)
    seeds = Seeds(config.seed + 1)
    image = keras.Input((config.image_size, config.image_size, config.channels), name="image")
    x, skips = _apply_encoder(image, config, seeds)
    x = _apply_latent(x, config, seeds)
    x = _apply_decoder(x, skips, config, seeds)
    x = apply_norm_activation(x, config.groups, "output")
    x = apply_conv(
        x, config.channels, config.kernel_sizes[0], seeds, "output_conv", gain=0.1, dtype="float32"
    )
    if config.gray_output and config.channels > 1:
        x = AverageChannels(name="output_gray", dtype="float32")(x)
    x = layers.Activation(config.output_activation, name="output_image", dtype="float32")(x)
    return keras.Model(image, x, name="vae_unet")


def _apply_encoder(x, config: VAEUNetConfig, seeds: Seeds):
    """Image -> (coarsest features, skip features per level with None where there is none)."""
    levels = len(config.filters)
    skips = []
    x = apply_conv(x, config.filters[0], config.kernel_sizes[0], seeds, "stem_conv")
    for level, filters in enumerate(config.filters):
        kernel_size = config.kernel_sizes[level]
        if level:
            x = apply_norm_activation(x, config.groups, f"down_{level}")
            x = apply_conv(x, filters, kernel_size, seeds, f"down_{level}_conv", strides=2)
        for block in range(config.num_residual_blocks[level]):
            name = f"encoder_{level}_block_{block + 1}"
            x = apply_residual(x, filters, kernel_size, config.groups, seeds, name)
        skips.append(x if levels - 1 - level <= config.skip_levels else None)
    return x, skips


def _apply_latent(x, config: VAEUNetConfig, seeds: Seeds):
    """Coarsest features -> latent -> coarsest features."""
    x = apply_norm_activation(x, config.groups, "latent")
    depth = config.latent_channels
    if config.latent == "dense":
        mean, log_var = apply_dense_latent(x, depth, seeds)
    else:
        mean, log_var = (
            apply_conv(x, depth, 1, seeds, name, gain=gain, dtype="float32")
            for name, gain in ((MEAN, 0.5), (RAW_LOG_VAR, 0.01))
        )
    z = draw_latent(mean, log_var, config.seed + 2)
    if config.latent == "dense":
        z = expand_dense_latent(z, config.image_size // config.stride, depth, seeds)
    return apply_conv(z, config.filters[-1], 3, seeds, "latent_conv")


def _apply_decoder(x, skips: list, config: VAEUNetConfig, seeds: Seeds):
    """Latent features and skips -> features at full resolution."""
    for level in reversed(range(len(config.filters))):
        filters, kernel_size = config.filters[level], config.kernel_sizes[level]
        if level < len(config.filters) - 1:
            x = apply_norm_activation(x, config.groups, f"up_{level}")
            x = apply_upsampling(x, filters, kernel_size, config.upsampling, seeds, f"up_{level}")
            if skips[level] is not None:
                x = layers.Concatenate(name=f"up_{level}_skip")([x, skips[level]])
                x = apply_conv(x, filters, 1, seeds, f"up_{level}_merge", gain=0.5)
        for block in range(config.num_residual_blocks[level]):
            name = f"decoder_{level}_block_{block + 1}"
            x = apply_residual(x, filters, kernel_size, config.groups, seeds, name)
    return x
