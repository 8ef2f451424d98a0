"""Folders of images -> cached squares -> an endless, seeded stream of unpaired batches."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_vaegan.config.base import VALUE_RANGES
from keras_vaegan.config.data import DataConfig
from keras_vaegan.data.folders import TEST_FOLDERS, load_files, read_integers, spread
from keras_vaegan.data.image import list_images, read_image
from keras_vaegan.data.preparation import fit_images
from keras_vaegan.errors import InputError
from keras_vaegan.kernels import call_compiled

if TYPE_CHECKING:
    import tensorflow as tf

PAIRED_SHARE = 0.9


def load_images(
    paths: list[Path], config: DataConfig, partners: Mapping[str, Path] | None = None
) -> tuple[np.ndarray, list[str]]:
    """Decode files of one folder, in parallel, into one array of network-sized images.

    Args:
        paths: PNG, JPEG, TIFF or BMP files.
        config: Size, channels and placement.
        partners: Files by the stem of those that they share a box with.

    Returns:
        (images, names) as `load_files` gives them, the images as (N, S, S, C).
    """
    partners = partners or {}
    images, names = load_files(paths, lambda p: _prepare(p, config, partners.get(p.stem)))
    return np.stack(images), names


def load_test_sets(root: str | Path, config: DataConfig, limit: int | None = None) -> dict:
    """Load both test folders, and pair them by file stem where nearly all have a partner.

    Args:
        root: Folder with testA (CT) and testB (MRI).
        config: Preparation of the images; in a paired set align="head" crops both images of a
            pair to one box.
        limit: Images per domain at most, spread evenly; of a paired set, whole pairs.

    Returns:
        {"testA": {"images", "names"}, "testB": ..., "pairs": [(MRI index, CT index)] or None}.

    Raises:
        InputError: a missing or empty folder, and as `load_images`.
    """
    files = {name: list_images(Path(root) / name) for name in TEST_FOLDERS}
    by_stem = {name: {p.stem: p for p in paths} for name, paths in files.items()}
    common = sorted(by_stem["testA"].keys() & by_stem["testB"].keys())
    paired = len(common) >= PAIRED_SHARE * max(map(len, by_stem.values()))
    if paired and limit is not None:
        chosen = set(spread(common, limit))
        files = {name: [p for p in paths if p.stem in chosen] for name, paths in files.items()}
    sets: dict = {}
    for name, other in (TEST_FOLDERS, TEST_FOLDERS[::-1]):
        partners = by_stem[other] if paired and config.align != "none" else {}
        images, names = load_images(spread(files[name], limit), config, partners)
        sets[name] = {"images": images, "names": names}
    sets["pairs"] = None
    if paired:
        ct = {Path(name).stem: i for i, name in enumerate(sets["testA"]["names"])}
        mri = [Path(name).stem for name in sets["testB"]["names"]]
        sets["pairs"] = [(i, ct[stem]) for i, stem in enumerate(mri) if stem in ct]
    return sets


def make_unpaired_dataset(
    source_images: np.ndarray,
    target_images: np.ndarray,
    batch_size: int,
    seed: int,
    config: DataConfig,
    start_step: int = 0,
) -> tf.data.Dataset:
    """Stream unpaired batches without end.

    Each domain is dealt in passes; a pass is a permutation that depends on the seed, the domain
    and the pass's number alone, so that any step can be reached without replaying the earlier
    ones.

    Args:
        source_images: (N, S, S, C) uint8 or uint16.
        target_images: (M, S, S, C).
        batch_size: Images per domain and step.
        seed: Seed of the order.
        config: Its `value_range` is that of the batches.
        start_step: Steps to skip.

    Returns:
        Dataset of (source, target), each (batch_size, S, S, C) float32 in the value range.
    """
    import tensorflow as tf

    low, high = VALUE_RANGES[config.value_range]

    def stream(images: np.ndarray, domain: int) -> tf.data.Dataset:
        size = len(images)
        scale = (high - low) / np.iinfo(images.dtype).max
        with tf.device("CPU"):
            store = tf.constant(images)

        def pick(position):
            number, offset = position // size, position % size
            key = tf.stack([tf.constant(seed, tf.int64), 2 * number + domain])
            return tf.random.experimental.index_shuffle(offset, key, size - 1)

        def gather(indices):
            batch = tf.gather(store, indices)
            batch.set_shape((batch_size, *images.shape[1:]))
            return tf.cast(batch, tf.float32) * scale + low

        positions = tf.data.Dataset.range(start_step * batch_size, np.iinfo(np.int64).max)
        return (
            positions.map(pick)
            .batch(batch_size, drop_remainder=True)
            .map(gather, num_parallel_calls=tf.data.AUTOTUNE)
        )

    both = tf.data.Dataset.zip((stream(source_images, 0), stream(target_images, 1)))
    options = tf.data.Options()
    options.autotune.enabled = True
    return both.with_options(options).prefetch(tf.data.AUTOTUNE)


def _prepare(path: Path, config: DataConfig, partner: Path | None) -> np.ndarray:
    """File -> (S, S, C) uint8 or uint16; placed together with its partner's, where it has one."""
    pictures = [read_integers(path), _read_if_usable(partner) if partner else None]
    batches = [p.reshape(1, *p.shape[:2], -1) for p in pictures if p is not None]
    return call_compiled(fit_images, *batches, data=config)[0]


def _read_if_usable(path: Path) -> np.ndarray | None:
    """An image, or None where its own turn will report what is wrong with it."""
    try:
        return read_image(path)
    except InputError:
        return None
