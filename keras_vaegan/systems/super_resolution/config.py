"""Configs of a super-resolution run: degradation, loss terms and the run."""

from __future__ import annotations

import dataclasses
from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import Field

from keras_vaegan.config.base import Count, Positive, Rate, Weight, frozen_config, require
from keras_vaegan.config.networks import DiscriminatorConfig, RRDBNetConfig
from keras_vaegan.config.run import OptimizerConfig, RunConfig


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

    blur_sigma: Annotated[float, Field(ge=0, le=4)] = 0.0
    downsample: Literal["bicubic", "area", "mixed"] = "bicubic"
    noise: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    jpeg_quality: Annotated[int, Field(ge=0, le=95)] = 0

    def __post_init__(self) -> None:
        usable = self.jpeg_quality == 0 or self.jpeg_quality >= 5
        require(usable, "jpeg_quality", self.jpeg_quality, "0 for none, or 5 to 95")


@frozen_config
class SuperResolutionConfig(RunConfig):
    """A whole super-resolution run: an L1 stage, then an adversarial one.

    Attributes:
        generator: The RRDBNet; 1 or 3 channels in and out.
        discriminator: Tells true crops from generated ones in the second stage; takes their size,
            `patch_size * scale` pixels, and channels.
        degradation: How inputs are made.
        patch_size: Side of an input crop in pixels.
        crop_candidates: Random places drawn per crop, of which the one with the most contrast is
            taken; 1 draws blindly, and on heads in black air mostly air.
        pixel_steps: Steps of the first stage, L1 alone.
        validation_images: Images held back.
        optimizer: Adam; its schedule begins anew with the second stage, where a cosine falls to 0
            at the run's end.
        adversarial_learning_rate: Both networks' rate at the start of the second stage.
        pixel_weight: Weight of L1 in the second stage (1 in the first).
        adversarial_weight: Weight of the relativistic adversarial loss.
        feature_weight: Weight of the feature term: L1 between the discriminator's own features
            of generated and true crops, so that no other network is needed.

    Reference: ESRGAN, section 3.2 and 4.1; the feature term after Wang et al. 2018, "pix2pixHD",
    section 3.2, in place of ESRGAN's VGG features.
    """

    batch_size: Positive = 16
    steps: Positive = 1_400_000
    validate_every: Count = 5000
    generator: RRDBNetConfig = field(default_factory=RRDBNetConfig)
    discriminator: DiscriminatorConfig = field(
        default_factory=lambda: DiscriminatorConfig(num_heads=1)
    )
    degradation: DegradationConfig = field(default_factory=DegradationConfig)
    patch_size: Annotated[int, Field(ge=8)] = 32
    crop_candidates: Positive = 1
    pixel_steps: Count = 1_000_000
    validation_images: Count = 16
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(
            learning_rate=2e-4, halving_steps=200_000, epsilon=1e-8, ema_decay=0.999
        )
    )
    adversarial_learning_rate: Rate = 1e-4
    pixel_weight: Weight = 1e-2
    adversarial_weight: Weight = 5e-3
    feature_weight: Weight = 1.0

    @property
    def crop_size(self) -> int:
        """Side of a true crop in pixels."""
        return self.patch_size * self.generator.scale

    def __post_init__(self) -> None:
        network = self.generator
        require(network.channels in (1, 3), "generator.channels", network.channels, "1 or 3")
        given, fits = network.output_channels, network.generated_channels == network.channels
        require(fits, "generator.output_channels", given, f"the input's {network.channels}")
        fits = self.patch_size % network.unshuffle == 0
        require(fits, "patch_size", self.patch_size, f"a multiple of {network.unshuffle}")
        images: dict[str, Any] = {"image_size": self.crop_size, "channels": network.channels}
        discriminator = dataclasses.replace(self.discriminator, **images)
        object.__setattr__(self, "discriminator", discriminator)

    @staticmethod
    def upgrade(fields: dict) -> dict:
        """Fields of version 0.1 -> today's."""
        if "network" not in fields:
            return fields
        halving, schedule = fields.pop("halving_steps"), fields.pop("schedule")
        moved = ("learning_rate", "beta_1", "beta_2", "ema_decay")
        first_stage = fields["pixel_steps"] or fields["steps"]
        fields["optimizer"] = {
            "kind": "OptimizerConfig",
            "epsilon": 1e-8,
            "halving_steps": halving if schedule == "halve" else 0,
            "cosine_steps": first_stage if schedule == "cosine" else 0,
            **{name: fields.pop(name) for name in moved},
        }
        fields["generator"] = fields.pop("network")
        fields["validate_every"] = fields.pop("steps_per_epoch")
        return fields
