"""A translator as a TensorFlow module: any image in, the same size and type out."""

from __future__ import annotations

import tensorflow as tf

from keras_vaegan.config.base import VALUE_RANGES
from keras_vaegan.data.folders import SMALLEST_SIDE
from keras_vaegan.data.preparation import (
    images_to_unit,
    match_channels,
    place_images,
    unit_to_images,
)
from keras_vaegan.interop.keras_h5.load import Network
from keras_vaegan.kernels.random import draw_standard_normal
from keras_vaegan.systems.cyclegan.translator import Translator
from keras_vaegan.systems.graph import (
    IMAGES,
    MAPPED,
    after,
    check_images,
    expect,
    graph_function,
    make_image_signatures,
    map_batches,
)
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
    channels = (
        "Of colour images the luma is taken"
        if data.channels == 1
        else "Of gray images a copy per channel is taken"
    )
    return Exportable(
        file,
        TranslationModule(translator),
        f"Translation of brain slices, {way}",
        f"Translates two-dimensional brain slices, {way}, at the input's own size and type.",
        f"{MAPPED} {channels}; {placed} is brought to {data.image_size} x {data.image_size} pixels "
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
    )
