"""Which images show the same picture: other brightness, contrast, size, margin or compression.

An image is described twice, as its whole frame and as its head's box alone, each at 64x64 without
its slow changes of brightness. A perceptual hash (the signs of low DCT coefficients) finds
candidates; the correlation of the descriptions confirms and ranks them, as they are and with left
and right exchanged. Turned and strongly cropped copies are not found.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from keras_vaegan.evaluation.anatomy import find_head

# Looked at on the real set: pairs of MRI above it are one picture each, windowed, sharpened or
# resized; pairs of neighbouring CT slices reach 0.97.
NEAR = 0.96
STRICT = 0.98  # for a test image to count as one of training
SIDE = 64
HEAD_SIDE = 128  # at which the head is looked for, and cut out
DETAIL = 2.0  # sigma of the blur that is subtracted, in pixels of SIDE
HASH_SIDE = 24  # of the square of low DCT coefficients
HASH_AGREES = 0.75  # share of equal bits; of unrelated images half are equal
REACH = 2.0  # of a head's box from its centre, in standard deviations: an ellipse's edge
SMALLEST_HEAD = 0.02  # of the frame
DIMMEST = 0.02  # brightest value that still counts as a picture
FAINTEST = 0.002  # standard deviation of a description that has any detail
BLOCK = 1024  # images that are compared at once


class Match(NamedTuple):
    """Two images that show the same picture: positions, correlation, one mirrored or not."""

    first: int
    second: int
    correlation: float
    mirrored: bool


def find_frame_head(gray: np.ndarray) -> np.ndarray:
    """Mark the head of one image of any size.

    Args:
        gray: (H, W) float32 in [0, 1].

    Returns:
        (128, 128) bool of the frame stretched to a square; all of it where no head stands out.
    """
    small = cv2.resize(gray, (HEAD_SIDE, HEAD_SIDE), interpolation=cv2.INTER_AREA)
    bright = small[small >= small.mean()]  # whatever the margin
    brightest = max(float(np.percentile(bright, 95)), DIMMEST)
    head = find_head(small[None] / brightest)[0]
    return head if head.mean() >= SMALLEST_HEAD else np.ones_like(head)


def describe_picture(gray: np.ndarray, head: np.ndarray) -> np.ndarray:
    """Describe what one image shows.

    Args:
        gray: (H, W) float32 in [0, 1].
        head: Its `find_frame_head`.

    Returns:
        (2, 4096) float32, of the frame and of the head's box: each of mean 0 and length 1, or all
        0 where the image has no detail.
    """
    return np.stack([_describe(gray), _describe(_cut_head(gray, head))])


def find_similar(
    first: np.ndarray, second: np.ndarray | None = None, threshold: float = NEAR
) -> list[Match]:
    """Find pairs of images that show the same picture.

    Args:
        first: (N, 2, 4096) of `describe_picture`.
        second: (M, 2, 4096) to compare them with; None compares them with each other, each pair
            once.
        threshold: Least correlation.

    Returns:
        Of every pair the better way round, the highest correlation first.
    """
    other, is_own = (first, True) if second is None else (second, False)
    found: dict[tuple[int, int], Match] = {}
    for match in [
        *_compare(first, other, threshold, is_own, mirrored=False),
        *_compare(first, _mirror(other), threshold, is_own, mirrored=True),
    ]:
        known = found.get(match[:2])
        if known is None or match.correlation > known.correlation:
            found[match[:2]] = match
    return sorted(found.values(), key=lambda match: (-match.correlation, match))


def group_pairs(count: int, pairs: list[tuple[int, int]]) -> np.ndarray:
    """Number the groups that pairs join: (count,) int, equal where a chain of pairs connects."""
    rows, columns = np.array(pairs, int).reshape(-1, 2).T
    links = coo_matrix((np.ones(len(rows)), (rows, columns)), (count, count))
    return connected_components(links, directed=False)[1]


def _cut_head(gray: np.ndarray, head: np.ndarray) -> np.ndarray:
    """The head's box as (128, 128), placed by its mean and spread: finer than its pixels."""
    shares = (np.argwhere(head) + 0.5) / HEAD_SIDE
    centre, reach = shares.mean(axis=0), REACH * np.maximum(shares.std(axis=0), 1 / HEAD_SIDE)
    sides = np.array(gray.shape)
    step = 2 * reach * sides / HEAD_SIDE  # pixels of the frame in one of the box
    start = (centre - reach) * sides + step / 2 - 0.5
    if step.max() > 1:
        rows, columns = np.maximum(0.4 * (step - 1), 1e-3)
        gray = cv2.GaussianBlur(gray, (0, 0), sigmaX=columns, sigmaY=rows)
    way = np.array([[step[1], 0, start[1]], [0, step[0], start[0]]])
    flags, edge = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, cv2.BORDER_REPLICATE
    return cv2.warpAffine(gray, way, (HEAD_SIDE, HEAD_SIDE), flags=flags, borderMode=edge)


