"""Translate images: `python -m keras_vaegan.translate --weights RUN --input DIR --output DIR`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from keras_vaegan.cli import run
from keras_vaegan.errors import InputError


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


def main(argv: list[str] | None = None) -> int:
    """Run the command. Returns the exit status."""
    return run(translate, argv, prog="python -m keras_vaegan.translate")


def translate(arguments: TranslateArguments) -> int:
    """Translate as the arguments say.

    An unreadable image among others is named and skipped; alone it is refused.

    Raises:
        InputError: bad weights, input or output.
    """
    if arguments.samples < 0 or arguments.samples == 1:
        raise InputError(f"--samples {arguments.samples}: expected 0 (the mean) or at least 2")
    jobs = plan_jobs(arguments.input, arguments.output)
    from keras_vaegan.inference import Translator

    translator = Translator.load(arguments.weights, arguments.direction)
    failures = []
    for source, destination in jobs:
        try:
            translate_file(translator, source, destination, arguments.samples)
        except InputError as error:
            if len(jobs) == 1 or not source.exists():
                raise
            failures.append(str(error))
            print(f"skipped: {error}", flush=True)
    if len(failures) == len(jobs):
        raise InputError(f"none of {len(jobs)} images could be translated; first: {failures[0]}")
    print(f"translated {len(jobs) - len(failures)} of {len(jobs)} images to {arguments.output}")
    return 0


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
        return [(path, destination / path.name) for path in list_images(source)]
    if not source.exists():
        raise InputError(f"--input {source} does not exist: expected an image or a folder of them")
    if destination.is_dir() or not destination.suffix:
        destination = destination / source.name
    return [(source, destination)]


def translate_file(translator, source: Path, destination: Path, samples: int = 0) -> None:
    """Translate one image file.

    Args:
        translator: `Translator`.
        source: Image file.
        destination: Written with the input's height, width, channels and bit depth.
        samples: Latent samples; 0 for the mean. Their standard deviation on the [0, 1] scale
            goes to NAME_std.tiff (float32).

    Raises:
        InputError: the image cannot be read, or the output cannot be written.
    """
    from keras_vaegan.data.image import read_image, write_image

    image = read_image(source)
    try:
        translation, deviation = translator.translate(image, samples)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
    write_image(destination, translation)
    if deviation is not None:
        write_image(destination.with_name(f"{destination.stem}_std.tiff"), deviation)


if __name__ == "__main__":
    raise SystemExit(main())
