"""The CycleGAN trainer of Systems A and C: two generators, two discriminators, one step."""

from __future__ import annotations

import dataclasses

import keras
import tensorflow as tf

from keras_vaegan.config.base import VALUE_RANGES
from keras_vaegan.config.networks import VAEUNetConfig
from keras_vaegan.data.augment import augment
from keras_vaegan.files import staged_entries
from keras_vaegan.losses.adversarial import adversarial_loss
from keras_vaegan.losses.latent import kl_loss
from keras_vaegan.losses.reconstruction import mean_absolute_error, ssim_loss
from keras_vaegan.losses.start import choose_start, find_background
from keras_vaegan.models.build import build_model
from keras_vaegan.models.latent import split_at_latent
from keras_vaegan.models.layers import advance_spectral_norms
from keras_vaegan.systems.cyclegan.config import CycleGANConfig
from keras_vaegan.training.averages import average_weights
from keras_vaegan.training.image_pool import ImagePool
from keras_vaegan.training.replicas import (
    average_over_replicas,
    draw_normal,
    find_own_rows,
    share_loss,
)
from keras_vaegan.training.schedules import make_schedule
from keras_vaegan.training.trainer import Trainer
from keras_vaegan.weights.legacy_h5 import save_legacy_h5
from keras_vaegan.weights.names import CYCLEGAN_FILES
from keras_vaegan.weights.record import WeightsRecord

SEED_STREAMS = (
    "augment_source", "augment_target", "noise", "pool_source", "pool_target", "latent",
)  # fmt: skip


