"""DICOM series: read one whole or refuse it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels import apply_modality_lut, get_decoder
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from keras_vaegan.data.dicom_file import (
    ELEMENT_BYTES,
    PIXEL_BYTES,
    is_dicom_file,
    quiet_pydicom,
    read_dicom,
    read_numbers,
)
from keras_vaegan.data.dicom_geometry import Slice, build_affine, check_gaps, sort_slices
from keras_vaegan.data.image_header import read_frame_size
from keras_vaegan.data.limits import check_inflation, check_pixels
from keras_vaegan.data.volume import Volume
from keras_vaegan.errors import InputError, first_line


@dataclass(frozen=True)
class DicomSeries:
    """One series as a volume.

    Attributes:
        volume: (X, Y, Z) = (columns, rows, slices) float32 after the rescale, slices sorted along
            their normal; "hounsfield" for CT.
        headers: One a slice in the order of Z, without pixel data; `write_series`'s templates.
        notes: What a user should know: gantry tilt, uneven spacing. Empty where nothing.
    """

    volume: Volume
    headers: list[Dataset]
    notes: tuple[str, ...] = ()


def list_series(folder: str | Path) -> dict[str, list[Dataset]]:
    """Headers without pixels of every series of a folder, by SeriesInstanceUID.

    Raises:
        InputError: no DICOM image, or one that cannot be read.
    """
    folder = Path(folder)
    with quiet_pydicom():
        series = _group_series(_read_headers(folder))
    return {uid: [header for _, header in members] for uid, members in series.items()}


def is_dicom_folder(folder: str | Path) -> bool:
    """Whether a folder holds a DICOM file, told by content; subfolders and hidden files apart."""
    folder = Path(folder)
    return folder.is_dir() and any(is_dicom_file(path) for path in _list_files(folder))


def read_series(folder: str | Path, uid: str | None = None) -> DicomSeries:
    """Read one series of single-frame gray images; other files and objects are passed over.

    MONOCHROME1 images are inverted, so that larger is brighter, except for CT, whose values are
    Hounsfield units either way. One slice is decoded at a time.

    Args:
        folder: Its subfolders are not read.
        uid: SeriesInstanceUID, needed where the folder holds several series.

    Returns:
        The series; its affine is sheared where the gantry was tilted.

    Raises:
        InputError: no DICOM image, several series and no uid, an unknown uid, colour, many frames,
            missing or differing geometry, missing slices or two at one place, more pixels than
            any scan has or than files of their length hold, compressed without the plugin,
            damaged or missing pixels.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist: expected a folder of DICOM files")
    with quiet_pydicom():
        slices = sort_slices(folder, _choose_series(folder, _read_headers(folder), uid))
        notes = check_gaps(folder, slices)
        for one in slices:
            _check_syntax(one)
        first = slices[0].header
        shape = len(slices), int(first.Rows), int(first.Columns)
        check_pixels(slices[0].path, shape[2], shape[1])
        stored = sum(one.path.stat().st_size for one in slices)
        check_inflation(folder, 4 * math.prod(shape), stored)
        values = np.empty(shape, "float32")
        for one, target in zip(slices, values, strict=True):
            target[...] = _decode(one)
        unit = "hounsfield" if first.get("Modality") == "CT" else "arbitrary"
        volume = Volume(values.transpose(2, 1, 0), build_affine(slices), unit)
        return DicomSeries(volume, [one.header for one in slices], tuple(notes))


def _list_files(folder: Path) -> list[Path]:
    """A folder's files by name, hidden ones apart."""
    return sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))


def _read_headers(folder: Path) -> list[tuple[Path, Dataset]]:
    """Headers of a folder's DICOM images; a file named .dcm that is none is a lost slice."""
    found: list[tuple[Path, Dataset]] = []
    foreign: list[Path] = []
    for path in _list_files(folder):
        if not is_dicom_file(path):
            foreign += [path] if path.suffix.lower() == ".dcm" else []
        elif path.name != "DICOMDIR":
            header = _read_header(path)
            if header is not None:
                found.append((path, header))
    if not found:
        raise InputError(f"no DICOM file with an image in {folder}: expected a series, one a slice")
    if foreign:
        raise InputError(
            f"{foreign[0]} is empty or holds no DICOM: expected a whole slice; replace or remove it"
        )
    return found


def _read_header(path: Path) -> Dataset | None:
    """A file's header without pixels, None where it is no image but a report or the like."""
    try:
        header = read_dicom(path)
        kind = header.get("SOPClassUID") or header.file_meta.MediaStorageSOPClassUID
        return header if "Rows" in header or "Image Storage" in kind.name else None
    except InputError:
        raise
    except Exception as error:  # a damaged file may raise anything
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> InputError:
    """The error of a file that cannot be decoded."""
    return InputError(f"{path} cannot be decoded ({first_line(error)}): replace it")


