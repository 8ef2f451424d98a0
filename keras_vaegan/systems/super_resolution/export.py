"""An RRDBNet as a TensorFlow module: `Enhancer.enhance` in a graph, tile by tile."""

from __future__ import annotations

import tensorflow as tf

from keras_vaegan.data.preparation import images_to_unit, unit_to_images
from keras_vaegan.interop.keras_h5.load import Network
from keras_vaegan.systems.graph import (
    IMAGES,
    MAPPED,
    check_images,
    graph_function,
    make_image_signatures,
)
from keras_vaegan.systems.super_resolution.enhancer import Enhancer
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
        self._call = lambda images: model(images, training=False)
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
        """(H, W, C) in [0, 1] -> (H * scale, W * scale, C), the weighted sum of its tiles."""
        shape, scale = tf.shape(image), self.scale
        rows, columns = (plan_tiles(shape[axis], self.tile, self.overlap) for axis in (0, 1))
        size = tf.concat([shape[:2] * scale, shape[2:]], axis=0)
        across = tf.shape(columns)[0]

        def add_tile(number, total):
            row, column = (
                tf.unstack(tiles[place])
                for tiles, place in ((rows, number // across), (columns, number % across))
            )
            (top, bottom), (left, right) = row[:2], column[:2]
            tile = image[None, top:bottom, left:right]
            enhanced = run_channels(self._call, tile, self.channels)[0]
            enhanced *= make_fade(row, scale)[:, None, None]
            enhanced *= make_fade(column, scale)[None, :, None]
            pads = [
                [top * scale, size[0] - bottom * scale],
                [left * scale, size[1] - right * scale],
                [0, 0],
            ]
            return number + 1, total + tf.pad(enhanced, pads)

        count = tf.shape(rows)[0] * across
        return tf.while_loop(
            lambda number, _: number < count,
            add_tile,
            (0, tf.zeros(size)),
            shape_invariants=(tf.TensorShape(()), tf.TensorShape((None, None, None))),
            parallel_iterations=1,
        )[1]


def open_enhancement(network: Network, tile: int) -> Exportable:
    """An RRDBNet as a graph: `System.open_export`."""
    enhancer = Enhancer.from_network(network, tile)
    tiles = f"tiles of {enhancer.tile} pixels" if enhancer.tile else "one piece"
    return Exportable(
        network.file,
        EnhancementModule(enhancer),
        f"Enlargement of images, x{enhancer.scale}",
        f"Makes images {enhancer.scale} times as large along each axis, in {tiles}.",
        f"{MAPPED} The network works on [0, 1]; its result is clipped and takes the way back.",
        ("Fine structure of an enlarged image is invented to look likely; it was not measured.",),
        network.config,
    )
