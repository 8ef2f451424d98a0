"""The super-resolution trainer: RRDBNet by L1, then against a relativistic discriminator."""

from __future__ import annotations

import math
from pathlib import Path

import keras
import tensorflow as tf

from keras_vaegan.checkpoints.legacy_h5 import save_legacy_h5
from keras_vaegan.config import SuperResolutionConfig
from keras_vaegan.models import build_discriminator, build_rrdbnet
from keras_vaegan.trainers.distribution import resolve_precision, should_compile_with_xla
from keras_vaegan.trainers.losses import mean_absolute_error, relativistic_losses

WEIGHT_FILE = "rrdbnet_weights.h5"


@keras.saving.register_keras_serializable(package="keras_vaegan")
class StagedRate(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate over two stages, each with its own start.

    Args:
        rates: Rate at the start of either stage.
        lengths: Steps of either stage.
        schedule: "halve" every `halving_steps` of a stage, or "cosine" to 0 at its end.
        halving_steps: Steps between two halvings.
    """

    def __init__(
        self,
        rates: tuple[float, float],
        lengths: tuple[int, int],
        schedule: str = "halve",
        halving_steps: int = 200_000,
    ) -> None:
        super().__init__()
        self.rates, self.lengths = tuple(rates), tuple(lengths)
        self.schedule, self.halving_steps = schedule, halving_steps

    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        first = step < self.lengths[0]
        step = tf.where(first, step, step - self.lengths[0])
        if self.schedule == "halve":
            share = tf.pow(0.5, tf.floor(step / self.halving_steps))
        else:
            length = tf.where(first, *(float(max(1, length)) for length in self.lengths))
            share = 0.5 + 0.5 * tf.cos(math.pi * tf.minimum(1.0, step / length))
        return tf.where(first, *self.rates) * share

    def get_config(self) -> dict:
        names = ("rates", "lengths", "schedule", "halving_steps")
        return {name: getattr(self, name) for name in names}


class SuperResolution(keras.Model):
    """Enlarge images: an RRDBNet trained by L1, then also against a discriminator.

    `train_step` takes (low, high): (N, P, P, C) and (N, P * scale, P * scale, C) float32 in
    [0, 1]. Calling the model enlarges with the averaged weights. `set_stage` changes from the
    first stage ("pixel") to the second ("adversarial"): each compiles its own step.

    Args:
        config: The run.

    Reference: Wang et al. 2018, "ESRGAN".
    """

    def __init__(self, config: SuperResolutionConfig) -> None:
        super().__init__(name="super_resolution")
        self.config = config
        self.network = build_rrdbnet(config.network, seed=config.seed)
        self.network_ema = build_rrdbnet(config.network, seed=config.seed)
        self.discriminator = build_discriminator(config.discriminator, seed=config.seed)
        self._judge = _with_features(self.discriminator)
        self.trained_steps = self.add_weight(
            shape=(), dtype="int64", initializer="zeros", trainable=False, name="trained_steps"
        )
        self.stage = "pixel" if config.pixel_steps else "adversarial"
        self._means: dict[str, keras.metrics.Mean] = {}
        self.built = True

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
        if resolve_precision(config.precision) == "mixed_float16":
            self.g_optimizer = keras.optimizers.LossScaleOptimizer(self.g_optimizer)
            self.d_optimizer = keras.optimizers.LossScaleOptimizer(self.d_optimizer)
        self.g_optimizer.build(self.network.trainable_variables)
        self.d_optimizer.build(self.discriminator.trainable_variables)
        kwargs.setdefault("jit_compile", should_compile_with_xla())
        super().compile(optimizer=self.g_optimizer, **kwargs)

    @property
    def metrics(self) -> list:
        return list(self._means.values())

    def call(self, low, training=False):
        return self.network_ema(low, training=training)

    def set_stage(self, stage: str) -> None:
        """Choose the training step: "pixel" or "adversarial"."""
        self.stage = stage
        self.train_function = None  # compiled for the other stage

    # -- training ------------------------------------------------------------------------------

    def train_step(self, data):
        """Enlarge, compare, update; in the second stage also judge.

        Returns:
            Dict of running means: the loss terms by name.
        """
        low, high, _ = keras.utils.unpack_x_y_sample_weight(data)
        if high is None:
            low, high = low
        if self.stage == "pixel":
            logs = self._update_by_pixels(low, high)
        else:
            logs = self._update_against_judge(low, high)
        self._update_average()
        self.trained_steps.assign_add(1)
        return self._track(logs)

    def _update_by_pixels(self, low, high) -> dict:
        """One step of the network by L1."""
        weights = self.network.trainable_variables
        with tf.GradientTape() as tape:
            pixel = mean_absolute_error(self.network(low, training=True), high)
            total = self.g_optimizer.scale_loss(pixel)
        self.g_optimizer.apply(tape.gradient(total, weights), weights)
        return {"pixel": pixel}

    def _update_against_judge(self, low, high) -> dict:
        """One step of the network by L1, features and judgement, then one of the judge."""
        config, weights = self.config, self.network.trainable_variables
        with tf.GradientTape() as tape:
            made = self.network(low, training=True)
            real, fake, features = self._compare(high, made)
            pixel = mean_absolute_error(made, high)
            adversarial = relativistic_losses(real, fake)[0]
            total = (
                config.pixel_weight * pixel
                + config.adversarial_weight * adversarial
                + config.feature_weight * features
            )
            total = self.g_optimizer.scale_loss(total)
        self.g_optimizer.apply(tape.gradient(total, weights), weights)
        weights = self.discriminator.trainable_variables
        with tf.GradientTape() as tape:
            real, fake, _ = self._compare(high, tf.stop_gradient(made))
            judged = relativistic_losses(real, fake)[1]
            total = self.d_optimizer.scale_loss(judged)
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
        pairs = zip(
            self.network.trainable_variables, self.network_ema.trainable_variables, strict=True
        )
        for value, mean in pairs:
            mean.assign(mean * decay + value * (1 - decay))

    # -- validation and state ------------------------------------------------------------------

    def test_step(self, data):
        """Enlarge with the averaged weights. Returns L1, PSNR and SSIM."""
        low, high, _ = keras.utils.unpack_x_y_sample_weight(data)
        made = tf.clip_by_value(self.network_ema(low), 0.0, 1.0)
        return self._track(
            {
                "pixel": mean_absolute_error(made, high),
                "psnr": tf.reduce_mean(tf.image.psnr(made, high, 1.0)),
                "ssim": tf.reduce_mean(tf.image.ssim(made, high, 1.0)),
            }
        )

    def _track(self, logs: dict) -> dict:
        """Feed every value into its running mean."""
        for name, value in logs.items():
            if name not in self._means:
                self._means[name] = keras.metrics.Mean(name=name)
            self._means[name].update_state(value)
        return {name: self._means[name].result() for name in logs}

    def state_variables(self) -> dict[str, keras.Variable]:
        """Every variable that an exact resume needs, by a name that does not change."""
        parts = {
            "network": self.network,
            "network_ema": self.network_ema,
            "discriminator": self.discriminator,
            "g_optimizer": self.g_optimizer,
            "d_optimizer": self.d_optimizer,
        }
        variables = {
            f"{part}/{index:04d}/{variable.name}": variable
            for part, owner in parts.items()
            for index, variable in enumerate(owner.variables)
        }
        return {"trained_steps": self.trained_steps, **variables}

    def save_weight_files(self, folder) -> None:
        """Write `rrdbnet_weights.h5`: the averaged network with its config.

        Raises:
            InputError: the folder cannot be written to, or the disk is full.
        """
        save_legacy_h5(self.network_ema, Path(folder) / WEIGHT_FILE, self.config.network)


def _with_features(discriminator: keras.Model) -> keras.Model:
    """View a discriminator as image -> (score maps, activations), sharing every weight."""
    activations = [
        layer.output for layer in discriminator.layers if layer.name.endswith("_activation")
    ]
    return keras.Model(discriminator.input, [list(discriminator.outputs), activations])
