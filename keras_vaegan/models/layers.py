"""Layers with state or shape logic of their own; everything else is a block function."""

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_vaegan")
class Sampling(keras.layers.Layer):
    """Draw the latent by the reparameterisation trick.

    Training draws z = mean + exp(log_var / 2) * noise; inference returns the mean. Noise comes
    from the layer's own seed generator, so two networks never share a random stream.

    Args:
        seed: Seed of the noise.

    Inputs: (z_mean, z_log_var), two float tensors of equal shape.
    Returns: a tensor of the same shape.

    Reference: Kingma & Welling 2014, "Auto-Encoding Variational Bayes", section 2.4.
    """

    def __init__(self, seed: int = 0, **kwargs) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=False):
        z_mean, z_log_var = inputs
        if not training:
            return z_mean
        noise = keras.random.normal(ops.shape(z_mean), dtype="float32", seed=self.seed_generator)
        return z_mean + ops.exp(0.5 * z_log_var) * ops.cast(noise, z_mean.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self) -> dict:
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable(package="keras_vaegan")
class GroupNormalization(keras.layers.GroupNormalization):
    """Group normalisation whose statistics are always float32, in two passes over the data.

    The same weights, names and result as `keras.layers.GroupNormalization`; the scale and shift
    are folded per channel first, so that the image is read once for the statistics and once
    for the result. In 16-bit precision only that last multiply-add is 16-bit.

    Reference: Wu & He 2018, "Group Normalization".
    """

    def call(self, inputs):
        channels = inputs.shape[-1]
        axes = list(range(1, len(inputs.shape) - 1))
        group_shape = (-1, *[1] * len(axes), self.groups, channels // self.groups)
        wide = ops.cast(inputs, "float32")
        mean = ops.mean(wide, axis=axes, keepdims=True)
        square = ops.mean(ops.square(wide), axis=axes, keepdims=True)
        group_mean = ops.mean(ops.reshape(mean, group_shape), axis=-1, keepdims=True)
        group_square = ops.mean(ops.reshape(square, group_shape), axis=-1, keepdims=True)
        variance = ops.maximum(group_square - ops.square(group_mean), 0.0)
        inverse = ops.rsqrt(variance + self.epsilon)
        gamma = ops.reshape(self._weight(self.gamma, 1.0, channels), group_shape[1:])
        beta = ops.reshape(self._weight(self.beta, 0.0, channels), group_shape[1:])
        flat = (-1, *[1] * len(axes), channels)
        scale = ops.reshape(inverse * gamma, flat)
        shift = ops.reshape(beta - group_mean * inverse * gamma, flat)
        return inputs * ops.cast(scale, inputs.dtype) + ops.cast(shift, inputs.dtype)

    @staticmethod
    def _weight(variable, default: float, channels: int):
        """A float32 view of gamma or beta, or its constant where the layer has none."""
        if variable is None:
            return ops.full((channels,), default, dtype="float32")
        return ops.cast(variable, "float32")


@keras.saving.register_keras_serializable(package="keras_vaegan")
class AverageChannels(keras.layers.Layer):
    """Replace every channel by the channels' mean: a gray image stays gray.

    Inputs: (N, H, W, C). Returns: the same shape, all channels equal.
    """

    def call(self, inputs):
        mean = ops.mean(inputs, axis=-1, keepdims=True)
        return ops.repeat(mean, inputs.shape[-1], axis=-1)

    def compute_output_shape(self, input_shape):
        return input_shape
