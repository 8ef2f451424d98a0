"""The head in a cross-section, its box and what lies around it, at one working size for any frame.

Smoothed, cut at a share of Otsu's threshold, opened (which removes thin table arcs and burnt-in
text); the largest connected piece is the head. In `keras.ops`, as `data.preparation`.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from keras import ops

from keras_vaegan.kernels import find_peak

SIDE = 256  # of the working picture, in pixels
STEP = 4  # between the pixels at which pieces are told apart; less than the opening's side
REACH = 2  # of the opening, and of the averages that smooth: squares of 2 % of the frame
LEVELS = 256
THRESHOLD_SHARE = 0.35
SMALLEST_SPAN = 1e-3  # of the brightest value, for a picture that is not blank
SMALLEST_SHARE = 0.02  # of the frame, for the head's area
NEAR = 8  # working pixels around the foreground that still belong to the head: 3 % of the frame
FAR = 16  # room for the scalp of the other modality


def find_head_edges(images):
    """Find the head in cross-sections.

    Args:
        images: (N, H, W, C) float32; larger is brighter.

    Returns:
        (N, 4) float32: top, left, bottom, right in pixels; the whole frame where nothing stands
        out.
    """
    height, width = (ops.cast(side, "float32") for side in ops.shape(images)[1:3])
    piece = find_largest_piece(find_foreground(shrink(ops.mean(images, axis=-1))))
    rows, columns = (_find_extent(ops.max(piece, axis=axis)) for axis in (2, 1))
    edges = ops.stack([rows[0], columns[0], rows[1], columns[1]], axis=1) / SIDE
    whole = np.array([0, 0, 1, 1], "float32")
    found = ops.mean(piece, axis=(1, 2))[:, None] >= SMALLEST_SHARE
    return ops.where(found, edges, whole) * ops.stack([height, width, height, width])


def find_head(images, reach: int = NEAR):
    """Find the head itself, and so what lies apart: tables, head rests, writing, a gray frame.

    Args:
        images: (N, H, W, C) float32; their size is known.
        reach: Working pixels around the foreground that belong to it.

    Returns:
        (N, H, W, 1) float32 from 0 to 1. The head is the largest piece of the foreground and its
        reach, with all that lies between two of its pixels along both axes; everything, where
        nothing stands out.
    """
    foreground = find_foreground(shrink(ops.mean(images, axis=-1)))
    piece = find_largest_piece(_join_near(ops.maximum, foreground, reach), foreground)
    head = _fill_between(piece, axis=1) * _fill_between(piece, axis=2)
    found = ops.mean(piece, axis=(1, 2), keepdims=True) >= SMALLEST_SHARE
    rows, columns = (_make_average(SIDE, side) for side in images.shape[1:3])
    return _apply(rows, columns, ops.where(found, head, 1.0))[..., None]


def shrink(gray):
    """Frames (N, H, W) -> working pictures (N, SIDE, SIDE): areas averaged, or repeated."""
    rows, columns = (_make_average(side, SIDE) for side in ops.shape(gray)[1:3])
    return _apply(rows, columns, gray)


def find_foreground(pictures):
    """Where a picture is brighter than a share of Otsu's threshold.

    Args:
        pictures: (N, SIDE, SIDE) float32.

    Returns:
        The same shape, 0 or 1 float32, without what is narrower than the opening.
    """
    low = ops.min(pictures, axis=(1, 2), keepdims=True)
    span = ops.max(pictures, axis=(1, 2), keepdims=True) - low
    # Rounding makes a blank picture's pixels differ a little.
    least = SMALLEST_SPAN * ops.maximum(ops.abs(low + span), ops.abs(low))
    scaled = (pictures - low) * ((LEVELS - 1) / ops.maximum(ops.maximum(span, least), 1e-12))
    smooth = scaled
    for _ in range(2):
        smooth = _join_near(ops.add, smooth, REACH, "reflect") / (2 * REACH + 1) ** 2
    levels = ops.floor(smooth[:, ::STEP, ::STEP] + 0.5)
    threshold = find_otsu_threshold(ops.reshape(levels, (-1, (SIDE // STEP) ** 2)))
    cut = ops.maximum(THRESHOLD_SHARE * threshold, 0.5)[:, None, None]
    mask = ops.cast(smooth > cut, "float32")
    eroded = 1 - _join_near(ops.maximum, 1 - mask, REACH)
    return _join_near(ops.maximum, eroded, REACH)


def find_otsu_threshold(levels):
    """Otsu's threshold of every row of whole numbers below `LEVELS`: (N, M) -> (N,), float32."""
    counts = count_numbers(levels, math.isqrt(LEVELS))
    shares = counts / ops.sum(counts, axis=1, keepdims=True)
    below = ops.cumsum(shares, axis=1)
    moment = ops.cumsum(shares * np.arange(LEVELS, dtype="float32"), axis=1)
    both = below * (1 - below)
    spread = ops.square(moment[:, -1:] * below - moment) / ops.maximum(both, 1e-7)
    return find_peak(ops.where(both > 1e-7, spread, 0.0))


