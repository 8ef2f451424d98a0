"""The loss terms of a CycleGAN's generators: which losses, of what, with which weight.

A new loss is a function in `losses/`, a weight in `LossConfig` and an entry here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

from keras_vaegan.config.base import VALUE_RANGES
from keras_vaegan.losses.adversarial import adversarial_loss
from keras_vaegan.losses.latent import kl_loss
from keras_vaegan.losses.reconstruction import mean_absolute_error, ssim_loss
from keras_vaegan.losses.start import (
    MRI_BRAIN,
    choose_start,
    find_air,
    find_brain,
    find_ct_brain,
    start_share,
)
from keras_vaegan.losses.structure import structure_loss
from keras_vaegan.losses.weighted_sum import LossTerm
from keras_vaegan.systems.cyclegan.config import CycleGANConfig

TISSUE_TOLERANCE = 0.15


class DomainPass(NamedTuple):
    """What one step's forward passes gave in one domain; images (N, S, S, C) in the value range.

    Attributes:
        domain: "target" (CT) or "source" (MRI).
        real: Real images of the domain.
        origin: Real images of the other domain.
        fake: Their translations into this one.
        latents: (z_mean, z_log_var) of the generator's passes; none without a latent.
        cycled: `real`, translated to the other domain and back; None while the start stands alone.
        same: `real` through the generator of this domain, or None.
        scores: The discriminator's maps of `fake`, one a head; none as `cycled`.
    """

    domain: str
    real: Any
    origin: Any
    fake: Any
    latents: list
    cycled: Any = None
    same: Any = None
    scores: list = []


def make_terms(config: CycleGANConfig, step, images: DomainPass) -> dict[str, LossTerm]:
    """The generator's loss terms of one domain.

    Args:
        config: The run.
        step: Scalar float32, steps done; the weights follow it.
        images: What the forward passes gave.

    Returns:
        Terms by name: "adversarial", "cycle" and whatever else the config gives a weight.
    """
    losses = config.losses
    start = start_share(step, losses.anchor_steps) if losses.anchor_weight else 0.0
    free = 1.0 - start  # the start stands alone at first
    terms = _make_free_terms(config, free, images) if images.cycled is not None else {}
    if any(
        (losses.background_weight, losses.anchor_weight, losses.tissue_weight, losses.brain_weight)
    ):
        terms |= _make_prior_terms(config, start, images)
    if images.latents:
        share = ops.minimum(1.0, (step + 1) / max(1, losses.kl_warmup_steps))
        kl = sum(kl_loss(*latent) for latent in images.latents) / len(images.latents)
        terms["kl"] = LossTerm(kl, losses.kl_weight * share)
    return terms


def _make_prior_terms(config: CycleGANConfig, start, images: DomainPass) -> dict[str, LossTerm]:
    """The terms of what is known beforehand of a translation: air, tissues, the start.

    `start` is the share of the hand-drawn start by now.
    """
    losses, terms = config.losses, {}
    origin, fake = (to_unit(part, config.data.value_range) for part in (images.origin, images.fake))
    air = find_air(origin)
    if losses.background_weight:
        terms["background"] = LossTerm(ops.mean(fake * air), losses.background_weight)
    drawn = {}  # by the drawing's name: the start and the tissue term may share one
    if losses.anchor_weight and losses.anchor_steps:
        drawn[losses.anchor] = choose_start(origin, air, losses.anchor, images.domain)
        distance = mean_absolute_error(fake, drawn[losses.anchor])
        terms["anchor"] = LossTerm(distance, losses.anchor_weight * start)
    if losses.tissue_weight and images.domain == "target":
        ct = drawn["tissue"] if "tissue" in drawn else choose_start(origin, air, "tissue", "target")
        value = _measure_excess(fake, ct, find_brain(origin, air))
        terms["tissue"] = LossTerm(value, losses.tissue_weight)
    if losses.brain_weight and images.domain == "source":
        value = _measure_excess(fake, MRI_BRAIN, find_ct_brain(origin, air))
        terms["brain"] = LossTerm(value, losses.brain_weight)
    return terms


def _measure_excess(fake, drawn, region):
    """The mean, over whole images, of what differs by more than `TISSUE_TOLERANCE` in a region."""
    return ops.mean(ops.relu(ops.abs(fake - drawn) - TISSUE_TOLERANCE) * region)


def _make_free_terms(config: CycleGANConfig, free, images: DomainPass) -> dict[str, LossTerm]:
    """The terms that rise from 0 as the start fades: `free` is their share by now."""
    losses = config.losses
    heads = adversarial_loss(images.scores, True, losses.adversarial)
    cycle = mean_absolute_error(images.real, images.cycled)
    terms = {
        "adversarial": LossTerm(sum(heads) / len(heads), losses.adversarial_weight * free),
        "cycle": LossTerm(cycle, losses.cycle_weight * free),
    }
    if losses.ssim_weight:
        pair = (to_unit(part, config.data.value_range) for part in (images.real, images.cycled))
        terms["ssim"] = LossTerm(ssim_loss(*pair), losses.ssim_weight * free)
    if losses.structure_weight:
        change = structure_loss(images.origin, images.fake)
        terms["structure"] = LossTerm(change, losses.structure_weight * free)
    if images.same is not None:
        identity = mean_absolute_error(images.real, images.same)
        terms["identity"] = LossTerm(identity, losses.identity_weight * free)
    return terms


def to_unit(images, value_range: str):
    """The network's value range -> [0, 1]."""
    low, high = VALUE_RANGES[value_range]
    return (images - low) / (high - low)
