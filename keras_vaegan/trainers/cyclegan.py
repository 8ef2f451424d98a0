"""The CycleGAN trainer of Systems A and C: two generators, two discriminators, one step."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from pathlib import Path

import keras
import tensorflow as tf

from keras_vaegan.checkpoints.legacy_h5 import save_legacy_h5
from keras_vaegan.config import VALUE_RANGES, CycleGANConfig, WeightsRecord
from keras_vaegan.data.augment import augment
from keras_vaegan.models import advance_spectral_norms, build_model, with_latents
from keras_vaegan.trainers.distribution import resolve_precision, should_compile_with_xla
from keras_vaegan.trainers.image_pool import ImagePool
from keras_vaegan.trainers.losses import (
    adversarial_loss,
    choose_start,
    find_background,
    kl_loss,
    mean_absolute_error,
    ssim_loss,
)
from keras_vaegan.trainers.schedules import make_schedule

WEIGHT_FILES = {
    "g_target": "g_target_weights.h5",
    "g_source": "g_source_weights.h5",
    "d_source": "d_source_weights.h5",
    "d_target": "d_target_weights.h5",
}
SEED_STREAMS = ("augment_source", "augment_target", "noise", "pool_source", "pool_target")


class CycleGAN(keras.Model):
    """Translate source (MRI) <-> target (CT) from unpaired images.

    `g_target` makes target from source, `g_source` the way back; `d_target` and `d_source` judge.
    Calling the model translates source to target with the averaged weights. All images are
    (N, S, S, C) float32 in the config's value range.

    Args:
        config: The run.
        g_target, g_source, d_source, d_target: Networks; built from the config where not given.

    Reference: Zhu et al. 2017 (CycleGAN), with System A's latent and multi-scale discriminators
    or System C's networks.
    """

    def __init__(
        self, config: CycleGANConfig, g_target=None, g_source=None, d_source=None, d_target=None
    ) -> None:
        super().__init__(name="cyclegan")
        self.config = config
        self.parts = _seed_parts(config)
        self.g_target = g_target or build_model(self.parts["g_target"])
        self.g_source = g_source or build_model(self.parts["g_source"])
        self.d_source = d_source or build_model(self.parts["d_source"])
        self.d_target = d_target or build_model(self.parts["d_target"])
        self.g_target_ema = _copy(self.g_target)
        self.g_source_ema = _copy(self.g_source)
        self._g_target_vae = with_latents(self.g_target)
        self._g_source_vae = with_latents(self.g_source)
        shape = (config.data.image_size, config.data.image_size, config.data.channels)
        self.pool_source = ImagePool(config.pool_size, shape, name="pool_source")
        self.pool_target = ImagePool(config.pool_size, shape, name="pool_target")
        self.trained_steps = self.add_weight(
            shape=(), dtype="int64", initializer="zeros", trainable=False, name="trained_steps"
        )
        self._means: dict[str, keras.metrics.Mean] = {}
        self.built = True

    def compile(self, g_optimizer=None, d_optimizer=None, **kwargs) -> None:
        """Set the two optimisers; those of the config where none is given."""
        rates = self.config.optimizer
        judge_rate = rates.discriminator_learning_rate or rates.learning_rate
        self.g_optimizer = g_optimizer or _make_optimizer(self.config, rates.learning_rate)
        self.d_optimizer = d_optimizer or _make_optimizer(self.config, judge_rate)
        if resolve_precision(self.config.precision) == "mixed_float16":
            self.g_optimizer = keras.optimizers.LossScaleOptimizer(self.g_optimizer)
            self.d_optimizer = keras.optimizers.LossScaleOptimizer(self.d_optimizer)
        self.g_optimizer.build(self._generator_weights)
        self.d_optimizer.build(self._discriminator_weights)
        kwargs.setdefault("jit_compile", should_compile_with_xla())
        super().compile(optimizer=self.g_optimizer, **kwargs)

    @property
    def metrics(self) -> list:
        return list(self._means.values())

    @property
    def _generator_weights(self) -> list:
        return self.g_target.trainable_variables + self.g_source.trainable_variables

    @property
    def _discriminator_weights(self) -> list:
        return self.d_source.trainable_variables + self.d_target.trainable_variables

    def call(self, source, training=False):
        return self.g_target_ema(source, training=training)

    # -- training ------------------------------------------------------------------------------

    def train_step(self, data):
        """Augment, translate both ways, update the generators, then the discriminators.

        Args:
            data: (source, target), a batch each.

        Returns:
            Dict of running means: the loss terms by name.
        """
        source, target = _unpack_pair(data)
        seeds = self._step_seeds()
        source = self._augment(source, seeds["augment_source"])
        target = self._augment(target, seeds["augment_target"])
        for judge in (self.d_source, self.d_target):
            advance_spectral_norms(judge)
        fakes, logs = self._update_generators(source, target, seeds["noise"])
        fake_source = self.pool_source.query(fakes[0], seeds["pool_source"])
        fake_target = self.pool_target.query(fakes[1], seeds["pool_target"])
        grads_source, logs_source = self._judge(self.d_source, "source", source, fake_source)
        grads_target, logs_target = self._judge(self.d_target, "target", target, fake_target)
        self.d_optimizer.apply(grads_source + grads_target, self._discriminator_weights)
        self._update_averages()
        self.trained_steps.assign_add(1)
        return self._track(logs | logs_source | logs_target)

    def _step_seeds(self) -> dict[str, tf.Tensor]:
        """One seed a random stream, a function of the run's seed and the step alone."""
        step = tf.cast(self.trained_steps.value, tf.int32)
        return {
            name: tf.stack([tf.constant(self.config.seed, tf.int32), 16 * step + 2 * index])
            for index, name in enumerate(SEED_STREAMS)
        }

    def _augment(self, images, seed):
        """(N, ...) -> (2N, ...) with a random variant of each image, or (N, ...) in place."""
        settings = self.config.augmentation
        if not settings.copies and not settings.in_place:
            return images
        variants = augment(images, settings, seed, VALUE_RANGES[self.config.data.value_range])
        return variants if settings.in_place else tf.concat([images, variants], axis=0)

    def _update_generators(self, source, target, seed):
        """One step of both generators. Returns ((fake_source, fake_target), losses)."""
        with tf.GradientTape() as tape:
            fakes, losses = self._generator_losses(source, target, seed)
            total = self.g_optimizer.scale_loss(self._weigh(losses))
        gradients = tape.gradient(total, self._generator_weights)
        self.g_optimizer.apply(gradients, self._generator_weights)
        return fakes, losses

    def _generator_losses(self, source, target, seed):
        """Translate, cycle and judge; identity shares the translation's pass."""
        settings = self.config.losses
        use_identity = settings.identity_weight > 0
        inputs_t = tf.concat([source, target], 0) if use_identity else source
        inputs_s = tf.concat([target, source], 0) if use_identity else target
        output_t, *latent_t = _as_list(self._g_target_vae(inputs_t, training=True))
        output_s, *latent_s = _as_list(self._g_source_vae(inputs_s, training=True))
        fake_target, same_target = tf.split(output_t, 2) if use_identity else (output_t, None)
        fake_source, same_source = tf.split(output_s, 2) if use_identity else (output_s, None)
        cycled_source, *latent_cs = _as_list(
            self._g_source_vae(self._hide_nothing(fake_target, seed), training=True)
        )
        cycled_target, *latent_ct = _as_list(
            self._g_target_vae(self._hide_nothing(fake_source, seed + 1), training=True)
        )
        losses = {}
        for name, fake, judge in (
            ("target", fake_target, self.d_target),
            ("source", fake_source, self.d_source),
        ):
            maps = _as_list(judge(fake, training=True))
            heads = adversarial_loss(maps, True, settings.adversarial)
            losses[f"adversarial_{name}"] = tf.add_n(heads) / len(heads)
        for name, image, cycled in (
            ("source", source, cycled_source),
            ("target", target, cycled_target),
        ):
            losses[f"cycle_{name}"] = mean_absolute_error(image, cycled)
            if settings.ssim_weight:
                losses[f"ssim_{name}"] = ssim_loss(self._to_unit(image), self._to_unit(cycled))
        losses |= self._start_losses("target", source, fake_target)
        losses |= self._start_losses("source", target, fake_source)
        if use_identity:
            losses["identity_target"] = mean_absolute_error(target, same_target)
            losses["identity_source"] = mean_absolute_error(source, same_source)
        if latent_t:
            losses["kl_target"] = (kl_loss(*latent_t) + kl_loss(*latent_ct)) / 2
            losses["kl_source"] = (kl_loss(*latent_s) + kl_loss(*latent_cs)) / 2
        return (fake_source, fake_target), losses

    def _start_losses(self, name: str, image, fake) -> dict:
        """What keeps air black, and what the head starts from."""
        settings = self.config.losses
        if not settings.background_weight and not settings.anchor_weight:
            return {}
        unit, fake = self._to_unit(image), self._to_unit(fake)
        air = find_background(unit)
        losses = {}
        if settings.background_weight:
            losses[f"background_{name}"] = tf.reduce_mean(fake * air)
        if settings.anchor_weight:
            start = choose_start(unit, air, settings.anchor)
            losses[f"anchor_{name}"] = mean_absolute_error(fake, start)
        return losses

    def _hide_nothing(self, image, seed):
        """Add the noise that drowns whatever a translation hides below its visible content."""
        sigma = self.config.losses.cycle_noise
        if not sigma:
            return image
        low, high = VALUE_RANGES[self.config.data.value_range]
        noise = tf.random.stateless_normal(tf.shape(image), seed, dtype=image.dtype)
        return image + sigma * (high - low) * noise

    def _to_unit(self, image):
        """Network's value range -> [0, 1]."""
        low, high = VALUE_RANGES[self.config.data.value_range]
        return (image - low) / (high - low)

    def _weigh(self, losses: dict):
        """Sum the terms with the config's weights; the anchor gives way to the CycleGAN losses."""
        settings = self.config.losses
        step = tf.cast(self.trained_steps.value, tf.float32)
        kl_share = tf.minimum(1.0, (step + 1) / max(1, settings.kl_warmup_steps))
        ssim_share = tf.minimum(1.0, (step + 1) / max(1, settings.ssim_warmup_steps))
        anchor_share = tf.clip_by_value(2.0 - 2.0 * step / max(1, settings.anchor_steps), 0.0, 1.0)
        anchor_share *= float(settings.anchor_weight > 0)
        free_share = 1.0 - anchor_share
        weights = {
            "adversarial": settings.adversarial_weight * free_share,
            "background": settings.background_weight,
            "anchor": settings.anchor_weight * anchor_share,
            "cycle": settings.cycle_weight * free_share,
            "ssim": settings.ssim_weight * ssim_share * free_share,
            "identity": settings.identity_weight * free_share,
            "kl": settings.kl_weight * kl_share,
        }
        return tf.add_n([weights[name.split("_")[0]] * loss for name, loss in losses.items()])

    def _judge(self, judge, name: str, real, fake):
        """Gradients and losses of one discriminator; real and fake share one pass."""
        weights = [weight.value for weight in judge.trainable_variables]
        kind = self.config.losses.adversarial
        independent = self.config.losses.discriminator_gradients == "independent"
        images = tf.concat([real, tf.stop_gradient(fake)], axis=0)
        with tf.GradientTape(persistent=independent) as tape:
            maps = [tf.split(scores, 2) for scores in _as_list(judge(images, training=True))]
            real_losses = adversarial_loss([real for real, _ in maps], True, kind)
            fake_losses = adversarial_loss([fake for _, fake in maps], False, kind)
            heads = [0.5 * (r + f) for r, f in zip(real_losses, fake_losses, strict=True)]
            scaled_heads = [self.d_optimizer.scale_loss(head) for head in heads]
            scaled_sum = tf.add_n(scaled_heads)
        if independent:
            gradients = self._independent_gradients(tape, scaled_heads, weights)
        else:
            gradients = tape.gradient(scaled_sum, weights)
        return gradients, {f"discriminator_{name}": tf.add_n(heads) / len(heads)}

    def _independent_gradients(self, tape, heads: list, weights: list) -> list:
        """Differentiate each head's loss on its own, clip each to one norm, and add.

        Reference: System A's "derivative independence", our reading.
        """
        limit = self.d_optimizer.scale_loss(tf.constant(self.config.losses.head_clip_norm))
        clipped = [
            tf.clip_by_global_norm(
                tape.gradient(head, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO),
                limit,
            )[0]
            for head in heads
        ]
        return [tf.add_n(parts) for parts in zip(*clipped, strict=True)]

    def _update_averages(self) -> None:
        """Move the averaged generators towards the current ones, faster in the first steps."""
        step = tf.cast(self.trained_steps.value, tf.float32)
        decay = tf.minimum(self.config.optimizer.ema_decay, (1 + step) / (10 + step))
        pairs = ((self.g_target, self.g_target_ema), (self.g_source, self.g_source_ema))
        for model, average in pairs:
            for value, mean in zip(
                model.trainable_variables, average.trainable_variables, strict=True
            ):
                keeps = self.config.optimizer.ema_decay > 0
                mean.assign(mean * decay + value * (1 - decay) if keeps else value)

    # -- validation ----------------------------------------------------------------------------

    def test_step(self, data):
        """Cycle both ways with the averaged weights. Returns PSNR, SSIM and L1 by domain."""
        source, target = _unpack_pair(data)
        fake_target = self.g_target_ema(source)
        fake_source = self.g_source_ema(target)
        logs = {}
        for name, image, cycled in (
            ("source", source, self.g_source_ema(fake_target)),
            ("target", target, self.g_target_ema(fake_source)),
        ):
            image, cycled = self._to_unit(image), self._to_unit(cycled)
            logs[f"cycle_{name}"] = mean_absolute_error(image, cycled)
            logs[f"cycle_psnr_{name}"] = tf.reduce_mean(tf.image.psnr(image, cycled, 1.0))
            logs[f"cycle_ssim_{name}"] = 1.0 - ssim_loss(image, cycled)
        return self._track(logs)

    def _track(self, logs: dict) -> dict:
        """Feed every value into its running mean."""
        for name, value in logs.items():
            if name not in self._means:
                self._means[name] = keras.metrics.Mean(name=name)
            self._means[name].update_state(value)
        return {name: self._means[name].result() for name in logs}

    # -- state ---------------------------------------------------------------------------------

    def state_variables(self) -> dict[str, keras.Variable]:
        """Every variable that an exact resume needs, by a name that does not change."""
        parts = {
            "g_target": self.g_target,
            "g_source": self.g_source,
            "d_source": self.d_source,
            "d_target": self.d_target,
            "g_target_ema": self.g_target_ema,
            "g_source_ema": self.g_source_ema,
            "pool_source": self.pool_source,
            "pool_target": self.pool_target,
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
        """Write the four published `.h5` files; the generators with their averaged weights.

        All four are written before the first one replaces its predecessor.

        Raises:
            InputError: the folder cannot be written to, or the disk is full.
        """
        models = {
            "g_target": self.g_target_ema,
            "g_source": self.g_source_ema,
            "d_source": self.d_source,
            "d_target": self.d_target,
        }
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".weights-", dir=folder) as temporary:
            for name, model in models.items():
                record = WeightsRecord(self.parts[name], self.config.data)
                save_legacy_h5(model, Path(temporary) / WEIGHT_FILES[name], record)
            for file in WEIGHT_FILES.values():
                os.replace(Path(temporary) / file, folder / file)


