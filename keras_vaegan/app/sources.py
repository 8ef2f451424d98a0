"""What a user gives the page: an image, a NIfTI file, or a zip of a DICOM series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keras_vaegan.app.limits import (
    check_image_size,
    check_nifti_size,
    check_upload,
    check_voxels,
    unpack_zip,
)
from keras_vaegan.data.dicom_file import is_dicom_file, read_numbers
from keras_vaegan.data.dicom_series import list_series
from keras_vaegan.data.image import read_image
from keras_vaegan.data.volume_files import StoredVolume, is_nifti_name, read_volume
from keras_vaegan.errors import InputError

DOMAINS = {"MR": "mri", "CT": "ct"}
MOST_TRIED = 3  # series of a zip


@dataclass(frozen=True)
class Series:
    """A DICOM series of a zip.

    Attributes:
        label: What to call it.
        shape: (columns, rows, slices).
        placed: Whether its images lie in space: slices do, reports in pictures do not.
    """

    label: str
    shape: tuple[int, int, int]
    placed: bool

    @property
    def rank(self) -> tuple[bool, int]:
        """Larger of what is rather wanted."""
        return self.placed, self.shape[2]


@dataclass(frozen=True)
class Source:
    """An input, read.

    Attributes:
        path: The file as it was uploaded.
        image: (H, W) or (H, W, 3), uint8, uint16 or float32; None for a volume.
        stored: A volume, or None.
        series: All series of a zip, by SeriesInstanceUID.
        chosen: The one that was read.
        domain: "mri" or "ct" where the input tells.
        notes: Which larger series of a zip cannot be used, and why.
    """

    path: Path
    image: np.ndarray | None = None
    stored: StoredVolume | None = None
    series: Mapping[str, Series] = field(default_factory=dict)
    chosen: str = ""
    domain: str | None = None
    notes: tuple[str, ...] = ()

    def describe(self) -> str:
        """Kind and size, in one phrase."""
        if self.image is not None:
            height, width = self.image.shape[:2]
            depth = {"uint8": "8 bit", "uint16": "16 bit"}.get(self.image.dtype.name, "float")
            return f"image, {width} × {height}, {depth}{', colour' * (self.image.ndim == 3)}"
        assert self.stored is not None
        shape = " × ".join(map(str, self.stored.volume.values.shape))
        sizes = np.linalg.norm(self.stored.volume.affine[:3, :3], axis=0)
        spacing = " × ".join(f"{size:.3g}" for size in sizes)
        kind = f"{self.stored.modality or 'DICOM'} series" if self.stored.dicom else "NIfTI volume"
        return f"{kind}, {shape} voxels of {spacing} mm"


def read_source(path: Path, series: str | None = None) -> Source:
    """Read an upload; its kind is told by its content, of NIfTI files by the name.

    Args:
        path: The file. A zip is unpacked beside it, into a folder of its name.
        series: SeriesInstanceUID of a zip of several; by default the one of most slices that can be
            read.

    Raises:
        InputError: too large, damaged, or of no kind that is known.
    """
    check_upload(path)
    with path.open("rb") as file:
        start = file.read(4)
    if start in (b"PK\x03\x04", b"PK\x05\x06"):
        return _read_zip(path, series)
    if is_nifti_name(path):
        check_nifti_size(path)
        return Source(path, stored=read_volume(path))
    if is_dicom_file(path):
        raise InputError(f"{path.name} is one DICOM file: expected its series; zip the folder")
    image = read_image(path)
    check_image_size(path.name, image)
    return Source(path, image=image)


def _read_zip(path: Path, uid: str | None) -> Source:
    """Unpack a zip, where that has not been done, and read one of its series."""
    folder = path.with_name(path.name.rsplit(".", 1)[0] + " (unpacked)")
    if not folder.is_dir():
        unpack_zip(path, folder)
    series = {name: _describe_series(path, found) for name, found in list_series(folder).items()}
    if uid is not None and uid not in series:
        raise InputError(f"no series {uid} in {path.name}: expected one of it; choose it again")
    ranked = sorted(series, key=lambda name: series[name].rank, reverse=True)
    names = ranked[:MOST_TRIED] if uid is None else [uid]
    uid, stored, notes = _read_first(path, folder, series, names)
    domain = DOMAINS.get(stored.modality)
    return Source(path, None, stored, series, uid, domain, notes)


def _read_first(
    path: Path, folder: Path, series: Mapping[str, Series], names: list[str]
) -> tuple[str, StoredVolume, tuple[str, ...]]:
    """The first series that can be read, and what is wrong with those before it."""
    errors: list[InputError] = []
    for uid in names:
        try:
            check_voxels(path.name, series[uid].shape)
            stored = read_volume(folder, uid)
        except InputError as error:
            errors.append(error)
            continue
        told = zip(names, errors, strict=False)
        notes = tuple(f"Not taken: {series[name].label}: {error}" for name, error in told)
        return uid, stored, tuple(note.replace(f"{path.parent}/", "") for note in notes)
    raise errors[0]


def _describe_series(path: Path, headers: list[Any]) -> Series:
    """One series from its slices' headers."""
    columns, rows = (
        max(int(read_numbers(path.name, header, name, (0,))[0]) for header in headers)
        for name in ("Columns", "Rows")
    )
    modality, title = (_read_text(headers[0], n) for n in ("Modality", "SeriesDescription"))
    count = f"{len(headers)} slice{'s' * (len(headers) != 1)}"
    label = f"{modality or '?'} · {title or 'no name'} · {count}"
    placed = all("ImagePositionPatient" in header for header in headers)
    return Series(label, (columns, rows, len(headers)), placed)


def _read_text(header: Any, name: str) -> str:
    """A tag in a few words; empty where it cannot be read."""
    try:
        return " ".join(str(header.get(name) or "").split())[:60]
    except Exception:  # bytes that are no text
        return ""
