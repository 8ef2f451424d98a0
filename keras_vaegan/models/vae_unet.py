"""System A's generator: a U-Net whose bottleneck is a probabilistic latent."""

from __future__ import annotations

import dataclasses

import keras
from keras import layers

from keras_vaegan.config import VAEUNetConfig
from keras_vaegan.models.blocks import (
    Seeds,
    apply_conv,
    apply_norm_activation,
    apply_residual,
    apply_upsampling,
)
from keras_vaegan.models.layers import AverageChannels, Sampling, SoftLimit

LOG_VAR_LIMIT = 10.0


def build_generator(config: VAEUNetConfig | None = None, **fields) -> keras.Model:
    """Build the VAE U-Net generator.

    Encoder levels halve the resolution and hand their features to the decoder where
    `config.skip_levels` allows. At the bottleneck z ~ N(z_mean, exp(z_log_var)) while training
    and z = z_mean at inference; `with_latents` gives the model that also returns the two.

    Args:
        config: Architecture; or give its fields as keywords.

    Returns:
        Functional model, (N, S, S, channels) float32 -> the same shape, in [-1, 1] for tanh or
        [0, 1] for sigmoid. A spatial latent also accepts any other H, W divisible by the stride
        when rebuilt with that `image_size`.

    Raises:
        InputError: the config refuses a value.

    Reference: System A; skips on the coarse levels only are our reading (see README, design).
    """
    config = _resolve(config, fields)
    seeds = Seeds(config.seed + 1)
    shape = (config.image_size, config.image_size, config.channels)
    image = keras.Input(shape, name="image")
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


def with_latents(generator: keras.Model) -> keras.Model:
    """View a generator as image -> (image, z_mean, z_log_var), sharing every weight.

    A generator without a latent comes back as it is.
    """
    names = {layer.name for layer in generator.layers}
    latents = [generator.get_layer(n).output for n in ("z_mean", "z_log_var") if n in names]
    if not latents:
        return generator
    return keras.Model(generator.input, [generator.output, *latents], name=f"{generator.name}_vae")


def _resolve(config: VAEUNetConfig | None, fields: dict) -> VAEUNetConfig:
    """One config from either calling style."""
    return dataclasses.replace(config, **fields) if config else VAEUNetConfig(**fields)


def _apply_encoder(x, config: VAEUNetConfig, seeds: Seeds):
    """Image -> (coarsest features, skip features per level with None where there is none)."""
    levels = len(config.filters)
    skips = []
    x = apply_conv(x, config.filters[0], config.kernel_sizes[0], seeds, "stem_conv")
    for level, filters in enumerate(config.filters):
        if level:
            x = apply_norm_activation(x, config.groups, f"down_{level}")
            x = apply_conv(
                x, filters, config.kernel_sizes[level], seeds, f"down_{level}_conv", strides=2
            )
        for block in range(config.num_residual_blocks[level]):
            x = apply_residual(
                x,
                filters,
                config.kernel_sizes[level],
                config.groups,
                seeds,
                f"encoder_{level}_block_{block + 1}",
            )
        skips.append(x if levels - 1 - level <= config.skip_levels else None)
    return x, skips


def _apply_latent(x, config: VAEUNetConfig, seeds: Seeds):
    """Coarsest features -> latent -> coarsest features. z_mean and z_log_var are float32."""
    x = apply_norm_activation(x, config.groups, "latent")
    side = config.image_size // config.stride
    if config.latent == "dense":
        x = layers.Flatten(name="latent_flatten")(x)
        z_mean, z_log_var = (
            layers.Dense(
                config.latent_channels,
                name=name,
                dtype="float32",
                kernel_initializer=seeds.initializer(0.1),
            )(x)
            for name in ("z_mean", "z_log_var_raw")
        )
    else:
        z_mean, z_log_var = (
            apply_conv(x, config.latent_channels, 1, seeds, name, gain=gain, dtype="float32")
            for name, gain in (("z_mean", 0.5), ("z_log_var_raw", 0.01))
        )
    # As many layers after the mean as after the variance: Keras orders layers, and so the weights
    # in a file, by their distance from the output, and files of other code have the mean first.
    mean = layers.Activation("linear", name="z_mean_linear", dtype="float32")(z_mean)
    z_log_var = SoftLimit(LOG_VAR_LIMIT, name="z_log_var", dtype="float32")(z_log_var)
    z = Sampling(config.seed + 2, name="latent_sampling", dtype="float32")([mean, z_log_var])
    if config.latent == "dense":
        z = layers.Dense(
            side * side * config.latent_channels,
            name="latent_expand",
            kernel_initializer=seeds.initializer(),
        )(z)
        z = layers.Reshape((side, side, config.latent_channels), name="latent_reshape")(z)
    return apply_conv(z, config.filters[-1], 3, seeds, "latent_conv")


def _apply_decoder(x, skips: list, config: VAEUNetConfig, seeds: Seeds):
    """Latent features and skips -> features at full resolution."""
    for level in reversed(range(len(config.filters))):
        filters, kernel_size = config.filters[level], config.kernel_sizes[level]
        is_coarsest = level == len(config.filters) - 1
        if not is_coarsest:
            x = apply_norm_activation(x, config.groups, f"up_{level}")
            x = apply_upsampling(x, filters, kernel_size, config.upsampling, seeds, f"up_{level}")
            if skips[level] is not None:
                x = layers.Concatenate(name=f"up_{level}_skip")([x, skips[level]])
                x = apply_conv(x, filters, 1, seeds, f"up_{level}_merge", gain=0.5)
        for block in range(config.num_residual_blocks[level]):
            x = apply_residual(
                x, filters, kernel_size, config.groups, seeds, f"decoder_{level}_block_{block + 1}"
            )
    return x
