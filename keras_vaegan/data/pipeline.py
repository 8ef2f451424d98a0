"""Folders of images -> cached arrays -> an endless, seeded stream of unpaired batches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_vaegan.config.base import VALUE_RANGES
from keras_vaegan.config.data import DataConfig
from keras_vaegan.data.alignment import place_image
from keras_vaegan.data.image import list_images, read_image, to_channels
from keras_vaegan.data.loading import load_files, read_integers
from keras_vaegan.errors import InputError

if TYPE_CHECKING:
    import tensorflow as tf

DOMAIN_FOLDERS = ("trainA", "trainB")
TEST_FOLDERS = ("testA", "testB")
PAIRED_SHARE = 0.9


def find_image_root(data: str | Path) -> Path:
    """Find the folder that holds trainA or testA.

    Args:
        data: That folder, or a parent up to three levels above it (as the Kaggle set has).

    Raises:
        InputError: no such folder, or several.
    """
    data = Path(data)
    if not data.is_dir():
        raise InputError(f"--data {data} is no folder: expected one with trainA and trainB in it")
    found = list_image_roots(data)
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(map(str, found[:3]))
        raise InputError(f"{data} holds several image sets ({listed}): give one of them")
    raise InputError(
        f"no image set in {data}: expected trainA (CT) and trainB (MRI), or testA and testB; "
        "see datasets/README.md"
    )


def list_image_roots(data: Path) -> list[Path]:
    """Folders that hold trainA, trainB, testA or testB, where they are nearest to `data`."""
    names = (*DOMAIN_FOLDERS, *TEST_FOLDERS)
    for depth in ("", "*/", "*/*/", "*/*/*/"):
        found = {p.parent for n in names for p in data.glob(depth + n) if p.is_dir()}
        if found:
            return sorted(found)
    return []


def load_images(
    folder: str | Path, config: DataConfig, limit: int | None = None
) -> tuple[np.ndarray, list[str]]:
    """Decode a folder once, in parallel, into one array of network-sized images.

    Args:
        folder: Folder of PNG, JPEG, TIFF or BMP files.
        config: Size, channels and placement.
        limit: Take at most this many files, spread evenly over the sorted names.

    Returns:
        (images, names): (N, S, S, C) uint8, or uint16 if any file has more than 8 bits (8-bit
        files are then scaled by 257, and float files by their own range), and the file names.

    Raises:
        InputError: missing or empty folder, or fewer than 90 % of the files readable.
    """
    return _load_squares(spread(list_images(folder), limit), config)


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
        InputError: as `load_images`.
    """
    files = {name: list_images(Path(root) / name) for name in TEST_FOLDERS}
    stems = {name: {p.stem for p in paths} for name, paths in files.items()}
    common = sorted(stems["testA"] & stems["testB"])
    paired = len(common) >= PAIRED_SHARE * max(len(s) for s in stems.values())
    if paired and limit is not None:
        chosen = set(spread(common, limit))
        files = {name: [p for p in paths if p.stem in chosen] for name, paths in files.items()}
    by_stem = {name: {p.stem: p for p in paths} for name, paths in files.items()}
    result: dict = {}
    for name, other in (TEST_FOLDERS, TEST_FOLDERS[::-1]):
        partners = by_stem[other] if paired and config.align != "none" else {}
        images, names = _load_squares(spread(files[name], limit), config, partners)
        result[name] = {"images": images, "names": names}
    ct_index = {Path(name).stem: i for i, name in enumerate(result["testA"]["names"])}
    pairs = [
        (index, ct_index[Path(name).stem])
        for index, name in enumerate(result["testB"]["names"])
        if Path(name).stem in ct_index
    ]
    result["pairs"] = pairs if paired else None
    return result


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


def _prepare(path: Path, config: DataConfig, partner: Path | None = None) -> np.ndarray:
    """File -> (S, S, C) uint8 or uint16; placed together with its partner's, where it has one."""
    square, _ = place_image(
        to_channels(read_integers(path), config.channels),
        config.image_size,
        config.resize,
        config.align,
        partner and _read_if_usable(partner),
    )
    return square


def _read_if_usable(path: Path) -> np.ndarray | None:
    """An image, or None where its own turn will report what is wrong with it."""
    try:
        return read_image(path)
    except InputError:
        return None


def spread(items: list, limit: int | None) -> list:
    """At most `limit` items, spread evenly."""
    if limit is not None and limit < 1:
        raise InputError(f"limit {limit}: expected at least 1 image, or none for all")
    if limit is None or limit >= len(items):
        return items
    return [items[i] for i in np.linspace(0, len(items) - 1, limit).astype(int)]


def _load_squares(
    paths: list[Path], config: DataConfig, partners: dict[str, Path] | None = None
) -> tuple[np.ndarray, list[str]]:
    """Decode files of one folder as `load_images` says; `partners` by stem share their box."""
    images, names = load_files(
        paths, lambda path: _prepare(path, config, (partners or {}).get(path.stem))
    )
    return np.stack(images), names
