"""The trainer of System B: one network, reconstruction and KL losses."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_vaegan.losses.latent import kl_loss
from keras_vaegan.losses.reconstruction import mean_absolute_error
from keras_vaegan.losses.weighted_sum import LossTerm, read_values, sum_terms
from keras_vaegan.models.latent import find_latent_model
from keras_vaegan.models.layers import reparameterize
from keras_vaegan.models.modality_unet import build_modality_unet
from keras_vaegan.systems.modality.config import ModalityConfig
from keras_vaegan.training.backend import (
    average_over_replicas,
    compute_gradients,
    count_replicas,
    draw_normal,
)
from keras_vaegan.training.schedules import AnnealedRate
from keras_vaegan.training.trainer import Trainer, make_adam, unpack_batch
from keras_vaegan.weights.names import MODALITY_FILE
from keras_vaegan.weights.record import WeightsRecord


class ModalitySynthesis(Trainer):
    """Make a missing MRI contrast from the others.

    A batch is (inputs, target, brain), each (N, S, S, C) float32 in [0, 1], as
    `SliceSampler` gives it; without `brain`, every pixel that is not 0 in all inputs counts.

    Args:
        config: The run.
        generator: The network; built from the config where not given.

    Reference: System B.
    """

    def __init__(self, config: ModalityConfig, generator: keras.Model | None = None) -> None:
        super().__init__(config, "modality_synthesis")
        self.generator = generator or build_modality_unet(config.generator)
        for layer in self.generator.layers:  # statistics of the global batch
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = count_replicas() > 1
        self._latent: Any = find_latent_model(self.generator)

    def compile(self, optimizer=None, **kwargs) -> None:
        """Set the optimiser; Adam at the config's rate where none is given."""
        rates, rate = self.config.optimizer, self.config.optimizer.learning_rate
        if self.config.rate == "cosine":
            rate = AnnealedRate(rate, cosine_steps=self.config.steps)
        optimizer = optimizer or make_adam(rates, rate)
        optimizer = self.prepare_optimizer(optimizer, self.generator.trainable_variables)
        super().compile(optimizer, **kwargs)

    def call(self, inputs, training=False):
        return self.generator(inputs, training=training)

    def update(self, data) -> dict:
        """Synthesise, weigh the errors, update the network; logs the in-brain figures too."""
        inputs, target, brain = _unpack(data)

        def compute_loss() -> tuple:
            image, *latents = self._synthesize(inputs, training=True)
            terms = self._make_terms(image, target, latents)
            return sum_terms(terms), (image, terms)

        variables = self.generator.trainable_variables
        gradients, (image, terms) = compute_gradients(compute_loss, variables, self.optimizer)
        self.optimizer.apply(gradients, variables)
        return read_values(terms) | compute_brain_figures(image, target, brain)

    def test_step(self, data) -> dict:
        """The loss terms and in-brain figures of the latent's mean."""
        inputs, target, brain = _unpack(data)
        image, *latents = self._synthesize(inputs, training=False)
        terms = self._make_terms(image, target, latents)
        return self.track(read_values(terms) | compute_brain_figures(image, target, brain))

    def _synthesize(self, inputs, training: bool) -> tuple:
        """(image, z_mean, z_log_var); the latent's noise follows from the run's seed and step."""
        z_mean, z_log_var, skips = self._latent.encode(inputs, training=training)
        z = z_mean
        if training:
            seed = ops.stack([self.config.seed, ops.cast(self.trained_steps, "int32")])
            z = reparameterize(z_mean, z_log_var, draw_normal(z_mean, seed))
        return self._latent.decode(z, skips, training=training), z_mean, z_log_var

    def _make_terms(self, image, target, latents) -> dict[str, LossTerm]:
        """The terms of the loss; the KL weight rises linearly at first."""
        settings = self.config.losses
        warmup = max(1.0, settings.kl_warmup * self.config.steps)
        kl_weight = settings.kl_weight * ops.minimum(1.0, (self.step_number + 1) / warmup)
        # The mean over the elements times their number: summed over the latent, not the batch.
        kl = self.config.generator.latent_channels * kl_loss(*latents)
        terms = {"l1": LossTerm(mean_absolute_error(image, target)), "kl": LossTerm(kl, kl_weight)}
        if settings.mse_weight:
            terms["mse"] = LossTerm(ops.mean(ops.square(image - target)), settings.mse_weight)
        return terms

    def state_parts(self) -> dict:
        return {"network": self.generator, "optimizer": self.optimizer}

    def weight_files(self) -> dict:
        record = WeightsRecord(self.config.generator, self.config.data)
        return {MODALITY_FILE: ([self.generator], record)}


def compute_brain_figures(image, target, brain) -> dict:
    """PSNR and mean absolute error over the brain's pixels of the global batch.

    Args:
        image, target: (N, S, S, 1) in [0, 1].
        brain: (N, S, S, 1), 1 in the brain and 0 outside.

    Returns:
        {"brain_psnr": dB, "brain_mae"}, float32 scalars.
    """
    error = ops.cast(image, "float32") - target
    sums = [ops.sum(brain * part) for part in (1.0, ops.square(error), ops.abs(error))]
    pixels, squared, absolute = average_over_replicas(sums)
    pixels = ops.maximum(pixels, 1e-6)
    return {
        "brain_psnr": -10.0 * ops.log10(ops.maximum(squared / pixels, 1e-10)),
        "brain_mae": absolute / pixels,
    }


def _unpack(data) -> tuple:
    """(inputs, target, brain), the brain from the inputs where it is not given."""
    inputs, target, *brain = unpack_batch(data)
    if not brain:
        brain = [ops.cast(ops.any(inputs > 0, axis=-1, keepdims=True), "float32")]
    return inputs, target, brain[0]
