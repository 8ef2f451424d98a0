"""Translate images: `python -m keras_vaegan.translate --weights RUN --input DIR --output DIR`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from keras_vaegan.commands.folders import check_samples, plan_jobs, run_jobs
from keras_vaegan.commands.shell import CommandOptions, import_backend, run
from keras_vaegan.errors import InputError
from keras_vaegan.systems.registry import open_predictor


@dataclass(frozen=True, kw_only=True)
class TranslateOptions(CommandOptions):
    """Options of `translate`."""

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


def translate(options: TranslateOptions) -> int:
    """Translate one image or a folder of images; size and bit depth stay as they are.

    Unreadable images are named and skipped where at least 90 % of the folder is readable.

    Raises:
        InputError: bad weights, input or output, or too many unreadable images.
    """
    check_samples(options.samples)
    if options.resize_back and options.enhance is None:
        raise InputError("--resize-back without --enhance: expected both; add --enhance RRDB.h5")
    if options.samples:
        _check_deviation_names(options.input, options.output)

    def load() -> Callable:
        import_backend()
        translator = open_predictor("translate", options.weights, direction=options.direction)
        translator.check_samples(options.samples)
        enhancer = open_predictor("enhance", options.enhance) if options.enhance else None
        return lambda image: translator.translate(
            image, options.samples, enhancer, options.resize_back
        )

    done, total = run_jobs(options.input, options.output, load, write_answer)
    print(f"translated {done} of {total} images to {options.output}")
    return 0


def _check_deviation_names(source: Path, destination: Path) -> None:
    """Refuse two outputs of one name, where a.png and a.jpg would both write a_std.tiff."""
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


def write_answer(destination: Path, translation: Any, deviation: Any = None) -> None:
    """Write a translation, and its samples' deviation to NAME_std.tiff (float32, [0, 1] scale).

    Raises:
        InputError: a file cannot be written.
    """
    from keras_vaegan.data.image import write_image

    write_image(destination, translation)
    if deviation is not None:
        write_image(_name_deviation(destination), deviation)


main = partial(run, translate, prog="python -m keras_vaegan.translate")
