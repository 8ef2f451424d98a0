"""Folders of images -> an endless, seeded stream of (low-resolution, true) crops."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_vaegan.data.folders import (
    SMALLEST_SIDE,
    TEST_FOLDERS,
    TRAIN_FOLDERS,
    find_image_root,
    list_image_roots,
    load_files,
    read_integers,
)
from keras_vaegan.data.image import SUFFIXES, image_to_unit, select_images, to_channels
from keras_vaegan.data.sampling import Passes
from keras_vaegan.errors import InputError
from keras_vaegan.systems.super_resolution.config import SuperResolutionConfig
from keras_vaegan.systems.super_resolution.degradation import degrade


def find_pictures(data: str | Path, test: bool = False) -> dict[str, list[Path]]:
    """Find the images that a super-resolution network trains on, or is tested on.

    Args:
        data: A CycleGAN's image set (its training folders, or its test folders, are taken), or
            any folder of images, subfolders included.
        test: Take the test folders of an image set.

    Returns:
        Sorted paths by name of their folder.

    Raises:
        InputError: no folder, no image in it, or several image sets.
    """
    data = Path(data)
    if not data.is_dir():
        raise InputError(f"--data {data} is no folder: expected one with images in it")
    if list_image_roots(data):
        root = find_image_root(data)
        folders = [root / name for name in (TEST_FOLDERS if test else TRAIN_FOLDERS)]
        groups = {folder.name: select_images(folder.glob("*")) for folder in folders}
    else:
        groups = {data.name: select_images(data.rglob("*"))}
    groups = {name: paths for name, paths in groups.items() if paths}
    if not groups:
        raise InputError(
            f"no {'test ' if test else ''}images in {data}: expected files ending in "
            f"{', '.join(SUFFIXES)}"
        )
    return groups


def load_pictures(
    paths: list[Path], channels: int, smallest: int = SMALLEST_SIDE
) -> tuple[list[np.ndarray], list[str]]:
    """Decode images in their own sizes.

    Args:
        paths: Image files.
        channels: 1 or 3.
        smallest: Images with a shorter side are mirrored at their borders up to it.

    Returns:
        (images, names) as `load_files` gives them, each image (H, W, channels).
    """
    return load_files(paths, lambda path: _prepare(path, channels, smallest))


class CropSampler:
    """Batches of (low-resolution, true) crops by step.

    Images are dealt in `Passes`; place, mirroring, turning and degradation of crop number k depend
    on the seed and k alone.

    Args:
        images: (H, W, C) uint8 or uint16 of one type, sides at least `config.crop_size`.
        config: The run.
    """

    def __init__(self, images: list[np.ndarray], config: SuperResolutionConfig) -> None:
        self.images, self.config = images, config
        self.passes = Passes(len(images), (config.seed,), (0,))

    def read_batch(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """The batch of a step.

        Returns:
            (low, high): (batch_size, patch_size, patch_size, C) and (batch_size, crop_size,
            crop_size, C) float32 in [0, 1].
        """
        size = self.config.batch_size
        low, high = zip(*map(self.read_crop, range(step * size, (step + 1) * size)), strict=True)
        return np.stack(low), np.stack(high)

    def read_crop(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        """The crop at a position of the endless stream, and its low-resolution input."""
        image = self.images[self.passes[position]]
        generator = np.random.default_rng([self.config.seed, position, 1])
        candidates = [self._cut(image, generator) for _ in range(self.config.crop_candidates)]
        high = _turn(max(candidates, key=np.var), generator)
        return degrade(high, self.config.generator.scale, self.config.degradation, generator), high

    def _cut(self, image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """A square of an image at a random place, float32 in [0, 1]."""
        side = self.config.crop_size
        top, left = (generator.integers(length - side + 1) for length in image.shape[:2])
        return image_to_unit(image[top : top + side, left : left + side])


def centre_crops(images: list[np.ndarray], side: int, multiple: int) -> np.ndarray:
    """Cut the centres of images to one square size, for validation.

    Args:
        images: (H, W, C) of one type.
        side: Largest side in pixels; the shortest side of the images where that is less.
        multiple: The side is a multiple of it.

    Returns:
        (N, S, S, C) of the same type.
    """
    side = min([side] + [min(image.shape[:2]) for image in images]) // multiple * multiple
    return np.stack([
        image[(image.shape[0] - side) // 2 :, (image.shape[1] - side) // 2 :][:side, :side]
        for image in images
    ])  # fmt: skip


def _prepare(path: Path, channels: int, smallest: int) -> np.ndarray:
    """File -> (H, W, channels) uint8 or uint16, sides at least `smallest`."""
    image = to_channels(read_integers(path), channels)
    lacks = [max(0, smallest - side) for side in image.shape[:2]]
    pads = [(lack // 2, lack - lack // 2) for lack in lacks]
    return np.pad(image, (*pads, (0, 0)), mode="symmetric") if any(lacks) else image


def _turn(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """One of the eight mirrorings and quarter turns of (S, S, C)."""
    across, down, turn = generator.uniform(size=3) < 0.5
    image = image[:, ::-1] if across else image
    image = image[::-1] if down else image
    return np.ascontiguousarray(image.transpose(1, 0, 2) if turn else image)
