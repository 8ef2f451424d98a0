"""How far an image is from another: L1 and SSIM, always computed in float32."""

from __future__ import annotations

import numpy as np
from keras import ops

SSIM_WINDOW = 11
SSIM_SIGMA = 1.5


def mean_absolute_error(first, second):
    """Mean absolute difference of two tensors of equal shape: a scalar."""
    return ops.mean(ops.abs(ops.cast(first, "float32") - ops.cast(second, "float32")))


def ssim(first, second):
    """Structural similarity per image, in the `tf` flavour.

    Args:
        first: (N, H, W, C) images in [0, 1], H and W at least 11.
        second: The same shape.

    Returns:
        (N,) float32: 11x11 Gaussian of sigma 1.5, k1 0.01, k2 0.03, population covariance, mean
        over the valid region and the channels.

    Reference: Wang et al. 2004, "Image Quality Assessment"; `tf.image.ssim` with max_val=1.
    """
    first, second = ops.cast(first, "float32"), ops.cast(second, "float32")
    maps = ops.stack([first, second, first * first + second * second, first * second])
    maps = ops.moveaxis(maps, -1, 2)
    rows, columns = (_window_matrix(side) for side in first.shape[1:3])
    maps = ops.matmul(ops.matmul(rows, maps), columns.T)
    mean_1, mean_2, squares, product = (maps[index] for index in range(4))
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_1 * mean_2 + c1) / (mean_1**2 + mean_2**2 + c1)
    covariance = product - mean_1 * mean_2
    variances = squares - mean_1**2 - mean_2**2
    structure = (2 * covariance + c2) / (variances + c2)
    return ops.mean(luminance * structure, axis=(1, 2, 3))


def ssim_loss(first, second):
    """1 - mean SSIM of two batches in [0, 1]: a scalar."""
    return 1.0 - ops.mean(ssim(first, second))


def _window_matrix(side: int) -> np.ndarray:
    """(side - 10, side): SSIM's 1-D Gaussian, which sums to 1, at every place where it fits.

    A product with it is several times quicker than a convolution of one channel.
    """
    offsets = np.arange(SSIM_WINDOW) - SSIM_WINDOW // 2
    weights = np.exp(-(offsets**2) / (2 * SSIM_SIGMA**2))
    matrix = np.zeros((side - SSIM_WINDOW + 1, side), "float32")
    for place, row in enumerate(matrix):
        row[place : place + SSIM_WINDOW] = weights / weights.sum()
    return matrix
