"""Translate images of any size and bit depth with a trained generator."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
from keras import ops

from keras_vaegan.config.base import VALUE_RANGES
from keras_vaegan.config.data import DataConfig
from keras_vaegan.data.folders import SMALLEST_SIDE
from keras_vaegan.data.image import find_limits
from keras_vaegan.data.preparation import Placement, prepare_images, restore_images
from keras_vaegan.errors import InputError
from keras_vaegan.interop.keras_h5.load import Network, check_generator, load_network
from keras_vaegan.kernels import call_compiled, compile_function
from keras_vaegan.models.latent import find_latent_model
from keras_vaegan.systems.cyclegan.system import CycleGANSystem
from keras_vaegan.weights.names import find_weight_file

DEFAULT_SIDE = 256


class SupportsEnlarging(Protocol):
    """What the translator asks of a super-resolution, as its `Enhancer` offers it."""

    scale: int

    def enhance_unit(self, images: np.ndarray) -> np.ndarray:
        """(N, H, W, C) float32 in [0, 1] -> the same, `scale` times as large along each axis."""


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
        self.generator, self.latent = generator, find_latent_model(generator)
        self.data = data or DataConfig(image_size=size, channels=channels)
        self.batch_size = batch_size
        self._run = compile_function(self.run)
        self._drawn = 0

    @classmethod
    def load(cls, path: str | Path, direction: str | None = None) -> Translator:
        """Load from a run folder, a folder of published names, or a bare `.h5` file.

        Args:
            path: Run folder or weight file.
            direction: "mri2ct" or "ct2mri"; needed for a folder.

        Raises:
            InputError: no weights there, or they tell no architecture.
        """
        return cls.from_network(load_network(find_weight_file(path, direction)))

    @classmethod
    def from_network(cls, network: Network) -> Translator:
        """Take a network as its weight file tells it; a full model of other code translates too.

        Raises:
            InputError: no generator of images.
        """
        check_generator(network)
        if network.config is not None:
            CycleGANSystem.check_network(network)
        data = network.data
        if not isinstance(data, DataConfig):
            data = _assume_data(network.model, network.config)
        return cls(network.model, data)

    def run(self, squares: Any, seed: Any = None) -> Any:
        """Pass squares through the network, in `keras.ops`.

        Args:
            squares: (N, S, S, C) float32 in [0, 1].
            seed: (2,) integers to draw the latent by; None takes its mean.

        Returns:
            (N, S, S, C) float32 in [0, 1].
        """
        low, high = VALUE_RANGES[self.data.value_range]
        inputs = squares * (high - low) + low
        if seed is None:
            outputs = self.generator(inputs, training=False)
        else:
            assert self.latent is not None
            outputs = self.latent.sample(inputs, seed)
        return ops.clip((ops.cast(outputs, "float32") - low) / (high - low), 0.0, 1.0)

    def translate_batch(self, images: np.ndarray, sample: bool = False) -> np.ndarray:
        """Translate prepared images.

        Args:
            images: (N, S, S, C) float32 in [0, 1].
            sample: Draw the latent instead of taking its mean; each pass draws anew.

        Returns:
            (N, S, S, C) float32 in [0, 1].
        """
        outputs = []
        for start in range(0, len(images), self.batch_size):
            batch = ops.convert_to_tensor(images[start : start + self.batch_size])
            seed = None
            if sample:
                seed = ops.convert_to_tensor(np.array([0, self._drawn], "int64"))
                self._drawn += 1
            outputs.append(ops.convert_to_numpy(self._run(batch, seed)))
        return np.concatenate(outputs)

    def check_samples(self, samples: int) -> None:
        """Refuse to sample a network without a latent.

        Raises:
            InputError: it has none, and samples are asked for.
        """
        if samples and self.latent is None:
            raise InputError(
                f"{samples} samples of a network without a latent: expected 0; leave --samples "
                "out, or use a network of `train --preset vae_cyclegan`"
            )

    def translate(
        self,
        image: np.ndarray,
        samples: int = 0,
        enhancer: SupportsEnlarging | None = None,
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
            InputError: no image, one smaller than 16 pixels a side, or not finite; or samples of
                a network without a latent.
        """
        self.check_samples(samples)
        batch = _as_batch(image)
        squares, placement, limits = call_compiled(prepare_images, batch, data=self.data)
        squares = np.repeat(squares, max(1, samples), axis=0)
        outputs = self.translate_batch(squares, sample=samples > 0)
        mean, frame = outputs.mean(axis=0, keepdims=True), placement
        if enhancer is not None:
            mean = enhancer.enhance_unit(mean)
            frame = placement if resize_back else placement.enlarge(enhancer.scale)
        channels, dtype = batch.shape[-1], batch.dtype.name
        generated = call_compiled(restore_images, mean, frame, limits, channels, dtype=dtype)[0]
        translation = generated.reshape(*generated.shape[:2], *image.shape[2:])
        if not samples:
            return translation, None
        deviation = outputs.std(axis=0).mean(axis=-1)[None, ..., None]
        return translation, call_compiled(Placement.restore, placement, deviation)[0, ..., 0]


def _as_batch(image: np.ndarray) -> np.ndarray:
    """One image as (1, H, W, 1 or 3), uint8, uint16 or float32."""
    shape = getattr(image, "shape", None)
    if shape is None or len(shape) not in (2, 3) or (*shape, 1)[2] not in (1, 3):
        raise InputError(
            f"{type(image).__name__} of shape {shape}: expected the array of one image, (H, W) "
            "or (H, W, 3); read files by keras_vaegan.data.image.read_image"
        )
    if min(shape[:2]) < SMALLEST_SIDE:
        raise InputError(
            f"image of {shape[0]}x{shape[1]} pixels: expected at least {SMALLEST_SIDE} a side; "
            "use a larger one"
        )
    find_limits(image)  # refuses NaN
    image = image.astype("float32") if image.dtype.kind == "f" else image
    return image.reshape(1, *shape[:2], -1)


def _assume_data(model: keras.Model, config: Any) -> DataConfig:
    """Plain padding in the network's own size and range, where a file tells no preparation."""
    _, height, width, channels = model.input_shape
    if height != width or channels not in (1, 3) or model.output_shape[-1] not in (1, 3):
        raise InputError(
            f"a model {model.input_shape} -> {model.output_shape}: expected square images of 1 "
            "or 3 channels; call the model that load_generator gives yourself"
        )
    last = getattr(model.layers[-1], "activation", None)
    told: Any = "sigmoid" if last is keras.activations.sigmoid else "tanh"
    value_range = config.output_activation if config else told
    return DataConfig(image_size=height or DEFAULT_SIDE, channels=channels, value_range=value_range)
