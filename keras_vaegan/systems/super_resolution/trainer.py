"""The super-resolution trainer: RRDBNet by L1, then against a relativistic discriminator."""

from __future__ import annotations

import dataclasses

import keras
from keras import ops

from keras_vaegan.losses.adversarial import relativistic_losses
from keras_vaegan.losses.reconstruction import mean_absolute_error, ssim
from keras_vaegan.losses.weighted_sum import LossTerm, read_values, sum_terms
from keras_vaegan.models.discriminators import build_discriminator
from keras_vaegan.models.rrdbnet import build_rrdbnet
from keras_vaegan.systems.super_resolution.config import SuperResolutionConfig
from keras_vaegan.training.backend import average_over_replicas, compute_gradients, move_averages
from keras_vaegan.training.schedules import StagedRate, make_schedule
from keras_vaegan.training.trainer import Trainer, make_adam, unpack_batch
from keras_vaegan.weights.names import RRDBNET_FILE
from keras_vaegan.weights.record import WeightsRecord


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
        super().__init__(config, "super_resolution")
        self.generator = build_rrdbnet(config.generator, seed=config.seed)
        self.generator_ema = build_rrdbnet(config.generator, seed=config.seed)
        self.discriminator = build_discriminator(config.discriminator, seed=config.seed)
        self._with_features = _view_features(self.discriminator)
        self.stage = "pixel" if config.pixel_steps else "adversarial"

    def compile(self, g_optimizer=None, d_optimizer=None, **kwargs) -> None:
        """Set the two optimisers; those of the config where none is given."""
        config, rates = self.config, self.config.optimizer
        length = max(1, config.steps - config.pixel_steps)
        anew = dataclasses.replace(rates, cosine_steps=length if rates.cosine_steps else 0)
        second = make_schedule(anew, config.adversarial_learning_rate)
        staged = StagedRate(make_schedule(rates, rates.learning_rate), second, config.pixel_steps)
        self.g_optimizer = self.prepare_optimizer(
            g_optimizer or make_adam(rates, staged), self.generator.trainable_variables
        )
        self.d_optimizer = self.prepare_optimizer(
            d_optimizer or make_adam(rates, second), self.discriminator.trainable_variables
        )
        super().compile(self.g_optimizer, **kwargs)

    def call(self, low, training=False):
        return self.generator_ema(low, training=training)

    def set_stage(self, name: str) -> None:
        """Choose the training step: "pixel" or "adversarial"."""
        self.stage = name
        self.reset_step()

    # -- the step ----------------------------------------------------------------------------------

    def update(self, data) -> dict:
        """Enlarge, compare, update; in the second stage also against the discriminator."""
        low, high = unpack_batch(data)
        variables = self.generator.trainable_variables
        gradients, (generated, terms) = compute_gradients(
            lambda: self._compute_loss(low, high), variables, self.g_optimizer
        )
        self.g_optimizer.apply(gradients, variables)
        logs = read_values(terms)
        if self.stage == "adversarial":
            logs["discriminator"] = self._update_discriminator(high, generated)
        move_averages([(self.generator, self.generator_ema)], self.average_decay())
        return logs

    def _compute_loss(self, low, high) -> tuple:
        """(loss, (generated, terms)): L1, in the second stage also features and discriminator."""
        config, generated = self.config, self.generator(low, training=True)
        pixel = mean_absolute_error(generated, high)
        if self.stage == "pixel":
            terms = {"pixel": LossTerm(pixel)}
        else:
            real, fake, features = self._compare(high, generated)
            adversarial, _ = relativistic_losses(real, fake, _average)
            terms = {
                "pixel": LossTerm(pixel, config.pixel_weight),
                "adversarial": LossTerm(adversarial, config.adversarial_weight),
                "features": LossTerm(features, config.feature_weight),
            }
        return sum_terms(terms), (generated, terms)

    def _update_discriminator(self, high, generated):
        """One step of the discriminator. Returns its loss."""

        def compute_loss() -> tuple:
            real, fake, _ = self._compare(high, ops.stop_gradient(generated))
            loss = relativistic_losses(real, fake, _average)[1]
            return loss, loss

        variables = self.discriminator.trainable_variables
        gradients, loss = compute_gradients(compute_loss, variables, self.d_optimizer)
        self.d_optimizer.apply(gradients, variables)
        return loss

    def _compare(self, high, generated) -> tuple:
        """True and generated crops in one pass: (real maps, fake maps, feature L1)."""
        images = ops.concatenate([high, ops.cast(generated, high.dtype)], axis=0)
        maps, features = self._with_features(images, training=True)
        real, fake = zip(*(ops.split(scores, 2) for scores in maps), strict=True)
        halves = [ops.split(values, 2) for values in features]
        distances = [mean_absolute_error(ops.stop_gradient(true), own) for true, own in halves]
        return list(real), list(fake), sum(distances) / len(distances)

    # -- validation and state ----------------------------------------------------------------------

    def test_step(self, data) -> dict:
        """Enlarge with the averaged weights. Returns L1, PSNR and SSIM."""
        low, high = unpack_batch(data)
        enlarged = ops.clip(self.generator_ema(low), 0.0, 1.0)
        error = ops.mean(ops.square(enlarged - high), axis=(1, 2, 3))
        return self.track({
            "pixel": mean_absolute_error(enlarged, high),
            "psnr": ops.mean(-10.0 * ops.log10(ops.maximum(error, 1e-10))),
            "ssim": ops.mean(ssim(enlarged, high)),
        })  # fmt: skip

    def state_parts(self) -> dict:
        return {
            "network": self.generator,
            "network_ema": self.generator_ema,
            "discriminator": self.discriminator,
            "g_optimizer": self.g_optimizer,
            "d_optimizer": self.d_optimizer,
        }

    def weight_files(self) -> dict:
        """The averaged network alone."""
        models = [self.generator_ema, self.generator]
        return {RRDBNET_FILE: (models, WeightsRecord(self.config.generator))}


def _average(scores):
    """Mean over the global batch."""
    return average_over_replicas([ops.mean(scores)])[0]


def _view_features(discriminator: keras.Model) -> keras.Model:
    """View a discriminator as image -> (score maps, activations), sharing every weight."""
    activations = [
        layer.output for layer in discriminator.layers if layer.name.endswith("_activation")
    ]
    return keras.Model(discriminator.input, [list(discriminator.outputs), activations])
