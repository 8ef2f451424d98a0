"""The CycleGAN trainer of Systems A and C: two generators, two discriminators, one step."""

from __future__ import annotations

import dataclasses

from keras import Model, ops

from keras_vaegan.config.base import VALUE_RANGES
from keras_vaegan.data.augment import DRAWS, augment
from keras_vaegan.data.preparation import find_room
from keras_vaegan.kernels.random import draw_uniform
from keras_vaegan.losses.adversarial import adversarial_loss, lecam_losses
from keras_vaegan.losses.reconstruction import mean_absolute_error, ssim_loss
from keras_vaegan.losses.weighted_sum import read_values, sum_terms
from keras_vaegan.models.build import build_model
from keras_vaegan.models.latent import find_latent_model
from keras_vaegan.models.layers import advance_spectral_norms, reparameterize
from keras_vaegan.systems.cyclegan.config import CycleGANConfig
from keras_vaegan.systems.cyclegan.terms import DomainPass, make_terms, to_unit
from keras_vaegan.training.answer_levels import AnswerLevels
from keras_vaegan.training.backend import (
    clip_by_global_norm,
    compute_gradients,
    compute_separate_gradients,
    count_replicas,
    draw_normal,
    find_own_rows,
    move_averages,
    recompute,
    take_own_part,
)
from keras_vaegan.training.image_pool import ImagePool
from keras_vaegan.training.schedules import make_schedule
from keras_vaegan.training.trainer import Trainer, copy_model, make_adam, unpack_batch
from keras_vaegan.training.views import DRAWS as VIEW_DRAWS
from keras_vaegan.training.views import draw_view
from keras_vaegan.weights.names import CYCLEGAN_FILES
from keras_vaegan.weights.record import WeightsRecord

SEED_STREAMS = (
    "augment_source", "augment_target", "noise", "pool_source", "pool_target", "latent",
)  # fmt: skip
VIEW_STREAMS = ("judge_source", "judge_target", "compare_source", "compare_target")
HEAD_CLIP_NORM = 1.0


