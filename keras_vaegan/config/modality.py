"""Configs of missing-modality synthesis, System B: network, data, losses, run."""

from __future__ import annotations

from dataclasses import field
from typing import Literal

from keras_vaegan.config.checks import PRECISIONS, check_image, require, require_choice
from keras_vaegan.config.serialization import frozen_config

MODALITIES = ("t1", "t1ce", "t2", "flair")
ANY_TARGET = "any"


@frozen_config
class ModalityUNetConfig:
    """U-Net with a dense probabilistic bottleneck: some MRI contrasts in, one out (System B).

    Every level has two convolutions and halves the resolution after them; the latent lies below
    the last level.

    Attributes:
        image_size: Side of the square input in pixels; a multiple of `stride`.
        target: The contrast that the network makes from the other three; "any" for one network
            that makes whichever is named: it sees all four channels, the named one empty, and
            four more that are 1 everywhere for the named contrast and 0 for the others.
        filters: Features per level, finest first.
        latent_channels: Dimensions of the latent.
        seed: Seed of the initial weights and of the latent's noise.

    Reference: System B as described publicly; the code of "any" is our reading.
    """

    image_size: int = 160
    target: Literal["t1", "t1ce", "t2", "flair", "any"] = "flair"
    filters: tuple[int, ...] = (32, 64, 128, 256)
    latent_channels: int = 128
    seed: int = 0

    @property
    def stride(self) -> int:
        """Pixels of input per position of the bottleneck along one axis."""
        return 2 ** len(self.filters)

    @property
    def channels(self) -> int:
        """Input channels: three contrasts, or four and the code of the target."""
        return 2 * len(MODALITIES) if self.target == ANY_TARGET else len(MODALITIES) - 1

    def __post_init__(self) -> None:
        require(
            len(self.filters) >= 1 and all(f > 0 for f in self.filters),
            "filters",
            self.filters,
            "at least one level of at least one feature",
        )
        require_choice("target", self.target, (*MODALITIES, ANY_TARGET))
        check_image(self.image_size, 1, self.stride)
        require(self.latent_channels > 0, "latent_channels", self.latent_channels, "positive")


@frozen_config
class ModalityDataConfig:
    """How a case's volumes become the network's slices.

    Attributes:
        image_size: Side of the square slice in pixels, cut around the brain or padded.
        percentiles: Intensities of the brain that become 0 and 1, per volume; beyond is clipped.
        slice_stride: Every how many axial slices one is trained on; inference takes all.
        validation_share: Share of the cases held back to validate on while training.
        test_share: Share of the cases held back for `evaluate`.
        shift: Largest random shift of a training slice in pixels, either way.
        flip: Probability of a left-right flip of a training slice.
        intensity: Largest relative change of a training slice's contrast and gamma either way,
            drawn for every input on its own; the target keeps its own.
    """

    image_size: int = 160
    percentiles: tuple[float, float] = (1.0, 99.0)
    slice_stride: int = 2
    validation_share: float = 0.1
    test_share: float = 0.1
    shift: int = 0
    flip: float = 0.0
    intensity: float = 0.0

    def __post_init__(self) -> None:
        check_image(self.image_size, 1, 1)
        low, high = self.percentiles if len(self.percentiles) == 2 else (1, 0)
        require(0 <= low < high <= 100, "percentiles", self.percentiles, "two rising percentages")
        require(self.slice_stride >= 1, "slice_stride", self.slice_stride, "at least 1")
        for name in ("validation_share", "test_share", "intensity"):
            value = getattr(self, name)
            require(0 <= value < 0.5, name, value, "a share from 0 to below 0.5")
        require(self.shift >= 0, "shift", self.shift, "zero or more pixels")
        require(0 <= self.flip <= 1, "flip", self.flip, "a probability from 0 to 1")


@frozen_config
class ModalityLossConfig:
    """Weights of the loss terms.

    Attributes:
        l1_weight: Weight of the mean absolute error of the slice.
        mse_weight: Weight of its mean squared error.
        kl_weight: Weight of the KL divergence, summed over the latent and averaged over the
            batch.
        kl_warmup: Share of the run's steps over which the KL weight rises linearly from 0.
    """

    l1_weight: float = 1.0
    mse_weight: float = 0.0
    kl_weight: float = 1e-4
    kl_warmup: float = 0.5

    def __post_init__(self) -> None:
        for name in ("l1_weight", "mse_weight", "kl_weight"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "zero or more")
        require(self.l1_weight + self.mse_weight > 0, "l1_weight", self.l1_weight, "above 0")
        require(0 <= self.kl_warmup <= 1, "kl_warmup", self.kl_warmup, "a share from 0 to 1")


@frozen_config
class ModalityConfig:
    """A whole run of missing-modality synthesis.

    Attributes:
        model: The network's architecture.
        data: How volumes become slices.
        losses: Loss terms.
        learning_rate: Adam's rate at step 0.
        epsilon: Adam's guard against division by 0.
        plateau_patience: Validations without a better score after which the rate halves.
        batch_size: Slices per step.
        steps: Training steps of a full run.
        steps_per_epoch: Steps between two validations; 0 takes one pass over the slices.
        precision: "auto" picks mixed_bfloat16 where the hardware has it, else float32.
        seed: Seed of the split, data order, augmentation and initial weights.
    """

    model: ModalityUNetConfig = field(default_factory=ModalityUNetConfig)
    data: ModalityDataConfig = field(default_factory=ModalityDataConfig)
    losses: ModalityLossConfig = field(default_factory=ModalityLossConfig)
    learning_rate: float = 1e-4
    epsilon: float = 1e-7
    plateau_patience: int = 3
    batch_size: int = 4
    steps: int = 35_000
    steps_per_epoch: int = 0
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        require(
            self.model.image_size == self.data.image_size,
            "data.image_size",
            self.data.image_size,
            f"the network's {self.model.image_size}",
        )
        for name in ("learning_rate", "epsilon"):
            require(getattr(self, name) > 0, name, getattr(self, name), "above 0")
        for name in ("plateau_patience", "batch_size", "steps"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        require(0 <= self.seed < 2**31, "seed", self.seed, "0 to 2147483647")
        require_choice("precision", self.precision, PRECISIONS)
