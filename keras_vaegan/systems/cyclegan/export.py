"""A translator as a TensorFlow module: any image in, the same size and type out."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf
from keras import ops

from keras_vaegan.config.base import VALUE_RANGES
from keras_vaegan.data.folders import SMALLEST_SIDE
from keras_vaegan.data.preparation import (
    images_to_unit,
    match_channels,
    place_images,
    unit_to_images,
)
from keras_vaegan.interop.keras_h5.load import Network
from keras_vaegan.kernels import call_compiled
from keras_vaegan.kernels.random import draw_standard_normal
from keras_vaegan.systems.cyclegan.recipe import describe_preparation
from keras_vaegan.systems.cyclegan.translator import Translator
from keras_vaegan.systems.graph import (
    IMAGES,
    TYPED_VALUES,
    after,
    check_images,
    expect,
    graph_function,
    make_image_signatures,
    map_batches,
)
from keras_vaegan.systems.portable import PortableGraph, read_pictures
from keras_vaegan.systems.system import Exportable
from keras_vaegan.weights.names import GENERATOR_FILES

DIRECTIONS = {"mri2ct": "MRI to CT", "ct2mri": "CT to MRI"}


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
        self.translator, self.data = translator, translator.data
        self.weights = [variable.value for variable in translator.generator.variables]
        # Without a latent the batches are free: of one, since instance normalisation is quickest
        # where the graph knows the count.
        self.batch_size = translator.batch_size if translator.latent else 1
        unit = tf.TensorSpec(IMAGES, tf.float32)
        # One trace each for all types of images.
        self._translate_traced = graph_function(self._translate_unit, [unit])
        self.translate = graph_function(self._translate)
        if translator.latent:
            samples = tf.TensorSpec((), tf.int32)
            self._sample_traced = graph_function(self._sample_unit, [unit, samples])
            self.translate_with_uncertainty = graph_function(self._translate_with_uncertainty)

    def make_signatures(self) -> dict:
        """One concrete function per name and type; plain names are float32's."""
        signatures = make_image_signatures("translate", self.translate)
        if hasattr(self, "translate_with_uncertainty"):
            samples = tf.TensorSpec((), tf.int32, "samples")
            name = "translate_with_uncertainty"
            signatures |= make_image_signatures(name, getattr(self, name), samples=samples)
        return {**signatures, "serving_default": signatures["translate"]}

    def _translate(self, images):
        """(N, H, W, C) -> {"translation"}: the same shape and type, by the latent's mean."""
        images = check_images(images, SMALLEST_SIDE)
        unit, limits = images_to_unit(images)
        generated = self._translate_traced(unit)
        return {"translation": unit_to_images(generated, limits, images.dtype.name)}

    def _translate_with_uncertainty(self, images, samples):
        """(N, H, W, C), () -> {"mean", "standard_deviation"} of latent samples.

        The mean has the images' shape and type, the deviation is (N, H, W, 1) float32 on the
        [0, 1] scale.
        """
        images = check_images(images, SMALLEST_SIDE)
        check = expect(samples >= 2, "samples: expected at least 2; got", samples)
        samples = after([check], samples)
        unit, limits = images_to_unit(images)
        mean, deviation = self._sample_traced(unit, samples)
        mean = unit_to_images(mean, limits, images.dtype.name)
        return {"mean": mean, "standard_deviation": deviation}

    def _translate_unit(self, unit):
        """(N, H, W, C) in [0, 1] -> the same, translated."""
        squares, placement = place_images(unit, self.data)
        generated = self._run_batches(self.translator.run, squares)
        return match_channels(placement.restore(generated), tf.shape(unit)[3])

    def _sample_unit(self, unit, samples):
        """(N, H, W, C) in [0, 1] -> mean of the samples, and their deviation (N, H, W, 1)."""
        squares, placement = place_images(unit, self.data)
        translator, latent = self.translator, self.translator.latent
        assert latent is not None
        shape = latent.encoder.outputs[0].shape[1:]

        def draw(seed):
            return draw_standard_normal(shape, seed)

        numbers = tf.range(samples)
        seeds = tf.stack([tf.zeros_like(numbers), numbers], axis=-1)
        noise = tf.map_fn(draw, seeds, fn_output_signature=tf.TensorSpec(shape, tf.float32))

        def summarise(square):
            encoded = translator.encode(square[None])
            generated = self._run_batches(lambda part: translator.decode(encoded, part), noise)
            deviation = tf.reduce_mean(tf.math.reduce_std(generated, axis=0), -1, keepdims=True)
            return tf.concat([tf.reduce_mean(generated, axis=0), deviation], axis=-1)

        channels = self.translator.generator.output_shape[-1]
        both = tf.map_fn(
            summarise,
            squares,
            fn_output_signature=tf.TensorSpec((*squares.shape[1:3], channels + 1), tf.float32),
            parallel_iterations=1,
        )
        mean = match_channels(placement.restore(both[..., :-1]), tf.shape(unit)[3])
        return mean, placement.restore(both[..., -1:])

    def _run_batches(self, run, inputs):
        """Squares of whatever `run` makes them from, `batch_size` at a time."""
        side = self.data.image_size
        shape = (side, side, self.translator.generator.output_shape[-1])
        return map_batches(run, inputs, self.batch_size, shape)


