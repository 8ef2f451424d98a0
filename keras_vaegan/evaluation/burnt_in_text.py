"""Text that is burnt into an image, told by lines of small bright marks outside the head."""

from __future__ import annotations

import cv2
import numpy as np

from keras_vaegan.evaluation.near_duplicates import group_pairs

MARK_CONTRAST = 0.25  # above what surrounds a mark
MARK_SIDES = (0.009, 0.06)  # of a letter, as shares of the image's longer side
MARK_FILL = 0.85  # of a letter's box: fuller ones are bars and dots
MARK_MARGIN = 0.3  # from the border, as a share of the side
HEAD_MARGIN = 9  # pixels of the 128 that the head is looked for in
FEWEST_LETTERS = 4  # in a line
LETTER_GAP = 1.5  # heights between neighbours in a line


def count_letters(gray: np.ndarray, head: np.ndarray) -> int:
    """Count small bright marks that stand in lines near the border, outside the head.

    Letters that touch, dark or large letters, single ones, and text over the head are not seen;
    rows of bright specks are taken for text.

    Args:
        gray: (H, W) float32 in [0, 1].
        head: (128, 128) bool of `near_duplicates.find_frame_head`.

    Returns:
        Marks in lines of at least 4; 0 where there is none, or the head fills the frame.
    """
    height, width = gray.shape
    grown = cv2.dilate(head.astype("uint8"), np.ones((HEAD_MARGIN, HEAD_MARGIN), "uint8"))
    outside = cv2.resize(grown, (width, height), interpolation=cv2.INTER_NEAREST) == 0
    if not outside.any():
        return 0
    longer = max(height, width)
    reach = max(3, int(MARK_SIDES[1] * longer)) | 1
    kernel = np.ones((reach, reach), "uint8")
    levels = np.round(gray * 255).astype("uint8")
    stands_out = cv2.morphologyEx(levels, cv2.MORPH_TOPHAT, kernel) >= MARK_CONTRAST * 255
    mask = (stands_out & outside).astype("uint8")
    _, _, boxes, centres = cv2.connectedComponentsWithStats(mask, connectivity=8)
    boxes, centres = boxes[1:], centres[1:]
    wide, high, area = boxes[:, 2], boxes[:, 3], boxes[:, 4]
    least, most = max(4.0, MARK_SIDES[0] * longer), MARK_SIDES[1] * longer
    # How near the border the mark's centre is, as a share of the side.
    near = np.minimum(centres, [width, height] - centres) / [width, height]
    letters = (
        (high >= least) & (high <= most) & (wide <= most) & (area < MARK_FILL * wide * high)
        & (near.min(axis=1) < MARK_MARGIN)
    )  # fmt: skip
    return _count_in_lines(boxes[letters])


def _count_in_lines(boxes: np.ndarray) -> int:
    """How many letters, (N, 5) of OpenCV's components, stand in lines of enough of them."""
    if len(boxes) < FEWEST_LETTERS:
        return 0
    left, top, wide, high = boxes[:, :4].T.astype("float64")
    gap = np.maximum(left[:, None], left) - np.minimum((left + wide)[:, None], left + wide)
    both = np.minimum(high[:, None], high)
    level = np.abs((top + high)[:, None] - (top + high)) <= 0.3 * both  # on one base line
    alike = np.maximum(high[:, None], high) <= 1.6 * both
    pairs = np.argwhere(level & alike & (gap >= 0) & (gap <= LETTER_GAP * both))
    groups = group_pairs(len(boxes), [(int(i), int(j)) for i, j in pairs])
    counts = np.bincount(groups)
    return int(counts[counts >= FEWEST_LETTERS].sum())
