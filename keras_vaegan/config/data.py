"""Configs of how files become a network's inputs; they travel with its weights."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from keras_vaegan.config.base import (
    Count,
    Positive,
    Probability,
    Share,
    frozen_config,
    require,
    retire,
)

Side = Annotated[int, Field(ge=16)]


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
        ct_window: Level and width in Hounsfield units of the window that a CT volume is brought
            to [0, 1] by, and that generated CT returns by. Training images come in their own
            window: it should be theirs.
        mri_percentiles: Percentiles of an MRI volume's values that become 0 and 1.
    """

    image_size: Side = 256
    channels: Literal[1, 3] = 3
    resize: Literal["pad", "stretch"] = "pad"
    align: Literal["none", "head"] = "none"
    value_range: Literal["tanh", "sigmoid"] = "tanh"
    validation_images: Count = 32
    ct_window: tuple[float, float] = (40.0, 80.0)
    mri_percentiles: tuple[float, float] = (0.5, 99.5)

    def __post_init__(self) -> None:
        level, width = self.ct_window
        window = math.isfinite(level) and 0 < width < math.inf
        require(window, "ct_window", self.ct_window, "a level and a positive width in HU")
        low, high = self.mri_percentiles
        rising = 0 <= low < high <= 100
        require(rising, "mri_percentiles", self.mri_percentiles, "two rising percentages")


@frozen_config
class AugmentationConfig:
    """Strength of the random changes that training samples get inside the training step.

    Attributes:
        mode: "copy" adds a changed copy of every sample (a batch of 4 becomes 8), "in_place"
            changes the samples themselves, "none" leaves them.
        flip: Probability of a left-right flip.
        rotation_degrees: Largest rotation either way.
        zoom: Largest relative change of size either way.
        translation: Largest shift as a share of the image side.
        intensity: Largest relative change of contrast and gamma either way.
        separate_warps: Draw for rotation and zoom apart; otherwise both happen, or neither. Half
            of the samples are not warped: bilinear resampling blurs a little.
    """

    mode: Literal["copy", "in_place", "none"] = "copy"
    flip: Probability = 0.5
    rotation_degrees: float = 8.0
    zoom: Share = 0.08
    translation: Share = 0.04
    intensity: Share = 0.05
    separate_warps: bool = False

    @property
    def copies(self) -> int:
        """Changed copies of a sample."""
        return int(self.mode == "copy")

    @staticmethod
    def upgrade(fields: dict) -> dict:
        """Fields of version 0.1 -> today's."""
        if "copies" in fields:
            copies, in_place = fields.pop("copies"), fields.pop("in_place", False)
            fields["mode"] = "copy" if copies else "in_place" if in_place else "none"
        return retire(fields, {"warp_probability": 0.5})


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

    image_size: Side = 160
    percentiles: tuple[float, float] = (1.0, 99.0)
    slice_stride: Positive = 2
    validation_share: Share = 0.1
    test_share: Share = 0.1
    shift: Count = 0
    flip: Probability = 0.0
    intensity: Share = 0.0

    def __post_init__(self) -> None:
        low, high = self.percentiles
        require(0 <= low < high <= 100, "percentiles", self.percentiles, "two rising percentages")
