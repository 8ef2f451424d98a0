"""Configs of the networks, one a `build_*` function: architecture alone.

Inside a run's config the size, channels and value range of a network's images are those of the
run's data, whatever the network's config says.
"""

from __future__ import annotations

from typing import Literal

from keras_vaegan.config.base import (
    Count,
    Filters,
    Positive,
    Seed,
    Side,
    frozen_config,
    require,
    retire,
)

MODALITIES = ("t1", "t1ce", "t2", "flair")
ANY_TARGET = "any"
GROUPS = 8  # of a modality U-Net's group normalisation
Scale = Literal[1, 2, 4]
SCALES: tuple[Scale, ...] = (1, 2, 4)


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

    image_size: Side = 256
    channels: Literal[1, 3] = 3
    filters: Filters = (32, 64, 128, 256, 512)
    kernel_sizes: Filters = (5, 3, 3, 3, 3)
    num_residual_blocks: tuple[Count, ...] = (0, 1, 2, 2, 2)
    skip_levels: Count = 3
    groups: int = 16
    latent: Literal["spatial", "dense"] = "spatial"
    latent_channels: Positive = 64
    upsampling: Literal["nearest", "bilinear", "transpose"] = "nearest"
    output_activation: Literal["tanh", "sigmoid"] = "tanh"
    gray_output: bool = True
    seed: Seed = 0

    @property
    def stride(self) -> int:
        """Pixels of input per latent position along one axis."""
        return 2 ** (len(self.filters) - 1)

    def __post_init__(self) -> None:
        levels = len(self.filters)
        require(levels >= 2, "filters", self.filters, "at least two levels")
        for name in ("kernel_sizes", "num_residual_blocks"):
            value = getattr(self, name)
            require(len(value) == levels, name, value, f"{levels} values, one per level of filters")
        require(all(k % 2 for k in self.kernel_sizes), "kernel_sizes", self.kernel_sizes, "odd")
        _check_groups(self.groups, self.filters)
        require(self.skip_levels < levels, "skip_levels", self.skip_levels, f"0 to {levels - 1}")
        _check_side(self.image_size, self.stride)


@frozen_config
class DiscriminatorConfig:
    """Multi-scale PatchGAN: one trunk, a head at each of its last `num_heads` levels.

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

    image_size: Side = 256
    channels: Literal[1, 3] = 3
    filters: Filters = (64, 128, 256, 512)
    num_heads: Positive = 4
    head_kernel_size: Positive = 5
    trunk_depth: Positive = 2
    groups: int = 16
    seed: Seed = 0

    @property
    def stride(self) -> int:
        """Pixels of input per position of the coarsest output."""
        return 2 ** len(self.filters)

    def __post_init__(self) -> None:
        levels = len(self.filters)
        fits = self.num_heads <= levels
        require(fits, "num_heads", self.num_heads, f"1 to {levels}, the number of levels")
        _check_groups(self.groups, self.filters)
        _check_side(self.image_size, self.stride)


@frozen_config
class ResnetGeneratorConfig:
    """ResNet generator: down, residual blocks at the coarsest level, up again (System C).

    Level i works at 1/2**i of the image size; the blocks work at the last level. The first and
    the last convolution have kernel 7, the others 3.

    Attributes:
        image_size: Side of the square input in pixels; a multiple of `stride`.
        channels: Input and output channels, 1 or 3.
        filters: Features per level, finest first.
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

    image_size: Side = 256
    channels: Literal[1, 3] = 1
    filters: Filters = (64, 128, 256)
    num_residual_blocks: Count = 9
    convs_per_block: Positive = 2
    activate_block_output: bool = False
    output_activation: Literal["tanh", "sigmoid"] = "tanh"
    seed: Seed = 0

    @property
    def stride(self) -> int:
        """Pixels of input per position of the blocks along one axis."""
        return 2 ** (len(self.filters) - 1)

    def __post_init__(self) -> None:
        _check_side(self.image_size, self.stride)

    @staticmethod
    def upgrade(fields: dict) -> dict:
        """Fields of version 0.1 -> today's."""
        return retire(fields, {"kernel_size": 7})


