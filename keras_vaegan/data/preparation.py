"""From any image to the network's square and back: written once, for Python and the exports.

Every function takes a batch of images of one size and is made of `keras.ops`: matrix products,
pooling, comparisons, sums, and one loop. Sizes and channels may be unknown while a graph is
traced; on backends without such graphs they are those of the arrays.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_vaegan.config.data import DataConfig
from keras_vaegan.data.head import FAR, find_head, find_head_edges

HEAD_MARGIN = 0.04  # of the box's longer side, on every side
CUBIC = -0.75  # slope of the growing kernel at its first zero; the shipped weights saw this one
FULL_SCALE = {"uint8": 255.0, "uint16": 65535.0}
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


class Placement(NamedTuple):
    """Where a batch of squares came from, and the way back.

    Attributes:
        regions: (N, 4) float32: top, left, height and width, in pixels of the frame, of what fills
            each square; may reach beyond the frame, where it was filled with black.
        shape: (height, width) of the frame in pixels.
    """

    regions: Any
    shape: tuple[Any, Any]

    def enlarge(self, scale: int) -> Placement:
        """The same regions of the same frame in `scale` times as many pixels along an axis."""
        return Placement(self.regions * scale, (self.shape[0] * scale, self.shape[1] * scale))

    def crop(self, images, size: int):
        """Frames (N, H, W, C) -> squares (N, size, size, C); black beyond the frame."""
        return _resample(images, [
            _make_axis(start, length / size, size, frame, start, start + length)
            for start, length, frame in self._list_axes()
        ])  # fmt: skip

    def restore(self, squares):
        """Squares (N, S, S, C) -> frames (N, H, W, C); 0 outside the regions."""
        size = ops.shape(squares)[1]
        side = ops.cast(size, "float32")
        return _resample(squares, [
            _make_axis(-start * side / length, side / length, frame, size, 0.0, side)
            for start, length, frame in self._list_axes()
        ])  # fmt: skip

    def _list_axes(self) -> list[tuple]:
        """(first pixel, pixels of the region, pixels of the frame) of both axes."""
        top, left, height, width = (self.regions[:, k, None, None] for k in range(4))
        return [(top, height, self.shape[0]), (left, width, self.shape[1])]


class Limits(NamedTuple):
    """The value that is 0 on the unit scale, and how many make 1: both (N, 1, 1, 1) float32."""

    low: Any
    span: Any


def prepare_images(images, partners=None, *, data: DataConfig) -> tuple[Any, Placement, Limits]:
    """Images of any size and type -> the network's squares.

    Args:
        images: (N, H, W, 1 or 3), uint8, uint16 or float32; larger is brighter.
        partners: Other pictures of the same anatomy and field of view, in any number of pixels:
            the box of align="head" then holds the heads of both, so that the two stay in register.
        data: Size, channels and placement.

    Returns:
        (squares, placement, limits): (N, S, S, data.channels) float32 in [0, 1], and the way back.
    """
    unit, limits = images_to_unit(images)
    if partners is not None:
        partners = images_to_unit(partners)[0]
    return *place_images(unit, data, partners), limits


def place_images(images, data: DataConfig, partners=None) -> tuple[Any, Placement]:
    """`prepare_images` of images and partners in [0, 1]: (squares, placement)."""
    images = to_channels(images, data.channels)
    regions = choose_regions(images, data.resize, data.align, partners)
    placement = Placement(regions, tuple(ops.shape(images)[1:3]))
    return crop_squares(images, placement, data=data), placement


def crop_squares(images, placement: Placement, *, data: DataConfig):
    """The squares of frames (N, H, W, data.channels) in [0, 1]; what surrounds the head as asked.

    Returns:
        (N, S, S, data.channels) float32.
    """
    squares = placement.crop(images, data.image_size)
    shape = (-1, data.image_size, data.image_size, data.channels)
    squares = ops.reshape(squares, shape)  # a graph learns the number of channels here
    return squares * find_head(squares) if data.surroundings == "black" else squares


def find_room(squares, data: DataConfig):
    """Where a translation of squares (N, S, S, C) in [0, 1] may hold anything: near their head.

    Returns:
        (N, S, S, 1) float32 from 0 to 1; where surroundings are kept (1, 1, 1, 1), 1.
    """
    if data.surroundings != "black":
        return ops.ones((1, 1, 1, 1))
    size = data.image_size  # which a graph for any batch does not know
    return find_head(ops.reshape(squares, (-1, size, size, data.channels)), FAR)


def restore_images(squares, placement: Placement, limits: Limits, channels, dtype: str):
    """Undo `prepare_images`.

    Args:
        squares: (N, S, S, 1 or 3) float32 in [0, 1].
        placement, limits: Of `prepare_images`.
        channels: 1 or 3, of the result: the mean for 1, repeated for 3.
        dtype: "uint8", "uint16" or "float32".

    Returns:
        (N, H, W, channels) of the type, black outside the regions.
    """
    frames = match_channels(placement.restore(squares), channels)
    return unit_to_images(frames, limits, dtype)


def fit_images(images, partners=None, *, data: DataConfig):
    """`prepare_images` for images that stay in their integer type: (N, S, S, data.channels)."""
    squares, _, limits = prepare_images(images, partners, data=data)
    return unit_to_images(squares, limits, keras.backend.standardize_dtype(images.dtype))


def images_to_unit(images) -> tuple[Any, Limits]:
    """Bring images to [0, 1]: integers by their type's range, each float image by its own.

    Args:
        images: (N, H, W, C), uint8, uint16 or float32 (finite).

    Returns:
        (unit, limits): the same shape in float32, and the way back.
    """
    full = FULL_SCALE.get(keras.backend.standardize_dtype(images.dtype))
    images = ops.cast(images, "float32")
    if full is not None:
        low = ops.zeros((ops.shape(images)[0], 1, 1, 1))
        return images / full, Limits(low, low + full)
    low = ops.min(images, axis=(1, 2, 3), keepdims=True)
    span = ops.max(images, axis=(1, 2, 3), keepdims=True) - low
    return (images - low) / ops.maximum(span, 1e-12), Limits(low, span)


def unit_to_images(unit, limits: Limits, dtype: str):
    """Undo `images_to_unit`: clipped, and for integer types rounded."""
    images = ops.clip(unit, 0.0, 1.0) * limits.span + limits.low
    return ops.cast(ops.round(images), dtype) if dtype in FULL_SCALE else images


def to_channels(images, channels: int):
    """Bring (N, H, W, 1 or 3) float32 images to 1 channel (the luma) or 3 (repeated)."""
    if images.shape[-1] == channels:
        return images
    planes = _list_planes(images)
    if channels == 3:
        return ops.concatenate(planes, axis=-1)
    return sum(plane * weight for plane, weight in zip(planes, LUMA, strict=True))


def match_channels(images, channels):
    """Give (N, H, W, 1 or 3) results as many channels as the input had: the mean for 1."""
    mean = ops.mean(images, axis=-1, keepdims=True)
    planes = ops.concatenate(_list_planes(images), axis=-1)
    return ops.where(ops.equal(channels, 1), mean, planes)[..., :channels]


def _list_planes(images) -> list:
    """The three channels of (N, H, W, 1 or 3); the same one three times where there is one."""
    last = ops.shape(images)[-1] - 1
    return [images[..., k : k + 1] for k in (0, last // 2, last)]


def choose_regions(images, resize: str, align: str, partners=None):
    """The region of every frame that is to fill the square, in whole pixels.

    Args:
        images: (N, H, W, C) float32.
        resize: "pad" keeps the aspect on a centred black square, "stretch" fills the square.
        align: "head" takes the square around the head's box with a margin, "none" the whole frame.
        partners: As `prepare_images` takes them, (N, h, w, c) float32.

    Returns:
        (N, 4) float32: top, left, height, width.
    """
    height, width = (ops.cast(side, "float32") for side in ops.shape(images)[1:3])
    whole = ops.zeros((ops.shape(images)[0], 4)) + ops.stack([0.0, 0.0, height, width])
    if align != "head" and resize == "stretch":
        return whole
    edges, margin = whole, 0.0
    if align == "head":
        edges, margin = find_head_edges(images), HEAD_MARGIN
        if partners is not None:
            edges = _join_edges(edges, find_head_edges(partners), images, partners)
    first, last = edges[:, :2], edges[:, 2:]
    side = ops.max(last - first, axis=1, keepdims=True)
    side = ops.round(side * (1 + 2 * margin))
    return ops.concatenate([ops.round((first + last - side) / 2), side, side], axis=1)


def _join_edges(edges, others, images, partners):
    """The box around two boxes; the partner's frame is scaled to the image's longer side."""
    shape, other = (ops.cast(ops.stack(ops.shape(x)[1:3]), "float32") for x in (images, partners))
    scale = ops.max(shape) / ops.max(other)
    shift = (shape - scale * other) / 2
    others = others * scale + ops.concatenate([shift, shift])
    return ops.concatenate(
        [ops.minimum(edges[:, :2], others[:, :2]), ops.maximum(edges[:, 2:], others[:, 2:])], axis=1
    )


def _resample(images, axes: list):
    """Apply one matrix (N, new, old) to the rows and one to the columns; clipped to [0, peak]."""
    planes = ops.transpose(images, (0, 3, 1, 2))
    rows, columns = (matrix[:, None] for matrix in axes)
    planes = ops.matmul(ops.matmul(rows, planes), ops.transpose(columns, (0, 1, 3, 2)))
    peak = ops.max(images, axis=(1, 2, 3), keepdims=True)
    return ops.clip(ops.transpose(planes, (0, 2, 3, 1)), 0.0, ops.maximum(peak, 0.0))


def _make_axis(start, step, count, old_count, low, high):
    """One axis of a resize, as a matrix from old pixels to new ones.

    New pixel i covers the old pixels from `start + i * step` to `start + (i + 1) * step`: their
    area average where the step is at least 1, a cubic kernel at its centre where it is less.

    Args:
        start, step: (N, 1, 1) float32, in old pixels.
        count: New pixels.
        old_count: Old pixels.
        low, high: Where the old picture begins and ends; pixels in it that are not among the
            `old_count` are black. New pixels whose centre is beyond are 0.

    Returns:
        (N, count, old_count) float32.
    """
    new = ops.cast(ops.arange(count, dtype="int32"), "float32")[None, :, None]
    old = ops.cast(ops.arange(old_count, dtype="int32"), "float32")[None, None]
    begin = start + new * step
    centre, end = begin + step / 2, ops.minimum(begin + step, high)
    begin = ops.maximum(begin, low)
    area = ops.maximum(ops.minimum(end, old + 1) - ops.maximum(begin, old), 0.0)

    def weigh(middle):
        inside = ops.logical_and(middle > low, middle < high)
        return _cubic(middle - centre) * ops.cast(inside, "float32")

    # At an end of the picture the kernel loses taps, and the others weigh more.
    taps = ops.floor(centre - 0.5) + np.arange(-0.5, 3, dtype="float32")
    total = ops.sum(weigh(taps), axis=-1, keepdims=True)
    inside = ops.cast(ops.logical_and(centre > low, centre < high), "float32")
    shrinks = ops.cast(step >= 1, "float32")
    area = area * (inside * shrinks / ops.maximum(end - begin, 1e-6))
    return area + weigh(old + 0.5) * (inside * (1 - shrinks) / ops.where(total > 0, total, 1.0))


def _cubic(shift):
    """Keys' kernel at a distance in pixels; 0 from 2 on."""
    far = ops.maximum(2 - ops.abs(shift), 0.0)
    near = ops.maximum(far - 1, 0.0)
    return CUBIC * (1 - far) * far * far + (4 * CUBIC + 3 - 2 * near) * near * near