def find_largest_piece(mask, counted=None):
    """The largest connected piece of an opened mask, (N, SIDE, SIDE) of 0 and 1.

    Where `counted`, a part of the mask, is given, its pixels alone tell how large a piece is.

    Pieces are told apart on every fourth pixel: one is a number that spreads over its piece. No
    square of the opening's side misses these pixels, so that no piece falls apart; pieces with a
    gap of less than four pixels may become one.
    """
    coarse = mask[:, STEP // 2 :: STEP, STEP // 2 :: STEP]
    side = SIDE // STEP
    numbers = np.arange(1, side * side + 1, dtype="float32").reshape(1, side, side)

    def spread(labels, _):
        new = labels
        for _ in range(STEP):
            new = _join_near(ops.maximum, new, 1) * coarse
        return new, ops.any(ops.not_equal(new, labels))

    labels, _ = ops.while_loop(
        lambda labels, changed: changed, spread, (coarse * numbers, ops.convert_to_tensor(True))
    )
    judged = (
        labels if counted is None else labels * counted[:, STEP // 2 :: STEP, STEP // 2 :: STEP]
    )
    areas = count_numbers(ops.reshape(judged, (-1, side * side)) - 1, side)
    largest = find_peak(areas)[:, None, None] + 1
    piece = ops.cast(ops.equal(labels, largest), "float32")
    # Back on all pixels: each fourth one, and those around it.
    places = np.arange(SIDE)[:, None] - np.arange(STEP // 2, SIDE, STEP)
    around = (np.abs(places) <= STEP).astype("float32")
    return ops.cast(_apply(around, around, piece) > 0.5, "float32") * mask


def count_numbers(numbers, side: int):
    """How often each whole number from 0 to side**2 - 1 stands in each row.

    Each number is two digits to the base `side`; the product of both one-hot codes counts them.

    Args:
        numbers: (N, M) float32 of whole numbers; those outside the range are not counted.
        side: Base of the digits.

    Returns:
        (N, side**2) float32.
    """
    digits = np.arange(side, dtype="float32")
    high = ops.floor(numbers / side)
    codes = [
        ops.cast(ops.equal(d[..., None], digits), "float32") for d in (high, numbers - high * side)
    ]
    counts = ops.matmul(ops.transpose(codes[0], (0, 2, 1)), codes[1])
    return ops.reshape(counts, (-1, side * side))


def _apply(rows, columns, pictures):
    """(a, H) and (b, W) matrices on both axes of (N, H, W) pictures -> (N, a, b)."""
    return ops.matmul(ops.matmul(rows, pictures), ops.transpose(columns))


def _make_average(old_count, new_count: int):
    """(new_count, old_count): each new pixel's average over the old pixels that it covers."""
    new = np.arange(new_count, dtype="float32")[:, None]
    old = ops.cast(ops.arange(old_count, dtype="int32"), "float32")
    step = ops.cast(old_count, "float32") / new_count
    covered = ops.minimum((new + 1) * step, old + 1) - ops.maximum(new * step, old)
    return ops.maximum(covered, 0.0) / step


def _join_near(join, pictures, reach: int, mode: str = "constant"):
    """Join every pixel of (N, S, S) with those up to `reach` away along an axis, then the other.

    Shifted copies, since pooling of one channel takes ten times as long.
    """
    side = ops.shape(pictures)[1]
    for axis in (1, 2):
        pads = [(reach, reach) if k == axis else (0, 0) for k in range(3)]
        padded = ops.pad(pictures, pads, mode)
        ends = [(k, k + side) for k in range(2 * reach + 1)]
        parts = [padded[:, a:b] if axis == 1 else padded[:, :, a:b] for a, b in ends]
        pictures = functools.reduce(join, parts)
    return pictures


def _fill_between(mask, axis: int):
    """1 from the first to the last 1 of every line of (N, SIDE, SIDE) along an axis."""
    before = ops.cumsum(mask, axis=axis)
    after = ops.max(before, axis=axis, keepdims=True) - before + mask
    return ops.cast(ops.logical_and(before > 0.5, after > 0.5), "float32")


def _find_extent(filled):
    """(first, last + 1) of the ones of every row of (N, SIDE), float32."""
    return find_peak(filled), SIDE - find_peak(ops.flip(filled, axis=1))