def _group_series(
    headers: list[tuple[Path, Dataset]],
) -> dict[str, list[tuple[Path, Dataset]]]:
    """Headers by SeriesInstanceUID."""
    series: dict[str, list[tuple[Path, Dataset]]] = {}
    for path, header in headers:
        name = str(header.get("SeriesInstanceUID") or "")
        if not name:
            raise InputError(f"{path} lacks SeriesInstanceUID: expected one; export it again")
        series.setdefault(name, []).append((path, header))
    return series


def _choose_series(
    folder: Path, headers: list[tuple[Path, Dataset]], uid: str | None
) -> list[tuple[Path, Dataset]]:
    """The headers of the one series, or of the one that the uid names."""
    series = _group_series(headers)
    if uid is None and len(series) == 1:
        return next(iter(series.values()))
    if uid in series:
        return series[uid]
    received = f"holds {len(series)} series" if uid is None else f"holds no series {uid}"
    listed = "; ".join(
        f"{name} ({' '.join(str(members[0][1].get('SeriesDescription') or '-').split())}, "
        f"{len(members)} slices)"
        for name, members in series.items()
    )
    raise InputError(f"{folder} {received}: choose one by --series: {listed}")


def _check_syntax(one: Slice) -> None:
    """Refuse a compression that no installed plugin decodes."""
    syntax = _find_syntax(one.header)
    try:
        if get_decoder(syntax).is_available:
            return
        advice = f"install {_name_plugin(syntax.name)}"
    except NotImplementedError:
        advice = "convert it to uncompressed DICOM first"
    raise InputError(f"{one.path} is compressed ({syntax.name}) and no decoder for it is: {advice}")


def _find_syntax(header: Dataset) -> pydicom.uid.UID:
    """The transfer syntax; of a file without file meta, how pydicom read it."""
    implicit = header.original_encoding[0]
    guessed = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    return header.file_meta.get("TransferSyntaxUID") or guessed


def _name_plugin(syntax: str) -> str:
    """The packages that decode a transfer syntax of that name."""
    codec = "rle" if "RLE" in syntax else "openjpeg" if "JPEG 2000" in syntax else "libjpeg"
    return f"pylibjpeg and pylibjpeg-{codec}"


def _check_frame(path: Path, image: Dataset) -> None:
    """Refuse compressed pixels of another size than the header's, before they are decoded."""
    if not image.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    frame = next(generate_frames(image.PixelData, number_of_frames=1))
    told, expected = read_frame_size(frame), (int(image.Columns), int(image.Rows))
    most = ELEMENT_BYTES + PIXEL_BYTES * math.prod(expected)
    if len(frame) > most:
        raise InputError(
            f"{path} holds {len(frame):,} bytes of compressed pixels: expected at most {most:,} "
            "for its size; export it again"
        )
    if told is not None and told != expected:
        raise InputError(
            f"{path} holds a compressed image of {told[0]} x {told[1]} pixels: expected "
            f"{expected[0]} x {expected[1]}, as its header says; export it again"
        )


def _decode(one: Slice) -> np.ndarray:
    """A slice's values (rows, columns) after the rescale."""
    slope = read_numbers(one.path, one.header, "RescaleSlope", (1,))[0]
    intercept = read_numbers(one.path, one.header, "RescaleIntercept", (0,))[0]
    if slope == 0:
        raise InputError(f"{one.path} has RescaleSlope 0: expected another; repair its header")
    try:
        image = read_dicom(one.path, int(one.header.Rows) * int(one.header.Columns))
        image.file_meta.TransferSyntaxUID = _find_syntax(image)
        _check_frame(one.path, image)
        stored = image.pixel_array.reshape(one.header.Rows, one.header.Columns)
        if image.PhotometricInterpretation == "MONOCHROME1" and image.get("Modality") != "CT":
            total = -1 if image.PixelRepresentation else (1 << image.BitsStored) - 1
            stored = total - stored.astype("int64")  # lowest and highest change places
        is_listed = "ModalityLUTSequence" in image
        with np.errstate(over="ignore", invalid="ignore"):  # told below
            values = apply_modality_lut(stored, image) if is_listed else stored * slope + intercept
            values = np.asarray(values, "float32")
    except InputError:
        raise
    except Exception as error:  # a damaged file may raise anything
        raise _damaged(one.path, error) from error
    if not np.isfinite(values).all():
        raise InputError(f"{one.path} holds NaN or infinite pixels: expected finite float32")
    return values