@frozen_config
class PatchDiscriminatorConfig:
    """PatchGAN with spectral normalisation: one map of scores, each for a patch (System C).

    Every convolution has kernel 4. Every trunk level but the last halves the resolution; the last
    one and the output convolution have stride 1, with one pixel of zeros around their input.

    Attributes:
        image_size: Side of the square input in pixels; a multiple of twice the `stride`.
        channels: Input channels, 1 or 3.
        filters: Features per trunk level.
        instance_norm: Normalise after every trunk convolution but the first.
        seed: Seed of the initial weights and of the power iteration's first vector.

    Reference: Isola et al. 2017, "Image-to-Image Translation with Conditional Adversarial
    Networks", appendix 6.1.2; Miyato et al. 2018, "Spectral Normalization"; System C.
    """

    image_size: Side = 256
    channels: Literal[1, 3] = 1
    filters: Filters = (64, 128, 256, 512)
    instance_norm: bool = True
    seed: Seed = 0

    @property
    def stride(self) -> int:
        """Pixels of input per position of the output, its two border positions aside."""
        return 2 ** (len(self.filters) - 1)

    @property
    def layer_strides(self) -> tuple[int, ...]:
        """Stride of every convolution, the output's last."""
        return (2,) * (len(self.filters) - 1) + (1, 1)

    def __post_init__(self) -> None:
        _check_side(self.image_size, 2 * self.stride)

    @staticmethod
    def upgrade(fields: dict) -> dict:
        """Fields of version 0.1 -> today's."""
        return retire(fields, {"kernel_size": 4, "spectral_norm": True})


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

    scale: Scale = 4
    channels: Positive = 3
    output_channels: Count = 0
    num_features: Positive = 64
    num_blocks: Positive = 23
    growth_channels: Positive = 32
    residual_scale: float = 0.2
    seed: Seed = 0

    @property
    def unshuffle(self) -> int:
        """Input pixels per body position along an axis."""
        return 4 // self.scale

    @property
    def generated_channels(self) -> int:
        """Channels of the output."""
        return self.output_channels or self.channels


@frozen_config
class ModalityUNetConfig:
    """U-Net with a dense probabilistic bottleneck: some MRI contrasts in, one out (System B).

    Every level has two convolutions and halves the resolution after them; the latent lies below
    the last level.

    Attributes:
        image_size: Side of the square input in pixels; a multiple of `stride`.
        target: The contrast that the network generates from the other three; "any" for one network
            that generates whichever is named: it sees all four channels, the named one empty, and
            four more that are 1 everywhere for the named contrast, -1 for one that is missing as
            well and 0 for the others.
        neighbours: Slices below and above that the network sees beside the one it generates.
        filters: Features per level, finest first.
        latent_channels: Dimensions of the latent.
        normalization: "batch" has the statistics of the training batches, which inference folds
            into the convolutions; "group" and "instance" each slice's own, over `GROUPS` groups of
            features or one by one.
        seed: Seed of the initial weights and of the latent's noise.

    Reference: System B as described publicly; the code of "any" is our reading.
    """

    image_size: Side = 160
    target: Literal["t1", "t1ce", "t2", "flair", "any"] = "flair"
    neighbours: Count = 0
    filters: Filters = (32, 64, 128, 256)
    latent_channels: Positive = 128
    normalization: Literal["batch", "group", "instance"] = "batch"
    seed: Seed = 0

    @property
    def stride(self) -> int:
        """Pixels of input per position of the bottleneck along one axis."""
        return 2 ** len(self.filters)

    @property
    def channels(self) -> int:
        """Input channels: three contrasts of every slice, or four and the code of the target."""
        planes, count = 2 * self.neighbours + 1, len(MODALITIES)
        return (planes + 1) * count if self.target == ANY_TARGET else planes * (count - 1)

    def __post_init__(self) -> None:
        if self.normalization == "group":
            _check_groups(GROUPS, self.filters)
        _check_side(self.image_size, self.stride)


def _check_groups(groups: int, filters: tuple[int, ...]) -> None:
    """A normalisation's groups divide every level's features."""
    require(groups >= -1, "groups", groups, "a number of groups, 0 or -1")
    fits = groups <= 0 or all(f % groups == 0 for f in filters)
    require(fits, "filters", filters, f"multiples of groups={groups}")


def _check_side(image_size: int, stride: int) -> None:
    """An image's side is a multiple of the network's stride."""
    least = max(16, 2 * stride)
    fits = image_size >= least and image_size % stride == 0
    expected = f"a multiple of the network's stride {stride}, at least {least}"
    require(fits, "image_size", image_size, expected)


NetworkConfig = (
    VAEUNetConfig
    | ResnetGeneratorConfig
    | DiscriminatorConfig
    | PatchDiscriminatorConfig
    | ModalityUNetConfig
    | RRDBNetConfig
)
