"""The probabilistic bottleneck of Systems A and B, and a network's two halves around it."""

from __future__ import annotations

import keras
from keras import layers

from keras_vaegan.models.blocks import Seeds
from keras_vaegan.models.layers import Sampling, SoftLimit

MEAN, RAW_LOG_VAR = "z_mean", "z_log_var_raw"
LOG_VAR_LIMIT = 10.0


def apply_dense_latent(x, size: int, seeds: Seeds):
    """Flatten features to two vectors. (N, H, W, C) -> mean, raw log-variance, (N, size)."""
    x = layers.Flatten(name="latent_flatten")(x)
    return tuple(
        layers.Dense(size, name=name, dtype="float32", kernel_initializer=seeds.initializer(0.1))(x)
        for name in (MEAN, RAW_LOG_VAR)
    )


def draw_latent(mean, raw_log_var, seed: int):
    """Bound the log-variance and draw z: `Sampling`. Float32 in any precision, shape unchanged."""
    # As many layers after the mean as after the variance: Keras orders layers, and so the weights
    # in a file, by their distance from the output, and files of other code have the mean first.
    mean = layers.Activation("linear", name=f"{MEAN}_linear", dtype="float32")(mean)
    log_var = SoftLimit(LOG_VAR_LIMIT, name="z_log_var", dtype="float32")(raw_log_var)
    return Sampling(seed, name="latent_sampling", dtype="float32")([mean, log_var])


def expand_dense_latent(z, side: int, channels: int, seeds: Seeds):
    """Vectors back to features. (N, size) -> (N, side, side, channels)."""
    z = layers.Dense(
        side * side * channels, name="latent_expand", kernel_initializer=seeds.initializer()
    )(z)
    return layers.Reshape((side, side, channels), name="latent_reshape")(z)


def split_at_latent(generator: keras.Model) -> tuple[keras.Model, keras.Model] | None:
    """View a generator as its two halves, sharing every weight, so that a caller draws the latent.

    Args:
        generator: As `build_generator` makes it, or one without a latent.

    Returns:
        (encoder, decoder): image -> [z_mean, z_log_var, *skips] and [z, *skips] -> image; None
        where there is no latent.
    """
    layers_by_name = {layer.name: layer for layer in generator.layers}
    if "latent_sampling" not in layers_by_name:
        return None
    z = layers_by_name["latent_sampling"].output
    latents = [layers_by_name[name].output for name in ("z_mean", "z_log_var")]
    skips = [layer.input[1] for name, layer in layers_by_name.items() if name.endswith("_skip")]
    encoder = keras.Model(generator.input, [*latents, *skips], name=f"{generator.name}_encoder")
    decoder = keras.Model([z, *skips], generator.output, name=f"{generator.name}_decoder")
    return encoder, decoder
