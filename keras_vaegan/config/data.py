"""Configs of how files become a network's inputs; they travel with its weights."""

from __future__ import annotations

import math
from dataclasses import field
from itertools import pairwise
from typing import Literal

from keras_vaegan.config.base import (
    Count,
    Positive,
    Probability,
    Share,
    Side,
    Weight,
    frozen_config,
    require,
    retire,
)

LANDMARK_PERCENTILES = (1.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 99.0)


@frozen_config
class DataConfig:
    """How image files become the network's input.

    Attributes:
        image_size: Side of the square image in pixels.
        channels: 1 (gray) or 3.
        resize: "pad" keeps the aspect on a black square, "stretch" fills the square.
        align: "head" crops to the head's bounding box and scales it to a common size first.
        surroundings: "black" paints over what lies apart from the head (table, head rest, writing),
            and what a translation has there; "keep" leaves it: a network passes it on as tissue or
            bone, and learns to invent it.
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
    surroundings: Literal["keep", "black"] = "keep"
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
class SliceAugmentationConfig:
    """Strength of the random changes of a training slice in missing-modality synthesis.

    Geometry changes all contrasts alike. Intensities change for every input on its own; the target
    keeps its own.

    Attributes:
        shift: Largest shift in pixels, either way.
        flip: Probability of a left-right flip.
        elastic: Standard deviation, in pixels, of a smooth random displacement.
        intensity: Largest relative change of gamma and gain either way.
        bias_field: Standard deviation of the logarithm of a smooth random gain.
        drop_inputs: Probability that an input is left out, for a network of any target; one always
            stays. Such a network serves cases that lack further contrasts.
    """

    shift: Count = 0
    flip: Probability = 0.0
    elastic: Weight = 0.0
    intensity: Share = 0.0
    bias_field: Share = 0.0
    drop_inputs: Share = 0.0


@frozen_config
class LandmarkConfig:
    """Where the `LANDMARK_PERCENTILES` of a contrast's brain lie in [0, 1].

    Attributes:
        t1, t1ce, t2, flair: Rising levels from 0 to 1, means over the training cases.

    Reference: Nyul, Udupa & Zhang 2000, "New variants of a method of MRI scale standardization".
    """

    t1: tuple[float, ...]
    t1ce: tuple[float, ...]
    t2: tuple[float, ...]
    flair: tuple[float, ...]

    def __post_init__(self) -> None:
        for name, levels in vars(self).items():
            if name in ("t1", "t1ce", "t2", "flair"):
                count = len(LANDMARK_PERCENTILES)
                rising = len(levels) == count and all(a <= b for a, b in pairwise(levels))
                fits = rising and levels[0] == 0 and levels[-1] == 1
                require(fits, name, levels, f"{count} rising levels from 0 to 1")


@frozen_config
class ModalityDataConfig:
    """How a case's volumes become the network's slices.

    Attributes:
        image_size: Side of the square slice in pixels, cut around the brain or padded.
        normalization: What becomes 0 to 1 in each volume on its own; beyond is clipped.
            "percentile": two percentiles of the brain, which move with the extent of a tumour.
            "white_matter": 0 to a multiple of the peak of the brain's histogram, which is white
            matter or close to it in every contrast.
            "nyul": the brain's percentiles take the levels `landmarks`.
            "zscore": 4 standard deviations of the brain about its mean.
        percentiles: Those of "percentile".
        landmarks: Those of "nyul", which training learns on its cases.
        neighbours: Slices below and above that are further channels of the input.
        slice_stride: Every how many axial slices one is trained on; inference takes all.
        tumour_share: Share of the training slices that is drawn from those with tumour, of cases
            with a segmentation beside their scans.
        validation_share: Share of the cases held back to validate on while training.
        test_share: Share of the cases held back for `evaluate`.
        leave_out: Name of the one case to hold back for `evaluate`, instead of a share.
        augmentation: Random changes of a training slice.
    """

    image_size: Side = 160
    normalization: Literal["percentile", "white_matter", "nyul", "zscore"] = "percentile"
    percentiles: tuple[float, float] = (1.0, 99.0)
    landmarks: LandmarkConfig | None = None
    neighbours: Count = 0
    slice_stride: Positive = 2
    tumour_share: Probability = 0.0
    validation_share: Share = 0.1
    test_share: Share = 0.1
    leave_out: str = ""
    augmentation: SliceAugmentationConfig = field(default_factory=SliceAugmentationConfig)

    def __post_init__(self) -> None:
        low, high = self.percentiles
        require(0 <= low < high <= 100, "percentiles", self.percentiles, "two rising percentages")

    @staticmethod
    def upgrade(fields: dict) -> dict:
        """Fields of version 0.1 -> today's."""
        moved = {
            name: fields.pop(name) for name in ("shift", "flip", "intensity") if name in fields
        }
        if moved:
            fields["augmentation"] = {"kind": "SliceAugmentationConfig", **moved}
        return fields
