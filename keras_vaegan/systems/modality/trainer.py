"""The trainer of System B: one network, reconstruction and KL losses, a rate that falls."""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf

from keras_vaegan.losses.latent import kl_loss
from keras_vaegan.losses.reconstruction import mean_absolute_error
from keras_vaegan.models.latent import split_at_latent
from keras_vaegan.models.modality_unet import build_modality_unet
from keras_vaegan.systems.modality.config import ModalityConfig
from keras_vaegan.training.replicas import (
    average_over_replicas,
    count_replicas,
    draw_normal,
    share_loss,
)
from keras_vaegan.training.trainer import Trainer
from keras_vaegan.weights.legacy_h5 import save_legacy_h5
from keras_vaegan.weights.names import MODALITY_FILE
from keras_vaegan.weights.record import WeightsRecord

PLATEAU_FACTOR = 0.5
LOWEST_SCORE = -1e30
LOGS = ("l1", "mse", "kl", "brain_psnr", "brain_mae")


class ModalitySynthesis(Trainer):
    """Make a missing MRI contrast from the others.

    A batch is (inputs, target, brain), each (N, S, S, C) float32 in [0, 1], as
    `make_slice_dataset` gives it; without `brain`, every pixel that is not 0 in all inputs counts.

    Args:
        config: The run.
        network: The network; built from the config where not given.

    Reference: System B.
    """

    def __init__(self, config: ModalityConfig, network: keras.Model | None = None) -> None:
        super().__init__(config, LOGS, "modality_synthesis")
        self.network = network or build_modality_unet(config.model)
        for layer in self.network.layers:  # statistics of the global batch
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = count_replicas() > 1
        self._encoder, self._decoder = split_at_latent(self.network)
        self.plateau_best = self._add_scalar("plateau_best")
        self.plateau_best.assign(LOWEST_SCORE)
        self.plateau_wait = self._add_scalar("plateau_wait", "int64")

    def compile(self, optimizer=None, **kwargs) -> None:
        """Set the optimiser; Adam at the config's rate where none is given."""
        config = self.config
        optimizer = optimizer or keras.optimizers.Adam(config.learning_rate, epsilon=config.epsilon)
        optimizer = self.scale_for_precision(optimizer, self.network.trainable_variables)
        super().compile(optimizer, **kwargs)

    def call(self, inputs, training=False):
        return self.network(inputs, training=training)

    def update(self, data) -> dict:
        """Synthesise, weigh the errors, update the network.

        Returns:
            Dict of the loss terms and the in-brain figures.
        """
        inputs, target, brain = _unpack(data)
        with tf.GradientTape() as tape:
            image, *latents = self._synthesize(inputs, training=True)
            losses = self._compute_losses(image, target, latents)
            total = self.optimizer.scale_loss(share_loss(self._weigh(losses)))
        weights = self.network.trainable_variables
        self.optimizer.apply(tape.gradient(total, weights), weights)
        return losses | compute_brain_figures(image, target, brain)

    def test_step(self, data):
        """The loss terms and in-brain figures of the latent's mean."""
        inputs, target, brain = _unpack(data)
        image, *latents = self._synthesize(inputs, training=False)
        losses = self._compute_losses(image, target, latents)
        return self._running.track(losses | compute_brain_figures(image, target, brain))

    def _synthesize(self, inputs, training: bool) -> tuple:
        """(image, z_mean, z_log_var); the latent's noise follows from the run's seed and step."""
        z_mean, z_log_var, *skips = self._encoder(inputs, training=training)
        z = z_mean
        if training:
            seed = tf.stack([self.config.seed, tf.cast(self.trained_steps.value, tf.int32)])
            z += tf.exp(0.5 * z_log_var) * draw_normal(z_mean, seed)
        return self._decoder([z, *skips], training=training), z_mean, z_log_var

    def _compute_losses(self, image, target, latents) -> dict:
        """Each term of the loss, unweighted."""
        losses = {"l1": mean_absolute_error(image, target)}
        if self.config.losses.mse_weight:
            losses["mse"] = tf.reduce_mean(tf.square(image - target))
        # The mean over the elements times their number: summed over the latent, not the batch.
        losses["kl"] = self.config.model.latent_channels * kl_loss(*latents)
        return losses

    def _weigh(self, losses: dict):
        """Sum the terms with the config's weights and the KL term's warm-up."""
        settings = self.config.losses
        warmup = max(1.0, settings.kl_warmup * self.config.steps)
        step = tf.cast(self.trained_steps.value, tf.float32)
        weights = {
            "l1": settings.l1_weight,
            "mse": settings.mse_weight,
            "kl": settings.kl_weight * tf.minimum(1.0, (step + 1) / warmup),
        }
        return tf.add_n([weights[name] * loss for name, loss in losses.items()])

    def note_score(self, score: float) -> None:
        """Halve the learning rate after `plateau_patience` scores in a row without a new best.

        Args:
            score: Of a validation; higher is better.
        """
        if score > float(self.plateau_best.numpy()):
            self.plateau_best.assign(score)
            self.plateau_wait.assign(0)
            return
        self.plateau_wait.assign_add(1)
        if int(self.plateau_wait.numpy()) >= self.config.plateau_patience:
            self.optimizer.learning_rate = PLATEAU_FACTOR * float(self.optimizer.learning_rate)
            self.plateau_wait.assign(0)

    def state_parts(self) -> dict:
        return {"network": self.network, "optimizer": self.optimizer}

    def state_variables(self) -> dict[str, keras.Variable]:
        plateau = {v.name: v for v in (self.plateau_best, self.plateau_wait)}
        return {**super().state_variables(), **plateau}

    def save_weight_files(self, folder) -> None:
        """Write `modality_unet_weights.h5` with its config.

        Raises:
            InputError: the folder cannot be written to, or the disk is full.
        """
        record = WeightsRecord(self.config.model, self.config.data)
        save_legacy_h5(self.network, Path(folder) / MODALITY_FILE, record)


def compute_brain_figures(image, target, brain) -> dict:
    """PSNR and mean absolute error over the brain's pixels of the global batch.

    Args:
        image, target: (N, S, S, 1) in [0, 1].
        brain: (N, S, S, 1), 1 in the brain and 0 outside.

    Returns:
        {"brain_psnr": dB, "brain_mae"}, float32 scalars.
    """
    error = tf.cast(image, tf.float32) - target
    sums = [tf.reduce_sum(brain * part) for part in (1.0, tf.square(error), tf.abs(error))]
    pixels, squared, absolute = average_over_replicas(sums)
    pixels = tf.maximum(pixels, 1e-6)
    mse = squared / pixels
    return {
        "brain_psnr": -10.0 * tf.math.log(tf.maximum(mse, 1e-10)) / tf.math.log(10.0),
        "brain_mae": absolute / pixels,
    }


def _unpack(data):
    """(inputs, target, brain), the brain from the inputs where it is not given."""
    inputs, target, brain = keras.utils.unpack_x_y_sample_weight(data)
    if target is None:  # train_on_batch((inputs, target[, brain]))
        inputs, target, *brains = inputs
        brain = brains[0] if brains else None
    if brain is None:
        found = tf.reduce_any(inputs > 0, axis=-1, keepdims=True)
        brain = tf.cast(found, tf.float32)
    return inputs, target, brain