class CycleGAN(Trainer):
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
        has_latent = isinstance(config.generator, VAEUNetConfig)
        super().__init__(config, _name_logs(config, has_latent), "cyclegan")
        self.blocks = 1 + config.augmentation.copies  # equal parts of a batch, see `gather_batch`
        self.parts = _seed_parts(config)
        self.g_target = g_target or build_model(self.parts["g_target"])
        self.g_source = g_source or build_model(self.parts["g_source"])
        self.d_source = d_source or build_model(self.parts["d_source"])
        self.d_target = d_target or build_model(self.parts["d_target"])
        self.g_target_ema = _copy(self.g_target)
        self.g_source_ema = _copy(self.g_source)
        self._g_target_parts = split_at_latent(self.g_target)
        self._g_source_parts = split_at_latent(self.g_source)
        shape = (config.data.image_size, config.data.image_size, config.data.channels)
        self.pool_source = ImagePool(config.pool_size, shape, name="pool_source")
        self.pool_target = ImagePool(config.pool_size, shape, name="pool_target")

    def compile(self, g_optimizer=None, d_optimizer=None, **kwargs) -> None:
        """Set the two optimisers; those of the config where none is given."""
        rates = self.config.optimizer
        judge_rate = rates.discriminator_learning_rate or rates.learning_rate
        self.g_optimizer = g_optimizer or _make_optimizer(self.config, rates.learning_rate)
        self.d_optimizer = d_optimizer or _make_optimizer(self.config, judge_rate)
        self.g_optimizer = self.scale_for_precision(self.g_optimizer, self._generator_weights)
        self.d_optimizer = self.scale_for_precision(self.d_optimizer, self._discriminator_weights)
        super().compile(self.g_optimizer, **kwargs)

    @property
    def _generator_weights(self) -> list:
        return self.g_target.trainable_variables + self.g_source.trainable_variables

    @property
    def _discriminator_weights(self) -> list:
        return self.d_source.trainable_variables + self.d_target.trainable_variables

    def call(self, source, training=False):
        return self.g_target_ema(source, training=training)

    # -- training ------------------------------------------------------------------------------

    def update(self, data) -> dict:
        """Augment, translate both ways, update the generators, then the discriminators.

        Args:
            data: (source, target), a batch each.

        Returns:
            Dict of the loss terms by name.
        """
        source, target = _unpack_pair(data)
        seeds = self._step_seeds()
        source = self._augment(source, seeds["augment_source"])
        target = self._augment(target, seeds["augment_target"])
        for judge in (self.d_source, self.d_target):
            advance_spectral_norms(judge)
        fakes, logs = self._update_generators(source, target, seeds)
        fake_source = self.pool_source.query(fakes[0], seeds["pool_source"], self.blocks)
        fake_target = self.pool_target.query(fakes[1], seeds["pool_target"], self.blocks)
        grads_source, logs_source = self._judge(self.d_source, "source", source, fake_source)
        grads_target, logs_target = self._judge(self.d_target, "target", target, fake_target)
        self.d_optimizer.apply(grads_source + grads_target, self._discriminator_weights)
        self._update_averages()
        return logs | logs_source | logs_target

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
        limits = VALUE_RANGES[self.config.data.value_range]
        variants = augment(images, settings, seed, limits, find_own_rows(images))
        return variants if settings.in_place else tf.concat([images, variants], axis=0)

    def _update_generators(self, source, target, seeds):
        """One step of both generators. Returns ((fake_source, fake_target), losses)."""
        with tf.GradientTape() as tape:
            fakes, losses = self._generator_losses(source, target, seeds)
            total = self.g_optimizer.scale_loss(share_loss(self._weigh(losses)))
        gradients = tape.gradient(total, self._generator_weights)
        self.g_optimizer.apply(gradients, self._generator_weights)
        return fakes, losses

    def _generator_losses(self, source, target, seeds):
        """Translate, cycle and judge; identity shares the translation's pass."""
        settings = self.config.losses
        use_identity = settings.identity_weight > 0
        inputs_t = tf.concat([source, target], 0) if use_identity else source
        inputs_s = tf.concat([target, source], 0) if use_identity else target
        noise, latent = seeds["noise"], seeds["latent"]
        joined = 2 * self.blocks if use_identity else self.blocks
        output_t, *latent_t = self._generate("target", inputs_t, latent, joined)
        output_s, *latent_s = self._generate("source", inputs_s, latent + 1, joined)
        fake_target, same_target = tf.split(output_t, 2) if use_identity else (output_t, None)
        fake_source, same_source = tf.split(output_s, 2) if use_identity else (output_s, None)
        cycled_source, *latent_cs = self._generate(
            "source", self._hide_nothing(fake_target, noise), latent + 2, self.blocks
        )
        cycled_target, *latent_ct = self._generate(
            "target", self._hide_nothing(fake_source, noise + 1), latent + 3, self.blocks
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

    def _generate(self, name: str, images, seed, blocks: int) -> tuple:
        """Images of a domain from those of the other: (images[, z_mean, z_log_var]).

        The latent's noise follows from the seed, so that a step has no random state.
        """

        def generate(images) -> tuple:
            generator = getattr(self, f"g_{name}")
            parts = getattr(self, f"_g_{name}_parts")
            if not parts:
                return (generator(images, training=True),)
            encoder, decoder = parts
            z_mean, z_log_var, *skips = encoder(images, training=True)
            z = z_mean + tf.exp(0.5 * z_log_var) * draw_normal(z_mean, seed, blocks)
            return decoder([z, *skips], training=True), z_mean, z_log_var

        return (tf.recompute_grad(generate) if self.config.recompute else generate)(images)

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
        noise = draw_normal(image, seed, self.blocks)
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
            scaled_sum = share_loss(tf.add_n(scaled_heads))
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
        none = tf.UnconnectedGradients.ZERO
        clipped = []
        for head in heads:
            gradients = tape.gradient(head, weights, unconnected_gradients=none)
            clipped.append(tf.clip_by_global_norm(average_over_replicas(gradients), limit)[0])
        return [share_loss(tf.add_n(parts)) for parts in zip(*clipped, strict=True)]

    def _update_averages(self) -> None:
        """Move the averaged generators towards the current ones, faster in the first steps."""
        step = tf.cast(self.trained_steps.value, tf.float32)
        limit = self.config.optimizer.ema_decay
        decay = tf.minimum(limit, (1 + step) / (10 + step)) if limit else None
        average_weights(
            ((self.g_target, self.g_target_ema), (self.g_source, self.g_source_ema)), decay
        )

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
        return self._running.track(logs)

    # -- state ---------------------------------------------------------------------------------

    def state_parts(self) -> dict:
        return {
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
        with staged_entries(folder) as staging:
            for name, model in models.items():
                record = WeightsRecord(self.parts[name], self.config.data)
                save_legacy_h5(model, staging / CYCLEGAN_FILES[name], record)


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


def _name_logs(config: CycleGANConfig, has_latent: bool) -> list[str]:
    """The names of all that a training or test step logs."""
    losses = config.losses
    kinds = {
        "adversarial": True, "discriminator": True, "cycle": True, "cycle_psnr": True,
        "cycle_ssim": True, "ssim": losses.ssim_weight, "background": losses.background_weight,
        "anchor": losses.anchor_weight, "identity": losses.identity_weight, "kl": has_latent,
    }  # fmt: skip
    return [f"{kind}_{side}" for kind, on in kinds.items() if on for side in ("source", "target")]


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
