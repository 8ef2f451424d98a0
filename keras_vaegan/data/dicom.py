"""DICOM series: read one whole or refuse it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, get_decoder
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from keras_vaegan.data.dicom_file import read_dicom
from keras_vaegan.data.limits import check_inflation, check_pixels
from keras_vaegan.data.volume import Volume
from keras_vaegan.errors import InputError, first_line

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_MONOCHROME = ("MONOCHROME1", "MONOCHROME2")


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


class Slice(NamedTuple):
    """One file's header and place: position (3,), row and column directions (2, 3), spacing."""

    path: Path
    header: Dataset
    position: np.ndarray
    axes: np.ndarray
    spacing: np.ndarray


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
        slices = _sort_slices(folder, _choose_series(folder, _read_headers(folder), uid))
        notes = _check_gaps(folder, slices)
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


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Keep pydicom's remarks on odd but usable headers off the terminal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def _list_files(folder: Path) -> list[Path]:
    """A folder's files by name, hidden ones apart."""
    return sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))


def is_dicom_file(path: Path) -> bool:
    """Whether a file has the DICM mark, or is named .dcm and reads as DICOM without it."""
    try:
        with path.open("rb") as file:
            if file.read(132)[128:] == b"DICM":
                return True
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check the path") from error
    if path.suffix.lower() != ".dcm":
        return False
    try:
        with quiet_pydicom():
            header = read_dicom(path, stop_before_pixels=True)
            return bool(header.get("SOPClassUID")) and header.SOPClassUID.is_valid
    except Exception:  # foreign bytes may raise anything
        return False


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
        header = read_dicom(path, stop_before_pixels=True)
        kind = header.get("SOPClassUID") or header.file_meta.MediaStorageSOPClassUID
        return header if "Rows" in header or "Image Storage" in kind.name else None
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


def _sort_slices(folder: Path, headers: list[tuple[Path, Dataset]]) -> list[Slice]:
    """Slices along their normal, each checked by itself and against the first."""
    slices = [read_slice(path, header) for path, header in headers]
    for one in slices:
        _check_alike(slices[0], one)
    if len(slices) < 2:
        raise InputError(f"{folder} holds 1 slice of the series: expected 2 or more; add them")
    normal = _find_normal(slices[0])
    return sorted(slices, key=lambda one: float(one.position @ normal))


def read_slice(path: Path, header: Dataset) -> Slice:
    """A header with its place in space; colour, many frames and unusable geometry are refused."""
    photometric = str(header.get("PhotometricInterpretation") or "none")
    samples, frames = (
        read_numbers(path, header, keyword, (1,))[0]
        for keyword in ("SamplesPerPixel", "NumberOfFrames")
    )
    if samples != 1 or photometric not in _MONOCHROME:
        raise InputError(
            f"{path} is colour or unknown ({samples:g} samples, {photometric}): expected "
            f"{' or '.join(_MONOCHROME)}; choose another series"
        )
    if frames > 1:
        raise InputError(
            f"{path} holds {frames:g} frames: expected one a file; split it into single frames"
        )
    read_numbers(path, header, "Rows")
    read_numbers(path, header, "Columns")
    position = read_numbers(path, header, "ImagePositionPatient", count=3)
    axes = read_numbers(path, header, "ImageOrientationPatient", count=6).reshape(2, 3)
    spacing = read_numbers(path, header, "PixelSpacing", count=2)
    if np.abs(axes @ axes.T - np.eye(2)).max() > 0.01 or spacing.min() <= 0:
        raise InputError(
            f"{path} has axes that are not of length 1 and perpendicular, or a PixelSpacing not "
            "above 0: expected usable geometry; repair its header"
        )
    return Slice(path, header, position, axes, spacing)


def read_numbers(
    path: Path | str,
    header: Dataset,
    keyword: str,
    default: tuple[float, ...] | None = None,
    count: int = 1,
) -> np.ndarray:
    """A tag's finite numbers; the default where it is absent or empty and has one."""
    try:
        value = header.get(keyword)
        if value is None or value == "":
            value = default
        numbers = np.array(() if value is None else value, "float64").reshape(-1)
    except Exception as error:  # text, or bytes of another type
        raise InputError(
            f"{path} has an unreadable {keyword}: expected numbers; repair its header"
        ) from error
    if not numbers.size:
        raise InputError(f"{path} lacks {keyword}: expected an image of a scan; export it again")
    if numbers.size != count or not np.isfinite(numbers).all():
        raise InputError(
            f"{path} has {keyword} {', '.join(f'{n:g}' for n in numbers)}: expected {count} finite "
            f"number{'s' * (count > 1)}; repair its header"
        )
    return numbers


def _check_alike(first: Slice, other: Slice) -> None:
    """Refuse a slice of another size, direction or spacing."""
    differing = [k for k in ("Rows", "Columns") if first.header[k].value != other.header[k].value]
    if np.abs(first.axes - other.axes).max() > 1e-3:
        differing.append("ImageOrientationPatient")
    if np.abs(first.spacing - other.spacing).max() > 1e-4:
        differing.append("PixelSpacing")
    if differing:
        raise InputError(
            f"{other.path} differs from {first.path.name} in {' and '.join(differing)}: expected "
            "one stack of equal slices; move other images away"
        )


