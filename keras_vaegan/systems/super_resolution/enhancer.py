"""Enlarge or restore images of any size with an RRDBNet, in memory bounded by a tile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np

from keras_vaegan.config.networks import RRDBNetConfig
from keras_vaegan.data.image import image_to_unit, unit_to_image
from keras_vaegan.errors import InputError
from keras_vaegan.interop.keras_h5.load import load_network
from keras_vaegan.weights.names import RRDBNET_FILE, find_weight_file

SMALLEST_TILE = 32
DEFAULT_TILE = 256
DEFAULT_OVERLAP = 32
GRAIN = 4  # tiles start at multiples of it, so that unshuffled blocks fall as in the whole image


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
            tile: As the class's.
            overlap: As the class's; by default at most an eighth of the tile.

        Raises:
            InputError: no such file, or no RRDBNet of 1 or 3 channels in it.
        """
        network = load_network(find_weight_file(path, name=RRDBNET_FILE))
        file, model, config = network.file, network.model, network.config
        if not isinstance(config, RRDBNetConfig):
            raise InputError(
                f"{file} holds no RRDBNet: expected a file of `train --preset rrdbnet_x4` or "
                "`convert esrgan`"
            )
        if config.channels not in (1, 3) or config.made_channels != config.channels:
            raise InputError(
                f"{file} reads {config.channels} channels and makes {config.made_channels}: "
                "expected 1 or 3, as many in as out"
            )
        if overlap is None:
            overlap = min(DEFAULT_OVERLAP, tile // 8 // GRAIN * GRAIN) if tile else 0
        return cls(model, config.scale, tile, overlap)

    def enhance(self, image: np.ndarray, resize_back: bool = False) -> np.ndarray:
        """Enlarge one image.

        A gray image passes a 3-channel network as three equal channels, whose results are
        averaged: no tint. The channels of a colour image pass a 1-channel network one by one.

        Args:
            image: (H, W) or (H, W, 3), uint8, uint16 or float32 (mapped by its own range).
            resize_back: Average the enlargement down to the image's own size.

        Returns:
            (H * scale, W * scale[, 3]), or the image's own shape, in its dtype.

        Raises:
            InputError: an empty image, or one that is not finite.
        """
        if image.size == 0:
            raise InputError(f"image of shape {image.shape}: expected at least one pixel")
        factor = 1 if resize_back else self.scale
        result = np.empty(
            (image.shape[0] * factor, image.shape[1] * factor, *image.shape[2:]), image.dtype
        )
        low, high = 0.0, 1.0
        if image.dtype.kind == "f":
            image_to_unit(image)  # refuses NaN
            low, high = float(image.min()), float(image.max())
        for top, band in self._enhance_bands(image, (low, high)):
            if resize_back and self.scale > 1:
                band = _average_blocks(band, self.scale)
                top //= self.scale
            band = band if image.ndim == 3 else band[..., 0]
            if image.dtype.kind == "f":
                band = band * max(high - low, 1e-12) + low
            result[top : top + len(band)] = unit_to_image(band, image.dtype)
        return result

    def enhance_unit(self, images: np.ndarray) -> np.ndarray:
        """Enlarge a batch of equal, small images whole.

        Args:
            images: (N, H, W, C) float32 in [0, 1], C of 1 or 3.

        Returns:
            (N, H * scale, W * scale, C) float32 in [0, 1].
        """
        count, height, width, channels = images.shape
        images = np.clip(images.astype("float32"), 0, 1)
        if channels != self.channels:
            images = np.moveaxis(images, -1, 1).reshape(-1, height, width, 1)
            images = np.repeat(images, self.channels, -1)
        made = keras.ops.convert_to_numpy(self.model.predict_on_batch(images))
        if channels != self.channels:
            made = made.mean(axis=-1).reshape(count, channels, *made.shape[1:3])
            made = np.moveaxis(made, 1, -1)
        return np.clip(made, 0, 1).astype("float32")

    def refine_unit(self, images: np.ndarray) -> np.ndarray:
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
        channels = 1 if image.ndim == 2 else image.shape[-1]
        rows, columns = (plan_tiles(n, self.tile, self.overlap) for n in image.shape[:2])
        scale = self.scale
        held = np.zeros((0, image.shape[1] * scale, channels), "float32")
        first = 0  # the image row that `held` begins at
        for number, (top, bottom, *fade) in enumerate(rows):
            grown = np.zeros(((bottom - first) * scale, *held.shape[1:]), "float32")
            grown[: len(held)] = held
            held = grown
            weights = _fade(bottom - top, *fade, scale)[:, None, None]
            for left, right, *side_fade in columns:
                patch = _cut(image, slice(top, bottom), slice(left, right), limits)
                made = self._enhance_patch(patch)
                made *= weights
                made *= _fade(right - left, *side_fade, scale)[None, :, None]
                held[(top - first) * scale :, left * scale : right * scale] += made
            done = rows[number + 1][0] if number + 1 < len(rows) else bottom
            yield first * scale, held[: (done - first) * scale]
            held, first = held[(done - first) * scale :], done

    def _enhance_patch(self, patch: np.ndarray) -> np.ndarray:
        """(h, w, C) -> (h * scale, w * scale, C); patches below 4 pixels are mirrored first."""
        height, width = patch.shape[:2]
        lacks = [(0, max(0, GRAIN - side)) for side in (height, width)]
        patch = np.pad(patch, (*lacks, (0, 0)), mode="symmetric")
        made = self.enhance_unit(patch[None])[0]
        return made[: height * self.scale, : width * self.scale]


def plan_tiles(length: int, tile: int, overlap: int) -> list[tuple[int, int, int, int]]:
    """Cut an axis into tiles of one length.

    Args:
        length: Pixels of the axis.
        tile: Side of a tile; 0 for one tile.
        overlap: Pixels shared with each neighbour beyond the common border.

    Returns:
        (start, stop, before, after) a tile; `before` and `after` are the pixels that it shares
        with its neighbours, 0 at the image's borders. Starts are multiples of 4.
    """
    if not tile or length <= tile:
        return [(0, length, 0, 0)]
    step = tile - 2 * overlap
    starts = list(range(0, length - tile, step))
    starts.append(-(-(length - tile) // GRAIN) * GRAIN)
    stops = [min(length, start + tile) for start in starts]
    shared = [stop - start for stop, start in zip(stops, starts[1:], strict=False)]
    return list(zip(starts, stops, [0, *shared], [*shared, 0], strict=True))


def _fade(length: int, before: int, after: int, scale: int) -> np.ndarray:
    """Weights of a tile along one axis in output pixels; those of neighbours add up to 1.

    Of the shared pixels the outer quarter counts nothing, the inner quarter fully, and the half
    between rises as a squared sine.
    """
    weights = np.ones(length * scale, "float32")
    for shared, ends in ((before, weights), (after, weights[::-1])):
        count = shared * scale
        position = (np.arange(count) + 0.5) / max(1, count)
        ramp = np.clip(2 * position - 0.5, 0, 1)
        ends[:count] *= np.sin(0.5 * np.pi * ramp) ** 2
    return weights


def _cut(image: np.ndarray, rows: slice, columns: slice, limits) -> np.ndarray:
    """A patch as (h, w, C) float32 in [0, 1]."""
    patch = image[rows, columns]
    patch = patch[..., None] if patch.ndim == 2 else patch
    if patch.dtype.kind == "f":
        low, high = limits
        return ((patch - low) / max(high - low, 1e-12)).astype("float32")
    return image_to_unit(patch)


def _average_blocks(band: np.ndarray, scale: int) -> np.ndarray:
    """(h * scale, w * scale, C) -> (h, w, C) by the mean of scale x scale pixels."""
    height, width, channels = band.shape
    blocks = band.reshape(height // scale, scale, width // scale, scale, channels)
    return blocks.mean(axis=(1, 3))
