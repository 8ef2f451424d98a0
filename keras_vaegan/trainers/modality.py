"""The trainer of System B: one network, reconstruction and KL losses, a rate that falls."""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf

from keras_vaegan.checkpoints.legacy_h5 import save_legacy_h5
from keras_vaegan.checkpoints.modality import WEIGHT_FILE
from keras_vaegan.config import ModalityConfig, WeightsRecord
from keras_vaegan.models import build_modality_unet, with_latents
from keras_vaegan.trainers.distribution import resolve_precision, should_compile_with_xla
from keras_vaegan.trainers.losses import kl_loss, mean_absolute_error

PLATEAU_FACTOR = 0.5


class ModalitySynthesis(keras.Model):
    """Make a missing MRI contrast from the others.

    A batch is (inputs, target, brain), each (N, S, S, C) float32 in [0, 1], as
    `make_slice_dataset` gives it; without `brain`, every pixel that is not 0 in all inputs counts.

    Args:
        config: The run.
        network: The network; built from the config where not given.

    Reference: System B.
    """

    def __init__(self, config: ModalityConfig, network: keras.Model | None = None) -> None:
        super().__init__(name="modality_synthesis")
        self.config = config
        self.network = network or build_modality_unet(config.model)
        self._vae = with_latents(self.network)
        self.trained_steps = self._add_counter("trained_steps", "int64", "zeros")
        lowest = keras.initializers.Constant(-1e30)
        self.plateau_best = self._add_counter("plateau_best", "float32", lowest)
        self.plateau_wait = self._add_counter("plateau_wait", "int64", "zeros")
        self._means: dict[str, keras.metrics.Mean] = {}
        self.built = True

    def compile(self, optimizer=None, **kwargs) -> None:
        """Set the optimiser; Adam at the config's rate where none is given."""
        optimizer = optimizer or keras.optimizers.Adam(self.config.learning_rate)
        if resolve_precision(self.config.precision) == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(self.network.trainable_variables)
        kwargs.setdefault("jit_compile", should_compile_with_xla())
        super().compile(optimizer=optimizer, **kwargs)

    @property
    def metrics(self) -> list:
        return list(self._means.values())

    def call(self, inputs, training=False):
        return self.network(inputs, training=training)

    def train_step(self, data):
        """Synthesise, weigh the errors, update the network.

        Returns:
            Dict of running means: the loss terms and the in-brain figures.
        """
        inputs, target, brain = _unpack(data)
        with tf.GradientTape() as tape:
            image, *latents = self._vae(inputs, training=True)
            losses = self._compute_losses(image, target, latents)
            total = self.optimizer.scale_loss(self._weigh(losses))
        weights = self.network.trainable_variables
        self.optimizer.apply(tape.gradient(total, weights), weights)
        self.trained_steps.assign_add(1)
        return self._track(losses | compute_brain_figures(image, target, brain))

    def test_step(self, data):
        """The loss terms and in-brain figures of the latent's mean."""
        inputs, target, brain = _unpack(data)
        image, *latents = self._vae(inputs, training=False)
        losses = self._compute_losses(image, target, latents)
        return self._track(losses | compute_brain_figures(image, target, brain))

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

    def state_variables(self) -> dict[str, keras.Variable]:
        """Everything that a resumed run needs, by names that never change."""
        parts = {"network": self.network, "optimizer": self.optimizer}
        variables = {
            f"{part}/{index:04d}/{variable.name}": variable
            for part, owner in parts.items()
            for index, variable in enumerate(owner.variables)
        }
        counters = (self.trained_steps, self.plateau_best, self.plateau_wait)
        return {variable.name: variable for variable in counters} | variables

    def save_weight_files(self, folder) -> None:
        """Write `modality_unet_weights.h5` with its config.

        Raises:
            InputError: the folder cannot be written to, or the disk is full.
        """
        record = WeightsRecord(self.config.model, self.config.data)
        save_legacy_h5(self.network, Path(folder) / WEIGHT_FILE, record)

    def _add_counter(self, name: str, dtype: str, initializer) -> keras.Variable:
        """A scalar of the run's state."""
        return self.add_weight(
            shape=(), dtype=dtype, initializer=initializer, trainable=False, name=name
        )

    def _track(self, values: dict) -> dict:
        """Running means of this step's figures."""
        for name, value in values.items():
            if name not in self._means:
                self._means[name] = keras.metrics.Mean(name=name)
            self._means[name].update_state(value)
        return {name: self._means[name].result() for name in values}


def compute_brain_figures(image, target, brain) -> dict:
    """PSNR and mean absolute error over the brain's pixels of a batch.

    Args:
        image, target: (N, S, S, 1) in [0, 1].
        brain: (N, S, S, 1), 1 in the brain and 0 outside.

    Returns:
        {"brain_psnr": dB, "brain_mae"}, float32 scalars.
    """
    error = tf.cast(image, tf.float32) - target
    pixels = tf.maximum(tf.reduce_sum(brain), 1.0)
    mse = tf.reduce_sum(brain * tf.square(error)) / pixels
    return {
        "brain_psnr": -10.0 * tf.math.log(tf.maximum(mse, 1e-10)) / tf.math.log(10.0),
        "brain_mae": tf.reduce_sum(brain * tf.abs(error)) / pixels,
    }


def _unpack(data):
    """(inputs, target, brain), the brain from the inputs where it is not given."""
    inputs, target, brain = keras.utils.unpack_x_y_sample_weight(data)
    if target is None:
        inputs, target = inputs
    if brain is None:
        found = tf.reduce_any(inputs > 0, axis=-1, keepdims=True)
        brain = tf.cast(found, tf.float32)
    return inputs, target, brain
