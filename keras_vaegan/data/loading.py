"""Many image files at once: what is usable, what is skipped, and one type for all."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from keras_vaegan.data.image import read_image
from keras_vaegan.errors import InputError

SMALLEST_SIDE = 16
READABLE_SHARE = 0.9


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
        low, high = float(image.min()), float(image.max())
        image = ((image - low) / max(high - low, 1e-12) * 65535).round().astype("uint16")
    return image


def load_files(
    paths: list[Path], prepare: Callable[[Path], np.ndarray]
) -> tuple[list[np.ndarray], list[str]]:
    """Prepare files in parallel; unusable ones are named on standard error and skipped.

    Args:
        paths: Image files.
        prepare: File -> uint8 or uint16 image; raises InputError for an unusable one.

    Returns:
        (images, names): uint16 all, if any has more than 8 bits (8-bit ones are then scaled by
        257); and the names of their files.

    Raises:
        InputError: fewer than 90 % of the files are usable.
    """

    def attempt(path: Path) -> np.ndarray | InputError:
        try:
            return prepare(path)
        except InputError as error:
            return error

    with ThreadPoolExecutor() as pool:
        results = list(pool.map(attempt, paths))
    errors = [str(result) for result in results if isinstance(result, InputError)]
    if len(paths) - len(errors) < READABLE_SHARE * len(paths):
        raise InputError(
            f"{len(errors)} of {len(paths)} images in {paths[0].parent} are unusable: expected at "
            f"most 10 %; first: {errors[0]}"
        )
    for error in errors:
        print(f"warning: skipped: {error}", file=sys.stderr, flush=True)
    good = [
        (image, path.name)
        for image, path in zip(results, paths, strict=True)
        if isinstance(image, np.ndarray)
    ]
    images = [image for image, _ in good]
    if any(image.dtype == np.uint16 for image in images):
        images = [
            image.astype("uint16") * 257 if image.dtype == np.uint8 else image for image in images
        ]
    return images, [name for _, name in good]
