"""An RRDBNet as a TensorFlow module: `Enhancer.enhance` in a graph, tile by tile."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops

from keras_vaegan.data.preparation import (
    images_to_unit,
    match_channels,
    to_channels,
    unit_to_images,
)
from keras_vaegan.interop.keras_h5.load import Network
from keras_vaegan.systems.graph import (
    IMAGES,
    TYPED_VALUES,
    check_images,
    graph_function,
    make_image_signatures,
)
from keras_vaegan.systems.portable import PortableGraph, read_pictures
from keras_vaegan.systems.super_resolution.enhancer import DEFAULT_TILE, Enhancer
from keras_vaegan.systems.super_resolution.tiles import GRAIN, make_fade, plan_tiles, run_channels
from keras_vaegan.systems.system import Exportable


class EnhancementModule(tf.Module):
    """Enlarge batches of images of any size, in memory bounded by a tile.

    `enhance(images)` takes (N, H, W, C) images of uint8, uint16 or float32, 1 or 3 channels, at
    least 4 pixels a side, and gives (N, H * scale, W * scale, C) of the same type.

    Args:
        enhancer: Network, scale and tiles.
    """

    def __init__(self, enhancer: Enhancer) -> None:
        super().__init__(name="enhancement")
        model = enhancer.model
        self.scale, self.channels = enhancer.scale, enhancer.channels
        self.tile, self.overlap = enhancer.tile, enhancer.overlap
        self.weights = [variable.value for variable in model.variables]
        self._call = partial(model, training=False)
        unit = tf.TensorSpec(IMAGES, tf.float32)
        self._enhance_traced = graph_function(self._enhance_unit, [unit])
        self.enhance = graph_function(self._enhance)

    def make_signatures(self) -> dict:
        """One concrete function per type; the plain name is float32's."""
        signatures = make_image_signatures("enhance", self.enhance)
        return {**signatures, "serving_default": signatures["enhance"]}

    def _enhance(self, images):
        """(N, H, W, C) -> {"enhanced"}: (N, H * scale, W * scale, C) of the same type."""
        images = check_images(images, GRAIN)
        unit, limits = images_to_unit(images)
        enhanced = self._enhance_traced(unit)
        return {"enhanced": unit_to_images(enhanced, limits, images.dtype.name)}

    def _enhance_unit(self, unit):
        """(N, H, W, C) in [0, 1] -> the same, enlarged."""
        shape = tf.shape(unit)
        grown = tf.concat([shape[1:3] * self.scale, shape[3:]], axis=0)
        enhanced = tf.map_fn(
            self._enhance_image,
            unit,
            fn_output_signature=tf.TensorSpec((None, None, None), tf.float32),
            parallel_iterations=1,
        )
        return tf.reshape(enhanced, tf.concat([shape[:1], grown], axis=0))

    def _enhance_image(self, image):
        """(H, W, C) in [0, 1] -> (H * scale, W * scale, C)."""

        def run(tiles):
            return run_channels(self._call, tiles, self.channels)

        return enlarge_tiles(run, image[None], self.scale, self.tile, self.overlap)[0]