def make_whole(translator: Translator) -> PortableGraph:
    """Any images in, their translations out, all squares in one pass."""
    data = translator.data

    def translate(images):
        squares, placement = place_images(images, data)
        generated = placement.restore(translator.run(squares))
        return match_channels(generated, ops.shape(images)[3])

    return PortableGraph(
        "translate",
        translate,
        {"images": ("images", "height", "width", "channels")},
        "translation",
        (0.0, 1.0),
        "Images of 1 or 3 channels (RGB) in [0, 1], larger is brighter: 8 and 16-bit values are to "
        f"be divided by 255 and 65535; at least {SMALLEST_SIDE} pixels a side. The images of a "
        "batch share a size, each is aligned by itself. The result has their shape and range.",
        lambda folder, count: [
            {"images": image[None]} for image in _read_images(translator, folder, count)
        ],
    )


def make_square(translator: Translator) -> PortableGraph:
    """The generator alone, in its own value range."""
    data, generator = translator.data, translator.generator
    side, (low, high) = data.image_size, VALUE_RANGES[data.value_range]

    def read_squares(folder: Path | None, count: int) -> list[dict[str, np.ndarray]]:
        images = _read_images(translator, folder, count)
        squares = [call_compiled(place_images, image[None], data=data)[0] for image in images]
        return [{"images": square * (high - low) + low} for square in squares]

    return PortableGraph(
        "generator",
        partial(generator, training=False),
        {"images": (1, side, side, data.channels)},
        "generated",
        (low, high),
        "The network alone: a prepared square in, a square out, both in its own value range.",
        read_squares,
        describe_preparation(data, generator.output_shape[-1]),
    )


def _read_images(translator: Translator, folder: Path | None, count: int) -> list[np.ndarray]:
    """Images of the generator's source; drawn ones have odd sides that differ."""
    shape = (translator.data.image_size + 7, translator.data.image_size - 3)
    modality = "ct" if translator.direction == "ct2mri" else "mri"
    return read_pictures(folder, count, shape, modality)


def open_translation(network: Network) -> Exportable:
    """A CycleGAN generator, or a full model of other code, as a graph: `System.open_export`."""
    translator, file = Translator.from_network(network), network.file
    data = translator.data
    roles = {name: DIRECTIONS[direction] for direction, name in GENERATOR_FILES.items()}
    way = roles.get(file.name, "one modality to another")
    placed = {
        ("pad", "none"): "the whole frame on a centred black square",
        ("stretch", "none"): "the whole frame, stretched to a square",
    }.get((data.resize, data.align), "the square around the head, found by its intensities")
    if data.surroundings == "black":
        placed += ", with what lies apart from the head painted black,"
    channels = (
        "Of colour images the luma is taken"
        if data.channels == 1
        else "Of gray images a copy per channel is taken"
    )
    return Exportable(
        file,
        TranslationModule(translator),
        (make_whole(translator),),
        make_square(translator),
        f"Translation of brain slices, {way}",
        f"Translates two-dimensional brain slices, {way}, at the input's own size and type.",
        f"{channels}; {placed} is brought to {data.image_size} x {data.image_size} pixels "
        f"and to the network's {list(VALUE_RANGES[data.value_range])}. The result takes the way "
        "back and is clipped to the input's range; outside the square it is black. Values are "
        "relative brightness, not Hounsfield units.",
        (
            "A translated image shows what the network expects to see. It can leave out or "
            "invent a lesion.",
            "Trained on unpaired images: no pixel of a result was ever compared with the truth "
            "of the same patient.",
        ),
        network.config,
        TYPED_VALUES,
    )
