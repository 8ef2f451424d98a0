"""Image metrics as published: NumPy arrays in [0, 1] in, numbers out.

Images are (N, H, W) or (N, H, W, C), any real dtype, computed in float64. SSIM, AUC and F1 look
at one channel: the mean over C.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from skimage.metrics import structural_similarity
from sklearn.metrics import auc, f1_score

PSNR_CEILING = 100.0
LABEL_THRESHOLD = 0.5
CLIP = 1e-7
RANK_LEVELS = 65_536
_SSIM_BORDER = 5


def to_decibel(mse: np.ndarray | float) -> np.ndarray:
    """Mean squared errors of data range 1 -> float64 dB, at most `PSNR_CEILING`.

    The ceiling is what identical images get, so that means stay finite.
    """
    return -10 * np.log10(np.maximum(mse, 10 ** (-PSNR_CEILING / 10)))


def summarise(values: Sequence[float] | np.ndarray) -> dict[str, float]:
    """Mean and population standard deviation: {"mean", "std"}."""
    return {"mean": float(np.mean(values)), "std": float(np.std(values))}


def compute_psnr(original: np.ndarray, reconstruction: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio per image, data range 1: (N,) float64 dB, as `to_decibel`."""
    original, reconstruction = _as_pair(original, reconstruction)
    error = (original - reconstruction) ** 2
    return to_decibel(error.mean(axis=tuple(range(1, original.ndim))))


def compute_ssim(original: np.ndarray, reconstruction: np.ndarray) -> np.ndarray:
    """Structural similarity per image, in the flavour of `tf.image.ssim(max_val=1)`.

    Gaussian window 11x11 of sigma 1.5, k1 0.01, k2 0.03, population covariance, mean over the
    region where the window fits.

    Returns:
        (N,) float64.

    Raises:
        ValueError: images smaller than 11 pixels a side.

    Reference: Wang et al. 2004, "Image Quality Assessment".
    """
    pairs = zip(*map(to_gray, _as_pair(original, reconstruction)), strict=True)
    inner = slice(_SSIM_BORDER, -_SSIM_BORDER)
    return np.array([map_ssim(*pair)[inner, inner].mean() for pair in pairs])


def map_ssim(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Structural similarity around every pixel of two (H, W) float64 images, as `compute_ssim`."""
    return structural_similarity(
        first, second, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        data_range=1.0, full=True,
    )[1]  # fmt: skip


def compute_mae(original: np.ndarray, reconstruction: np.ndarray) -> float:
    """Mean absolute error over all values, in input units."""
    original, reconstruction = _as_pair(original, reconstruction)
    return float(np.abs(original - reconstruction).mean())


def compute_bce(original: np.ndarray, reconstruction: np.ndarray) -> float:
    """Binary cross-entropy with the continuous original as the target, in nats."""
    x, y = _as_pair(original, reconstruction)
    y = np.clip(y, CLIP, 1 - CLIP)
    return float(-np.mean(x * np.log(y) + (1 - x) * np.log(1 - y)))


def compute_f1(original: np.ndarray, reconstruction: np.ndarray) -> float | None:
    """F1 over the pooled pixels: label x >= 0.5, prediction y >= 0.5.

    Returns:
        The score; None where neither image holds a positive pixel.
    """
    label, predicted = (
        to_gray(image) >= LABEL_THRESHOLD for image in _as_pair(original, reconstruction)
    )
    # Equal pixels count together: scikit-learn sorts what it gets, millions in a minute.
    counts = np.bincount((2 * label + predicted).ravel(), minlength=4)
    score = f1_score([0, 0, 1, 1], [0, 1, 0, 1], sample_weight=counts, zero_division=np.nan)
    return None if np.isnan(score) else float(score)


def compute_auc_roc(original: np.ndarray, reconstruction: np.ndarray) -> float | None:
    """Area under the ROC curve over the pooled pixels: label x >= 0.5, score y.

    Scores are ranked on 65,536 levels (exact for 8- and 16-bit images); ties count one half.

    Returns:
        The area; None where one class is missing.
    """
    original, reconstruction = map(to_gray, _as_pair(original, reconstruction))
    levels = np.round(np.clip(reconstruction, 0, 1) * (RANK_LEVELS - 1)).astype("int64")
    label = original >= LABEL_THRESHOLD
    falling = [  # numbers of pixels at or above each level, the highest first
        np.cumsum(np.bincount(levels[chosen], minlength=RANK_LEVELS)[::-1])
        for chosen in (~label, label)
    ]
    if not (falling[0][-1] and falling[1][-1]):
        return None
    rates = [np.concatenate([[0.0], counts / counts[-1]]) for counts in falling]
    return float(auc(*rates))


def compute_auc_roc_per_image(original: np.ndarray, reconstruction: np.ndarray) -> dict:
    """Mean over images of `compute_auc_roc`.

    Returns:
        {"mean": float or None, "left_out": number of images that lack one class}.
    """
    areas = [
        compute_auc_roc(original[i : i + 1], reconstruction[i : i + 1])
        for i in range(len(original))
    ]
    known = [area for area in areas if area is not None]
    mean = float(np.mean(known)) if known else None
    return {"mean": mean, "left_out": len(areas) - len(known)}


def _as_pair(original: np.ndarray, reconstruction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two float64 arrays of one shape."""
    first, second = np.asarray(original, "float64"), np.asarray(reconstruction, "float64")
    if first.shape != second.shape or first.ndim not in (3, 4):
        raise ValueError(
            f"shapes {first.shape} and {second.shape}: expected two equal (N, H, W[, C]) arrays"
        )
    return first, second


def to_gray(images: np.ndarray) -> np.ndarray:
    """(N, H, W[, C]) -> (N, H, W)."""
    return images.mean(axis=-1) if images.ndim == 4 else images
