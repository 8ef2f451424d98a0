"""Where the head and its tissues lie in images of [0, 1]: the regions that pairs are compared in.

Images are (N, S, S[, C]); masks are (N, S, S) bool.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

from keras_vaegan.evaluation.metrics import to_gray

AIR_CEILING = 0.15
BONE_FLOOR = 0.9  # a brain window ends at some 80 HU
FLUID = (0.1, 0.8)  # of the brain's median: cerebrospinal fluid and oedema
BRAIN = (0.85, 1.25)
FEWEST_PIXELS = 0.02  # of the head's: a smaller inside of the skull is none
TISSUES = ("bone", "brain", "fluid", "air")


def find_head(images: np.ndarray) -> np.ndarray:
    """Mark the head: the largest thing that is not black, its gaps closed and its holes filled.

    Frames, captions and headrests lie apart from it. Gaps of the outline up to an eighth of the
    side close.
    """
    return np.stack([_find_one_head(image) for image in to_gray(np.asarray(images, "float32"))])


def find_tissues(ct: np.ndarray, head: np.ndarray) -> dict[str, np.ndarray]:
    """Tell tissues apart by thresholds on true CT images in a brain window.

    Brain and fluid are looked for inside the skull alone, relative to the median there, since
    windows differ; scalp, air cells and whatever lies between two thresholds belong to none.

    Args:
        ct: CT images in [0, 1].
        head: Their `find_head`, or a larger region.

    Returns:
        {"bone": at least 0.9, "brain": 0.85 to 1.25 times the median inside the skull, "fluid":
        0.1 to 0.8 times (cerebrospinal fluid and oedema), "air": outside the head}.
    """
    gray = to_gray(np.asarray(ct, "float32"))
    masks = [_find_one_images_tissues(*pair) for pair in zip(gray, head, strict=True)]
    return {name: np.stack([mask[name] for mask in masks]) for name in TISSUES}


def measure_depth(head: np.ndarray) -> np.ndarray:
    """How deep in the head every pixel lies: 0 outside, up to 1 where it is deepest, per image."""
    depth = np.stack([cv2.distanceTransform(mask.astype("uint8"), cv2.DIST_L2, 5) for mask in head])
    return depth / np.maximum(depth.max(axis=(1, 2), keepdims=True), 1)


def _find_one_head(image: np.ndarray) -> np.ndarray:
    """(S, S) -> its head."""
    near, far = image.shape[0] // 64 | 1, image.shape[0] // 8 | 1
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(_close(image > AIR_CEILING, near))
    sizes = boxes[1:, cv2.CC_STAT_AREA]
    if not len(sizes):
        return np.zeros(image.shape, bool)
    return ndimage.binary_fill_holes(_close(labels == 1 + np.argmax(sizes), far))


def _close(mask: np.ndarray, reach: int) -> np.ndarray:
    """Close gaps up to `reach` (odd) pixels: (S, S) uint8."""
    padded = np.pad(mask.astype("uint8"), reach)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, np.ones((reach, reach), "uint8"))
    return closed[reach:-reach, reach:-reach]


def _find_one_images_tissues(ct: np.ndarray, head: np.ndarray) -> dict[str, np.ndarray]:
    """`find_tissues` of one (S, S) image."""
    bone = head & (ct >= BONE_FLOOR)
    near = ct.shape[0] // 64 | 1  # partial volume: bone's blurred margin is neither
    closed = _close(bone, near)
    margin = cv2.dilate(closed, np.ones((near, near))) > 0
    inside = ndimage.binary_fill_holes(closed) & ~margin
    if inside.sum() <= FEWEST_PIXELS * head.sum():
        inside = np.zeros_like(head)
    relative = ct / np.median(ct[inside]) if inside.any() else np.zeros_like(ct)
    within = {
        name: inside & (relative > low) & (relative < high)
        for name, (low, high) in (("brain", BRAIN), ("fluid", FLUID))
    }
    return {"bone": bone, **within, "air": ~head}
