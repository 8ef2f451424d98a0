"""Translate images of any size and bit depth with a trained generator."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from keras_vaegan.config.data import DataConfig
from keras_vaegan.config.networks import (
    ModalityUNetConfig,
    ResnetGeneratorConfig,
    RRDBNetConfig,
    VAEUNetConfig,
)
from keras_vaegan.data.alignment import place_image
from keras_vaegan.data.folders import SMALLEST_SIDE
from keras_vaegan.data.image import image_to_unit, to_channels, unit_to_image
from keras_vaegan.errors import InputError
from keras_vaegan.interop.keras_h5.load import check_generator, load_network
from keras_vaegan.models.running import run_generator
from keras_vaegan.systems.super_resolution.enhancer import Enhancer
from keras_vaegan.weights.names import find_weight_file

DEFAULT_SIDE = 256


class Translator:
    """A generator with the preparation of its images and its inverse.

    Args:
        generator: Model (N, S, S, C) -> (N, S, S, C) in `data`'s value range.
        data: How images are prepared; by default plain padding to the model's own size.
        batch_size: Images per forward pass.
    """

    def __init__(
        self, generator: keras.Model, data: DataConfig | None = None, batch_size: int = 8
    ) -> None:
        _, size, _, channels = generator.input_shape
        self.generator = generator
        # Shares the layers; compiled, it takes a quarter of the processor time of plain calls.
        self._compiled = keras.Model(generator.inputs, generator.outputs[0])
        self._compiled.compile(jit_compile=False)
        self.data = data or DataConfig(image_size=size, channels=channels)
        self.batch_size = batch_size

    @classmethod
    def load(cls, path: str | Path, direction: str | None = None, batch_size: int = 8):
        """Load from a run folder, a folder of published names, or a bare `.h5` file.

        Args:
            path: Run folder or weight file.
            direction: "mri2ct" or "ct2mri"; needed for a folder.

        Raises:
            InputError: no weights there, or they tell no architecture.
        """
        network = check_generator(load_network(find_weight_file(path, direction)))
        model, config = network.model, network.config
        if isinstance(config, RRDBNetConfig):
            raise InputError(
                f"{path} enlarges images: expected a generator; use the enhance command, or give "
                "it as --enhance"
            )
        if isinstance(config, ModalityUNetConfig):
            raise InputError(
                f"{path} makes MRI contrasts of volumes: expected a generator of images; use the "
                "synthesize command"
            )
        data = network.data or _assume_data(model, config)
        return cls(model, data, batch_size)

    def translate_batch(self, images: np.ndarray, sample: bool = False) -> np.ndarray:
        """Translate prepared images.

        Args:
            images: (N, S, S, C) float32 in [0, 1].
            sample: Draw the latent instead of taking its mean.

        Returns:
            (N, S, S, C) float32 in [0, 1].
        """
        forward = self.generator if sample else self._predict
        return run_generator(forward, images, self.data.value_range, self.batch_size, sample)

    def _predict(self, images, training: bool):
        """The latent's mean, by the compiled model."""
        return self._compiled.predict_on_batch(images)

    def translate(
        self,
        image: np.ndarray,
        samples: int = 0,
        enhancer: Enhancer | None = None,
        resize_back: bool = False,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Translate one image of any size.

        Args:
            image: (H, W), (H, W, 1) or (H, W, 3), uint8, uint16 or float32 (mapped by its own
                range).
            samples: Draw this many latents; 0 takes the latent's mean once.
            enhancer: Enlarges the network's own result before it returns to the image's frame,
                which becomes `enhancer.scale` times as large.
            resize_back: Keep the image's frame at its size all the same.

        Returns:
            (translation, deviation): the translation, or the samples' mean, with the input's
            shape (times the scale) and dtype, and the samples' standard deviation as (H, W)
            float32 on the [0, 1] scale (None without samples), never enlarged.

        Raises:
            InputError: no image, one smaller than 16 pixels a side, or not finite.
        """
        shape = getattr(image, "shape", None)
        if shape is None or len(shape) not in (2, 3) or (len(shape) == 3 and shape[-1] > 4):
            raise InputError(
                f"{type(image).__name__} of shape {shape}: expected the array of one image, (H, W) "
                "or (H, W, 3); read files by keras_vaegan.data.image.read_image"
            )
        if len(shape) == 3 and shape[-1] == 1:
            made, deviation = self.translate(image[..., 0], samples, enhancer, resize_back)
            return made[..., None], deviation
        if min(image.shape[:2]) < SMALLEST_SIDE:
            raise InputError(
                f"image of {image.shape[0]}x{image.shape[1]} pixels: expected at least "
                f"{SMALLEST_SIDE} a side; use a larger one"
            )
        square, placement, unit_range = self._prepare(image)
        batch = np.repeat(square[None], max(1, samples), axis=0)
        outputs = self.translate_batch(batch, sample=samples > 0)
        mean, frame = outputs.mean(axis=0), placement
        if enhancer is not None:
            mean = enhancer.enhance_unit(mean[None])[0]
            frame = placement if resize_back else placement.enlarge(enhancer.scale)
        translation = self._restore(mean, frame, image, unit_range)
        if not samples:
            return translation, None
        deviation = outputs.std(axis=0).mean(axis=-1)
        return translation, placement.restore(deviation.astype("float32"))

    def _prepare(self, image: np.ndarray):
        """Any image -> (S, S, C) float32 in [0, 1], how it was placed, and its own range."""
        unit_range = (0.0, 1.0)
        unit = image_to_unit(image)
        if image.dtype.kind == "f":
            unit_range = (float(image.min()), float(image.max()))
            unit = (image - unit_range[0]) / max(unit_range[1] - unit_range[0], 1e-12)
        unit = to_channels(unit.astype("float32"), self.data.channels)
        square, placement = place_image(
            unit, self.data.image_size, self.data.resize, self.data.align
        )
        square = np.clip(square.reshape(*square.shape[:2], self.data.channels), 0, 1)
        return square, placement, unit_range

    def _restore(self, square: np.ndarray, placement, image: np.ndarray, unit_range):
        """(S, S, C) in [0, 1] -> the original frame, channels and dtype."""
        restored = placement.restore(square)
        if restored.ndim == 3 and image.ndim == 2:
            restored = restored.mean(axis=-1)
        elif image.ndim == 3:
            restored = to_channels(restored, 3)
        restored = np.clip(restored, 0, 1)
        if image.dtype.kind == "f":
            return (restored * (unit_range[1] - unit_range[0]) + unit_range[0]).astype("float32")
        return unit_to_image(restored, image.dtype)


def _assume_data(
    model: keras.Model, config: VAEUNetConfig | ResnetGeneratorConfig | None
) -> DataConfig:
    """Plain padding in the network's own size and range, where a file tells no preparation."""
    _, height, width, channels = model.input_shape
    if height != width or channels not in (1, 3) or model.output_shape[-1] not in (1, 3):
        raise InputError(
            f"a model {model.input_shape} -> {model.output_shape}: expected square images of 1 "
            "or 3 channels; call the model that load_generator gives yourself"
        )
    activation = config.output_activation if config else _find_output_activation(model)
    return DataConfig(image_size=height or DEFAULT_SIDE, channels=channels, value_range=activation)


def _find_output_activation(model: keras.Model) -> str:
    """ "sigmoid" where a model's last layer says so, else "tanh"."""
    activation = getattr(model.layers[-1], "activation", None)
    return "sigmoid" if activation is keras.activations.sigmoid else "tanh"
