"""Configs of System A's networks: the probabilistic U-Net and the multi-scale PatchGAN."""

from __future__ import annotations

from typing import Literal

from keras_vaegan.config.checks import (
    VALUE_RANGES,
    check_groups,
    check_image,
    require,
    require_choice,
)
from keras_vaegan.config.serialization import frozen_config


@frozen_config
class VAEUNetConfig:
    """U-Net generator with a probabilistic bottleneck (System A).

    Level i works at 1/2**i of the image size; the last level holds the latent.

    Attributes:
        image_size: Side of the square input in pixels; a multiple of `stride`.
        channels: Input and output channels, 1 or 3.
        filters: Features per level, finest first.
        kernel_sizes: Convolution kernel per level, finest first.
        num_residual_blocks: Residual blocks per level, in the encoder and again in the decoder.
        skip_levels: How many of the coarsest levels above the latent pass their features to the
            decoder. All of them invite the network to copy its input; too few lose the anatomy.
        groups: Groups of the group normalisation; -1 for instance normalisation, 0 for none.
        latent: "spatial" keeps a map of latent vectors, "dense" one vector for the image.
        latent_channels: Latent channels (spatial) or dimensions (dense).
        upsampling: "nearest" or "bilinear" resize before a convolution, or "transpose" (a strided
            transposed convolution, as older code has it: prone to checkerboards).
        output_activation: "tanh" for images in [-1, 1], "sigmoid" for [0, 1].
        gray_output: Average the output channels, so that a 3-channel network never tints.
        seed: Seed of the initial weights and of the latent's noise.

    Reference: System A as described publicly; filters and latent shape are our reading.
    """

    image_size: int = 256
    channels: int = 3
    filters: tuple[int, ...] = (32, 64, 128, 256, 512)
    kernel_sizes: tuple[int, ...] = (5, 3, 3, 3, 3)
    num_residual_blocks: tuple[int, ...] = (0, 1, 2, 2, 2)
    skip_levels: int = 3
    groups: int = 16
    latent: Literal["spatial", "dense"] = "spatial"
    latent_channels: int = 64
    upsampling: Literal["nearest", "bilinear", "transpose"] = "nearest"
    output_activation: Literal["tanh", "sigmoid"] = "tanh"
    gray_output: bool = True
    seed: int = 0

    @property
    def stride(self) -> int:
        """Pixels of input per latent position along one axis."""
        return 2 ** (len(self.filters) - 1)

    def __post_init__(self) -> None:
        require(len(self.filters) >= 2, "filters", self.filters, "at least two levels")
        for name in ("kernel_sizes", "num_residual_blocks"):
            value = getattr(self, name)
            require(
                len(value) == len(self.filters),
                name,
                value,
                f"{len(self.filters)} values, one per level of filters",
            )
        require(all(k % 2 for k in self.kernel_sizes), "kernel_sizes", self.kernel_sizes, "odd")
        check_groups(self.groups, self.filters)
        require(
            0 <= self.skip_levels < len(self.filters),
            "skip_levels",
            self.skip_levels,
            f"0 to {len(self.filters) - 1}",
        )
        require_choice("latent", self.latent, ("spatial", "dense"))
        require_choice("upsampling", self.upsampling, ("nearest", "bilinear", "transpose"))
        check_image(self.image_size, self.channels, self.stride)
        require_choice("output_activation", self.output_activation, tuple(VALUE_RANGES))
        require(self.latent_channels > 0, "latent_channels", self.latent_channels, "positive")


@frozen_config
class DiscriminatorConfig:
    """Multi-scale PatchGAN: one trunk, a judging head at each of its last `num_heads` levels.

    Attributes:
        image_size: Side of the square input in pixels.
        channels: Input channels, 1 or 3.
        filters: Features per trunk level; every level halves the resolution.
        num_heads: Number of levels, counted from the coarsest, that carry a head.
        head_kernel_size: Kernel of each head's output convolution.
        trunk_depth: Convolutions per level (the first one strides).
        groups: Groups of the group normalisation; -1 for instance normalisation, 0 for none.
        seed: Seed of the initial weights.

    Reference: System A as described publicly; filters are our reading.
    """

    image_size: int = 256
    channels: int = 3
    filters: tuple[int, ...] = (64, 128, 256, 512)
    num_heads: int = 4
    head_kernel_size: int = 5
    trunk_depth: int = 2
    groups: int = 16
    seed: int = 0

    @property
    def stride(self) -> int:
        """Pixels of input per position of the coarsest output."""
        return 2 ** len(self.filters)

    def __post_init__(self) -> None:
        require(
            1 <= self.num_heads <= len(self.filters),
            "num_heads",
            self.num_heads,
            f"1 to {len(self.filters)}, the number of levels",
        )
        require(self.trunk_depth >= 1, "trunk_depth", self.trunk_depth, "at least 1")
        check_groups(self.groups, self.filters)
        check_image(self.image_size, self.channels, self.stride)
