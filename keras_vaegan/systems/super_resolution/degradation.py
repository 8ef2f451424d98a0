"""How a low-resolution input comes from an image: blur, shrink, noise, JPEG.

All functions are of NumPy arrays, so that threads can run them; images are (H, W, C) float32 in
[0, 1].
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from PIL import Image

from keras_vaegan.systems.super_resolution.config import DegradationConfig

HIGHEST_JPEG_QUALITY = 95


def shrink(image: np.ndarray, scale: int, kind: str = "bicubic") -> np.ndarray:
    """Reduce an image by an integer factor.

    Args:
        image: (H, W, C) float32 in [0, 1], sides divisible by `scale`.
        scale: Factor along an axis; 1 returns the image.
        kind: "bicubic" (Keys' cubic, antialiased, as super-resolution's benchmarks use) or
            "area" (the mean of scale x scale pixels).

    Returns:
        The shrunken image, clipped to [0, 1].
    """
    if scale == 1:
        return image
    height, width, channels = image.shape
    if kind == "area":
        blocks = image.reshape(height // scale, scale, width // scale, scale, channels)
        return np.clip(blocks.mean(axis=(1, 3)), 0.0, 1.0)
    return _resize(image, height // scale, width // scale)


def enlarge_bicubic(image: np.ndarray, scale: int) -> np.ndarray:
    """Enlarge by Keys' cubic: the baseline. (H, W, C) -> (H * scale, W * scale, C)."""
    return _resize(image, image.shape[0] * scale, image.shape[1] * scale)


def degrade(
    image: np.ndarray, scale: int, settings: DegradationConfig, generator: np.random.Generator
) -> np.ndarray:
    """Make the low-resolution input of one image.

    Args:
        image: (H, W, C) float32 in [0, 1], sides divisible by `scale`, 1 or 3 channels.
        scale: Factor along an axis.
        settings: What happens to it, and how strongly.
        generator: Of the random numbers.

    Returns:
        (H / scale, W / scale, C) float32 in [0, 1].
    """
    if settings.blur_sigma:
        sigma = generator.uniform(0.0, settings.blur_sigma)
        image = _blur(image, sigma, math.ceil(3 * settings.blur_sigma))
    kind = settings.downsample
    if settings.downsample == "mixed":
        kind = "bicubic" if generator.uniform() < 0.5 else "area"
    small = shrink(image, scale, kind)
    if settings.noise:
        sigma = generator.uniform(0.0, settings.noise)
        small = small + sigma * generator.standard_normal(small.shape)
        small = np.clip(small, 0.0, 1.0).astype("float32")
    if settings.jpeg_quality:
        quality = int(generator.integers(settings.jpeg_quality, HIGHEST_JPEG_QUALITY + 1))
        small = _store_as_jpeg(small, quality)
    return small


def _resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bicubic, antialiased where it shrinks; clipped to [0, 1]."""
    channels = [Image.fromarray(np.ascontiguousarray(part)) for part in np.moveaxis(image, -1, 0)]
    resized = [
        np.asarray(part.resize((width, height), Image.Resampling.BICUBIC)) for part in channels
    ]
    return np.clip(np.stack(resized, axis=-1), 0.0, 1.0)


def _blur(image: np.ndarray, sigma: float, reach: int) -> np.ndarray:
    """Gaussian blur of (H, W, C) up to `reach` pixels, the border mirrored."""
    side, sigma = 2 * reach + 1, max(sigma, 1e-3)
    blurred = cv2.GaussianBlur(image, (side, side), sigma, borderType=cv2.BORDER_REFLECT)
    return blurred.reshape(image.shape)


def _store_as_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """What is left of (H, W, C) after a JPEG file."""
    levels = np.round(image * 255).astype("uint8")
    flag = cv2.IMREAD_COLOR if image.shape[-1] == 3 else cv2.IMREAD_GRAYSCALE
    _, stored = cv2.imencode(".jpg", levels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    read = np.asarray(cv2.imdecode(stored, flag)).reshape(image.shape)[..., ::-1]
    return read.astype("float32") / 255
