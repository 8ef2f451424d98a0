"""The protocol of the SynthRAD2023 challenge: synthetic CT against true CT, inside the body.

Reference: the challenge's published definitions and evaluation, https://synthrad2023.grand-challenge.org
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.metrics import structural_similarity

from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.metrics import to_decibel
from keras_vaegan.evaluation.protocols import PROTOCOLS

RULES = PROTOCOLS["synthrad2023"]
BODY_FLOOR = -500.0  # HU; what is denser than this is body
_REACH = RULES.ssim.size // 2


def evaluate_volume(truth: np.ndarray, synthetic: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """Compare a synthetic CT with the true one inside the body.

    Args:
        truth: (X, Y, Z) in Hounsfield units.
        synthetic: The same shape and unit.
        mask: (X, Y, Z) bool, the body.

    Returns:
        {"mae": mean absolute error in HU, of values as they are, "psnr": dB of the values clipped
        to [-1024, 3000], data range 4024, at most 100, "ssim": mean over the mask of scikit-image's
        3-D `structural_similarity` (uniform 7x7x7 window, sample covariance, data range 4024) of
        the volumes clipped, -1024 outside the mask, and shifted by 1024; as scikit-image's own
        mean, and the challenge's, it leaves out the 3 voxels along the volume's border}.

    Raises:
        InputError: volumes of other shapes, values that are not finite, or a mask without voxels
            3 or more from the border.
    """
    truth, synthetic = (np.asarray(part, "float64") for part in (truth, synthetic))
    mask = np.asarray(mask, bool)
    _check(truth, synthetic, mask)
    low, high = RULES.clip
    error = (truth - synthetic)[mask]
    first, second = (np.clip(part, low, high) for part in (truth, synthetic))
    clipped_error = (first - second)[mask] / RULES.data_range
    near = _find_neighbourhood(mask)
    pair = (np.where(mask, part, low)[near] - low for part in (first, second))
    similarity = structural_similarity(
        *pair,
        win_size=RULES.ssim.size,
        use_sample_covariance=RULES.ssim.sample_covariance,
        data_range=RULES.data_range,
        full=True,
    )[1]
    inner = (slice(_REACH, -_REACH),) * 3
    return {
        "mae": float(np.abs(error).mean()),
        "psnr": float(to_decibel(np.square(clipped_error).mean())),
        "ssim": float(similarity[inner][mask[near][inner]].mean()),
    }


def find_body(ct: np.ndarray) -> np.ndarray:
    """The body in a CT: the largest thing above -500 HU, its holes filled slice by slice.

    Args:
        ct: (X, Y, Z) in Hounsfield units, axial slices along the last axis.

    Returns:
        The mask, bool.

    Raises:
        InputError: nothing lies above -500 HU, or everything does.
    """
    dense = ct > BODY_FLOOR
    if dense.all() or not dense.any():
        raise InputError(
            f"a CT of {ct.min():g} to {ct.max():g}: expected a body above {BODY_FLOOR:g} HU in air "
            "below; check its unit, or give a mask"
        )
    labels, _ = ndimage.label(dense)
    body = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    slices = [ndimage.binary_fill_holes(part) for part in np.moveaxis(body, -1, 0)]
    return np.stack(slices, axis=-1)


def _find_neighbourhood(mask: np.ndarray) -> tuple[slice, ...]:
    """The box that holds all of the mask that SSIM's window fits around, and what it reaches."""
    inside = ndimage.find_objects(mask[(slice(_REACH, -_REACH),) * 3].astype("uint8"))[0]
    return tuple(slice(part.start, part.stop + 2 * _REACH) for part in inside)


def _check(truth: np.ndarray, synthetic: np.ndarray, mask: np.ndarray) -> None:
    """Refuse what cannot be compared."""
    shapes = [part.shape for part in (truth, synthetic, mask)]
    if len(set(shapes)) > 1 or truth.ndim != 3:
        told = ", ".join("x".join(map(str, shape)) for shape in shapes)
        raise InputError(
            f"truth, synthetic CT and mask of {told} voxels: expected one 3-D shape; resample them"
        )
    if not (np.isfinite(truth).all() and np.isfinite(synthetic).all()):
        raise InputError("volumes hold NaN or infinite values: expected finite HU; repair them")
    if not mask[(slice(_REACH, -_REACH),) * 3].any():
        raise InputError(
            f"a mask of {int(mask.sum())} voxels, none of them {_REACH} or more from the border of "
            f"{'x'.join(map(str, mask.shape))}: expected a body; check the mask"
        )
