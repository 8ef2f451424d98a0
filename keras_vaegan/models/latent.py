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


class LatentModel:
    """A generator seen as an encoder and a decoder around its latent, sharing every weight.

    Only the latent is random: normalisation and dropout run as `training` says, so that samples
    of a trained network neither move nor use batch statistics.

    Args:
        encoder: image -> [z_mean, z_log_var, *skips].
        decoder: [z, *skips] -> image.
    """

    def __init__(self, encoder: keras.Model, decoder: keras.Model) -> None:
        self.encoder, self.decoder = encoder, decoder

    def encode(self, images, training: bool = False) -> tuple:
        """Images -> (z_mean, z_log_var, list of skips)."""
        z_mean, z_log_var, *skips = self.encoder(images, training=training)
        return z_mean, z_log_var, skips

    def decode(self, z, skips: list, training: bool = False):
        """A latent and its images' skips -> images."""
        return self.decoder([z, *skips], training=training)


def find_latent_model(generator: keras.Model) -> LatentModel | None:
    """View a generator as `LatentModel`; None where it has no latent.

    Args:
        generator: A Functional model with one `Sampling` layer, of this package or rebuilt from
            other code's file.
    """
    samplings = [layer for layer in generator.layers if isinstance(layer, Sampling)]
    if len(samplings) != 1:
        return None
    z = samplings[0].output
    skips = _find_skips(generator, z)
    name = generator.name
    encoder = keras.Model(generator.input, [*samplings[0].input, *skips], name=f"{name}_encoder")
    decoder = keras.Model([z, *skips], generator.output, name=f"{name}_decoder")
    return LatentModel(encoder, decoder)


def _find_skips(generator: keras.Model, z) -> list:
    """The tensors that the layers after z take from before it, in the layers' order."""
    after, skips = {id(z)}, dict[int, object]()
    for layer in generator.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        inputs = keras.tree.flatten(layer.input)
        if any(id(tensor) in after for tensor in inputs):
            skips |= {id(tensor): tensor for tensor in inputs if id(tensor) not in after}
            after |= {id(tensor) for tensor in keras.tree.flatten(layer.output)}
    return list(skips.values())
