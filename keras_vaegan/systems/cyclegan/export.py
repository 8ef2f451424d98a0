"""A translator as a TensorFlow module: any image in, the same size and type out."""

from __future__ import annotations

import tensorflow as tf

from keras_vaegan.config.base import VALUE_RANGES
from keras_vaegan.data.folders import SMALLEST_SIDE
from keras_vaegan.export.images import (
    DTYPES,
    check_at_least,
    check_images,
    graph_function,
    images_to_unit,
    match_channels,
    to_channels,
    unit_to_images,
)
from keras_vaegan.export.placement import choose_region, place_image, restore_image
from keras_vaegan.models.layers import Sampling
from keras_vaegan.systems.cyclegan.translator import Translator


class TranslationModule(tf.Module):
    """`Translator.translate` for batches, in a graph.

    `translate(images)` gives translations; `translate_with_uncertainty(images, samples)` the mean
    and standard deviation of latent samples, where the generator has a latent. Both take
    (N, H, W, C) images of uint8, uint16 or float32, 1 or 3 channels, at least 16 pixels a side;
    the images of a batch share a size, each is aligned by itself.

    Args:
        translator: Generator and the preparation of its images.
    """

    def __init__(self, translator: Translator) -> None:
        super().__init__(name="translation")
        generator, self.data = translator.generator, translator.data
        # Without a latent the batches are free: of one, since instance normalisation is quickest
        # where the graph knows the count.
        self.batch_size = translator.batch_size if has_latent(generator) else 1
        self.weights = [variable.value for variable in generator.variables]
        self.made_channels = generator.output_shape[-1]
        self._call = lambda images, training: generator(images, training=training)
        unit = tf.TensorSpec((None, None, None, None), tf.float32)
        samples = tf.TensorSpec((), tf.int32)
        # One trace each for all types of images.
        self._translate_unit = graph_function(self._translate_unit, [unit])
        self._sample_unit = graph_function(self._sample_unit, [unit, samples])
        self.translate = graph_function(self._translate)
        if has_latent(generator):
            self.translate_with_uncertainty = graph_function(self._translate_with_uncertainty)

    def make_signatures(self) -> dict:
        """One concrete function per name and type; plain names are float32's."""
        signatures = {}
        for dtype in DTYPES:
            suffix = "" if dtype == tf.float32 else f"_{dtype.name}"
            images = tf.TensorSpec((None, None, None, None), dtype, "images")
            signatures[f"translate{suffix}"] = self.translate.get_concrete_function(images)
            if hasattr(self, "translate_with_uncertainty"):
                samples = tf.TensorSpec((), tf.int32, "samples")
                concrete = self.translate_with_uncertainty.get_concrete_function(images, samples)
                signatures[f"translate_with_uncertainty{suffix}"] = concrete
        return {**signatures, "serving_default": signatures["translate"]}

    def _translate(self, images):
        """(N, H, W, C) -> {"translation"}: the same shape and type, by the latent's mean."""
        images = check_images(images, SMALLEST_SIDE)
        unit, low, span = images_to_unit(images)
        made = self._translate_unit(unit)
        return {"translation": unit_to_images(made, low, span, images.dtype)}

    def _translate_with_uncertainty(self, images, samples):
        """(N, H, W, C), () -> {"mean", "standard_deviation"} of latent samples.

        The mean has the images' shape and type, the deviation is (N, H, W, 1) float32 on the
        [0, 1] scale.
        """
        images = check_images(images, SMALLEST_SIDE)
        samples = check_at_least(samples, 2, "samples")
        unit, low, span = images_to_unit(images)
        mean, deviation = self._sample_unit(unit, samples)
        mean = unit_to_images(mean, low, span, images.dtype)
        return {"mean": mean, "standard_deviation": deviation}

    def _translate_unit(self, unit):
        """(N, H, W, C) in [0, 1] -> the same, translated."""
        squares, regions = self._prepare(unit)
        return self._restore(self._run(squares, False), regions, tf.shape(unit))

    def _sample_unit(self, unit, samples):
        """(N, H, W, C) in [0, 1] -> mean of the samples, and their deviation (N, H, W, 1)."""
        squares, regions = self._prepare(unit)
        side, channels = self.data.image_size, self.made_channels

        def summarise(square):
            made = self._run(tf.repeat(square[None], samples, axis=0), True)
            deviation = tf.math.reduce_std(made, axis=0)
            return tf.reduce_mean(made, axis=0), tf.reduce_mean(deviation, -1, keepdims=True)

        mean, deviation = tf.map_fn(
            summarise,
            squares,
            fn_output_signature=(
                tf.TensorSpec((side, side, channels), tf.float32),
                tf.TensorSpec((side, side, 1), tf.float32),
            ),
            parallel_iterations=1,
        )
        shape = tf.shape(unit)
        gray_shape = tf.concat([shape[:3], [1]], axis=0)
        return self._restore(mean, regions, shape), self._restore(deviation, regions, gray_shape)

    def _prepare(self, unit):
        """[0, 1] images -> the network's squares, and where each came from."""
        gray = to_channels(unit, self.data.channels)
        side = self.data.image_size

        def prepare(image):
            region = choose_region(image, self.data.resize, self.data.align)
            return tf.clip_by_value(place_image(image, region, side), 0.0, 1.0), region

        return tf.map_fn(
            prepare,
            gray,
            fn_output_signature=(
                tf.TensorSpec((side, side, self.data.channels), tf.float32),
                tf.TensorSpec((4,), tf.int32),
            ),
        )

    def _run(self, squares, training: bool):
        """Squares in [0, 1] through the generator, `batch_size` at a time."""
        low, high = VALUE_RANGES[self.data.value_range]
        shape = (None, *squares.shape[1:3], self.made_channels)
        count = tf.shape(squares)[0]
        results = tf.TensorArray(
            tf.float32, 0, dynamic_size=True, infer_shape=False, element_shape=shape
        )

        def step(start, results):
            batch = squares[start : start + self.batch_size] * (high - low) + low
            if self.batch_size == 1:
                batch = tf.ensure_shape(batch, (1, *batch.shape[1:]))
            made = self._call(batch, training)
            made = tf.clip_by_value((tf.cast(made, tf.float32) - low) / (high - low), 0.0, 1.0)
            return start + self.batch_size, results.write(start // self.batch_size, made)

        results = tf.while_loop(
            lambda start, _: start < count, step, (0, results), parallel_iterations=1
        )[1]
        return tf.ensure_shape(results.concat(), shape)

    def _restore(self, squares, regions, shape):
        """Squares -> frames of (N, H, W, C) with the input's channels."""
        frames = tf.map_fn(
            lambda pair: restore_image(pair[0], pair[1], shape[1:3]),
            (squares, regions),
            fn_output_signature=tf.TensorSpec((None, None, squares.shape[-1]), tf.float32),
        )
        return match_channels(frames, shape[3])


def has_latent(generator) -> bool:
    """Whether a generator draws a latent, so that samples differ."""
    return any(isinstance(layer, Sampling) for layer in generator.layers)