def enlarge_tiles(run, images, scale: int, tile: int, overlap: int):
    """Enlarge images as the weighted sum of their tiles, one tile of all images at a time.

    Args:
        run: (N, h, w, C) in [0, 1] -> (N, h * scale, w * scale, C).
        images: (N, H, W, C) in [0, 1].
        scale, tile, overlap: As the `Enhancer`'s.

    Returns:
        (N, H * scale, W * scale, C).
    """
    shape = tf.shape(images)
    rows, columns = (plan_tiles(shape[axis], tile, overlap) for axis in (1, 2))
    size = tf.concat([shape[:1], shape[1:3] * scale, shape[3:]], axis=0)
    across = tf.shape(columns)[0]

    def add_tile(number, total):
        row, column = (
            tf.unstack(tiles[place])
            for tiles, place in ((rows, number // across), (columns, number % across))
        )
        (top, bottom), (left, right) = row[:2], column[:2]
        enhanced = run(images[:, top:bottom, left:right])
        enhanced *= make_fade(row, scale)[:, None, None]
        enhanced *= make_fade(column, scale)[None, :, None]
        pads = [
            [0, 0],
            [top * scale, size[1] - bottom * scale],
            [left * scale, size[2] - right * scale],
            [0, 0],
        ]
        return number + 1, total + tf.pad(enhanced, pads)

    count = tf.shape(rows)[0] * across
    return tf.while_loop(
        lambda number, _: number < count,
        add_tile,
        (0, tf.zeros(size)),
        shape_invariants=(tf.TensorShape(()), tf.TensorShape((None, None, None, None))),
        parallel_iterations=1,
    )[1]


def make_whole(enhancer: Enhancer) -> PortableGraph:
    """Images of any size in, enlarged tile by tile."""
    channels, scale = enhancer.channels, enhancer.scale

    def run(tiles):
        return ops.clip(enhancer.model(tiles, training=False), 0.0, 1.0)

    def enlarge(images):
        """`run_channels` without its branches, which lose the weights on the way."""
        count, height, width, given = ops.shape(images)
        if channels == 3:
            planes = to_channels(images, 3)
        else:
            planes = ops.reshape(ops.transpose(images, (0, 3, 1, 2)), (-1, height, width, 1))
        enlarged = enlarge_tiles(run, planes, scale, enhancer.tile, enhancer.overlap)
        if channels == 3:
            return match_channels(enlarged, given)
        enlarged = ops.reshape(enlarged, (count, given, height * scale, width * scale))
        return ops.transpose(enlarged, (0, 2, 3, 1))

    tiles = f"in tiles of {enhancer.tile} pixels" if enhancer.tile else "in one piece"
    side = (enhancer.tile or 64) + 7  # more than a tile

    def read_images(folder: Path | None, count: int) -> list[dict[str, np.ndarray]]:
        return [{"images": image[None]} for image in read_pictures(folder, count, (side, 61))]

    return PortableGraph(
        "enhance",
        enlarge,
        {"images": ("images", "height", "width", "channels")},
        "enhanced",
        (0.0, 1.0),
        "Images of 1 or 3 channels (RGB) in [0, 1]: 8 and 16-bit values divided by 255 and 65535; "
        f"at least {GRAIN} pixels a side. The result is {scale} times as large along height and "
        f"width, computed {tiles}.",
        read_images,
    )


def make_square(enhancer: Enhancer) -> PortableGraph:
    """The network on one tile."""
    side, channels = enhancer.tile or DEFAULT_TILE, enhancer.channels

    def run(images):
        return ops.clip(enhancer.model(images, training=False), 0.0, 1.0)

    def read_tiles(folder: Path | None, count: int) -> list[dict[str, np.ndarray]]:
        images = read_pictures(folder, count, (side, side))
        return [{"images": _cut_tile(image, side, channels)} for image in images]

    return PortableGraph(
        "tile",
        run,
        {"images": (1, side, side, channels)},
        "enhanced",
        (0.0, 1.0),
        f"One tile of an image in [0, 1] in, the same {enhancer.scale} times as large out.",
        read_tiles,
        _describe_tiles(enhancer, side),
    )


def _cut_tile(image: np.ndarray, side: int, channels: int) -> np.ndarray:
    """The middle of a picture (H, W, C), mirrored where it is small: (1, side, side, channels)."""
    image = image.mean(axis=-1, keepdims=True) if channels == 1 else image
    starts = [max(0, length - side) // 2 for length in image.shape[:2]]
    tile = image[starts[0] : starts[0] + side, starts[1] : starts[1] + side]
    lacks = [(0, side - length) for length in tile.shape[:2]]
    tile = np.pad(tile, (*lacks, (0, 0)), mode="symmetric")
    return np.broadcast_to(tile, (side, side, channels))[None].astype("float32")


def _describe_tiles(enhancer: Enhancer, side: int) -> dict[str, Any]:
    """How images become tiles and come back, ready for JSON."""
    overlap, scale = enhancer.overlap, enhancer.scale
    color = (
        "Run each channel of a colour image by itself."
        if enhancer.channels == 1
        else "Repeat a gray image as R, G and B, and average the channels of its result."
    )
    return {
        "before": [
            "Divide 8 and 16-bit values by their full scale; map the lowest value of a float image "
            "to 0 and its highest to 1.",
            color,
            f"Cut tiles of {side} x {side} pixels that begin every {side - 2 * overlap} pixels; "
            "the last one ends at the border. Mirror a smaller image beyond its border, the edge "
            "pixel included.",
        ],
        "after": [
            "Cut off what was mirrored.",
            "Of the pixels that a tile shares with its neighbour, the outer quarter counts "
            "nothing, the inner quarter fully; between, the weight rises as a squared sine. The "
            "weighted tiles add up to the image.",
            "Undo the first step: times the full scale, rounded; or back to a float image's range.",
        ],
        "tile": side,
        "overlap": overlap,
        "scale": scale,
        "channels": enhancer.channels,
        "input_range": [0.0, 1.0],
        "output_range": [0.0, 1.0],
    }


def open_enhancement(network: Network, tile: int) -> Exportable:
    """An RRDBNet as a graph: `System.open_export`."""
    enhancer = Enhancer.from_network(network, tile)
    tiles = f"tiles of {enhancer.tile} pixels" if enhancer.tile else "one piece"
    return Exportable(
        network.file,
        EnhancementModule(enhancer),
        (make_whole(enhancer),),
        make_square(enhancer),
        f"Enlargement of images, x{enhancer.scale}",
        f"Makes images {enhancer.scale} times as large along each axis, in {tiles}.",
        "The network works on [0, 1]; its result is clipped and takes the way back.",
        ("Fine structure of an enlarged image is invented to look likely; it was not measured.",),
        network.config,
        TYPED_VALUES,
    )
