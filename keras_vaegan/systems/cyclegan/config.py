"""Configs of a CycleGAN run, Systems A and C: loss terms and the run."""

from __future__ import annotations

import dataclasses
from dataclasses import field
from typing import Any, Literal

from keras_vaegan.config.base import (
    Count,
    Probability,
    Weight,
    frozen_config,
    pop_count,
    require,
    retire,
)
from keras_vaegan.config.data import AugmentationConfig, DataConfig
from keras_vaegan.config.networks import (
    DiscriminatorConfig,
    PatchDiscriminatorConfig,
    ResnetGeneratorConfig,
    VAEUNetConfig,
)
from keras_vaegan.config.run import OptimizerConfig, RunConfig

OTHER = {"mri": "ct", "ct": "mri"}  # the domain that a domain's images are translated to


@frozen_config
class LossConfig:
    """Weights of the generator's loss terms, and the kind of the adversarial loss.

    Attributes:
        adversarial: "least_squares" or "bce" (on logits), averaged over the heads.
        adversarial_weight: Weight of the adversarial loss.
        cycle_weight: Weight of the cycle L1 (in the network's value range).
        identity_weight: Weight of the identity L1 (a network fed its own target domain); 0 skips
            the passes it needs.
        ssim_weight: Weight of 1 - SSIM on both cycles.
        kl_weight: Weight of the KL divergence per latent element.
        kl_warmup_steps: Steps over which the KL weight rises linearly from 0.
        background_weight: Weight of the L1 that keeps air black: it looks at the
            translation where the input shows air around the head.
        anchor: Where the networks start inside the head, with black air around it. A cycle is as
            happy with a negative as with a copy, and the adversarial loss alone is slow to leave
            either: "negative" starts with dark bone bright and bright fat dark, as CT and MRI
            have it; "shell" does so close below the head's surface, where scalp and skull lie,
            and of whatever is nearly white, and keeps the input deeper down; "tissue" starts from
            what tissues look like: a CT whose brain is an even gray and whose fluid is dark,
            whichever it is in this MRI, and an MRI of a CT's intensities alone, without a ring;
            "copy" starts from the input itself.
        anchor_weight: Weight of the L1 to that start; 0 for no anchor.
        anchor_steps: Steps of the anchored start. In its first half the anchor stands alone with
            the background and KL terms; in the second it falls to 0 linearly, while the
            adversarial, cycle, SSIM, identity and structure losses rise from 0 to their weights.
        tissue_weight: Weight of the L1, beyond 0.15 on the [0, 1] scale, between a generated CT and
            the "tissue" drawing, deep in slices of the brain, during the whole run. A cycle is as
            happy with white fluid as with dark; this is not.
        brain_weight: Weight of the L1, beyond 0.15, between a generated MRI and a middle gray where
            the CT shows brain, during the whole run: fluid may be bright or dark, white matter,
            which is a little darker in a CT as fluid is, may not follow it.
        structure_weight: Weight of 1 - the correlation of the edges of an input and its
            translation.
        cycle_noise: Standard deviation, on the [0, 1] scale, of the noise added to a translation
            before it is cycled back, so that information hidden in it does not count.
        discriminator_gradients: "independent" clips each head's gradient to norm 1 before
            adding, "joint" differentiates the sum of the heads' losses.
        source_negatives: Weight of untranslated inputs among what the discriminators shall call
            generated, beside the translations' weight of 1: a copy is no way out.
        lecam_weight: Weight of the LeCam regularisation of the discriminators.
        view_probability: Probability of each change (shift, mirroring, cutout) of everything that
            a discriminator sees; 0 for none.
    """

    adversarial: Literal["least_squares", "bce"] = "least_squares"
    adversarial_weight: Weight = 1.0
    cycle_weight: Weight = 10.0
    identity_weight: Weight = 0.0
    ssim_weight: Weight = 0.0
    kl_weight: Weight = 0.01
    kl_warmup_steps: Count = 1000
    background_weight: Weight = 0.0
    anchor: Literal["negative", "shell", "tissue", "copy"] = "negative"
    anchor_weight: Weight = 0.0
    anchor_steps: Count = 300
    tissue_weight: Weight = 0.0
    brain_weight: Weight = 0.0
    structure_weight: Weight = 0.0
    cycle_noise: Weight = 0.02
    discriminator_gradients: Literal["independent", "joint"] = "independent"
    source_negatives: Weight = 0.0
    lecam_weight: Weight = 0.0
    view_probability: Probability = 0.0

    @staticmethod
    def upgrade(fields: dict) -> dict:
        """Fields of version 0.1 -> today's."""
        return retire(fields, {"ssim_warmup_steps": 0, "head_clip_norm": 1.0})


@frozen_config
class CycleGANConfig(RunConfig):
    """A whole CycleGAN run (Systems A and C share the trainer).

    The networks take the size, channels and value range of their images from `data`.

    Attributes:
        generator: Both generators' architecture.
        discriminator: Both discriminators' architecture.
        data: How files become inputs.
        augmentation: Random changes of every sample, or of an extra copy of it.
        losses: Loss terms.
        optimizer: Both optimisers.
        best_by: What chooses `best/`: "realism" (the mean honest-cycle SSIM less the mean realism
            gap) or "ssim" (the mean cycle SSIM, which a copy of the input wins).
        pool_size: Past translations kept for the discriminators; 0 for none.
        recompute: Keep only a generator's input and output for the gradient and run it again when
            the gradient comes to it (gradient checkpointing): less memory, more time.
    """

    generator: VAEUNetConfig | ResnetGeneratorConfig = field(default_factory=VAEUNetConfig)
    discriminator: DiscriminatorConfig | PatchDiscriminatorConfig = field(
        default_factory=DiscriminatorConfig
    )
    data: DataConfig = field(default_factory=DataConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    losses: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(decay=6e-8, beta_1=0.5, ema_decay=0.999)
    )
    best_by: Literal["realism", "ssim"] = "realism"
    pool_size: Count = 50
    recompute: bool = False

    def __post_init__(self) -> None:
        data = self.data
        images: dict[str, Any] = {"image_size": data.image_size, "channels": data.channels}
        generator = dataclasses.replace(
            self.generator, **images, output_activation=data.value_range
        )
        object.__setattr__(self, "generator", generator)
        object.__setattr__(self, "discriminator", dataclasses.replace(self.discriminator, **images))
        in_step = self.batch_size * (1 + self.augmentation.copies)
        fits = self.pool_size == 0 or self.pool_size >= in_step
        expected = f"0, or at least the {in_step} images of a step"
        require(fits, "pool_size", self.pool_size, expected)

    @staticmethod
    def upgrade(fields: dict) -> dict:
        """Fields of version 0.1, which counted its length in passes too -> today's."""
        if "epoch_steps" not in fields:
            return fields
        one_pass, passes = (
            pop_count(fields, name, 1) for name in ("epoch_steps", "validation_epochs")
        )
        fields.pop("epochs", None)  # `steps` of a run folder counts them already
        fields["validate_every"] = fields.pop("steps_per_epoch", 0)
        if not fields["validate_every"] and passes > 1:
            fields["validate_every"] = passes * one_pass
        optimizer = dict(fields.get("optimizer") or {})
        optimizer["cosine_steps"] = pop_count(optimizer, "cosine_epochs", 0) * one_pass
        return {**fields, "optimizer": optimizer}