def _find_normal(one: Slice) -> np.ndarray:
    """The unit vector across a slice."""
    normal = np.cross(one.axes[0], one.axes[1])
    return normal / np.linalg.norm(normal)


def _check_gaps(folder: Path, slices: list[Slice]) -> list[str]:
    """Refuse doubled and missing slices; note a tilt and uneven gaps."""
    normal = _find_normal(slices[0])
    positions = np.array([one.position for one in slices])
    gaps = np.diff(positions @ normal)
    closest = int(gaps.argmin())
    if gaps[closest] < 0.01:
        names = " and ".join(one.path.name for one in slices[closest : closest + 2])
        raise InputError(
            f"{folder} has two slices at one position ({names}): expected one volume; move the "
            "second echo, phase or copy away"
        )
    _check_numbering(folder, slices, gaps)
    notes = []
    step = (positions[-1] - positions[0]) / len(gaps)
    tilt = float(np.degrees(np.arccos(min(1.0, step @ normal / np.linalg.norm(step)))))
    if tilt > 0.5:
        told = _read_tilt(slices[0].header)
        cause = "gantry tilted" if abs(abs(told) - tilt) < 0.5 else "slices sheared"
        notes.append(f"{cause} by {tilt:.1f} degrees")
    if gaps.max() - gaps.min() > max(0.01, 0.01 * float(np.median(gaps))):
        notes.append(
            f"uneven spacing of slices, {gaps.min():.2f} to {gaps.max():.2f} mm: right in DICOM, "
            "in a NIfTI file slices lie at the mean spacing"
        )
    line = np.outer((positions - positions[0]) @ normal, step / (step @ normal))
    aside = np.linalg.norm(positions - positions[0] - line, axis=1).max()
    if aside > 0.1:
        notes.append(f"slices displaced sideways by up to {aside:.2f} mm")
    return notes


def _read_tilt(header: Dataset) -> float:
    """GantryDetectorTilt in degrees, 0 where it is absent or unusable."""
    try:
        return float(read_numbers("", header, "GantryDetectorTilt", (0,))[0])
    except InputError:
        return 0.0


def _check_numbering(folder: Path, slices: list[Slice], gaps: np.ndarray) -> None:
    """Refuse a wide gap where InstanceNumber jumps too; medians are the lower of two."""
    numbers = [read_numbers(one.path, one.header, "InstanceNumber", (0,))[0] for one in slices]
    jumps = np.abs(np.diff(numbers))
    gap, jump = (np.quantile(steps, 0.5, method="lower") for steps in (gaps, jumps))
    missing = np.flatnonzero((gaps >= 1.5 * gap) & (jumps > jump))
    if len(missing):
        at = missing[0]
        raise InputError(
            f"{folder} lacks slices between InstanceNumber {numbers[at]:g} and {numbers[at + 1]:g}"
            f" ({gaps[at]:.2f} mm apart, others {gap:.2f} mm): expected the whole series; add them"
        )


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


def _decode(one: Slice) -> np.ndarray:
    """A slice's values (rows, columns) after the rescale."""
    slope = read_numbers(one.path, one.header, "RescaleSlope", (1,))[0]
    intercept = read_numbers(one.path, one.header, "RescaleIntercept", (0,))[0]
    if slope == 0:
        raise InputError(f"{one.path} has RescaleSlope 0: expected another; repair its header")
    try:
        image = read_dicom(one.path)
        image.file_meta.TransferSyntaxUID = _find_syntax(image)
        stored = image.pixel_array.reshape(one.header.Rows, one.header.Columns)
        if image.PhotometricInterpretation == "MONOCHROME1" and image.get("Modality") != "CT":
            total = -1 if image.PixelRepresentation else (1 << image.BitsStored) - 1
            stored = total - stored.astype("int64")  # lowest and highest change places
        is_listed = "ModalityLUTSequence" in image
        with np.errstate(over="ignore", invalid="ignore"):  # told below
            values = apply_modality_lut(stored, image) if is_listed else stored * slope + intercept
            values = np.asarray(values, "float32")
    except Exception as error:  # a damaged file may raise anything
        raise _damaged(one.path, error) from error
    if not np.isfinite(values).all():
        raise InputError(f"{one.path} holds NaN or infinite pixels: expected finite float32")
    return values


def build_affine(slices: Sequence[Slice]) -> np.ndarray:
    """RAS+ affine of (column, row, slice); the third axis runs from the first to the last slice."""
    first, last = slices[0], slices[-1]
    affine = np.eye(4)
    affine[:3, 0] = first.axes[0] * first.spacing[1]
    affine[:3, 1] = first.axes[1] * first.spacing[0]
    affine[:3, 2] = (last.position - first.position) / max(1, len(slices) - 1)
    affine[:3, 3] = first.position
    return LPS_TO_RAS @ affine
