"""System B's network: a U-Net with a dense probabilistic bottleneck, contrasts in, one out."""

from __future__ import annotations

from functools import partial

import keras
import numpy as np
from keras import layers

from keras_vaegan.config.base import resolve_config
from keras_vaegan.config.networks import GROUPS, ModalityUNetConfig
from keras_vaegan.models.blocks import Seeds, apply_conv, apply_transposed_conv
from keras_vaegan.models.latent import apply_dense_latent, draw_latent, expand_dense_latent
from keras_vaegan.models.layers import GroupNormalization

CONVS_PER_LEVEL = 2
_NORMS = {
    "batch": layers.BatchNormalization,
    "group": partial(GroupNormalization, GROUPS),
    "instance": partial(GroupNormalization, -1),
}


def build_modality_unet(config: ModalityUNetConfig | None = None, **fields) -> keras.Model:
    """Build the VAE U-Net that generates one contrast from others.

    Every level has two 3x3 convolutions, each with normalisation and ReLU, and a max-pool;
    the bottleneck is flattened to z_mean and z_log_var. z ~ N(z_mean, exp(z_log_var)) while
    training and z = z_mean at inference; `find_latent_model` gives the two halves around it.

    Args:
        config: Architecture; or give its fields as keywords.

    Returns:
        Functional model, (N, S, S, config.channels) -> (N, S, S, 1), float32 in [0, 1];
        `systems.modality.slices.encode_inputs` lays out the input.

    Raises:
        InputError: the config refuses a value.

    Examples:
        >>> import keras_vaegan as kv
        >>> model = kv.build_modality_unet(image_size=32, filters=(8, 8), latent_channels=4)
        >>> model.output_shape
        (None, 32, 32, 1)

    Reference: System B.
    """
    return _build(resolve_config(ModalityUNetConfig, config, fields), is_folded=False)


def fold_normalization(network: keras.Model, config: ModalityUNetConfig) -> keras.Model:
    """Build the same network with any batch normalisation inside the convolutions, for inference.

    Args:
        network: A model of `build_modality_unet`.
        config: Its config.

    Returns:
        A model of equal inference output (up to rounding) and under the current dtype policy,
        without batch normalisation: a third less to do. Other normalisation stays.
    """
    if config.normalization != "batch":
        copy = _build(config, is_folded=False)
        copy.set_weights(network.get_weights())
        return copy
    folded = _build(config, is_folded=True)
    for layer in folded.layers:
        weights = network.get_layer(layer.name).get_weights()
        if layer.name.endswith("_conv"):
            kernel, bias = weights if len(weights) == 2 else (weights[0], 0.0)
            norm = network.get_layer(layer.name.removesuffix("conv") + "norm")
            gamma, beta, mean, variance = norm.get_weights()
            scale = gamma / np.sqrt(variance + norm.epsilon)
            weights = [kernel * scale, (bias - mean) * scale + beta]
        if weights:
            layer.set_weights(weights)
    return folded


def _build(config: ModalityUNetConfig, is_folded: bool) -> keras.Model:
    """The network, with or without its normalisation layers."""
    seeds, norm = Seeds(config.seed + 1), "" if is_folded else config.normalization
    image = keras.Input((config.image_size, config.image_size, config.channels), name="image")
    x, skips = image, []
    for level, filters in enumerate(config.filters):
        x = _apply_level(x, filters, seeds, f"encoder_{level}", norm)
        skips.append(x)
        x = layers.MaxPooling2D(name=f"encoder_{level}_pool")(x)
    mean, log_var = apply_dense_latent(x, config.latent_channels, seeds)
    z = draw_latent(mean, log_var, config.seed + 2)
    side = config.image_size // config.stride
    x = expand_dense_latent(z, side, config.filters[-1], seeds)
    for level in reversed(range(len(config.filters))):
        filters, name = config.filters[level], f"decoder_{level}"
        x = apply_transposed_conv(x, filters, 2, seeds.initializer(0.5), f"{name}_transpose")
        x = layers.Concatenate(name=f"{name}_skip")([x, skips[level]])
        x = _apply_level(x, filters, seeds, name, norm)
    x = apply_conv(x, 1, 1, seeds, "output", gain=0.1, dtype="float32")
    x = layers.Activation("sigmoid", name="output_image", dtype="float32")(x)
    return keras.Model(image, x, name="modality_unet")


def _apply_level(x, filters: int, seeds: Seeds, name: str, norm: str):
    """Two units of convolution, normalisation (none where it is "") and ReLU."""
    for index in range(1, CONVS_PER_LEVEL + 1):
        unit = f"{name}_{index}"
        if not norm:
            x = apply_conv(x, filters, 3, seeds, f"{unit}_conv", activation="relu")
            continue
        x = apply_conv(x, filters, 3, seeds, f"{unit}_conv", use_bias=False)
        x = _NORMS[norm](name=f"{unit}_norm")(x)
        x = layers.ReLU(name=f"{unit}_activation")(x)
    return x
