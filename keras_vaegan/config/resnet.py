"""Configs of System C's networks: the ResNet generator and the 70x70 PatchGAN."""

from __future__ import annotations

from typing import Literal

from keras_vaegan.config.checks import check_image, require, require_choice
from keras_vaegan.config.serialization import frozen_config


@frozen_config
class ResnetGeneratorConfig:
    """ResNet generator: down, residual blocks at the coarsest level, up again (System C).

    Level i works at 1/2**i of the image size; the blocks work at the last level.

    Attributes:
        image_size: Side of the square input in pixels; a multiple of `stride`.
        channels: Input and output channels, 1 or 3.
        filters: Features per level, finest first.
        kernel_size: Kernel of the first and of the last convolution.
        num_residual_blocks: Residual blocks.
        convs_per_block: Convolutions inside a block, each with its instance normalisation.
        activate_block_output: Whether a block's last normalisation is followed by ReLU as well,
            before the shortcut is added.
        output_activation: "tanh" for images in [-1, 1], "sigmoid" for [0, 1].
        seed: Seed of the initial weights.

    The description behind System C has nine blocks of two convolutions (11.37 M parameters); the
    code behind its figures has `num_residual_blocks=1, convs_per_block=6,
    activate_block_output=True` (4.28 M).

    Reference: Johnson et al. 2016 and Zhu et al. 2017 (CycleGAN), appendix; System C.
    """

    image_size: int = 256
    channels: int = 1
    filters: tuple[int, ...] = (64, 128, 256)
    kernel_size: int = 7
    num_residual_blocks: int = 9
    convs_per_block: int = 2
    activate_block_output: bool = False
    output_activation: Literal["tanh", "sigmoid"] = "tanh"
    seed: int = 0

    @property
    def stride(self) -> int:
        """Pixels of input per position of the blocks along one axis."""
        return 2 ** (len(self.filters) - 1)

    def __post_init__(self) -> None:
        require(len(self.filters) >= 1, "filters", self.filters, "at least one level")
        require(all(f > 0 for f in self.filters), "filters", self.filters, "positive numbers")
        require(
            self.kernel_size % 2 == 1 and 1 <= self.kernel_size <= 15,
            "kernel_size",
            self.kernel_size,
            "an odd number from 1 to 15",
        )
        require(
            self.num_residual_blocks >= 0,
            "num_residual_blocks",
            self.num_residual_blocks,
            "0 or more",
        )
        require(self.convs_per_block >= 1, "convs_per_block", self.convs_per_block, "at least 1")
        check_image(self.image_size, self.channels, self.stride)
        require_choice("output_activation", self.output_activation, ("tanh", "sigmoid"))


@frozen_config
class PatchDiscriminatorConfig:
    """PatchGAN: one map of scores, each for a patch of the image (System C).

    Every trunk level but the last halves the resolution; the last one and the output convolution
    have stride 1, with one pixel of zeros around their input.

    Attributes:
        image_size: Side of the square input in pixels; a multiple of `stride`.
        channels: Input channels, 1 or 3.
        filters: Features per trunk level.
        kernel_size: Kernel of every convolution; even.
        spectral_norm: Divide every trunk kernel by its largest singular value.
        instance_norm: Normalise after every trunk convolution but the first.
        seed: Seed of the initial weights and of the power iteration's first vector.

    Reference: Isola et al. 2017, "Image-to-Image Translation with Conditional Adversarial
    Networks", appendix 6.1.2; Miyato et al. 2018, "Spectral Normalization"; System C.
    """

    image_size: int = 256
    channels: int = 1
    filters: tuple[int, ...] = (64, 128, 256, 512)
    kernel_size: int = 4
    spectral_norm: bool = True
    instance_norm: bool = True
    seed: int = 0

    @property
    def stride(self) -> int:
        """Pixels of input per position of the output, its two border positions aside."""
        return 2 ** (len(self.filters) - 1)

    @property
    def layer_strides(self) -> tuple[int, ...]:
        """Stride of every convolution, the output's last."""
        return (2,) * (len(self.filters) - 1) + (1, 1)

    @property
    def receptive_field(self) -> int:
        """Side in pixels of the patch that one output judges."""
        side = 1
        for stride in reversed(self.layer_strides):
            side = (side - 1) * stride + self.kernel_size
        return side

    def __post_init__(self) -> None:
        require(len(self.filters) >= 1, "filters", self.filters, "at least one level")
        require(all(f > 0 for f in self.filters), "filters", self.filters, "positive numbers")
        require(
            self.kernel_size % 2 == 0 and 2 <= self.kernel_size <= 8,
            "kernel_size",
            self.kernel_size,
            "2, 4, 6 or 8",
        )
        check_image(self.image_size, self.channels, 2 * self.stride)
