"""Folders of images -> an endless, seeded stream of (low-resolution, true) crops."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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
from keras_vaegan.data.image import SUFFIXES, select_images, to_channels
from keras_vaegan.errors import InputError
from keras_vaegan.systems.super_resolution.config import SuperResolutionConfig
from keras_vaegan.systems.super_resolution.degradation import degrade

if TYPE_CHECKING:
    import tensorflow as tf


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


def make_crop_dataset(
    images: list[np.ndarray], config: SuperResolutionConfig, start_step: int = 0
) -> tf.data.Dataset:
    """Stream batches of crops without end.

    Every image is visited once a pass, in an order that depends on the seed and the pass alone;
    place, mirroring, turning and degradation of crop number k depend on the seed and k alone.

    Args:
        images: (H, W, C) uint8 or uint16 of one type, sides at least `config.crop_size`.
        config: The run.
        start_step: Steps to skip.

    Returns:
        Dataset of (low, high): (batch_size, patch_size, patch_size, C) and (batch_size,
        crop_size, crop_size, C) float32 in [0, 1].
    """
    import tensorflow as tf

    side, channels, count = config.crop_size, images[0].shape[-1], len(images)
    with tf.device("CPU"):
        store = tf.constant(np.concatenate([image.ravel() for image in images]))
    sizes = np.array([image.shape[:2] for image in images], "int64")
    starts = np.cumsum([0] + [image.size for image in images[:-1]]).astype("int64")
    scale = 1.0 / np.iinfo(images[0].dtype).max
    steps = tf.range(side, dtype=tf.int64)

    def cut(image, place):
        """One crop as (side, side, C) float32, by its pixels' places in the flat store."""
        height, width = tf.unstack(tf.gather(sizes, image))
        top = tf.cast(place[0] * tf.cast(height - side + 1, tf.float32), tf.int64)
        left = tf.cast(place[1] * tf.cast(width - side + 1, tf.float32), tf.int64)
        pixels = (top + steps)[:, None] * width + (left + steps)[None, :]
        index = pixels[..., None] * channels + tf.range(channels, dtype=tf.int64)
        return tf.cast(tf.gather(store, tf.gather(starts, image) + index), tf.float32) * scale

    def make(position):
        key = tf.stack([tf.constant(config.seed, tf.int64), position // count])
        image = tf.random.experimental.index_shuffle(position % count, key, count - 1)
        seed = tf.stack([tf.constant(config.seed, tf.int64), position])
        seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 3))
        places = tf.random.stateless_uniform((config.crop_candidates, 2), seeds[0])
        crops = tf.stack([cut(image, places[k]) for k in range(config.crop_candidates)])
        contrast = tf.math.reduce_variance(crops, axis=(1, 2, 3))
        high = _turn(crops[tf.argmax(contrast)], seeds[1])
        low = degrade(high, config.generator.scale, config.degradation, seeds[2])
        high.set_shape((side, side, channels))
        low.set_shape((config.patch_size, config.patch_size, channels))
        return low, high

    positions = tf.data.Dataset.range(start_step * config.batch_size, np.iinfo(np.int64).max)
    return (
        positions.map(make, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(config.batch_size, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )


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


def _turn(image, seed):
    """One of the eight mirrorings and quarter turns of (S, S, C)."""
    import tensorflow as tf

    turns = tf.random.stateless_uniform((3,), seed) < 0.5
    image = tf.where(turns[0], image[:, ::-1], image)
    image = tf.where(turns[1], image[::-1], image)
    return tf.where(turns[2], tf.transpose(image, (1, 0, 2)), image)
