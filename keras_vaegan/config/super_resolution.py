"""Configs of the super-resolution trainer: RRDBNet, degradation, losses, run."""

from __future__ import annotations

from dataclasses import field
from typing import Literal

from keras_vaegan.config.checks import PRECISIONS, require, require_choice
from keras_vaegan.config.serialization import frozen_config
from keras_vaegan.config.vae_unet import DiscriminatorConfig

SCALES = (1, 2, 4)


@frozen_config
class RRDBNetConfig:
    """ESRGAN's generator: residual-in-residual dense blocks, then two upsamplings.

    The body always works at a quarter of the output's resolution: scale 4 feeds it the image,
    scales 2 and 1 the image with 2x2 or 4x4 pixels unshuffled into channels.

    Attributes:
        scale: Output pixels per input pixel along an axis: 1, 2 or 4.
        channels: Input channels.
        output_channels: Output channels; 0 takes the input's.
        num_features: Features between blocks.
        num_blocks: Residual-in-residual dense blocks.
        growth_channels: Features that each inner convolution adds.
        residual_scale: Share of a block's residual that is added.
        seed: Seed of the initial weights.

    Reference: Wang et al. 2018, "ESRGAN", section 3.1; Wang et al. 2021, "Real-ESRGAN",
    section 4.1 for the unshuffling.
    """

    scale: int = 4
    channels: int = 3
    output_channels: int = 0
    num_features: int = 64
    num_blocks: int = 23
    growth_channels: int = 32
    residual_scale: float = 0.2
    seed: int = 0

    @property
    def unshuffle(self) -> int:
        """Input pixels per body position along an axis."""
        return 4 // self.scale

    @property
    def made_channels(self) -> int:
        """Channels of the output."""
        return self.output_channels or self.channels

    def __post_init__(self) -> None:
        require(self.scale in SCALES, "scale", self.scale, "1, 2 or 4")
        for name in ("channels", "num_features", "num_blocks", "growth_channels"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        require(self.output_channels >= 0, "output_channels", self.output_channels, "0 or more")


@frozen_config
class DegradationConfig:
    """How a low-resolution input is made from a crop of an image, in this order.

    Attributes:
        blur_sigma: Largest standard deviation of a Gaussian blur, in pixels of the image; each
            crop draws its own from 0 to this.
        downsample: "bicubic" (antialiased, as published), "area", or "mixed" for either by
            chance.
        noise: Largest standard deviation of Gaussian noise on the [0, 1] scale; drawn likewise.
        jpeg_quality: Lowest JPEG quality, drawn from it to 95; 0 for no JPEG.
    """

    blur_sigma: float = 0.0
    downsample: Literal["bicubic", "area", "mixed"] = "bicubic"
    noise: float = 0.0
    jpeg_quality: int = 0

    def __post_init__(self) -> None:
        require(0 <= self.blur_sigma <= 4, "blur_sigma", self.blur_sigma, "0 to 4 pixels")
        require_choice("downsample", self.downsample, ("bicubic", "area", "mixed"))
        require(0 <= self.noise <= 0.5, "noise", self.noise, "0 to 0.5")
        require(
            self.jpeg_quality == 0 or 5 <= self.jpeg_quality <= 95,
            "jpeg_quality",
            self.jpeg_quality,
            "0 for none, or 5 to 95",
        )


@frozen_config
class SuperResolutionConfig:
    """A whole super-resolution run: an L1 stage, then an adversarial one.

    Attributes:
        network: The RRDBNet.
        discriminator: Judges crops of `patch_size * scale` pixels in the second stage.
        degradation: How inputs are made.
        patch_size: Side of an input crop in pixels.
        crop_candidates: Random places drawn per crop, of which the one with the most contrast is
            taken; 1 draws blindly, and on heads in black air mostly air.
        batch_size: Crops per step.
        steps: Training steps in all.
        pixel_steps: Steps of the first stage, L1 alone.
        steps_per_epoch: Steps between two validations.
        validation_images: Images held back.
        learning_rate: Adam's rate at the start of either stage.
        schedule: "halve" at every `halving_steps` of a stage, or "cosine" to 0 at its end.
        halving_steps: Steps of a stage between two halvings.
        adversarial_learning_rate: Both networks' rate in the second stage.
        beta_1, beta_2: Adam's moment decays.
        ema_decay: Decay of the averaged weights, which validate and are saved.
        pixel_weight: Weight of L1 in the second stage (1 in the first).
        adversarial_weight: Weight of the relativistic adversarial loss.
        feature_weight: Weight of the feature term: L1 between the discriminator's own features
            of made and true crops, so that no other network is needed.
        precision: As a CycleGAN run's.
        seed: Seed of crops, degradation and initial weights.

    Reference: ESRGAN, section 3.2 and 4.1; the feature term after Wang et al. 2018, "pix2pixHD",
    section 3.2, in place of ESRGAN's VGG features.
    """

    network: RRDBNetConfig = field(default_factory=RRDBNetConfig)
    discriminator: DiscriminatorConfig = field(
        default_factory=lambda: DiscriminatorConfig(image_size=128, num_heads=1)
    )
    degradation: DegradationConfig = field(default_factory=DegradationConfig)
    patch_size: int = 32
    crop_candidates: int = 1
    batch_size: int = 16
    steps: int = 1_400_000
    pixel_steps: int = 1_000_000
    steps_per_epoch: int = 5000
    validation_images: int = 16
    learning_rate: float = 2e-4
    schedule: Literal["halve", "cosine"] = "halve"
    halving_steps: int = 200_000
    adversarial_learning_rate: float = 1e-4
    beta_1: float = 0.9
    beta_2: float = 0.999
    ema_decay: float = 0.999
    pixel_weight: float = 1e-2
    adversarial_weight: float = 5e-3
    feature_weight: float = 1.0
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "auto"
    seed: int = 0

    @property
    def crop_size(self) -> int:
        """Side of a true crop in pixels."""
        return self.patch_size * self.network.scale

    def __post_init__(self) -> None:
        network = self.network
        require(network.channels in (1, 3), "network.channels", network.channels, "1 or 3")
        require(
            network.made_channels == network.channels,
            "network.output_channels",
            network.output_channels,
            f"the input's {network.channels}",
        )
        unshuffle = network.unshuffle
        require(
            self.patch_size >= 8 and self.patch_size % unshuffle == 0,
            "patch_size",
            self.patch_size,
            f"a multiple of {unshuffle}, at least 8",
        )
        judge = self.discriminator
        require(
            (judge.image_size, judge.channels) == (self.crop_size, network.channels),
            "discriminator",
            (judge.image_size, judge.channels),
            f"image_size and channels {(self.crop_size, network.channels)}, those of a true crop",
        )
        for name in ("batch_size", "crop_candidates", "steps", "steps_per_epoch"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        require(self.pixel_steps >= 0, "pixel_steps", self.pixel_steps, "0 or more")
        require(self.halving_steps >= 1, "halving_steps", self.halving_steps, "at least 1")
        require_choice("schedule", self.schedule, ("halve", "cosine"))
        for name in ("learning_rate", "adversarial_learning_rate"):
            require(getattr(self, name) > 0, name, getattr(self, name), "above 0")
        for name in ("beta_1", "beta_2", "ema_decay"):
            value = getattr(self, name)
            require(0 <= value < 1, name, value, "from 0 to below 1")
        require(0 <= self.seed < 2**31, "seed", self.seed, "0 to 2147483647")
        require_choice("precision", self.precision, PRECISIONS)
