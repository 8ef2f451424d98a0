"""Blocks: functions from tensor to tensor. Layer names are `name` plus a fixed suffix."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from keras_vaegan.models.layers import GroupNormalization

LEAKY_SLOPE = 0.2


class Seeds:
    """Hand out one initialiser seed after another, so that equal configs build equal weights."""

    def __init__(self, seed: int) -> None:
        self._next = 1_000 * seed % 2**31

    def initializer(self, gain: float = 1.0) -> keras.initializers.Initializer:
        """He-normal with the next seed; `gain` scales its variance."""
        self._next += 1
        return keras.initializers.VarianceScaling(
            2.0 * gain, mode="fan_in", distribution="truncated_normal", seed=self._next
        )

    def enlarger(self) -> keras.initializers.Initializer:
        """`SmoothEnlargement` with the next seed."""
        self._next += 1
        return SmoothEnlargement(self._next)


@keras.saving.register_keras_serializable(package="keras_vaegan")
class SmoothEnlargement(keras.initializers.Initializer):
    """Start a transposed convolution of stride 2 as bilinear enlargement of mixed channels.

    Independent random taps give neighbouring output pixels different sums, a pattern of period 2
    that training then has to remove; these begin without it.

    Args:
        seed: Seed of the He-normal mix of channels.

    Returns (when called with a shape (K, K, out, in)): the kernel.

    Reference: Odena et al. 2016, "Deconvolution and Checkerboard Artifacts"; the idea is that of
    Aitken et al. 2017, "Checkerboard artifact free sub-pixel convolution".
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __call__(self, shape, dtype=None):
        size, _, filters, channels = shape
        reach = (size + 1) // 2
        taps = 1.0 - np.abs(np.arange(size) - (size - 1) / 2) / reach
        taps = keras.ops.convert_to_tensor(np.outer(taps, taps)[..., None, None], dtype)
        mix = keras.initializers.HeNormal(self.seed)((channels, filters), dtype)
        return taps * keras.ops.transpose(mix)

    def get_config(self) -> dict:
        return {"seed": self.seed}


def apply_conv(
    x, filters: int, kernel_size: int, seeds: Seeds, name: str, gain: float = 1.0, **kwargs
):
    """Convolve, with "same" padding by default. (N, H, W, C) -> (N, H', W', filters)."""
    settings = {"padding": "same", "kernel_initializer": seeds.initializer(gain), **kwargs}
    return layers.Conv2D(filters, kernel_size, name=name, **settings)(x)


def apply_transposed_conv(x, filters: int, kernel_size: int, initializer, name: str):
    """Convolve transposed, at stride 2. (N, H, W, C) -> (N, 2H, 2W, filters)."""
    return layers.Conv2DTranspose(
        filters, kernel_size, 2, padding="same", name=name, kernel_initializer=initializer
    )(x)


def apply_norm_activation(x, groups: int, name: str):
    """Group (-1: instance, 0: no) normalisation and LeakyReLU. Shape unchanged."""
    if groups:
        x = GroupNormalization(groups, epsilon=1e-3, name=f"{name}_norm")(x)
    return layers.LeakyReLU(LEAKY_SLOPE, name=f"{name}_activation")(x)


def apply_residual(x, filters: int, kernel_size: int, groups: int, seeds: Seeds, name: str):
    """Pre-activation residual block: two norm-activation-convolution units around a shortcut.

    A 1x1 convolution adapts the shortcut where the channel count changes.

    Reference: He et al. 2016, "Identity Mappings in Deep Residual Networks".
    """
    shortcut = x
    if x.shape[-1] != filters:
        shortcut = apply_conv(x, filters, 1, seeds, f"{name}_shortcut", gain=0.5)
    x = apply_norm_activation(x, groups, f"{name}_1")
    x = apply_conv(x, filters, kernel_size, seeds, f"{name}_conv_1")
    x = apply_norm_activation(x, groups, f"{name}_2")
    x = apply_conv(x, filters, kernel_size, seeds, f"{name}_conv_2", gain=0.1)
    return layers.Add(name=f"{name}_add")([shortcut, x])


def apply_upsampling(x, filters: int, kernel_size: int, kind: str, seeds: Seeds, name: str):
    """Double the resolution. (N, H, W, C) -> (N, 2H, 2W, filters).

    "nearest" and "bilinear" resize and then convolve, which every output pixel takes part in
    equally; "transpose" leaves the resizing to a strided transposed convolution. Where the
    features become fewer, a 1x1 convolution makes them so before the resize (the two commute),
    which halves the cost.

    Reference: Odena et al. 2016, "Deconvolution and Checkerboard Artifacts".
    """
    if kind == "transpose":
        return apply_transposed_conv(x, filters, 4, seeds.initializer(), f"{name}_transpose")
    if x.shape[-1] > filters:
        x = apply_conv(x, filters, 1, seeds, f"{name}_project", gain=0.5)
    x = layers.UpSampling2D(2, interpolation=kind, name=f"{name}_resize")(x)
    return apply_conv(x, filters, kernel_size, seeds, f"{name}_conv")