def _as_list(outputs) -> list:
    """A model's outputs as a list, however many there are."""
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def _unpack_pair(data) -> tuple:
    """(source, target) from a dataset's element or from `train_on_batch((source, target))`."""
    first, second, _ = keras.utils.unpack_x_y_sample_weight(data)
    return first if second is None else (first, second)


def _seed_parts(config: CycleGANConfig) -> dict:
    """The four networks' configs, with seeds that follow from the run's."""
    seeds = {"g_target": 0, "g_source": 1, "d_source": 0, "d_target": 1}
    return {
        name: dataclasses.replace(
            config.generator if name.startswith("g") else config.discriminator,
            seed=4 * config.seed + offset,
        )
        for name, offset in seeds.items()
    }


def _copy(model: keras.Model) -> keras.Model:
    """A model of the same architecture and weights, for averaging."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    copy.trainable = True
    return copy


def _make_optimizer(config: CycleGANConfig, learning_rate: float) -> keras.optimizers.Optimizer:
    """Adam, or AdamW where weight decay is asked for, with the config's schedule."""
    rates = config.optimizer
    schedule = make_schedule(rates, learning_rate, config.epoch_steps)
    settings = {"beta_1": rates.beta_1, "beta_2": rates.beta_2, "epsilon": rates.epsilon}
    if rates.weight_decay:
        return keras.optimizers.AdamW(schedule, weight_decay=rates.weight_decay, **settings)
    return keras.optimizers.Adam(schedule, **settings)
