"""Image metrics as published: NumPy arrays in [0, 1] in, numbers out.

Images are (N, H, W) or (N, H, W, C), any real dtype, computed in float64. SSIM looks at one
channel, the mean over C, unless told to look at each; AUC and F1 at whatever values they get.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

PSNR_CEILING = 100.0
LABEL_THRESHOLD = 0.5
CLIP = 1e-7
RANK_LEVELS = 65_536
STABILISERS = (0.01**2, 0.03**2)  # of SSIM's luminance and structure, data range 1


@dataclass(frozen=True)
class Window:
    """What SSIM looks through, around every pixel.

    Attributes:
        size: Pixels a side, odd.
        sigma: Of a Gaussian, in pixels; None weighs all pixels alike.
        sample_covariance: Divide (co)variances by the number of pixels less one.
    """

    size: int
    sigma: float | None = None
    sample_covariance: bool = False

    @property
    def weights(self) -> np.ndarray:
        """(size,) float64 of sum 1: the weights along either axis."""
        steps = np.arange(self.size) - self.size // 2
        weights = (
            np.ones(self.size) if self.sigma is None else np.exp(-0.5 * (steps / self.sigma) ** 2)
        )
        return weights / weights.sum()


GAUSSIAN = Window(11, sigma=1.5)
UNIFORM = Window(7, sample_covariance=True)


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


def compute_ssim(
    original: np.ndarray,
    reconstruction: np.ndarray,
    *,
    window: Window = GAUSSIAN,
    per_channel: bool = False,
) -> np.ndarray:
    """Structural similarity per image, by default in the flavour of `tf.image.ssim(max_val=1)`.

    k1 0.01, k2 0.03, mean over the region where the window fits.

    Args:
        original: (N, H, W[, C]).
        reconstruction: The same shape.
        window: Its size and weights; by default 11x11 Gaussian of sigma 1.5 and population
            covariance.
        per_channel: Compare every channel, and average; else compare the channels' means.

    Returns:
        (N,) float64.

    Raises:
        ValueError: images smaller than the window.

    Reference: Wang et al. 2004, "Image Quality Assessment".
    """
    first, second = _as_pair(original, reconstruction)
    if not per_channel or first.ndim == 3:
        first, second = to_gray(first)[..., None], to_gray(second)[..., None]
    _check_sides(first.shape[1:3], window)
    inner = slice(window.size // 2, -(window.size // 2))
    channels = range(first.shape[-1])
    return np.array([
        np.mean([map_ssim(x[..., i], y[..., i], window=window)[inner, inner] for i in channels])
        for x, y in zip(first, second, strict=True)
    ])  # fmt: skip


def map_ssim(first: np.ndarray, second: np.ndarray, *, window: Window = GAUSSIAN) -> np.ndarray:
    """Structural similarity around every pixel of two (H, W) float64 images, as `compute_ssim`.

    Beyond the border the image is mirrored.
    """
    _check_sides(first.shape, window)
    weights, (light, structure) = window.weights, STABILISERS

    def average(values: np.ndarray) -> np.ndarray:
        return cv2.sepFilter2D(
            np.ascontiguousarray(values), cv2.CV_64F, weights, weights,
            borderType=cv2.BORDER_REFLECT,
        )  # fmt: skip

    squares = first**2
    squares += second**2
    mean_x, mean_y = average(first), average(second)
    covariance, variances = average(first * second), average(squares)
    # In place: a new array for every step costs more than the arithmetic.
    means = mean_x * mean_y
    mean_x *= mean_x
    mean_y *= mean_y
    powers = np.add(mean_x, mean_y, out=mean_x)
    covariance -= means
    variances -= powers
    pixels = window.size**2
    factor = pixels / (pixels - 1) if window.sample_covariance else 1.0
    above, below = _change(means, 2, light), _change(powers, 1, light)
    above *= _change(covariance, 2 * factor, structure)
    below *= _change(variances, factor, structure)
    above /= below
    return above


def compute_mae(original: np.ndarray, reconstruction: np.ndarray) -> float:
    """Mean absolute error over all values, in input units."""
    original, reconstruction = _as_pair(original, reconstruction)
    return float(np.abs(original - reconstruction).mean())


def compute_bce(original: np.ndarray, reconstruction: np.ndarray) -> float:
    """Binary cross-entropy with the continuous original as the target, in nats."""
    first, second = (part.reshape(-1, 1) for part in _as_pair(original, reconstruction))
    made = np.clip(second, CLIP, 1 - CLIP)
    ratio = cv2.log(made)
    rest = cv2.log(np.subtract(1, made, out=made))  # OpenCV's logarithm is the quicker one
    ratio -= rest
    ratio *= first
    ratio += rest
    return -float(ratio.mean())


def count_hits(original: np.ndarray, reconstruction: np.ndarray) -> tuple[int, int]:
    """What F1 is made of: twice the true positives, and all positives of label and prediction.

    Pixels of any number of images are pooled: label x >= 0.5, prediction y >= 0.5.
    """
    label, predicted = original >= LABEL_THRESHOLD, reconstruction >= LABEL_THRESHOLD
    positives = np.count_nonzero(label) + np.count_nonzero(predicted)
    return 2 * int(np.count_nonzero(label & predicted)), int(positives)


def find_f1(hits: float, positives: float) -> float | None:
    """F1 of the sums of `count_hits`; None without any positive."""
    return hits / positives if positives else None


def count_levels(original: np.ndarray, reconstruction: np.ndarray) -> np.ndarray:
    """What the ROC curve is made of: how many pixels of each class score each level.

    Pixels of any number of images are pooled: label x >= 0.5, score y, ranked on 65,536 levels
    (exact for 8- and 16-bit images).

    Returns:
        (2, 65536) int64: negatives, positives.
    """
    scaled = np.clip(reconstruction, 0, 1)
    scaled *= RANK_LEVELS - 1
    levels = np.rint(scaled, out=scaled).astype("int64")
    levels += RANK_LEVELS * (original >= LABEL_THRESHOLD)
    return np.bincount(levels.ravel(), minlength=2 * RANK_LEVELS).reshape(2, RANK_LEVELS)


def find_area(levels: np.ndarray) -> float | None:
    """Area under the ROC curve of the sums of `count_levels`, in which ties count one half; None
    where one class is missing."""
    negatives, positives = levels
    below = np.cumsum(negatives)
    total = float(below[-1]) * float(positives.sum())
    if not total:
        return None
    return float(np.dot(positives, below - 0.5 * negatives) / total)


def average_areas(areas: Sequence[float | None]) -> dict:
    """The mean of those that are known: {"mean": float or None, "left_out": how many are not}."""
    known = [area for area in areas if area is not None]
    mean = float(np.mean(known)) if known else None
    return {"mean": mean, "left_out": len(areas) - len(known)}


def _change(values: np.ndarray, factor: float, constant: float) -> np.ndarray:
    """factor * values + constant, in their own place."""
    values *= factor
    values += constant
    return values


def _check_sides(sides: tuple[int, ...], window: Window) -> None:
    """Refuse images that the window does not fit into."""
    if min(sides) < window.size:
        raise ValueError(
            f"images of {sides[0]}x{sides[1]} pixels: expected at least {window.size} a side"
        )


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
