"""How a case's volumes become a network's slices and come back, for programs in any language."""

from __future__ import annotations

from typing import Any

from keras_vaegan.config.data import LANDMARK_PERCENTILES, ModalityDataConfig
from keras_vaegan.config.networks import ANY_TARGET, MODALITIES, ModalityUNetConfig
from keras_vaegan.data.intensity import BACKGROUND_SHARE
from keras_vaegan.data.normalization import (
    BIN_BLUR,
    BINS,
    DEVIATIONS,
    WHITE_MATTER,
    describe_normalization,
)
from keras_vaegan.systems.modality.slices import CLOSEST, list_inputs, list_targets


def describe_preparation(config: ModalityUNetConfig, data: ModalityDataConfig) -> dict[str, Any]:
    """`data.normalization` and `slices` in words and numbers.

    Args:
        config: The network.
        data: How its slices are prepared.

    Returns:
        {"before", "after"}: the steps in turn; the numbers that they name; all ready for JSON.
    """
    side = config.image_size
    return {
        "before": [
            "Bring the volumes to one grid, axes right, front and up.",
            "Background is the median of a volume's six faces (which at least "
            f"{BACKGROUND_SHARE:g} of their voxels hold), foreground all else. The brain is what "
            "is foreground in all inputs, holes that no path along the axes leads out of filled.",
            f"Intensities: {describe_normalization(data)}; beyond is clipped, outside the brain 0.",
            f"Of every axial slice with brain take the {side} x {side} window around the middle of "
            "the brain's box, 0 beyond the volume; where the slice's brain is larger, as few "
            "windows as cover the box, evenly spaced.",
            f"Channels: {_describe_channels(config)}. Layout: (1, right, front, channels), "
            "float32.",
        ],
        "after": [
            "Where windows overlap take the average that falls linearly to a window's edges.",
            "Map [0, 1] to the intensities of the present input that comes first for the target "
            "under `closest`: the way there, backwards. Outside the brain put its background.",
        ],
        "image_size": side,
        "channels": config.channels,
        "neighbours": config.neighbours,
        "contrasts": MODALITIES,
        "targets": list_targets(config),
        "closest": CLOSEST,
        "normalization": _describe_numbers(data),
        "input_range": [0.0, 1.0],
        "output_range": [0.0, 1.0],
    }


def _describe_channels(config: ModalityUNetConfig) -> str:
    """What the channels of an input are, in order."""
    count = 2 * config.neighbours + 1
    slices = "" if count == 1 else f", of each of {count} slices from the lowest to the highest"
    if config.target != ANY_TARGET:
        return f"{', '.join(list_inputs(config.target))}{slices}"
    names = ", ".join(MODALITIES)
    return (
        f"{names}{slices}, 0 for the target's and for missing ones; then a plane for each of "
        f"{names}: 1 for the target, -1 for a missing one, else 0"
    )


def _describe_numbers(data: ModalityDataConfig) -> dict[str, Any]:
    """The numbers of a normalisation."""
    name = data.normalization
    numbers: dict[str, dict[str, Any]] = {
        "percentile": {"percentiles": data.percentiles},
        "white_matter": {
            "levels": WHITE_MATTER,
            "histogram": f"{BINS} bins between the 1st and 99th percentile, smoothed by a "
            f"Gaussian of {BIN_BLUR:g} bins; a 1st percentile below 0 takes the place of 0",
        },
        "nyul": {
            "percentiles": LANDMARK_PERCENTILES,
            "levels": {n: getattr(data.landmarks, n) for n in MODALITIES} if data.landmarks else {},
        },
        "zscore": {"deviations": DEVIATIONS},
    }
    return {"name": name, **numbers[name]}
