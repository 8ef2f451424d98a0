"""Layers with state or shape logic of their own; everything else is a block function."""

from __future__ import annotations

import keras
from keras import ops

from keras_vaegan.kernels import normalize_instances


def reparameterize(z_mean, z_log_var, noise):
    """Draw from N(z_mean, exp(z_log_var)) by standard normal noise of the same shape.

    Reference: Kingma & Welling 2014, "Auto-Encoding Variational Bayes", section 2.4.
    """
    return z_mean + ops.exp(0.5 * z_log_var) * ops.cast(noise, z_mean.dtype)


@keras.saving.register_keras_serializable(package="keras_vaegan")
class Sampling(keras.layers.Layer):
    """Draw the latent by `reparameterize` in training; inference returns the mean.

    Noise comes from the layer's own seed generator, so two networks never share a random stream.

    Args:
        seed: Seed of the noise.

    Inputs: (z_mean, z_log_var), two float tensors of equal shape.
    Returns: a tensor of the same shape.
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
        return reparameterize(z_mean, z_log_var, noise)

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self) -> dict:
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable(package="keras_vaegan")
class SoftLimit(keras.layers.Layer):
    """Bound values smoothly: limit * tanh(x / limit), which is x near 0.

    Args:
        limit: Largest absolute value of the output.

    Inputs: any shape. Returns: the same shape.
    """

    def __init__(self, limit: float = 10.0, **kwargs) -> None:
        super().__init__(**kwargs)
        self.limit = limit

    def call(self, inputs):
        return self.limit * ops.tanh(inputs / self.limit)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "limit": self.limit}


@keras.saving.register_keras_serializable(package="keras_vaegan")
class GroupNormalization(keras.layers.GroupNormalization):
    """Group normalisation whose statistics are always float32.

    The same weights, names and result as `keras.layers.GroupNormalization`; the scale and shift
    are folded per channel first. In 16-bit precision the variance comes from the mean square, so
    that the image is read once for the statistics and once for the result, and only that last
    multiply-add is 16-bit; in float32 it comes from the deviations, which loses no digits.

    Reference: Wu & He 2018, "Group Normalization".
    """

    def call(self, inputs):
        channels = inputs.shape[-1]
        groups = channels if self.groups == -1 else self.groups
        axes = list(range(1, len(inputs.shape) - 1))
        ones = [1] * len(axes)
        group_shape, flat = (-1, *ones, groups, channels // groups), (-1, *ones, channels)
        wide = ops.cast(inputs, "float32")

        def average(values):
            """Mean over a group's positions and channels, (N, 1.., groups, 1)."""
            means = ops.mean(values, axis=axes, keepdims=True)
            return ops.mean(ops.reshape(means, group_shape), axis=-1, keepdims=True)

        mean = average(wide)
        if self.compute_dtype == "float32":
            centre = ops.reshape(ops.repeat(mean, channels // groups, axis=-1), flat)
            variance = average(ops.square(wide - centre))
        else:
            variance = ops.maximum(average(ops.square(wide)) - ops.square(mean), 0.0)
        gamma = ops.reshape(self._weight(self.gamma, 1.0, channels), group_shape[1:])
        beta = ops.reshape(self._weight(self.beta, 0.0, channels), group_shape[1:])
        scale = ops.rsqrt(variance + self.epsilon) * gamma
        shift = ops.reshape(beta - mean * scale, flat)
        scale = ops.reshape(scale, flat)
        return inputs * ops.cast(scale, inputs.dtype) + ops.cast(shift, inputs.dtype)

    @staticmethod
    def _weight(variable, default: float, channels: int):
        """A float32 view of gamma or beta, or its constant where the layer has none."""
        if variable is None:
            return ops.full((channels,), default, dtype="float32")
        return ops.cast(variable, "float32")


@keras.saving.register_keras_serializable(package="keras_vaegan")
class InstanceNormalization(keras.layers.Layer):
    """Give every channel of every image zero mean and unit variance; no weights.

    Args:
        epsilon: Added to the variance.

    Inputs: (N, H, W, C). Returns: the same shape; statistics are float32 in any precision.

    Reference: Ulyanov et al. 2016, "Instance Normalization"; without scale and shift, as in
    PyTorch's default and in System C (see its parameter count).
    """

    def __init__(self, epsilon: float = 1e-5, **kwargs) -> None:
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def call(self, inputs):
        return normalize_instances(inputs, self.epsilon)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "epsilon": self.epsilon}


@keras.saving.register_keras_serializable(package="keras_vaegan")
class SpectralConv2D(keras.layers.Layer):
    """Convolution whose kernel is divided by its largest singular value.

    The value is estimated from a vector that `advance` moves by one power iteration. Calls leave
    the vector alone, so that any number of calls in a training step sees one and the same kernel;
    who trains the layer calls `advance` once a step (`advance_spectral_norms` for a model).

    Args:
        filters, kernel_size, strides: As in `keras.layers.Conv2D`.
        padding: "same" or "valid".
        kernel_initializer: Of the kernel before its division.
        seed: Seed of the first vector.

    Inputs: (N, H, W, C). Returns: (N, H', W', filters).

    Reference: Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks".
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        strides: int = 1,
        padding: str = "same",
        kernel_initializer="glorot_uniform",
        seed: int = 0,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.filters, self.kernel_size, self.strides = filters, kernel_size, strides
        self.padding, self.seed = padding, seed
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape) -> None:
        shape = (self.kernel_size, self.kernel_size, input_shape[-1], self.filters)
        # Singular values are float32 in any precision: no automatic cast of these two.
        self.kernel = self.add_weight(
            shape=shape, initializer=self.kernel_initializer, autocast=False, name="kernel"
        )
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")
        self.vector_u = self.add_weight(
            shape=(self.filters,),
            initializer=keras.initializers.RandomNormal(stddev=1.0, seed=self.seed),
            trainable=False,
            autocast=False,
            aggregation="only_first_replica",
            name="vector_u",
        )

    def call(self, inputs):
        matrix = ops.reshape(self.kernel, (-1, self.filters))
        unit = _normalize(ops.stop_gradient(ops.convert_to_tensor(self.vector_u)))
        sigma = ops.norm(ops.matmul(matrix, unit[:, None]))
        kernel = ops.cast(self.kernel / sigma, inputs.dtype)
        outputs = ops.conv(inputs, kernel, strides=self.strides, padding=self.padding)
        return outputs + ops.cast(self.bias, outputs.dtype)

    def advance(self) -> None:
        """Move the vector by one power iteration towards the largest singular value's."""
        matrix = ops.reshape(self.kernel, (-1, self.filters))
        v = _normalize(ops.matmul(matrix, self.vector_u[:, None]))
        self.vector_u.assign(_normalize(ops.matmul(ops.transpose(matrix), v))[:, 0])

    def compute_output_shape(self, input_shape):
        lost = 0 if self.padding == "same" else self.kernel_size - 1
        sides = [side and -(-(side - lost) // self.strides) for side in input_shape[1:3]]
        return (input_shape[0], *sides, self.filters)

    def get_config(self) -> dict:
        names = ("filters", "kernel_size", "strides", "padding", "seed")
        fields = {name: getattr(self, name) for name in names}
        fields["kernel_initializer"] = keras.initializers.serialize(self.kernel_initializer)
        return {**super().get_config(), **fields}


def advance_spectral_norms(model: keras.Model) -> None:
    """Take one power iteration in every `SpectralConv2D` of a model."""
    for layer in model.layers:
        if isinstance(layer, SpectralConv2D):
            layer.advance()


def _normalize(vector):
    """A vector of length 1."""
    return vector / ops.maximum(ops.norm(vector), 1e-12)


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


@keras.saving.register_keras_serializable(package="keras_vaegan")
class LegacyInstanceNormalization(keras.layers.Layer):
    """keras_contrib's InstanceNormalization, for weight files of its time.

    Differs from a group normalisation in that epsilon is added to the standard deviation, and
    that `axis=None` takes the statistics over height, width and channels together, with one
    gamma and one beta of shape (1,).

    Args:
        axis: Axis that keeps its own statistics, gamma and beta; None for none.
        epsilon: Added to the standard deviation.
        center, scale: Whether there is a beta, a gamma.

    Inputs: (N, ..., C). Returns: the same shape.
    """

    def __init__(
        self, axis: int | None = None, epsilon: float = 1e-3, center=True, scale=True, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        self.axis, self.epsilon, self.center, self.scale = axis, epsilon, center, scale

    def build(self, input_shape) -> None:
        size = (1,) if self.axis is None else (input_shape[self.axis],)
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self.add_weight(shape=size, initializer="ones", name="gamma")
        if self.center:
            self.beta = self.add_weight(shape=size, initializer="zeros", name="beta")

    def call(self, inputs):
        rank = len(inputs.shape)
        kept = None if self.axis is None else self.axis % rank
        axes = [axis for axis in range(1, rank) if axis != kept]
        shape = [1] * rank
        if kept is not None:
            shape[kept] = inputs.shape[kept]
        wide = ops.cast(inputs, "float32")
        mean = ops.mean(wide, axis=axes, keepdims=True)
        deviation = ops.std(wide, axis=axes, keepdims=True) + self.epsilon
        result = (wide - mean) / deviation
        if self.gamma is not None:
            result = result * ops.reshape(ops.cast(self.gamma, "float32"), shape)
        if self.beta is not None:
            result = result + ops.reshape(ops.cast(self.beta, "float32"), shape)
        return ops.cast(result, inputs.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self) -> dict:
        fields = {name: getattr(self, name) for name in ("axis", "epsilon", "center", "scale")}
        return {**super().get_config(), **fields}


@keras.saving.register_keras_serializable(package="keras_vaegan")
def legacy_hard_sigmoid(x):
    """Keras 1 and 2's hard_sigmoid: 0.2 x + 0.5 within [0, 1]; Keras 3's has a slope of 1/6."""
    return ops.clip(0.2 * x + 0.5, 0.0, 1.0)
