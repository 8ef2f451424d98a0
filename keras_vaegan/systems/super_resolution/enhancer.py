"""Enlarge or restore images of any size with an RRDBNet, in memory bounded by a tile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_vaegan.data.image import find_limits, image_to_unit, unit_to_image
from keras_vaegan.errors import InputError
from keras_vaegan.interop.keras_h5.load import Network, load_network
from keras_vaegan.systems.super_resolution.system import SuperResolutionSystem
from keras_vaegan.systems.super_resolution.tiles import GRAIN, make_fade, plan_tiles, run_channels
from keras_vaegan.weights.names import RRDBNET_FILE, find_weight_file

SMALLEST_TILE = 32
DEFAULT_TILE = 256
DEFAULT_OVERLAP = 32


class Enhancer:
    """An RRDBNet with tiling, channels and bit depths.

    A tile is a square of the image with `overlap` pixels of its neighbours on every side. The
    outer part of them is dropped, where the network saw a border that is none; the rest fades
    into the neighbour by a smooth window. Tiles of a row are joined in a band, and bands are
    written out as they are finished.

    Args:
        model: (N, h, w, C) in [0, 1] -> (N, h * scale, w * scale, C), C of 1 or 3.
        scale: Output pixels per input pixel along an axis.
        tile: Side of a tile in input pixels, its overlap included; 0 for the whole image at once.
        overlap: Pixels that a tile shares with its neighbour on every side.

    Raises:
        InputError: a tile that is no multiple of 4, or too small for its overlap.
    """

    def __init__(
        self,
        model: keras.Model,
        scale: int,
        tile: int = DEFAULT_TILE,
        overlap: int = DEFAULT_OVERLAP,
    ) -> None:
        self.model, self.scale = model, scale
        self.tile, self.overlap = tile, overlap
        self.channels = model.input_shape[-1]
        if overlap < 0 or overlap % GRAIN:
            raise InputError(f"overlap {overlap}: expected a multiple of {GRAIN}, 0 or more")
        if tile and (tile < SMALLEST_TILE or tile % GRAIN or tile < 8 * overlap):
            raise InputError(
                f"tile {tile}: expected 0 for the whole image, or a multiple of {GRAIN} of at "
                f"least {max(SMALLEST_TILE, 8 * overlap)} (8 times the overlap)"
            )

    @classmethod
    def load(
        cls, path: str | Path, tile: int = DEFAULT_TILE, overlap: int | None = None
    ) -> Enhancer:
        """Load from an RRDBNet's weight file, or a run folder of `train --preset rrdbnet_x4`.

        Args:
            path: `.h5` file (of `train` or `convert esrgan`) or run folder.
            tile, overlap: As the class's; by default the overlap is an eighth of the tile, at most.

        Raises:
            InputError: no such file, or no RRDBNet of 1 or 3 channels in it.
        """
        network = load_network(find_weight_file(path, name=RRDBNET_FILE))
        return cls.from_network(network, tile, overlap)

    @classmethod
    def from_network(
        cls, network: Network, tile: int = DEFAULT_TILE, overlap: int | None = None
    ) -> Enhancer:
        """Take a network as its weight file tells it; otherwise as `load`."""
        SuperResolutionSystem.check_network(network)
        config: Any = network.config
        if config.channels not in (1, 3) or config.generated_channels != config.channels:
            raise InputError(
                f"{network.file} reads {config.channels} channels and gives "
                f"{config.generated_channels}: expected 1 or 3, as many in as out"
            )
        if overlap is None:
            overlap = min(DEFAULT_OVERLAP, tile // 8 // GRAIN * GRAIN) if tile else 0
        return cls(network.model, config.scale, tile, overlap)

    def enhance(
        self,
        image: np.ndarray,
        resize_back: bool = False,
        limits: tuple[float, float] | None = None,
    ) -> np.ndarray:
        """Enlarge one image; its channels pass the network as in `run_channels`.

        Args:
            image: (H, W) or (H, W, 3), uint8, uint16 or float32 (mapped by its own range).
            resize_back: Average the enlargement down to the image's own size.
            limits: Values that the network shall see as 0 and 1, beyond which is clipped; by
                default those of the image's type, or of a float image itself.

        Returns:
            (H * scale, W * scale[, 3]), or the image's own shape, in its dtype.

        Raises:
            InputError: an empty image, or one that is not finite.
        """
        if image.size == 0:
            raise InputError(f"image of shape {image.shape}: expected at least one pixel")
        factor = 1 if resize_back else self.scale
        shape = (image.shape[0] * factor, image.shape[1] * factor, *image.shape[2:])
        result = np.empty(shape, image.dtype)
        limits = limits or find_limits(image)
        for top, band in self._enhance_bands(image, limits):
            if resize_back and self.scale > 1:
                band = _average_blocks(band, self.scale)
                top //= self.scale
            band = band if image.ndim == 3 else band[..., 0]
            result[top : top + len(band)] = unit_to_image(band, image.dtype, limits)
        return result

    def enhance_unit(self, images: np.ndarray) -> np.ndarray:
        """Enlarge a batch of equal, small images whole.

        Args:
            images: (N, H, W, C) float32 in [0, 1], C of 1 or 3.

        Returns:
            (N, H * scale, W * scale, C) float32 in [0, 1].
        """
        images = np.clip(images.astype("float32"), 0, 1)

        def run(batch):
            return self.model.predict_on_batch(keras.ops.convert_to_numpy(batch))

        return keras.ops.convert_to_numpy(run_channels(run, images, self.channels))

    def enhance_same_size(self, images: np.ndarray) -> np.ndarray:
        """Enlarge a batch of equal images one by one and average them back to their size.

        Args and result as `enhance_unit`'s, the shape unchanged.
        """
        return np.concatenate([
            _average_blocks(self.enhance_unit(image[None])[0], self.scale)[None]
            for image in images
        ])  # fmt: skip

    def _enhance_bands(self, image: np.ndarray, limits) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (first row, finished rows (h, W * scale, C) float32 in [0, 1]) from top to bottom.

        Rows come in multiples of the scale.
        """
        scale, pixels = self.scale, image.reshape(*image.shape[:2], -1)
        rows, columns = (_list_tiles(n, self.tile, self.overlap, scale) for n in image.shape[:2])
        held = np.zeros((0, image.shape[1] * scale, pixels.shape[-1]), "float32")
        first = 0  # the image row that `held` begins at
        for number, (top, bottom, weights) in enumerate(rows):
            grown = np.zeros(((bottom - first) * scale, *held.shape[1:]), "float32")
            grown[: len(held)] = held
            held = grown
            for left, right, side_weights in columns:
                patch = image_to_unit(pixels[top:bottom, left:right], limits)
                enhanced = self._enhance_patch(patch) * weights[:, None, None]
                enhanced *= side_weights[None, :, None]
                held[(top - first) * scale :, left * scale : right * scale] += enhanced
            done = rows[number + 1][0] if number + 1 < len(rows) else bottom
            yield first * scale, held[: (done - first) * scale]
            held, first = held[(done - first) * scale :], done

    def _enhance_patch(self, patch: np.ndarray) -> np.ndarray:
        """(h, w, C) -> (h * scale, w * scale, C); patches below 4 pixels are mirrored first."""
        height, width = patch.shape[:2]
        lacks = [(0, max(0, GRAIN - side)) for side in (height, width)]
        patch = np.pad(patch, (*lacks, (0, 0)), mode="symmetric")
        enhanced = self.enhance_unit(patch[None])[0]
        return enhanced[: height * self.scale, : width * self.scale]


def _list_tiles(
    length: int, tile: int, overlap: int, scale: int
) -> list[tuple[int, int, np.ndarray]]:
    """(start, stop, weights in output pixels) of an axis' tiles."""
    plan = keras.ops.convert_to_numpy(plan_tiles(length, tile, overlap)).tolist()
    return [(*row[:2], keras.ops.convert_to_numpy(make_fade(row, scale))) for row in plan]


def _average_blocks(band: np.ndarray, scale: int) -> np.ndarray:
    """(h * scale, w * scale, C) -> (h, w, C) by the mean of scale x scale pixels."""
    height, width, channels = band.shape
    blocks = band.reshape(height // scale, scale, width // scale, scale, channels)
    return blocks.mean(axis=(1, 3))
