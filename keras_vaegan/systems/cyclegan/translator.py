"""Translate images of any size and bit depth with a trained generator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
from keras import ops

from keras_vaegan.config.base import VALUE_RANGES
from keras_vaegan.config.data import DataConfig
from keras_vaegan.data.folders import SMALLEST_SIDE
from keras_vaegan.data.image import find_limits
from keras_vaegan.data.preparation import Placement, find_room, prepare_images, restore_images
from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.error_map import ErrorMap, describe_pixels
from keras_vaegan.interop.keras_h5.load import Network, check_generator, load_network
from keras_vaegan.kernels import call_compiled, compile_function
from keras_vaegan.kernels.random import draw_standard_normal
from keras_vaegan.models.latent import find_latent_model
from keras_vaegan.models.layers import reparameterize
from keras_vaegan.progress import show_progress
from keras_vaegan.systems.cyclegan.system import CycleGANSystem
from keras_vaegan.weights.names import GENERATOR_FILES, find_weight_file

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
        direction: "mri2ct" or "ct2mri", where it is known.
        error_map: What tells the deviation of its errors, as `read_calibration` gives it; without
            it, its samples' does.

    Examples:
        >>> import numpy as np
        >>> import keras_vaegan as kv
        >>> model = kv.build_resnet_generator(image_size=32, channels=1, filters=(4, 8))
        >>> translator = kv.Translator(model)
        >>> mri = np.zeros((40, 50), "uint8")
        >>> ct, deviation = translator.translate(mri)
        >>> ct.shape, ct.dtype.name
        ((40, 50), 'uint8')
    """

    def __init__(
        self,
        generator: keras.Model,
        data: DataConfig | None = None,
        batch_size: int = 8,
        direction: str | None = None,
        error_map: ErrorMap | None = None,
    ) -> None:
        _, size, _, channels = generator.input_shape
        self.generator, self.latent = generator, find_latent_model(generator)
        self.data = data or DataConfig(image_size=size, channels=channels)
        self.batch_size, self.direction, self.error_map = batch_size, direction, error_map
        self._run = compile_function(self.run)
        self._encode = compile_function(self.encode)
        self._decode = compile_function(self.decode)

    @classmethod
    def load(cls, path: str | Path, direction: str | None = None) -> Translator:
        """Load from a run folder, a folder of published names, or a bare `.h5` file.

        Args:
            path: Run folder or weight file.
            direction: "mri2ct" or "ct2mri"; needed for a folder. A published file name tells its
                own.

        Raises:
            InputError: no weights there, or they tell no architecture.
        """
        return cls.from_network(load_network(find_weight_file(path, direction)), direction)

    @classmethod
    def from_network(cls, network: Network, direction: str | None = None) -> Translator:
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
        told = {name: role for role, name in GENERATOR_FILES.items()}
        return cls(network.model, data, direction=told.get(network.file.name, direction))

    def run(self, squares: Any) -> Any:
        """Pass squares through the network by the latent's mean, in `keras.ops`.

        Args:
            squares: (N, S, S, C) float32 in [0, 1].

        Returns:
            (N, S, S, C) float32 in [0, 1].
        """
        made = self._to_unit(self.generator(self._to_range(squares), training=False))
        return made * find_room(squares, self.data)

    def encode(self, squares: Any) -> tuple:
        """Squares (N, S, S, C) in [0, 1] -> their latent, skips and room, for `decode`."""
        assert self.latent is not None
        return *self.latent.encode(self._to_range(squares)), find_room(squares, self.data)

    def decode(self, encoded: tuple, noise: Any) -> Any:
        """Draw translations, in `keras.ops`.

        Args:
            encoded: Of `encode`, for N images.
            noise: (N, ...) standard normal, one drawing an image; (1, ...) is shared by all, and
                (K, ...) of one image gives K drawings.

        Returns:
            (N or K, S, S, C) float32 in [0, 1].
        """
        assert self.latent is not None
        z_mean, z_log_var, skips, room = encoded
        z = reparameterize(z_mean, z_log_var, noise)
        count = ops.shape(z)[0]
        skips = [ops.broadcast_to(skip, (count, *ops.shape(skip)[1:])) for skip in skips]
        return self._to_unit(self.latent.decode(z, skips)) * room

    def draw_noise(self, samples: int, seed: int = 0) -> np.ndarray:
        """(samples, ...) float32 for `decode`; equal seeds give equal noise."""
        assert self.latent is not None
        shape = self.latent.encoder.outputs[0].shape[1:]
        draws = [draw_standard_normal(shape, (seed, number)) for number in range(samples)]
        return np.stack([ops.convert_to_numpy(noise) for noise in draws])

    def translate_batch(self, images: np.ndarray, progress: str | None = None) -> np.ndarray:
        """Translate prepared images by the latent's mean.

        Args:
            images: (N, S, S, C) float32 in [0, 1].
            progress: Show, under this name, how far it is.

        Returns:
            (N, S, S, C) float32 in [0, 1].
        """
        parts = self._split(images)
        return np.concatenate([
            ops.convert_to_numpy(self._run(ops.convert_to_tensor(part)))
            for part in (show_progress(parts, progress) if progress else parts)
        ])  # fmt: skip

    def draw_batch(self, images: np.ndarray, samples: int, seed: int = 0) -> Iterator[np.ndarray]:
        """Translate prepared images by drawn latents; every image has the same noise.

        Each image is encoded once.

        Args:
            images: (N, S, S, C) float32 in [0, 1].
            samples: Latents to draw.
            seed: Of the noise.

        Yields:
            `samples` times (N, S, S, C) float32 in [0, 1].
        """
        encoded = [self._encode(ops.convert_to_tensor(part)) for part in self._split(images)]
        for noise in self.draw_noise(samples, seed)[:, None]:
            drawn = [self._decode(part, ops.convert_to_tensor(noise)) for part in encoded]
            yield np.concatenate([ops.convert_to_numpy(part) for part in drawn])

    def draw_one(self, image: np.ndarray, samples: int, seed: int = 0) -> np.ndarray:
        """`draw_batch` of one image (1, S, S, C), several drawings a pass: (samples, S, S, C).

        Without samples, once by the latent's mean: (1, S, S, C).
        """
        if not samples:
            return self.translate_batch(image)
        encoded = self._encode(ops.convert_to_tensor(image))
        noise = self._split(self.draw_noise(samples, seed))
        drawn = [self._decode(encoded, ops.convert_to_tensor(part)) for part in noise]
        return np.concatenate([ops.convert_to_numpy(part) for part in drawn])

    def tell_deviation(self, inputs: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> Any:
        """The standard deviation to expect of translations' errors.

        Args:
            inputs: (N, S, S, C) squares in [0, 1].
            mean: (N, S, S, C), or (S, S, C) of one: the samples' mean, or the translation.
            spread: Of the same shape: the samples' deviation, 0 without samples.

        Returns:
            (N, S, S, 1) float32: the error map's where there is one, else the samples'.
        """
        gray = (part.reshape(inputs.shape[:3] + (-1,)).mean(axis=-1) for part in (mean, spread))
        mean, spread = gray
        if self.error_map is not None:
            told = describe_pixels(inputs.mean(axis=-1), mean, spread)
            spread = self.error_map.predict(told)
        return spread[..., None]

    def _split(self, arrays: np.ndarray) -> list[np.ndarray]:
        """Batches of what the network sees in one pass."""
        size = self.batch_size
        return [arrays[start : start + size] for start in range(0, len(arrays), size)]

    def _to_range(self, unit: Any) -> Any:
        """[0, 1] -> the network's value range."""
        low, high = VALUE_RANGES[self.data.value_range]
        return unit * (high - low) + low

    def _to_unit(self, outputs: Any) -> Any:
        """The network's value range -> [0, 1], clipped."""
        low, high = VALUE_RANGES[self.data.value_range]
        return ops.clip((ops.cast(outputs, "float32") - low) / (high - low), 0.0, 1.0)

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
        inspect: Callable[[np.ndarray], None] | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Translate one image of any size.

        Args:
            image: (H, W), (H, W, 1) or (H, W, 3), uint8, uint16 or float32 (mapped by its own
                range).
            samples: Draw this many latents; 0 takes the latent's mean once.
            enhancer: Enlarges the network's own result before it returns to the image's frame,
                which becomes `enhancer.scale` times as large.
            resize_back: Keep the image's frame at its size all the same.
            inspect: Called with the network's input square, (1, S, S, C) float32 in [0, 1].

        Returns:
            (translation, deviation): the translation, or the samples' mean, with the input's
            shape (times the scale) and dtype, and the samples' standard deviation as (H, W)
            float32 on the [0, 1] scale, never enlarged (None without samples and error map).

        Raises:
            InputError: no image, one smaller than 16 pixels a side, or not finite; or samples of
                a network without a latent.
        """
        self.check_samples(samples)
        batch = _as_batch(image)
        squares, placement, limits = call_compiled(prepare_images, batch, data=self.data)
        if inspect is not None:
            inspect(squares)
        outputs = self.draw_one(squares, samples) if samples else self.translate_batch(squares)
        mean, frame = outputs.mean(axis=0, keepdims=True), placement
        if enhancer is not None:
            mean = enhancer.enhance_unit(mean)
            frame = placement if resize_back else placement.enlarge(enhancer.scale)
        channels, dtype = batch.shape[-1], batch.dtype.name
        generated = call_compiled(restore_images, mean, frame, limits, channels, dtype=dtype)[0]
        translation = generated.reshape(*generated.shape[:2], *image.shape[2:])
        if not samples and self.error_map is None:
            return translation, None
        deviation = self.tell_deviation(squares, outputs.mean(axis=0), outputs.std(axis=0))
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
