"""An RRDBNet as a TensorFlow module: `Enhancer.enhance` in a graph, tile by tile."""

from __future__ import annotations

import math

import tensorflow as tf

from keras_vaegan.export.images import (
    DTYPES,
    check_images,
    graph_function,
    images_to_unit,
    unit_to_images,
)
from keras_vaegan.systems.super_resolution.enhancer import GRAIN, Enhancer

SMALLEST_SIDE = GRAIN


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
        unit = tf.TensorSpec((None, None, None, None), tf.float32)
        self._enhance_unit = graph_function(self._enhance_unit, [unit])
        self.enhance = graph_function(self._enhance)

    def make_signatures(self) -> dict:
        """One concrete function per type; the plain name is float32's."""
        signatures = {}
        for dtype in DTYPES:
            suffix = "" if dtype == tf.float32 else f"_{dtype.name}"
            images = tf.TensorSpec((None, None, None, None), dtype, "images")
            signatures[f"enhance{suffix}"] = self.enhance.get_concrete_function(images)
        return {**signatures, "serving_default": signatures["enhance"]}

    def _enhance(self, images):
        """(N, H, W, C) -> {"enhanced"}: (N, H * scale, W * scale, C) of the same type."""
        images = check_images(images, SMALLEST_SIDE)
        unit, low, span = images_to_unit(images)
        return {"enhanced": unit_to_images(self._enhance_unit(unit), low, span, images.dtype)}

    def _enhance_unit(self, unit):
        """(N, H, W, C) in [0, 1] -> the same, enlarged."""
        shape = tf.shape(unit)
        grown = tf.concat([shape[1:3] * self.scale, shape[3:]], axis=0)
        made = tf.map_fn(
            self._enhance_image,
            unit,
            fn_output_signature=tf.TensorSpec((None, None, None), tf.float32),
            parallel_iterations=1,
        )
        return tf.reshape(made, tf.concat([shape[:1], grown], axis=0))

    def _enhance_image(self, image):
        """(H, W, C) in [0, 1] -> (H * scale, W * scale, C), the weighted sum of its tiles."""
        shape, scale = tf.shape(image), self.scale
        rows, columns = (self._plan_tiles(shape[axis]) for axis in (0, 1))
        size = tf.concat([shape[:2] * scale, shape[2:]], axis=0)
        across = tf.shape(columns)[0]

        def add_tile(number, total):
            top, bottom, *fade = tf.unstack(rows[number // across])
            left, right, *side_fade = tf.unstack(columns[number % across])
            made = self._run(image[top:bottom, left:right])
            made *= _fade(bottom - top, *fade, scale)[:, None, None]
            made *= _fade(right - left, *side_fade, scale)[None, :, None]
            pads = [
                [top * scale, size[0] - bottom * scale],
                [left * scale, size[1] - right * scale],
                [0, 0],
            ]
            return number + 1, total + tf.pad(made, pads)

        count = tf.shape(rows)[0] * across
        return tf.while_loop(
            lambda number, _: number < count,
            add_tile,
            (0, tf.zeros(size)),
            shape_invariants=(tf.TensorShape(()), tf.TensorShape((None, None, None))),
            parallel_iterations=1,
        )[1]

    def _plan_tiles(self, length):
        """(T, 4) int32: start, stop and the pixels shared before and after, as `plan_tiles`."""
        whole = tf.stack([0, length, 0, 0])[None]
        if not self.tile:
            return whole

        def cut():
            starts = tf.range(0, length - self.tile, self.tile - 2 * self.overlap)
            last = -tf.math.floordiv(self.tile - length, GRAIN) * GRAIN
            starts = tf.concat([starts, [last]], axis=0)
            stops = tf.minimum(starts + self.tile, length)
            shared = stops[:-1] - starts[1:]
            before, after = tf.concat([[0], shared], 0), tf.concat([shared, [0]], 0)
            return tf.stack([starts, stops, before, after], axis=1)

        return tf.cond(length <= self.tile, lambda: whole, cut)

    def _run(self, patch):
        """(h, w, C) in [0, 1] -> (h * scale, w * scale, C): gray repeated, colours one by one."""

        def as_one():
            own = tf.ensure_shape(patch, (None, None, self.channels))
            return tf.clip_by_value(self._call(own[None])[0], 0.0, 1.0)

        def by_channel():
            batch = tf.repeat(tf.transpose(patch, [2, 0, 1])[..., None], self.channels, axis=-1)
            made = tf.reduce_mean(self._call(batch), axis=-1)
            return tf.clip_by_value(tf.transpose(made, [1, 2, 0]), 0.0, 1.0)

        return tf.cond(tf.equal(tf.shape(patch)[-1], self.channels), as_one, by_channel)


def _fade(length, before, after, scale: int):
    """Weights of a tile along one axis in output pixels, as `Enhancer`'s."""
    position = tf.cast(tf.range(length * scale), tf.float32) + 0.5

    def rise(distance, shared):
        count = tf.cast(shared * scale, tf.float32)
        ramp = tf.clip_by_value(2 * distance / tf.maximum(count, 1.0) - 0.5, 0.0, 1.0)
        weight = tf.square(tf.sin(0.5 * math.pi * ramp))
        return tf.where(distance < count, weight, tf.ones_like(weight))

    total = tf.cast(length * scale, tf.float32)
    return rise(position, before) * rise(total - position, after)
