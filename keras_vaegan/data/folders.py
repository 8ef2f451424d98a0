"""Folders of image files: find the set, choose evenly, read many files at once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from keras_vaegan.data.image import find_limits, image_to_unit, read_image, unit_to_image
from keras_vaegan.errors import InputError
from keras_vaegan.progress import show_progress

TRAIN_FOLDERS = ("trainA", "trainB")
TEST_FOLDERS = ("testA", "testB")
SMALLEST_SIDE = 16
READABLE_SHARE = 0.9
PAIRED_SHARE = 0.9

Item = TypeVar("Item")


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
    names = (*TRAIN_FOLDERS, *TEST_FOLDERS)
    for depth in ("", "*/", "*/*/", "*/*/*/"):
        found = {p.parent for n in names for p in data.glob(depth + n) if p.is_dir()}
        if found:
            return sorted(found)
    return []


def spread(items: Sequence[Item], count: int | None) -> list[Item]:
    """Choose at most `count` items, spread evenly from the first to the last; None takes all.

    Raises:
        InputError: a count below 1.
    """
    if count is not None and count < 1:
        raise InputError(f"limit {count}: expected at least 1, or none for all")
    if count is None or count >= len(items):
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, count).astype(int)]


def find_pairs(first: Sequence[Path], second: Sequence[Path]) -> list[str]:
    """The stems that two folders share, sorted, where nearly all have a partner; else none."""
    stems = [{path.stem for path in paths} for paths in (first, second)]
    common = sorted(stems[0] & stems[1])
    return common if len(common) >= PAIRED_SHARE * max(map(len, stems)) else []


def hold_back(total: int, count: int) -> tuple[list[int], list[int]]:
    """Split the positions 0 to `total` - 1: those to train on, and `count` to validate on.

    The held-back ones are spread evenly, and at most a quarter of all.
    """
    count = min(count, total // 4)
    held = spread(range(total), count) if count else []
    return sorted(set(range(total)) - set(held)), held


def read_integers(path: Path) -> np.ndarray:
    """File -> uint8 or uint16 image, a float one by its own range.

    Raises:
        InputError: unreadable, or a side below `SMALLEST_SIDE` pixels.
    """
    image = read_image(path)
    if min(image.shape[:2]) < SMALLEST_SIDE:
        raise InputError(
            f"{path} is {image.shape[0]}x{image.shape[1]}: expected at least {SMALLEST_SIDE} "
            "pixels a side; remove it"
        )
    if image.dtype.kind == "f":
        return unit_to_image(image_to_unit(image, find_limits(image)), "uint16")
    return image


def load_files(
    paths: list[Path], prepare: Callable[[Path], np.ndarray]
) -> tuple[list[np.ndarray], list[str]]:
    """Prepare files in parallel; unusable ones are named on standard error and skipped.

    Args:
        paths: Image files.
        prepare: File -> uint8 or uint16 image; raises InputError for an unusable one.

    Returns:
        (images, names): uint8, or all uint16 if any has more than 8 bits (8-bit ones are then
        scaled by 257); and the names of their files.

    Raises:
        InputError: fewer than 90 % of the files are usable.
    """

    def attempt(path: Path) -> np.ndarray | InputError:
        try:
            return prepare(path)
        except InputError as error:
            return error

    with ThreadPoolExecutor() as pool:
        prepared = pool.map(attempt, paths)
        results = list(show_progress(prepared, f"reading {paths[0].parent}", len(paths)))
    errors = [result for result in results if isinstance(result, InputError)]
    skip_unusable(errors, len(paths), f"images in {paths[0].parent}")
    names = [p.name for p, r in zip(paths, results, strict=True) if isinstance(r, np.ndarray)]
    images = [result for result in results if isinstance(result, np.ndarray)]
    if all(image.dtype == np.uint8 for image in images):
        return images, names
    return [i.astype("uint16") * 257 if i.dtype == np.uint8 else i for i in images], names


def skip_unusable(errors: list[InputError], total: int, what: str) -> None:
    """Name unusable inputs on standard error, where at least 90 % of `total` are usable.

    Raises:
        InputError: fewer are.
    """
    if total - len(errors) < READABLE_SHARE * total:
        raise InputError(
            f"{len(errors)} of {total} {what} are unusable: expected at most 10 %; first: "
            f"{errors[0]}"
        )
    for error in errors:
        print(f"warning: skipped: {error}", file=sys.stderr, flush=True)