def _describe(gray: np.ndarray) -> np.ndarray:
    """(H, W) -> (4096,): small, without slow changes, normalised."""
    small = cv2.resize(gray, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    detail = small - cv2.GaussianBlur(small, (0, 0), DETAIL)
    detail -= detail.mean()
    length = float(np.linalg.norm(detail))
    if length < FAINTEST * SIDE:
        return np.zeros(SIDE * SIDE, "float32")
    return (detail / length).ravel().astype("float32")


def _mirror(descriptions: np.ndarray) -> np.ndarray:
    """(N, 2, 4096) of the same images with left and right exchanged."""
    return descriptions.reshape(-1, 2, SIDE, SIDE)[..., ::-1].reshape(descriptions.shape)


def _compare(
    first: np.ndarray, other: np.ndarray, threshold: float, is_own: bool, mirrored: bool
) -> list[Match]:
    """Pairs of two sets, block by block; of a set with itself each pair once."""
    hashes, other_hashes = _hash(first), _hash(other)
    matches = []
    for start in range(0, len(first), BLOCK):
        for near in range(start if is_own else 0, len(other), BLOCK):
            blocks = hashes[start : start + BLOCK], other_hashes[near : near + BLOCK]
            rows, columns = _find_candidates(*blocks)
            rows, columns = rows + start, columns + near
            if is_own:
                rows, columns = rows[rows < columns], columns[rows < columns]
            confirmed = _confirm(first, other, rows, columns, threshold)
            matches += [Match(*pair, mirrored) for pair in confirmed]
    return matches


def _hash(descriptions: np.ndarray) -> np.ndarray:
    """(N, 2, 4096) -> (N, 2, bits) of -1 and 1, by the signs of the low DCT coefficients."""
    bits = np.zeros((len(descriptions), 2, HASH_SIDE**2), "float32")
    for image, hashes in zip(descriptions, bits, strict=True):
        for part, signs in zip(image, hashes, strict=True):
            low = cv2.dct(part.reshape(SIDE, SIDE))[:HASH_SIDE, :HASH_SIDE]
            signs[:] = np.where(low.ravel() > 0, 1, -1)
    return bits


def _find_candidates(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of pairs whose hashes of the frame or of the head agree."""
    least = (2 * HASH_AGREES - 1) * first.shape[-1]
    agree = [first[:, part] @ second[:, part].T >= least for part in (0, 1)]
    rows, columns = np.nonzero(agree[0] | agree[1])
    return rows, columns


def _confirm(
    first: np.ndarray, second: np.ndarray, rows: np.ndarray, columns: np.ndarray, threshold: float
) -> list[tuple[int, int, float]]:
    """Those of the candidates whose better correlation, of frame or head, reaches a threshold."""
    pairs = []
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        correlation = float((first[row] * second[column]).sum(axis=-1).max())
        if correlation >= threshold:
            pairs.append((row, column, min(correlation, 1.0)))
    return pairs
