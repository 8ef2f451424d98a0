"""Images of any size and channels through an enlarging network, in `keras.ops`: tiles, fades,
channels. The Enhancer and its export share it."""

from __future__ import annotations

import math

from keras import ops

GRAIN = 4  # tiles start at multiples of it, so that unshuffled blocks fall as in the whole image


def plan_tiles(length, tile: int, overlap: int):
    """Cut an axis into tiles of one length.

    Args:
        length: Pixels of the axis, an integer or a scalar of a graph.
        tile: Side of a tile; 0 for one tile.
        overlap: Pixels shared with each neighbour beyond the common border.

    Returns:
        (T, 4) int32: start, stop, before and after of each tile; the latter two are the pixels
        that it shares with its neighbours, 0 at the image's borders. Starts are multiples of 4.
    """
    step = tile - 2 * overlap if tile else 1
    tile = tile or length
    rest = ops.maximum(ops.cast(length - tile, "int32"), 0)
    starts = ops.arange(0, rest, step, dtype="int32")
    starts = ops.concatenate([starts, ops.reshape((rest + GRAIN - 1) // GRAIN * GRAIN, (1,))])
    stops = ops.minimum(starts + tile, length)
    shared = stops[:-1] - starts[1:]
    none = ops.zeros((1,), "int32")
    before, after = ops.concatenate([none, shared]), ops.concatenate([shared, none])
    return ops.stack([starts, stops, before, after], axis=1)


def make_fade(tile, scale: int):
    """Weights of a tile along one axis in output pixels; those of neighbours add up to 1.

    Of the shared pixels the outer quarter counts nothing, the inner quarter fully, and the half
    between rises as a squared sine.

    Args:
        tile: A row of `plan_tiles`: start, stop, before and after.
        scale: Output pixels per input pixel.

    Returns:
        ((stop - start) * scale,) float32.
    """
    start, stop, before, after = tile
    total = (stop - start) * scale
    position = ops.cast(ops.arange(total, dtype="int32"), "float32") + 0.5

    def rise(distance, shared):
        count = ops.cast(shared * scale, "float32")
        ramp = ops.clip(2 * distance / ops.maximum(count, 1.0) - 0.5, 0.0, 1.0)
        return ops.where(distance < count, ops.square(ops.sin(0.5 * math.pi * ramp)), 1.0)

    return rise(position, before) * rise(ops.cast(total, "float32") - position, after)


def run_channels(network, images, channels: int):
    """Images of 1 or 3 channels through a network of 1 or 3.

    A gray image passes a 3-channel network as three equal channels, whose results are averaged:
    no tint. The channels of a colour image pass a 1-channel network one by one.

    Args:
        network: (n, h, w, channels) in [0, 1] -> (n, h * scale, w * scale, channels).
        images: (N, H, W, C) in [0, 1].
        channels: Of the network.

    Returns:
        (N, H * scale, W * scale, C) in [0, 1].
    """
    count, height, width, given = ops.shape(images)

    def run_whole():
        return network(ops.reshape(images, (count, height, width, channels)))

    def run_apart():
        planes = ops.reshape(ops.transpose(images, (0, 3, 1, 2)), (-1, height, width, 1))
        enhanced = ops.mean(network(ops.repeat(planes, channels, axis=-1)), axis=-1)
        enhanced = ops.reshape(enhanced, (count, given, *ops.shape(enhanced)[1:]))
        return ops.transpose(enhanced, (0, 2, 3, 1))

    if images.shape[-1] is None:
        enhanced = ops.cond(ops.equal(given, channels), run_whole, run_apart)
    else:
        enhanced = run_whole() if given == channels else run_apart()
    return ops.clip(enhanced, 0.0, 1.0)
