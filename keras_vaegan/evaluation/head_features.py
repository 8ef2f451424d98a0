"""Features of an image of a head: its outline, intensities, edges and pose."""

from __future__ import annotations

import math

import cv2
import numpy as np

from keras_vaegan.evaluation.anatomy import find_head, measure_depth
from keras_vaegan.evaluation.metrics import to_gray

VERSION = 1  # other features cannot be compared
SIDE = 64  # all images are described at this size
DEPTHS = 8  # bands from the head's surface to its middle
EDGE_DEPTHS = 4
LEVELS = 12  # of the histogram
ROWS = 6  # of the head's outline
TILTS = 4
INSIDE = 0.3  # depth below the skull
SHIFTS = (1, 3)
EXTREMES = (0.02, 0.98)
DIMMEST = 0.02  # brightest value that still counts as a picture


def shrink_images(images: np.ndarray) -> np.ndarray:
    """Bring images to the size that they are described at.

    Args:
        images: (N, S, S[, C]) in [0, 1].

    Returns:
        (N, 64, 64) float32 in [0, 1], gray; such images pass as they are.
    """
    gray = np.clip(to_gray(np.asarray(images, "float32")), 0, 1)
    if gray.shape[1] == SIDE:
        return gray
    way = cv2.INTER_AREA if gray.shape[1] > SIDE else cv2.INTER_LINEAR
    return np.stack([cv2.resize(image, (SIDE, SIDE), interpolation=way) for image in gray])


def describe_images(images: np.ndarray) -> np.ndarray:
    """Describe every image by its head's outline, intensities, edges and pose.

    Args:
        images: (N, S, S[, C]) in [0, 1], as a network gets them.

    Returns:
        (N, F) float64, finite for any image; hardly changed by the size S.
    """
    return np.stack([_describe(image.astype("float64")) for image in shrink_images(images)])


def count_features() -> int:
    """The number of features."""
    return len(_describe(np.zeros((SIDE, SIDE))))


def _describe(image: np.ndarray) -> np.ndarray:
    """(64, 64) -> (F,)."""
    brightest = np.percentile(image, 99)
    head = find_head(image[None] / max(brightest, DIMMEST))[0]
    if not head.any():
        head = np.ones_like(head)
    depth = measure_depth(head[None])[0]
    box = _find_box(head)
    return np.concatenate([
        [brightest],
        _describe_outline(head, box),
        _describe_intensities(image, head, depth),
        _describe_edges(image, head, depth),
        _describe_pose(image[box]),
    ])  # fmt: skip


def _find_box(head: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns that hold the head."""
    rows, columns = (np.flatnonzero(head.any(axis=axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _describe_outline(head: np.ndarray, box: tuple[slice, slice]) -> list[float]:
    """Share of the image, aspect, filled share of box and hull, and width from top to bottom."""
    inside = head[box]
    points = np.argwhere(head).astype("float32")
    hull = max(cv2.contourArea(cv2.convexHull(points)), 1.0)
    widths = [part.mean() for part in np.array_split(np.repeat(inside, ROWS, axis=0), ROWS)]
    aspect = math.log(inside.shape[0] / inside.shape[1])
    return [head.mean(), aspect, inside.mean(), len(points) / hull, *widths]


def _describe_intensities(image: np.ndarray, head: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Profile by depth, histogram and extremes of the head; level and spread of the rest."""
    values, around = image[head], image[~head]
    mean, square = (_average_by_depth(x, head, depth, DEPTHS) for x in (image, image**2))
    histogram = np.histogram(values, LEVELS, (0, 1))[0] / len(values)
    extreme = [(values <= EXTREMES[0]).mean(), (values >= EXTREMES[1]).mean()]
    air = [around.mean(), around.std()] if len(around) else [0.0, 0.0]
    return np.concatenate([
        [values.mean(), values.std()], mean, np.sqrt(np.maximum(square - mean**2, 0)),
        np.sqrt(histogram), np.sqrt(extreme), air,
    ])  # fmt: skip


def _describe_edges(image: np.ndarray, head: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Mean gradient by depth, that of the blurred image, and how alike neighbours are."""
    fine, coarse = (np.hypot(*np.gradient(x)) for x in (image, cv2.GaussianBlur(image, (0, 0), 2)))
    inside = depth > INSIDE
    alike = [_correlate_shifted(image, inside, shift) for shift in SHIFTS]
    by_depth = _average_by_depth(fine, head, depth, EDGE_DEPTHS)
    return np.array([*by_depth, coarse[head].mean(), *alike])


def _correlate_shifted(image: np.ndarray, mask: np.ndarray, shift: int) -> float:
    """Correlation of pixels in a mask with those `shift` rows further down in it."""
    both = mask[shift:] & mask[:-shift]
    return _correlate(image[shift:][both], image[:-shift][both])


def _describe_pose(head: np.ndarray) -> np.ndarray:
    """Of the head's box: correlation with its mirror images, and top against bottom by rows."""
    crop = cv2.resize(head, (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA)
    rows = crop.reshape(2 * TILTS, -1).mean(axis=1)
    tilt = (rows - rows[::-1])[:TILTS] / max(crop.mean(), DIMMEST)
    return np.array([_correlate(crop, crop[:, ::-1]), _correlate(crop, crop[::-1]), *tilt])


def _correlate(first: np.ndarray, second: np.ndarray) -> float:
    """Correlation of arrays of one shape; 0 where either is constant or empty."""
    if not first.size:
        return 0.0
    first, second = first - first.mean(), second - second.mean()
    energy = math.sqrt(float(np.sum(first**2) * np.sum(second**2)))
    return float(np.sum(first * second)) / energy if energy > 1e-6 else 0.0


def _average_by_depth(
    values: np.ndarray, head: np.ndarray, depth: np.ndarray, count: int
) -> np.ndarray:
    """Mean in each of `count` bands of depth, 0 in empty ones."""
    bands = np.minimum((depth[head] * count).astype(int), count - 1)
    total = np.bincount(bands, values[head], count)
    return total / np.maximum(np.bincount(bands, minlength=count), 1)
