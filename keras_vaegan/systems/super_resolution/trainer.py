"""The super-resolution trainer: RRDBNet by L1, then against a relativistic discriminator."""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf

from keras_vaegan.losses.adversarial import relativistic_losses
from keras_vaegan.losses.reconstruction import mean_absolute_error, ssim
from keras_vaegan.models.discriminators import build_discriminator
from keras_vaegan.models.rrdbnet import build_rrdbnet
from keras_vaegan.systems.super_resolution.config import SuperResolutionConfig
from keras_vaegan.training.averages import average_weights
from keras_vaegan.training.replicas import average_over_replicas, share_loss
from keras_vaegan.training.schedules import StagedRate
from keras_vaegan.training.trainer import Trainer
from keras_vaegan.weights.legacy_h5 import save_legacy_h5
from keras_vaegan.weights.names import RRDBNET_FILE

LOGS = ("pixel", "adversarial", "features", "discriminator", "psnr", "ssim")


class SuperResolution(Trainer):
    """Enlarge images: an RRDBNet trained by L1, then also against a discriminator.

    `train_step` takes (low, high): (N, P, P, C) and (N, P * scale, P * scale, C) float32 in
    [0, 1]. Calling the model enlarges with the averaged weights. `set_stage` changes from the
    first stage ("pixel") to the second ("adversarial"): each compiles its own step.

    Args:
        config: The run.

    Reference: Wang et al. 2018, "ESRGAN".
    """

    def __init__(self, config: SuperResolutionConfig) -> None:
        super().__init__(config, LOGS, "super_resolution")
        self.network = build_rrdbnet(config.network, seed=config.seed)
        self.network_ema = build_rrdbnet(config.network, seed=config.seed)
        self.discriminator = build_discriminator(config.discriminator, seed=config.seed)
        self._judge = _with_features(self.discriminator)
        self.stage = "pixel" if config.pixel_steps else "adversarial"

    def compile(self, g_optimizer=None, d_optimizer=None, **kwargs) -> None:
        """Set the two optimisers; those of the config where none is given."""
        config = self.config
        second = max(1, config.steps - config.pixel_steps)
        rates = (config.learning_rate, config.adversarial_learning_rate)
        shape = {"schedule": config.schedule, "halving_steps": config.halving_steps}
        moments = {"beta_1": config.beta_1, "beta_2": config.beta_2, "epsilon": 1e-8}
        staged = StagedRate(rates, (config.pixel_steps, second), **shape)
        judging = StagedRate(rates[1:] * 2, (0, second), **shape)
        self.g_optimizer = g_optimizer or keras.optimizers.Adam(staged, **moments)
        self.d_optimizer = d_optimizer or keras.optimizers.Adam(judging, **moments)
        self.g_optimizer = self.scale_for_precision(
            self.g_optimizer, self.network.trainable_variables
        )
        self.d_optimizer = self.scale_for_precision(
            self.d_optimizer, self.discriminator.trainable_variables
        )
        super().compile(self.g_optimizer, **kwargs)

    def call(self, low, training=False):
        return self.network_ema(low, training=training)

    def set_stage(self, stage: str) -> None:
        """Choose the training step: "pixel" or "adversarial"."""
        self.stage = stage
        self.train_function = None  # compiled for the other stage

    # -- training ------------------------------------------------------------------------------

    def update(self, data) -> dict:
        """Enlarge, compare, update; in the second stage also judge.

        Returns:
            Dict of the loss terms by name.
        """
        low, high, _ = keras.utils.unpack_x_y_sample_weight(data)
        if high is None:
            low, high = low
        if self.stage == "pixel":
            logs = self._update_by_pixels(low, high)
        else:
            logs = self._update_against_judge(low, high)
        self._update_average()
        return logs

    def _update_by_pixels(self, low, high) -> dict:
        """One step of the network by L1."""
        weights = self.network.trainable_variables
        with tf.GradientTape() as tape:
            pixel = mean_absolute_error(self.network(low, training=True), high)
            total = self.g_optimizer.scale_loss(share_loss(pixel))
        self.g_optimizer.apply(tape.gradient(total, weights), weights)
        return {"pixel": pixel}

    def _update_against_judge(self, low, high) -> dict:
        """One step of the network by L1, features and judgement, then one of the judge."""
        config, weights = self.config, self.network.trainable_variables
        with tf.GradientTape() as tape:
            made = self.network(low, training=True)
            real, fake, features = self._compare(high, made)
            pixel = mean_absolute_error(made, high)
            adversarial = relativistic_losses(real, fake, average)[0]
            total = (
                config.pixel_weight * pixel
                + config.adversarial_weight * adversarial
                + config.feature_weight * features
            )
            total = self.g_optimizer.scale_loss(share_loss(total))
        self.g_optimizer.apply(tape.gradient(total, weights), weights)
        weights = self.discriminator.trainable_variables
        with tf.GradientTape() as tape:
            real, fake, _ = self._compare(high, tf.stop_gradient(made))
            judged = relativistic_losses(real, fake, average)[1]
            total = self.d_optimizer.scale_loss(share_loss(judged))
        self.d_optimizer.apply(tape.gradient(total, weights), weights)
        return {
            "pixel": pixel,
            "adversarial": adversarial,
            "features": features,
            "discriminator": judged,
        }

    def _compare(self, high, made) -> tuple:
        """Judge true and made crops in one pass. Returns (real maps, fake maps, feature L1)."""
        images = tf.concat([high, tf.cast(made, high.dtype)], axis=0)
        maps, features = self._judge(images, training=True)
        real, fake = zip(*(tf.split(scores, 2) for scores in maps), strict=True)
        differences = []
        for values in features:
            true, own = tf.split(values, 2)
            differences.append(mean_absolute_error(tf.stop_gradient(true), own))
        return list(real), list(fake), tf.add_n(differences) / len(differences)

    def _update_average(self) -> None:
        """Move the averaged network towards the current one, faster in the first steps."""
        step = tf.cast(self.trained_steps.value, tf.float32)
        decay = tf.minimum(self.config.ema_decay, (1 + step) / (10 + step))
        average_weights([(self.network, self.network_ema)], decay)

    # -- validation and state ------------------------------------------------------------------

    def test_step(self, data):
        """Enlarge with the averaged weights. Returns L1, PSNR and SSIM."""
        low, high, _ = keras.utils.unpack_x_y_sample_weight(data)
        made = tf.clip_by_value(self.network_ema(low), 0.0, 1.0)
        return self._running.track(
            {
                "pixel": mean_absolute_error(made, high),
                "psnr": tf.reduce_mean(tf.image.psnr(made, high, 1.0)),
                "ssim": tf.reduce_mean(ssim(made, high)),
            }
        )

    def state_parts(self) -> dict:
        return {
            "network": self.network,
            "network_ema": self.network_ema,
            "discriminator": self.discriminator,
            "g_optimizer": self.g_optimizer,
            "d_optimizer": self.d_optimizer,
        }

    def save_weight_files(self, folder) -> None:
        """Write `rrdbnet_weights.h5`: the averaged network with its config.

        Raises:
            InputError: the folder cannot be written to, or the disk is full.
        """
        save_legacy_h5(self.network_ema, Path(folder) / RRDBNET_FILE, self.config.network)


def average(scores):
    """Mean over the global batch."""
    return average_over_replicas([tf.reduce_mean(scores)])[0]


def _with_features(discriminator: keras.Model) -> keras.Model:
    """View a discriminator as image -> (score maps, activations), sharing every weight."""
    activations = [
        layer.output for layer in discriminator.layers if layer.name.endswith("_activation")
    ]
    return keras.Model(discriminator.input, [list(discriminator.outputs), activations])
