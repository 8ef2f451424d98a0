"""Enlarge images or volumes: `keras-vaegan enhance --weights RRDB.h5 --input IN --output OUT`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from keras_vaegan.commands.folders import run_jobs
from keras_vaegan.commands.shell import CommandOptions, import_backend, run
from keras_vaegan.commands.volumes import (
    plan_volumes,
    read_window,
    refuse_with_images,
    run_volumes,
)
from keras_vaegan.errors import InputError
from keras_vaegan.systems.registry import open_predictor

if TYPE_CHECKING:
    from keras_vaegan.data.volume_files import StoredVolume
    from keras_vaegan.systems.super_resolution.enhancer import Enhancer


@dataclass(frozen=True, kw_only=True)
class EnhanceOptions(CommandOptions):
    """Options of `enhance`."""

    weights: Path
    """Weight file of `train --preset rrdbnet_x4` or `convert esrgan`, or a run folder."""
    input: Path
    """Image (PNG, JPEG, TIFF, BMP) or folder of images; NIfTI file or folder of them; folder of a
    DICOM series."""
    output: Path
    """File for a file, folder for a folder; NIfTI file or new folder for a DICOM series."""
    tile: int = 256
    """Side of a tile in input pixels, which bounds the memory; 0 for the whole image at once."""
    overlap: int | None = None
    """Pixels that a tile shares with its neighbours; 32 where the tile allows it."""
    resize_back: bool = False
    """Average the result down to the input's size."""
    series: str | None = None
    """SeriesInstanceUID, of a DICOM folder of several."""
    anonymize: bool = False
    """Leave out of a derived DICOM series or NIfTI file what tells the patient and the study."""


def enhance(options: EnhanceOptions) -> int:
    """Enlarge images with an RRDBNet, or volumes in their axial plane; the bit depth stays.

    Unreadable images are named and skipped where at least 90 % of the folder is readable.

    Raises:
        InputError: bad weights, input or output, or too many unreadable images.
    """
    from keras_vaegan.data.image import write_image

    def load() -> Enhancer:
        import_backend()
        return open_predictor(
            "enhance", options.weights, tile=options.tile, overlap=options.overlap
        )

    def load_for_images() -> Callable:
        enhancer = load()
        return lambda image: (enhancer.enhance(image, options.resize_back),)

    jobs = plan_volumes(options.input, options.output)
    if jobs is not None:
        run_volumes(jobs, options.series, lambda: partial(_enhance_volume, options, load()))
        return 0
    refuse_with_images({"--series": options.series, "--anonymize": options.anonymize})
    done, total = run_jobs(options.input, options.output, load_for_images, write_image)
    print(f"enhanced {done} of {total} images to {options.output}")
    return 0


def _enhance_volume(
    options: EnhanceOptions, enhancer: Enhancer, stored: StoredVolume, target: Path
) -> None:
    """Enlarge one volume and write it."""
    from keras_vaegan import __version__
    from keras_vaegan.data.volume_files import (
        Derivation,
        find_plane_axes,
        is_nifti_name,
        write_like,
    )
    from keras_vaegan.progress import show_progress
    from keras_vaegan.systems.super_resolution.volumes import enhance_volume
    from keras_vaegan.weights.manifest import digest_weights

    modality = str(stored.dicom[0].get("Modality", "")) if stored.dicom else "MR"
    if modality not in ("CT", "MR") and not is_nifti_name(target):
        raise InputError(
            f"a series of {modality or 'no modality'}: expected CT or MR for a DICOM folder; "
            "give --output a name ending in .nii.gz"
        )
    enlarges = not (is_nifti_name(target) or options.resize_back)
    if enlarges and find_plane_axes(stored.volume) != [0, 1]:
        raise InputError(
            "a series whose images are not axial: expected axial ones for a DICOM folder; give "
            "--output a name ending in .nii.gz"
        )
    values = enhance_volume(enhancer, stored.volume, options.resize_back, show_progress)
    scale = 1 if options.resize_back else enhancer.scale
    made = Derivation(
        modality,
        f"super-resolution {enhancer.scale}x",
        f"Enlarged {enhancer.scale} times in its plane by keras_vaegan {__version__}, "
        f"weights {digest_weights(options.weights)}; detail is synthetic, not for diagnosis",
        window=read_window(stored),
        scale=scale,
        anonymize=options.anonymize,
    )
    write_like(target, values, stored, made)
    print(f"enhanced {stored.path} to {target}")


main = partial(run, enhance, prog="python -m keras_vaegan.enhance")
