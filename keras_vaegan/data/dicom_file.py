"""One DICOM file and its tags, read within bounds: pydicom inflates a deflated one without end."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.filereader import data_element_generator
from pydicom.uid import DeflatedExplicitVRLittleEndian

from keras_vaegan.data.limits import check_inflation, compute_limit, measure_deflated
from keras_vaegan.errors import InputError

TRANSFER_SYNTAX = 0x00020010  # tag


def read_dicom(path: Path, stop_before_pixels: bool = False) -> Dataset:
    """Read a DICOM file by pydicom, also one without preamble or meta information.

    Args:
        path: The file.
        stop_before_pixels: Whether the header alone is wanted.

    Raises:
        InputError: it is deflated and inflates to far more than it has bytes.
        Exception: of any kind, where it is damaged.
    """
    with path.open("rb") as file:
        if file.read(132)[128:] == b"DICM":
            meta = data_element_generator(file, False, True, _follows_meta)
            syntax = [item.value or b"" for item in meta if item.tag == TRANSFER_SYNTAX]
            if syntax and syntax[0].strip(b"\0 ") == DeflatedExplicitVRLittleEndian.encode():
                size = path.stat().st_size
                inflated = measure_deflated(file.read(), compute_limit(size))
                check_inflation(path, inflated, size)
    return pydicom.dcmread(path, stop_before_pixels=stop_before_pixels, force=True)


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


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Keep pydicom's remarks on odd but usable headers off the terminal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def _follows_meta(tag: int, vr: str | None, length: int) -> bool:
    """Whether an element stands behind the file's meta information."""
    return tag >> 16 != 2
