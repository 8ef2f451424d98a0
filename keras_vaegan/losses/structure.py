"""Whether a translation keeps the structure of its input: correlation of their edges."""

from __future__ import annotations

from keras import ops


def gradient_correlation(first, second):
    """Correlation of the gradient magnitudes of two batches, blind to the sign of an edge.

    Magnitudes are those of the images at half the size, where noise counts less.

    Args:
        first: (N, H, W, C) images.
        second: The same shape; any linear map of either changes nothing.

    Returns:
        (N,) float32 from -1 to 1: 1 where all edges coincide.
    """
    edges = [_find_edges(images) for images in (first, second)]
    centred = [part - ops.mean(part, axis=(1, 2), keepdims=True) for part in edges]
    product = ops.sum(centred[0] * centred[1], axis=(1, 2))
    energies = [ops.sum(ops.square(part), axis=(1, 2)) for part in centred]
    return product * ops.rsqrt(energies[0] * energies[1] + 1e-6)


def structure_loss(first, second):
    """1 - mean `gradient_correlation` of two batches: a scalar."""
    return 1.0 - ops.mean(gradient_correlation(first, second))


def _find_edges(images):
    """(N, H, W, C) -> (N, H/2 - 1, W/2 - 1) float32: gradient magnitudes at half the size."""
    gray = ops.mean(ops.cast(images, "float32"), axis=-1, keepdims=True)
    gray = ops.average_pool(gray, 2, strides=2)[..., 0]
    down = gray[:, 1:, :-1] - gray[:, :-1, :-1]
    right = gray[:, :-1, 1:] - gray[:, :-1, :-1]
    return ops.sqrt(ops.square(down) + ops.square(right) + 1e-6)
