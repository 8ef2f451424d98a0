"""Translate images: `python -m keras_vaegan.translate --weights RUN --input DIR --output DIR`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from keras_vaegan.commands.shell import run
from keras_vaegan.errors import InputError

READABLE_SHARE = 0.9


@dataclass(frozen=True)
class TranslateArguments:
    """Translate one image or a folder of images; size and bit depth stay as they are."""

    weights: Path
    """Run folder, folder of published weight files, or one .h5 file."""
    input: Path
    """Image file or folder of images (PNG, JPEG, TIFF, BMP)."""
    output: Path
    """File for a file, folder for a folder."""
    direction: Literal["mri2ct", "ct2mri"] | None = None
    """Which generator of a folder of weights to use."""
    samples: int = 0
    """Latent samples to average; also writes their deviation as NAME_std.tiff."""
    enhance: Path | None = None
    """RRDBNet weight file: the translation is enlarged by it, 4 times with the published one."""
    resize_back: bool = False
    """With --enhance: bring the result back to the input's size."""


def main(argv: list[str] | None = None) -> int:
    """Run the command. Returns the exit status."""
    return run(translate, argv, prog="python -m keras_vaegan.translate")


def translate(arguments: TranslateArguments) -> int:
    """Translate as the arguments say.

    Unreadable images are named and skipped where at least 90 % of the folder is readable.

    Raises:
        InputError: bad weights, input or output, or too many unreadable images.
    """
    if arguments.samples < 0 or arguments.samples == 1:
        raise InputError(f"--samples {arguments.samples}: expected 0 (the mean) or at least 2")
    if arguments.resize_back and arguments.enhance is None:
        raise InputError("--resize-back without --enhance: expected both; add --enhance RRDB.h5")
    if arguments.samples:
        _check_deviation_names(arguments.input, arguments.output)
    from keras_vaegan.systems.cyclegan.translator import Translator
    from keras_vaegan.systems.super_resolution.enhancer import Enhancer

    def load():
        translator = Translator.load(arguments.weights, arguments.direction)
        enhancer = arguments.enhance and Enhancer.load(arguments.enhance)

        return lambda image: translator.translate(
            image, arguments.samples, enhancer, arguments.resize_back
        )

    done, total = run_jobs(arguments.input, arguments.output, load, write_answer)
    print(f"translated {done} of {total} images to {arguments.output}")
    return 0


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
    jobs = plan_jobs(source, destination)
    from keras_vaegan.data.image import read_image

    process = load()
    failures = []
    for path, target in jobs:
        try:
            results = process(read_image(path))
        except InputError as error:
            failures.append(name_error(path, error))
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


def _check_deviation_names(source: Path, destination: Path) -> None:
    """Refuse two outputs of one name, where a.png and a.jpg would both write a_std.tiff.

    Raises:
        InputError: two inputs differ by their ending alone, or one is called NAME_std.tiff.
    """
    outputs: dict[Path, Path] = {}
    for path, target in plan_jobs(source, destination):
        for output in (target, _name_deviation(target)):
            other = outputs.setdefault(output, path)
            if other != path:
                raise InputError(
                    f"{other} and {path} would both write {output}: expected names that differ; "
                    "rename one"
                )


def _name_deviation(target: Path) -> Path:
    """Where the deviation of a translation's samples goes."""
    return target.with_name(f"{target.stem}_std.tiff")


def name_error(source: Path, error: InputError) -> str:
    """The error's line, with the file's name in it."""
    return str(error) if str(source) in str(error) else f"{source}: {error}"


def write_answer(destination: Path, translation, deviation=None) -> None:
    """Write a translation, and its samples' deviation to NAME_std.tiff (float32, [0, 1] scale).

    Raises:
        InputError: a file cannot be written.
    """
    from keras_vaegan.data.image import write_image

    write_image(destination, translation)
    if deviation is not None:
        write_image(_name_deviation(destination), deviation)


if __name__ == "__main__":
    raise SystemExit(main())
