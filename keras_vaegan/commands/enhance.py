"""Enlarge images: `python -m keras_vaegan.enhance --weights RRDB.h5 --input DIR --output DIR`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from keras_vaegan.commands.folders import run_jobs
from keras_vaegan.commands.shell import CommandOptions, import_backend, run
from keras_vaegan.systems.registry import open_predictor


@dataclass(frozen=True, kw_only=True)
class EnhanceOptions(CommandOptions):
    """Options of `enhance`."""

    weights: Path
    """Weight file of `train --preset rrdbnet_x4` or `convert esrgan`, or a run folder."""
    input: Path
    """Image file or folder of images (PNG, JPEG, TIFF, BMP)."""
    output: Path
    """File for a file, folder for a folder."""
    tile: int = 256
    """Side of a tile in input pixels, which bounds the memory; 0 for the whole image at once."""
    overlap: int | None = None
    """Pixels that a tile shares with its neighbours; 32 where the tile allows it."""
    resize_back: bool = False
    """Average the result down to the input's size."""


def enhance(options: EnhanceOptions) -> int:
    """Enlarge one image or a folder of images with an RRDBNet; the bit depth stays as it is.

    Unreadable images are named and skipped where at least 90 % of the folder is readable.

    Raises:
        InputError: bad weights, input or output, or too many unreadable images.
    """
    from keras_vaegan.data.image import write_image

    def load() -> Callable:
        import_backend()
        enhancer = open_predictor(
            "enhance", options.weights, tile=options.tile, overlap=options.overlap
        )
        return lambda image: (enhancer.enhance(image, options.resize_back),)

    done, total = run_jobs(options.input, options.output, load, write_image)
    print(f"enhanced {done} of {total} images to {options.output}")
    return 0


main = partial(run, enhance, prog="python -m keras_vaegan.enhance")
