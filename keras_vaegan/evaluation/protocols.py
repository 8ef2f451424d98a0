"""Protocols: a name for everything that a figure depends on besides the images."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from keras_vaegan.errors import InputError
from keras_vaegan.evaluation import metrics

TOLERANCE = 1e-2


@dataclass(frozen=True)
class Protocol:
    """How images are brought into the metrics.

    Attributes:
        name: What results files call it.
        data_range: Span of the values that PSNR and SSIM assume.
        window: Intensity window applied before, or None.
        clip: Values are clipped to this interval.
        mask: Region that counts: "whole" for the whole image.
    """

    name: str
    data_range: float
    window: tuple[float, float] | None
    clip: tuple[float, float]
    mask: str


PROTOCOLS = {"unit": Protocol("unit", 1.0, None, (0.0, 1.0), "whole")}


def get_protocol(name: str) -> Protocol:
    """Look up a protocol.

    Raises:
        InputError: there is none of that name.
    """
    if name not in PROTOCOLS:
        raise InputError(f"unknown protocol {name!r}: expected one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def evaluate_pairs(
    original: np.ndarray, reconstruction: np.ndarray, protocol: str = "unit"
) -> dict:
    """Compare two sets of images by every published metric.

    Args:
        original: (N, H, W) or (N, H, W, C), range as the protocol says ([0, 1] for "unit").
        reconstruction: The same shape.
        protocol: Name of a protocol.

    Returns:
        {"n", "psnr": {"mean", "std"}, "ssim": {"mean", "std"}, "mae", "bce", "auc_roc",
        "auc_roc_per_image": {"mean", "left_out"}, "f1", "protocol": {...}}; a value is None
        where its metric is undefined.

    Raises:
        InputError: unknown protocol, or sets that are empty, unequal in shape, not finite or
            beyond the protocol's interval by more than 0.01 (less is clipped).
    """
    rules = get_protocol(protocol)
    first, second = np.asarray(original, "float64"), np.asarray(reconstruction, "float64")
    if first.shape != second.shape or first.ndim not in (3, 4) or not len(first):
        raise InputError(
            f"image sets of shape {first.shape} and {second.shape}: expected two equal, non-empty "
            "(N, H, W[, C]) sets"
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise InputError("image sets hold NaN or infinite values: expected finite ones")
    low, high = min(first.min(), second.min()), max(first.max(), second.max())
    if low < rules.clip[0] - TOLERANCE or high > rules.clip[1] + TOLERANCE:
        raise InputError(
            f"image sets hold values from {low:.4g} to {high:.4g}: expected {rules.clip[0]:g} to "
            f"{rules.clip[1]:g}; scale them first"
        )
    first, second = np.clip(first, *rules.clip), np.clip(second, *rules.clip)
    return {
        "n": len(first),
        "psnr": metrics.summarise(metrics.compute_psnr(first, second)),
        "ssim": metrics.summarise(metrics.compute_ssim(first, second)),
        "mae": metrics.compute_mae(first, second),
        "bce": metrics.compute_bce(first, second),
        "auc_roc": metrics.compute_auc_roc(first, second),
        "auc_roc_per_image": metrics.compute_auc_roc_per_image(first, second),
        "f1": metrics.compute_f1(first, second),
        "protocol": asdict(rules),
    }
