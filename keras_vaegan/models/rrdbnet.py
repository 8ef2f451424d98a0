"""ESRGAN's generator: images of any size, enlarged 1, 2 or 4 times."""

from __future__ import annotations

import keras
from keras import layers

from keras_vaegan.config.base import resolve_config
from keras_vaegan.config.networks import RRDBNetConfig
from keras_vaegan.models.blocks import LEAKY_SLOPE, Seeds, apply_conv
from keras_vaegan.models.pixel_layers import CropToMultiple, PixelUnshuffle

DENSE_CONVS = 5
DENSE_BLOCKS = 3
DENSE_GAIN = 0.01  # of the variance: ESRGAN scales the dense blocks' initial weights by 0.1
PLAIN_GAIN = 1 / 6  # PyTorch's default, a variance of 1 / (3 fan_in), as published weights began


def build_rrdbnet(config: RRDBNetConfig | None = None, **fields) -> keras.Model:
    """Build the residual-in-residual dense network.

    Args:
        config: Architecture; or give its fields as keywords.

    Returns:
        Functional model, (N, H, W, channels) float32 in [0, 1], any H and W of at least 4 ->
        (N, H * scale, W * scale, generated_channels) float32, not clipped.

    Raises:
        InputError: the config refuses a value.

    Examples:
        >>> import keras_vaegan as kv
        >>> model = kv.build_rrdbnet(channels=1, num_features=8, num_blocks=1, growth_channels=4)
        >>> model.compute_output_shape((1, 20, 30, 1))
        (1, 80, 120, 1)

    Reference: Wang et al. 2018, "ESRGAN", figures 3 and 4; 16,697,987 parameters at its size.
    """
    config = resolve_config(RRDBNetConfig, config, fields)
    seeds = Seeds(config.seed + 900)
    features, kernel = config.num_features, 3
    image = keras.Input((None, None, config.channels), name="image")
    x = image
    if config.unshuffle > 1:
        x = PixelUnshuffle(config.unshuffle, name="unshuffle")(x)
    x = trunk = apply_conv(x, features, kernel, seeds, "conv_first", gain=PLAIN_GAIN)
    for index in range(config.num_blocks):
        x = _apply_residual_dense_blocks(x, config, seeds, f"body_{index}")
    x = apply_conv(x, features, kernel, seeds, "conv_body", gain=PLAIN_GAIN)
    x = layers.Add(name="trunk_add")([trunk, x])
    for name in ("up1", "up2"):
        x = layers.UpSampling2D(2, name=f"resize_{name}")(x)
        x = _apply_conv_activation(x, features, seeds, f"conv_{name}")
    x = _apply_conv_activation(x, features, seeds, "conv_hr")
    x = apply_conv(
        x, config.generated_channels, kernel, seeds, "conv_last", gain=PLAIN_GAIN, dtype="float32"
    )
    if config.unshuffle > 1:
        x = CropToMultiple(config.scale, name="crop", dtype="float32")([x, image])
    return keras.Model(image, x, name="rrdbnet")


def _apply_conv_activation(x, filters: int, seeds: Seeds, name: str, gain: float = PLAIN_GAIN):
    """Convolve with kernel 3, then LeakyReLU. (N, H, W, C) -> (N, H, W, filters)."""
    x = apply_conv(x, filters, 3, seeds, name, gain=gain)
    return layers.LeakyReLU(LEAKY_SLOPE, name=f"{name}_activation")(x)


def _apply_residual_dense_blocks(x, config: RRDBNetConfig, seeds: Seeds, name: str):
    """One residual-in-residual dense block: three dense blocks around a scaled shortcut."""
    shortcut = x
    for number in range(1, DENSE_BLOCKS + 1):
        x = _apply_dense_block(x, config, seeds, f"{name}_rdb{number}")
    return _add_scaled(shortcut, x, config.residual_scale, name)


def _apply_dense_block(x, config: RRDBNetConfig, seeds: Seeds, name: str):
    """Five convolutions, each reading all features before it, around a scaled shortcut."""
    shortcut, known = x, [x]
    for number in range(1, DENSE_CONVS):
        conv = f"{name}_conv{number}"
        x = known[0]
        if number > 1:
            x = layers.Concatenate(name=f"{conv}_input")(known)
        known.append(_apply_conv_activation(x, config.growth_channels, seeds, conv, DENSE_GAIN))
    conv = f"{name}_conv{DENSE_CONVS}"
    x = layers.Concatenate(name=f"{conv}_input")(known)
    x = apply_conv(x, config.num_features, 3, seeds, conv, gain=DENSE_GAIN)
    return _add_scaled(shortcut, x, config.residual_scale, name)


def _add_scaled(shortcut, residual, scale: float, name: str):
    """shortcut + scale * residual."""
    residual = layers.Rescaling(scale, name=f"{name}_scale")(residual)
    return layers.Add(name=f"{name}_add")([shortcut, residual])
