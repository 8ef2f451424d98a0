"""A volume in, a volume out: what `translate` and `enhance` share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_vaegan.errors import InputError

if TYPE_CHECKING:
    from keras_vaegan.data.volume_files import StoredVolume


def plan_volumes(source: Path, destination: Path) -> list[tuple[Path, Path]] | None:
    """Pair every input volume with its output; None where the input is no volume.

    Raises:
        InputError: an output that is no place for a volume, or for images.
    """
    from keras_vaegan.data.dicom_series import is_dicom_folder
    from keras_vaegan.data.volume_files import find_volumes, is_nifti_name, plan_output

    volumes = find_volumes(source)
    if volumes is None:
        _check_images(source)
        if is_nifti_name(destination):
            raise InputError(
                f"--output {destination}: expected an image's name or a folder, as --input "
                f"{source} holds images, which have no place in space; rename it"
            )
        return None
    several = source.is_dir() and volumes != [source]
    if source.is_dir() and volumes != [source] and is_dicom_folder(source):
        print(
            f"note: {source} holds DICOM files too, which are left out: a folder is one of images, "
            "of NIfTI files, or of a series",
            file=sys.stderr,
            flush=True,
        )
    if several and (is_nifti_name(destination) or destination.is_file()):
        raise InputError(
            f"--output {destination}: expected a folder, as --input {source} is one of NIfTI "
            "files; rename it"
        )
    return [(path, plan_output(path, destination, several)) for path in volumes]


def refuse_with_images(given: dict[str, Any]) -> None:
    """Refuse options of volumes alone, by name, where the input holds images.

    Raises:
        InputError: one was given.
    """
    for name, value in given.items():
        if value:
            raise InputError(
                f"{name} with images: expected a NIfTI file or a DICOM folder as --input; drop it"
            )


def _check_images(source: Path) -> None:
    """Refuse an input that holds neither volumes nor images."""
    from keras_vaegan.data.dicom_file import is_dicom_file
    from keras_vaegan.data.image import select_images

    if not source.exists():
        raise InputError(
            f"--input {source} does not exist: expected an image, a NIfTI file or a folder; "
            "check the path"
        )
    if source.is_file() and is_dicom_file(source):
        raise InputError(
            f"--input {source} is one DICOM file: expected the folder of its series; give that"
        )
    if source.is_dir() and not select_images(source.iterdir()):
        raise InputError(
            f"no images, NIfTI files or DICOM series in {source}: expected them in the folder "
            "itself, subfolders are not read"
        )


def run_volumes(jobs: list[tuple[Path, Path]], series: str | None, load: Callable) -> None:
    """Process volumes one after the other.

    Args:
        jobs: Of `plan_volumes`.
        series: SeriesInstanceUID of a folder of several.
        load: Called once the first volume is read; gives the function (volume, output).

    Raises:
        InputError: a volume or an output that cannot be used, by its name.
    """
    from keras_vaegan.data.volume_files import read_volume

    process = None
    for path, target in jobs:
        stored = read_volume(path, series)
        for note in stored.notes:
            print(f"note: {path}: {note}", file=sys.stderr, flush=True)
        process = process or load()
        try:
            process(stored, target)
        except InputError as error:
            if str(path) in str(error):
                raise
            raise InputError(f"{path}: {error}") from error


def name_beside(target: Path, ending: str, suffix: str | None = None) -> Path:
    """NAME.nii.gz -> NAME_ENDING.nii.gz (or another suffix); a folder's name gets the ending."""
    from keras_vaegan.data.volume_files import is_nifti_name

    if not is_nifti_name(target):
        return target.with_name(f"{target.name}_{ending}{suffix or ''}")
    stem = target.name[: target.name.lower().rindex(".nii")]
    return target.with_name(f"{stem}_{ending}{suffix or target.name[len(stem) :]}")


def read_window(stored: StoredVolume) -> tuple[float, float] | None:
    """Level and width that a series is shown by; None where it tells none."""
    header = stored.dicom[0] if stored.dicom else {}
    try:
        values: list[Any] = [header.get(name) for name in ("WindowCenter", "WindowWidth")]
        level, width = (float(v[0] if isinstance(v, Sequence) else v) for v in values)
    except (TypeError, ValueError, IndexError):
        return None
    return (level, width) if width >= 1 else None


def warn_of_series(stored: StoredVolume, modality: str) -> None:
    """Say where a series calls itself another modality than the network is for."""
    told = stored.modality
    if told and told != modality:
        print(
            f"warning: {stored.path} says it is {told}: expected {modality} for this network; "
            "check --direction",
            file=sys.stderr,
            flush=True,
        )
