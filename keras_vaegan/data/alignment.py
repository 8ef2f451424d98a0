"""Fit any image into the network's square, and put the result back."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

HEAD_MARGIN = 0.04
THRESHOLD_SHARE = 0.35


@dataclass(frozen=True)
class Placement:
    """Where a square image came from, and the way back.

    Attributes:
        shape: (height, width) of the original frame in pixels.
        top, left, height, width: The region of that frame that fills the square; it may reach
            beyond the frame, where it was filled with black.
    """

    shape: tuple[int, int]
    top: int
    left: int
    height: int
    width: int

    def enlarge(self, scale: int) -> Placement:
        """The same region of the same frame in `scale` times as many pixels along an axis."""
        sides = {name: getattr(self, name) * scale for name in ("top", "left", "height", "width")}
        return Placement((self.shape[0] * scale, self.shape[1] * scale), **sides)

    def restore(self, square: np.ndarray) -> np.ndarray:
        """Put a processed square back into the original frame.

        Args:
            square: (S, S) or (S, S, C), any real dtype.

        Returns:
            (height, width) or (height, width, C) of the original frame in the same dtype; 0
            outside the region.
        """
        patch = _resize(square, (self.height, self.width))
        frame = np.zeros((*self.shape, *square.shape[2:]), square.dtype)
        rows, columns = self._overlap()
        frame[rows, columns] = patch[
            rows.start - self.top : rows.stop - self.top,
            columns.start - self.left : columns.stop - self.left,
        ]
        return frame

    def crop(self, image: np.ndarray) -> np.ndarray:
        """Cut the region out of an image of the original frame; black beyond the frame."""
        patch = np.zeros((self.height, self.width, *image.shape[2:]), image.dtype)
        rows, columns = self._overlap()
        patch[
            rows.start - self.top : rows.stop - self.top,
            columns.start - self.left : columns.stop - self.left,
        ] = image[rows, columns]
        return patch

    def _overlap(self) -> tuple[slice, slice]:
        """Rows and columns of the frame that the region covers."""
        bottom, right = self.top + self.height, self.left + self.width
        rows = slice(max(0, self.top), min(self.shape[0], bottom))
        return rows, slice(max(0, self.left), min(self.shape[1], right))


def place_image(
    image: np.ndarray,
    size: int,
    resize: str = "pad",
    align: str = "none",
    partner: np.ndarray | None = None,
) -> tuple[np.ndarray, Placement]:
    """Fit an image into a square of `size` pixels.

    Args:
        image: (H, W) or (H, W, C), uint8, uint16 or float32; larger is brighter, 0 is black.
        size: Side of the result in pixels.
        resize: "pad" keeps the aspect on a centred black square, "stretch" fills the square.
        align: "head" takes the square around the head's bounding box, with a margin, instead of
            the whole frame; "none" the whole frame.
        partner: Another picture of the same anatomy and field of view, in any number of pixels:
            the box then holds the heads of both, so that the two stay in register.

    Returns:
        (square, placement): (size, size[, C]) of the same dtype, area-averaged where it shrinks
        and cubic where it grows, and the way back.
    """
    placement = _choose_region(image, resize, align, partner)
    return _resize(placement.crop(image), (size, size)), placement


def find_head_box(gray: np.ndarray) -> tuple[int, int, int, int]:
    """Find the head in a cross-section.

    The image is smoothed, cut at a share of Otsu's threshold and opened (which removes thin
    table arcs and burnt-in text); the largest connected piece is the head.

    Args:
        gray: (H, W), uint8, uint16 or float32.

    Returns:
        (top, left, height, width) in pixels; the whole frame where nothing stands out.
    """
    whole = (0, 0, *gray.shape)
    low, high = float(gray.min()), float(gray.max())
    if high <= low:
        return whole
    scaled = ((gray - low) * (255 / (high - low))).astype("uint8")
    smooth = cv2.GaussianBlur(scaled, (0, 0), max(1.0, max(gray.shape) / 128))
    threshold, _ = cv2.threshold(smooth, 0, 255, cv2.THRESH_OTSU)
    mask = (smooth > THRESHOLD_SHARE * threshold).astype("uint8")
    side = max(3, int(min(gray.shape) * 0.02)) | 1
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((side, side), "uint8"))
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask)
    if count < 2:
        return whole
    left, top, width, height, area = stats[1 + np.argmax(stats[1:, cv2.CC_STAT_AREA])]
    if area < 0.02 * gray.size:
        return whole
    return int(top), int(left), int(height), int(width)


def _choose_region(
    image: np.ndarray, resize: str, align: str, partner: np.ndarray | None
) -> Placement:
    """The region of the frame that is to fill the square."""
    shape = image.shape[:2]
    top, left, bottom, right = 0.0, 0.0, *map(float, shape)
    side = max(shape)
    if align == "head":
        top, left, bottom, right = _find_head_edges(image)
        if partner is not None:
            scale = max(shape) / max(partner.shape[:2])
            shift = np.array(shape) / 2 - scale * np.array(partner.shape[:2]) / 2
            other = _find_head_edges(partner) * scale + [*shift, *shift]
            top, left = min(top, other[0]), min(left, other[1])
            bottom, right = max(bottom, other[2]), max(right, other[3])
        side = round(max(bottom - top, right - left) * (1 + 2 * HEAD_MARGIN))
    elif resize == "stretch":
        return Placement(shape, 0, 0, *shape)
    centre_y, centre_x = (top + bottom) / 2, (left + right) / 2
    return Placement(shape, round(centre_y - side / 2), round(centre_x - side / 2), side, side)


def _find_head_edges(image: np.ndarray) -> np.ndarray:
    """(top, left, bottom, right) of the head's box, in pixels."""
    gray = image if image.ndim == 2 else image.mean(axis=-1)
    top, left, height, width = find_head_box(gray)
    return np.array([top, left, top + height, left + width], "float64")


def _resize(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resize to (height, width): area where it shrinks, cubic (clipped) where it grows."""
    if image.shape[:2] == tuple(shape):
        return image
    shrinks = image.shape[0] * image.shape[1] > shape[0] * shape[1]
    mode = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    resized = cv2.resize(image, (shape[1], shape[0]), interpolation=mode)
    resized = np.clip(resized, image.min(), image.max())
    return resized.reshape(*shape, *image.shape[2:])
