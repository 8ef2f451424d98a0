"""Configs of the CycleGAN trainer, Systems A and C: data, losses, run."""

from __future__ import annotations

import dataclasses
from dataclasses import field
from typing import Literal

from keras_vaegan.config.checks import (
    PRECISIONS,
    VALUE_RANGES,
    check_image,
    require,
    require_choice,
)
from keras_vaegan.config.modality import ModalityDataConfig, ModalityUNetConfig
from keras_vaegan.config.resnet import PatchDiscriminatorConfig, ResnetGeneratorConfig
from keras_vaegan.config.serialization import frozen_config
from keras_vaegan.config.vae_unet import DiscriminatorConfig, VAEUNetConfig


@frozen_config
class DataConfig:
    """How image files become the network's input.

    Attributes:
        image_size: Side of the square image in pixels.
        channels: 1 (gray) or 3.
        resize: "pad" keeps the aspect on a black square, "stretch" fills the square.
        align: "head" crops to the head's bounding box and scales it to a common size first.
        value_range: "tanh" for [-1, 1], "sigmoid" for [0, 1].
        validation_images: Training images per domain held back for validation.
    """

    image_size: int = 256
    channels: int = 3
    resize: Literal["pad", "stretch"] = "pad"
    align: Literal["none", "head"] = "none"
    value_range: Literal["tanh", "sigmoid"] = "tanh"
    validation_images: int = 32

    def __post_init__(self) -> None:
        check_image(self.image_size, self.channels, 1)
        require_choice("resize", self.resize, ("pad", "stretch"))
        require_choice("align", self.align, ("none", "head"))
        require_choice("value_range", self.value_range, tuple(VALUE_RANGES))
        require(self.validation_images >= 0, "validation_images", self.validation_images, ">= 0")


@frozen_config
class WeightsRecord:
    """What a weight file says of itself: the network, and how its images were prepared.

    Attributes:
        model: Architecture of the network.
        data: Preparation of its input images.
    """

    model: (
        VAEUNetConfig
        | ResnetGeneratorConfig
        | DiscriminatorConfig
        | PatchDiscriminatorConfig
        | ModalityUNetConfig
    )
    data: DataConfig | ModalityDataConfig