class CycleGAN(Trainer):
    """Translate source (MRI) <-> target (CT) from unpaired images.

    `g_target` generates target from source, `g_source` the way back; `d_target` and `d_source` say
    what is real. Calling the model translates source to target with the averaged weights. All
    images are (N, S, S, C) float32 in the config's value range.

    Args:
        config: The run.
        g_target: Generator of CT; built from the config where not given, as the others.
        g_source: Generator of MRI.
        d_source: Discriminator of MRI.
        d_target: Discriminator of CT.

    Reference: Zhu et al. 2017 (CycleGAN), with System A's latent and multi-scale discriminators
    or System C's networks.
    """

    def __init__(
        self,
        config: CycleGANConfig,
        g_target: Model | None = None,
        g_source: Model | None = None,
        d_source: Model | None = None,
        d_target: Model | None = None,
    ) -> None:
        super().__init__(config, "cyclegan")
        self.num_views = 1 + config.augmentation.copies  # equal parts of a batch
        self.parts = _seed_parts(config)
        self.g_target = g_target or build_model(self.parts["g_target"])
        self.g_source = g_source or build_model(self.parts["g_source"])
        self.d_source = d_source or build_model(self.parts["d_source"])
        self.d_target = d_target or build_model(self.parts["d_target"])
        self.g_target_ema = copy_model(self.g_target)
        self.g_source_ema = copy_model(self.g_source)
        self._latents = {id(g): find_latent_model(g) for g in (self.g_target, self.g_source)}
        shape = (config.data.image_size, config.data.image_size, config.data.channels)
        self.pool_source = ImagePool(config.pool_size, shape, name="pool_source")
        self.pool_target = ImagePool(config.pool_size, shape, name="pool_target")
        self.stage = ""
        self.answer_levels = {}
        if config.losses.lecam_weight:
            for domain, d in (("source", self.d_source), ("target", self.d_target)):
                heads = len(_as_list(d.outputs))
                self.answer_levels[domain] = AnswerLevels(heads, name=f"answers_{domain}")

    def compile(self, g_optimizer=None, d_optimizer=None, **kwargs) -> None:
        """Set the two optimisers; those of the config where none is given."""
        rates = self.config.optimizer
        d_rate = rates.discriminator_learning_rate or rates.learning_rate
        g_optimizer = g_optimizer or make_adam(rates, make_schedule(rates, rates.learning_rate))
        d_optimizer = d_optimizer or make_adam(rates, make_schedule(rates, d_rate))
        self.g_optimizer = self.prepare_optimizer(g_optimizer, self.generator_variables)
        self.d_optimizer = self.prepare_optimizer(d_optimizer, self.discriminator_variables)
        super().compile(self.g_optimizer, **kwargs)

    @property
    def generator_variables(self) -> list:
        return self.g_target.trainable_variables + self.g_source.trainable_variables

    @property
    def discriminator_variables(self) -> list:
        return self.d_source.trainable_variables + self.d_target.trainable_variables

    def set_stage(self, name: str) -> None:
        """Change to the stage "start", in which no weight but the start's counts, or to ""."""
        if name != self.stage:
            self.stage = name
            self.reset_step()

    def call(self, source, training=False):
        return self.g_target_ema(source, training=training)

    # -- the step ----------------------------------------------------------------------------------

    def update(self, data) -> dict:
        """Augment, translate both ways, update the generators, then the discriminators."""
        seeds = self.make_seeds(SEED_STREAMS) | self.make_seeds(VIEW_STREAMS, further=True)
        source, target = unpack_batch(data)
        source = self._augment(source, seeds["augment_source"])
        target = self._augment(target, seeds["augment_target"])
        for discriminator in (self.d_source, self.d_target):
            advance_spectral_norms(discriminator)

        gradients, (fake_source, fake_target, terms) = compute_gradients(
            lambda: self._compute_generator_loss(source, target, seeds),
            self.generator_variables,
            self.g_optimizer,
        )
        self.g_optimizer.apply(gradients, self.generator_variables)

        fake_source = self.pool_source.query(fake_source, seeds["pool_source"], self.num_views)
        fake_target = self.pool_target.query(fake_target, seeds["pool_target"], self.num_views)
        for_source, d_source = self._compare_with_real("source", source, fake_source, target, seeds)
        for_target, d_target = self._compare_with_real("target", target, fake_target, source, seeds)
        self.d_optimizer.apply(for_source + for_target, self.discriminator_variables)

        averaged = ((self.g_target, self.g_target_ema), (self.g_source, self.g_source_ema))
        move_averages(averaged, self.average_decay())
        discriminators = {"discriminator_source": d_source, "discriminator_target": d_target}
        return read_values(terms) | discriminators

    def _compute_generator_loss(self, source, target, seeds) -> tuple:
        """(loss, (fake_source, fake_target, terms)) of both generators."""
        rooms = self._find_room(source), self._find_room(target)
        if self.stage == "start":
            return self._compute_start_loss(source, target, rooms, seeds)
        noise, latent = seeds["noise"], seeds["latent"]
        fake_target, same_target, *latents_t = self._translate(
            self.g_target, source, target, latent
        )
        fake_source, same_source, *latents_s = self._translate(
            self.g_source, target, source, latent + 1
        )
        fake_target = self._keep_inside(fake_target, rooms[0])
        fake_source = self._keep_inside(fake_source, rooms[1])
        cycled_source, *cycle_s = self._generate(
            self.g_source, self._add_cycle_noise(fake_target, noise), latent + 2, self.num_views
        )
        cycled_target, *cycle_t = self._generate(
            self.g_target, self._add_cycle_noise(fake_source, noise + 1), latent + 3, self.num_views
        )
        cycled_source = self._keep_inside(cycled_source, rooms[0])
        cycled_target = self._keep_inside(cycled_target, rooms[1])
        passes = {
            "target": DomainPass(
                "target", target, source, fake_target, latents_t + cycle_t, cycled_target,
                same_target, self._judge("target", seeds["judge_target"], fake_target),
            ),
            "source": DomainPass(
                "source", source, target, fake_source, latents_s + cycle_s, cycled_source,
                same_source, self._judge("source", seeds["judge_source"], fake_source),
            ),
        }  # fmt: skip
        terms = self._collect_terms(passes)
        return sum_terms(terms), (fake_source, fake_target, terms)

    def _compute_start_loss(self, source, target, rooms, seeds) -> tuple:
        """As `_compute_generator_loss` while only the start counts: translations alone."""
        latent = seeds["latent"]
        fake_target, *latents_t = self._generate(self.g_target, source, latent, self.num_views)
        fake_source, *latents_s = self._generate(self.g_source, target, latent + 1, self.num_views)
        fake_target = self._keep_inside(fake_target, rooms[0])
        fake_source = self._keep_inside(fake_source, rooms[1])
        passes = {
            "target": DomainPass("target", target, source, fake_target, latents=latents_t),
            "source": DomainPass("source", source, target, fake_source, latents=latents_s),
        }
        terms = self._collect_terms(passes)
        return sum_terms(terms), (fake_source, fake_target, terms)

    def _collect_terms(self, passes: dict[str, DomainPass]) -> dict:
        """Both domains' loss terms by name and domain."""
        return {
            f"{name}_{domain}": term
            for domain, images in passes.items()
            for name, term in make_terms(self.config, self.step_number, images).items()
        }

    def _translate(self, generator, origin, real, seed) -> tuple:
        """(fake, same or None[, latents]); the identity shares the translation's pass."""
        if not self.config.losses.identity_weight:
            fake, *latents = self._generate(generator, origin, seed, self.num_views)
            return (fake, None, *latents)
        images = ops.concatenate([origin, real], axis=0)
        output, *latents = self._generate(generator, images, seed, 2 * self.num_views)
        return (*ops.split(output, 2), *latents)

    def _generate(self, generator, images, seed, num_views: int) -> tuple:
        """Images of a generator's domain, and (z_mean, z_log_var) where it has a latent."""
        latent = self._latents[id(generator)]

        def generate(images) -> tuple:
            if latent is None:
                return (generator(images, training=True),)
            z_mean, z_log_var, skips = latent.encode(images, training=True)
            z = reparameterize(z_mean, z_log_var, draw_normal(z_mean, seed, num_views))
            return latent.decode(z, skips, training=True), z_mean, z_log_var

        output, *latents = (recompute(generate) if self.config.recompute else generate)(images)
        return (output, tuple(latents)) if latents else (output,)

    def _add_cycle_noise(self, image, seed):
        """Add the noise that drowns whatever a translation hides below its visible content."""
        sigma = self.config.losses.cycle_noise
        if not sigma:
            return image
        low, high = VALUE_RANGES[self.config.data.value_range]
        return image + sigma * (high - low) * draw_normal(image, seed, self.num_views)

    def _find_room(self, images):
        """Where a translation of images may hold anything; None where it may everywhere."""
        data = self.config.data
        if data.surroundings == "keep":
            return None
        return find_room(to_unit(images, data.value_range), data)

    def _keep_inside(self, generated, room):
        """A translation as a user gets it: black outside its room."""
        if room is None:
            return generated
        low, _ = VALUE_RANGES[self.config.data.value_range]
        return (generated - low) * room + low

    def _augment(self, images, seed):
        """(N, ...) -> (2N, ...) with a random variant of each image, or (N, ...) in place."""
        settings = self.config.augmentation
        if settings.mode == "none":
            return images
        first, total = find_own_rows(images)
        draws = draw_uniform((DRAWS, total), seed)[:, first : first + ops.shape(images)[0]]
        limits = VALUE_RANGES[self.config.data.value_range]
        variants = augment(images, settings, draws, limits)
        return variants if settings.mode == "in_place" else ops.concatenate([images, variants])

    def _judge(self, domain: str, seed, *parts) -> list:
        """A discriminator's maps of several batches in one pass, each image in a view of its own.

        Args:
            domain: "source" or "target".
            seed: (2,) integer tensor, of the views.
            parts: Batches of equal shape.

        Returns:
            One list a head: the maps of each part; with one part, its maps alone.
        """
        discriminator = {"source": self.d_source, "target": self.d_target}[domain]
        images = ops.concatenate(parts, axis=0) if len(parts) > 1 else parts[0]
        probability = self.config.losses.view_probability
        if probability:
            _, total = find_own_rows(parts[0])
            draws = draw_uniform((VIEW_DRAWS, len(parts), total), seed)
            draws = take_own_part(ops.transpose(draws, (2, 0, 1)), self.num_views)
            draws = ops.transpose(draws, (1, 2, 0))
            black, _ = VALUE_RANGES[self.config.data.value_range]
            images = draw_view(images, probability, ops.reshape(draws, (VIEW_DRAWS, -1)), black)
        maps = _as_list(discriminator(images, training=True))
        return [ops.split(m, len(parts)) for m in maps] if len(parts) > 1 else maps

    def _compare_with_real(self, domain: str, real, fake, origin, seeds) -> tuple:
        """(gradients, loss) of one discriminator; all that it sees shares one pass."""
        discriminator = {"source": self.d_source, "target": self.d_target}[domain]
        losses = self.config.losses
        kind, is_joint = losses.adversarial, losses.discriminator_gradients == "joint"
        parts = [real, ops.stop_gradient(fake), *([origin] if losses.source_negatives else [])]

        def compute_heads() -> tuple:
            maps = self._judge(domain, seeds[f"compare_{domain}"], *parts)
            real, fake, *copies = ([head[i] for head in maps] for i in range(len(parts)))
            on_real = adversarial_loss(real, True, kind)
            on_fake = adversarial_loss(fake, False, kind)
            heads = [0.5 * (r + f) for r, f in zip(on_real, on_fake, strict=True)]
            answer = sum(heads) / len(heads)
            extra = []
            if losses.source_negatives:
                on_copies = adversarial_loss(copies[0], False, kind)
                extra.append((0.5 * losses.source_negatives, on_copies))
            if losses.lecam_weight:
                levels = self.answer_levels[domain].read()
                extra.append((losses.lecam_weight, lecam_losses(real, fake, *levels)))
            for weight, values in extra:
                heads = [h + weight * v for h, v in zip(heads, values, strict=True)]
            return sum(heads) if is_joint else heads, (answer, real, fake)

        variables = discriminator.trainable_variables
        if is_joint:
            gradients, rest = compute_gradients(compute_heads, variables, self.d_optimizer)
        else:
            # Each head's gradient is clipped to one norm: System A's "derivative independence".
            separate, rest = compute_separate_gradients(compute_heads, variables, self.d_optimizer)
            limit = self.d_optimizer.scale_loss(ops.convert_to_tensor(HEAD_CLIP_NORM))
            clipped = [clip_by_global_norm(gradients, limit) for gradients in separate]
            gradients = [sum(parts) / count_replicas() for parts in zip(*clipped, strict=True)]
        loss, *answers = rest
        if losses.lecam_weight:
            self.answer_levels[domain].follow(*answers)
        return gradients, loss

    # -- validation and state ----------------------------------------------------------------------

    def test_step(self, data) -> dict:
        """Cycle both ways with the averaged weights. Returns PSNR, SSIM and L1 by domain."""
        source, target = unpack_batch(data)
        there, back = self.g_target_ema, self.g_source_ema
        rooms = self._find_room(source), self._find_room(target)

        def go_round(images, room, first, second):
            return self._keep_inside(second(self._keep_inside(first(images), room)), room)

        cycled = {
            "source": (source, go_round(source, rooms[0], there, back)),
            "target": (target, go_round(target, rooms[1], back, there)),
        }
        logs = {}
        for name, pair in cycled.items():
            image, cycle = (to_unit(part, self.config.data.value_range) for part in pair)
            error = ops.mean(ops.square(image - cycle), axis=(1, 2, 3))
            logs[f"cycle_{name}"] = mean_absolute_error(image, cycle)
            logs[f"cycle_psnr_{name}"] = ops.mean(-10.0 * ops.log10(ops.maximum(error, 1e-10)))
            logs[f"cycle_ssim_{name}"] = 1.0 - ssim_loss(image, cycle)
        return self.track(logs)

    def state_parts(self) -> dict:
        names = (
            "g_target", "g_source", "d_source", "d_target", "g_target_ema", "g_source_ema",
            "pool_source", "pool_target", "g_optimizer", "d_optimizer",
        )  # fmt: skip
        parts = {name: getattr(self, name) for name in names}
        answers = {f"answers_{domain}": levels for domain, levels in self.answer_levels.items()}
        return parts | answers

    def weight_files(self) -> dict:
        """The four published files; the generators with their averaged weights."""
        models = {
            "g_target": [self.g_target_ema, self.g_target],
            "g_source": [self.g_source_ema, self.g_source],
            "d_source": [self.d_source],
            "d_target": [self.d_target],
        }
        return {
            CYCLEGAN_FILES[name]: (own, WeightsRecord(self.parts[name], self.config.data))
            for name, own in models.items()
        }


def _as_list(outputs) -> list:
    """A model's outputs as a list, however many there are."""
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def _seed_parts(config: CycleGANConfig) -> dict:
    """The four networks' configs, with seeds that follow from the run's."""
    seeds = {"g_target": 0, "g_source": 1, "d_source": 0, "d_target": 1}
    return {
        name: dataclasses.replace(
            config.generator if name.startswith("g") else config.discriminator,
            seed=(4 * config.seed + offset) % 2**31,
        )
        for name, offset in seeds.items()
    }
