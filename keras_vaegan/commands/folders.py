"""An image in, an image out, or a folder of them: what `translate` and `enhance` share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from keras_vaegan.errors import InputError


def run_jobs(source: Path, destination: Path, load: Callable, write: Callable) -> tuple[int, int]:
    """Process an image or a folder of images into another.

    Args:
        source: Image file or folder.
        destination: File for a file, folder for a folder.
        load: Called once the inputs are known to exist; returns the function image -> tuple of
            results, which refuses an image by `InputError`.
        write: (path, *results); whatever it raises ends the job, since the next would fail too.

    Returns:
        (images written, images found).

    Raises:
        InputError: bad input or output, or more than 10 % of the images unusable.
    """
    from keras_vaegan.data.folders import READABLE_SHARE
    from keras_vaegan.data.image import read_image
    from keras_vaegan.progress import show_progress

    jobs = plan_jobs(source, destination)
    process = load()
    failures = []
    for path, target in show_progress(jobs, "images"):
        try:
            results = process(read_image(path))
        except InputError as error:
            text = str(error)
            failures.append(text if str(path) in text else f"{path}: {text}")
            if len(jobs) - len(failures) < READABLE_SHARE * len(jobs):
                raise InputError(
                    f"{failures[0]} ({len(failures)} of {len(jobs)} unusable: expected at most "
                    "10 %)"
                ) from error
            print(f"warning: skipped: {failures[-1]}", file=sys.stderr, flush=True)
        else:
            write(target, *results)
    return len(jobs) - len(failures), len(jobs)


def plan_jobs(source: Path, destination: Path) -> list[tuple[Path, Path]]:
    """Pair every input image with its output path.

    Raises:
        InputError: nothing to read, or an output that is no place to write to.
    """
    from keras_vaegan.data.image import list_images

    if source.is_dir():
        if destination.is_file():
            raise InputError(
                f"--output {destination} is a file: expected a folder, as --input is one"
            )
        if destination.resolve() == source.resolve():
            raise InputError(f"--output {destination} is the input itself: choose another folder")
        return [(path, destination / path.name) for path in list_images(source)]
    if not source.exists():
        raise InputError(f"--input {source} does not exist: expected an image or a folder of them")
    if destination.is_dir() or not destination.suffix:
        destination = destination / source.name
    if destination.resolve() == source.resolve():
        raise InputError(f"--output {destination} is the input itself: choose another name")
    return [(source, destination)]


def check_samples(samples: int) -> None:
    """Refuse a number of latent samples that has no deviation.

    Raises:
        InputError: it is negative or 1.
    """
    if samples < 0 or samples == 1:
        raise InputError(f"--samples {samples}: expected 0 (the mean) or at least 2")