@frozen_config
class AugmentationConfig:
    """Strength of the random changes that training samples get in the training graph.

    Attributes:
        copies: Augmented copies per sample; 1 turns a batch of 4 into 8, 0 adds none.
        in_place: Change the samples themselves, where there are no copies.
        flip: Probability of a left-right flip.
        rotation_degrees: Largest rotation either way.
        zoom: Largest relative change of size either way.
        translation: Largest shift as a share of the image side.
        intensity: Largest relative change of contrast and gamma either way.
        warp_probability: Share of the copies that are rotated, zoomed and shifted (bilinear
            resampling blurs a little, so a share stays unwarped for the discriminator's sake).
        separate_warps: Draw for rotation and zoom apart, with that probability each; otherwise
            both happen, or neither.
    """

    copies: int = 1
    in_place: bool = False
    flip: float = 0.5
    rotation_degrees: float = 8.0
    zoom: float = 0.08
    translation: float = 0.04
    intensity: float = 0.05
    warp_probability: float = 0.5
    separate_warps: bool = False

    def __post_init__(self) -> None:
        require(self.copies in (0, 1), "copies", self.copies, "0 or 1")
        require(
            not (self.copies and self.in_place), "in_place", self.in_place, "False beside copies"
        )
        for name in ("flip", "warp_probability"):
            value = getattr(self, name)
            require(0 <= value <= 1, name, value, "a probability from 0 to 1")
        for name in ("zoom", "translation", "intensity"):
            value = getattr(self, name)
            require(0 <= value < 0.5, name, value, "a share from 0 to below 0.5")


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
        ssim_warmup_steps: Steps over which the SSIM weight rises linearly from 0: asked for from
            the start, it holds the translation close to the input.
        kl_weight: Weight of the KL divergence per latent element.
        kl_warmup_steps: Steps over which the KL weight rises linearly from 0.
        background_weight: Weight of the L1 that keeps air black: it looks at the
            translation where the input shows air around the head.
        anchor: Where the networks start inside the head, with black air around it. A cycle is as
            happy with a negative as with a copy, and the adversarial loss alone is slow to leave
            either: "negative" starts with dark bone bright and bright fat dark, as CT and MRI
            have it; "shell" does so close below the head's surface, where scalp and skull lie,
            and of whatever is nearly white, and keeps the input deeper down; "copy" starts from
            the input itself.
        anchor_weight: Weight of the L1 to that start; 0 for no anchor.
        anchor_steps: Steps of the anchored start. In its first half the anchor stands alone with
            the background and KL terms; in the second it falls to 0 linearly, while the
            adversarial, cycle, SSIM and identity losses rise from 0 to their weights.
        cycle_noise: Standard deviation, on the [0, 1] scale, of the noise added to a translation
            before it is cycled back, so that information hidden in it does not count.
        discriminator_gradients: "independent" normalises each head's gradient before adding,
            "joint" differentiates the sum of the heads' losses.
        head_clip_norm: Global norm that each head's gradient is clipped to ("independent").
    """

    adversarial: Literal["least_squares", "bce"] = "least_squares"
    adversarial_weight: float = 1.0
    cycle_weight: float = 10.0
    identity_weight: float = 0.0
    ssim_weight: float = 0.0
    ssim_warmup_steps: int = 0
    kl_weight: float = 0.01
    kl_warmup_steps: int = 1000
    background_weight: float = 0.0
    anchor: Literal["negative", "shell", "copy"] = "negative"
    anchor_weight: float = 0.0
    anchor_steps: int = 300
    cycle_noise: float = 0.02
    discriminator_gradients: Literal["independent", "joint"] = "independent"
    head_clip_norm: float = 1.0

    def __post_init__(self) -> None:
        require_choice("adversarial", self.adversarial, ("least_squares", "bce"))
        require_choice("anchor", self.anchor, ("negative", "shell", "copy"))
        require_choice(
            "discriminator_gradients", self.discriminator_gradients, ("independent", "joint")
        )
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if not isinstance(value, str):
                require(value >= 0, item.name, value, "zero or more")
        require(self.head_clip_norm > 0, "head_clip_norm", self.head_clip_norm, "above 0")


@frozen_config
class OptimizerConfig:
    """Adam for generators and discriminators.

    Attributes:
        learning_rate: Rate of the generators at step 0.
        discriminator_learning_rate: The discriminators'; None takes the generators'.
        decay: Per-step decay as in the legacy Keras optimisers: lr / (1 + decay * step).
        cosine_epochs: Passes over the data in which the rate falls to 0 along half a cosine (and
            in which it rises again afterwards, as in PyTorch's CosineAnnealingLR); constant
            within a pass. 0 for none.
        weight_decay: True (decoupled) weight decay; 0 for none.
        beta_1: Adam's first moment decay.
        beta_2: Adam's second moment decay.
        epsilon: Adam's guard against division by 0, added to the root of the second moment.
        ema_decay: Decay of the generators' averaged weights, which validate and are saved; 0 for
            the current weights.

    Reference: Loshchilov & Hutter 2017, "SGDR" (cosine annealing, without restarts here).
    """

    learning_rate: float = 1e-4
    discriminator_learning_rate: float | None = None
    decay: float = 6e-8
    cosine_epochs: int = 0
    weight_decay: float = 0.0
    beta_1: float = 0.5
    beta_2: float = 0.999
    epsilon: float = 1e-7
    ema_decay: float = 0.999

    def __post_init__(self) -> None:
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "above 0")
        require(self.epsilon > 0, "epsilon", self.epsilon, "above 0")
        require(self.cosine_epochs >= 0, "cosine_epochs", self.cosine_epochs, "0 or more")
        for name in ("beta_1", "beta_2", "ema_decay"):
            value = getattr(self, name)
            require(0 <= value < 1, name, value, "from 0 to below 1")


@frozen_config
class CycleGANConfig:
    """A whole CycleGAN run (Systems A and C share the trainer).

    Attributes:
        generator: Both generators' architecture.
        discriminator: Both discriminators' architecture.
        data: How files become inputs.
        augmentation: Random changes of every sample, or of an extra copy of it.
        losses: Loss terms.
        optimizer: Both optimisers.
        batch_size: Pairs drawn per step, before augmentation copies.
        steps: Training steps of a full run.
        epochs: Passes over the larger domain of a full run, in place of `steps`; 0 for none.
        epoch_steps: Steps of one pass, which a learning-rate schedule counts in; a run on files
            sets it from their number.
        steps_per_epoch: Steps between two validations; 0 takes `validation_epochs`.
        validation_epochs: Passes over the larger domain between two validations.
        best_by: What chooses `best/`: "realism" (the mean honest-cycle SSIM less the mean realism
            gap) or "ssim" (the mean cycle SSIM, which a copy of the input wins).
        pool_size: Past translations kept for the discriminators; 0 for none.
        recompute: Keep only a generator's input and output for the gradient and run it again when
            the gradient comes to it (gradient checkpointing): less memory, more time.
        precision: "auto" picks mixed_bfloat16 where the hardware has it, else float32.
        seed: Seed of data order, augmentation and initial weights.
    """

    generator: VAEUNetConfig | ResnetGeneratorConfig = field(default_factory=VAEUNetConfig)
    discriminator: DiscriminatorConfig | PatchDiscriminatorConfig = field(
        default_factory=DiscriminatorConfig
    )
    data: DataConfig = field(default_factory=DataConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    losses: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    batch_size: int = 4
    steps: int = 50_000
    epochs: int = 0
    epoch_steps: int = 1000
    steps_per_epoch: int = 0
    validation_epochs: int = 1
    best_by: Literal["realism", "ssim"] = "realism"
    pool_size: int = 50
    recompute: bool = False
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for part in (self.generator, self.discriminator):
            for name in ("image_size", "channels"):
                require(
                    getattr(part, name) == getattr(self.data, name),
                    f"data.{name}",
                    getattr(self.data, name),
                    f"{type(part).__name__}'s {getattr(part, name)}",
                )
        require(
            self.generator.output_activation == self.data.value_range,
            "data.value_range",
            self.data.value_range,
            f"the generator's {self.generator.output_activation}",
        )
        require(self.batch_size >= 1, "batch_size", self.batch_size, "at least 1")
        require(self.steps >= 1, "steps", self.steps, "at least 1")
        require(self.epochs >= 0, "epochs", self.epochs, "0 or more")
        for name in ("epoch_steps", "validation_epochs"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        require_choice("best_by", self.best_by, ("realism", "ssim"))
        in_step = self.batch_size * (1 + self.augmentation.copies)
        require(
            self.pool_size == 0 or self.pool_size >= in_step,
            "pool_size",
            self.pool_size,
            f"0, or at least the {in_step} images of a step",
        )
        require(0 <= self.seed < 2**31, "seed", self.seed, "0 to 2147483647")
        require_choice("precision", self.precision, PRECISIONS)


def resize_config(config: CycleGANConfig, image_size: int) -> CycleGANConfig:
    """Give `config` another image side.

    Raises:
        InputError: the networks' stride does not divide `image_size`.
    """
    parts = {
        name: dataclasses.replace(getattr(config, name), image_size=image_size)
        for name in ("generator", "discriminator", "data")
    }
    return dataclasses.replace(config, **parts)
