"""The forms that every backend has, in keras.ops alone."""

from __future__ import annotations

import keras
from keras import ops


def normalize_instances(images, epsilon: float):
    """Give every channel of every image zero mean and unit variance: the defining formula.

    Args:
        images: (N, H, W, C) of any float type.
        epsilon: Added to the variance.

    Returns:
        The same shape and type; computed in float32.
    """
    wide = ops.cast(images, "float32")
    centred = wide - ops.mean(wide, axis=(1, 2), keepdims=True)
    variance = ops.mean(ops.square(centred), axis=(1, 2), keepdims=True)
    return ops.cast(centred * ops.rsqrt(variance + epsilon), images.dtype)


def find_peak(values):
    """The first place of the largest value along the last axis, float32.

    Keras' argmax of floats tells -0 from 0 by their bits, an operation that ONNX lacks.
    """
    is_peak = ops.equal(values, ops.max(values, axis=-1, keepdims=True))
    return ops.cast(ops.argmax(ops.cast(is_peak, "int32"), axis=-1), "float32")


def pad_by_reflection(images, rows: int, columns: int):
    """Pad height and width by mirroring, the edge pixel not repeated.

    In 16-bit types, joined slices that add up again for the gradient; in float32, and where a side
    is not known, `ops.pad`. On a CPU (2x256x256x64, TensorFlow) the slices take 0.45 of its time
    forward and 0.94 with the gradient in bfloat16, but 0.96 and 1.5 in float32.

    Args:
        images: (N, H, W, C), H > rows and W > columns.
        rows: Pixels above and below.
        columns: Pixels left and right.

    Returns:
        (N, H + 2 rows, W + 2 columns, C).
    """
    is_wide = keras.backend.standardize_dtype(images.dtype) in ("float32", "float64")
    if is_wide or None in images.shape[1:3]:
        pads = ((0, 0), (rows, rows), (columns, columns), (0, 0))
        return ops.pad(images, pads, mode="reflect")

    @ops.custom_gradient
    def pad(x):
        padded = _mirror(_mirror(x, 1, rows), 2, columns)

        def gradient(*args, upstream=None):
            change = args[0] if upstream is None else upstream
            return _fold_back(_fold_back(change, 2, columns), 1, rows)

        return padded, gradient

    return pad(images)


def _mirror(x, axis: int, width: int):
    """Put `width` mirrored lines before and after an axis."""
    if not width:
        return x
    size = x.shape[axis]
    before = ops.flip(_take(x, axis, 1, width + 1), axis)
    after = ops.flip(_take(x, axis, size - width - 1, size - 1), axis)
    return ops.concatenate([before, x, after], axis)


def _fold_back(change, axis: int, width: int):
    """The gradient of `_mirror`: what the mirrored lines got, added to those that they show."""
    if not width:
        return change
    size = change.shape[axis] - 2 * width
    centre = _take(change, axis, width, width + size)
    before = ops.flip(_take(change, axis, 0, width), axis)
    after = ops.flip(_take(change, axis, width + size, size + 2 * width), axis)
    if size < 2 * width + 2:  # the lines that are shown twice overlap
        return centre + _place(before, axis, 1, size) + _place(after, axis, size - width - 1, size)
    parts = [
        _take(centre, axis, 0, 1),
        _take(centre, axis, 1, width + 1) + before,
        _take(centre, axis, width + 1, size - width - 1),
        _take(centre, axis, size - width - 1, size - 1) + after,
        _take(centre, axis, size - 1, size),
    ]
    return ops.concatenate(parts, axis)


def _take(x, axis: int, start: int, stop: int):
    """Lines from `start` to before `stop` along height (1) or width (2)."""
    return x[:, start:stop] if axis == 1 else x[:, :, start:stop]


def _place(lines, axis: int, start: int, size: int):
    """The lines at `start` among `size` lines of zeros."""
    pads = [(0, 0)] * 4
    pads[axis] = (start, size - start - lines.shape[axis])
    return ops.pad(lines, pads)
