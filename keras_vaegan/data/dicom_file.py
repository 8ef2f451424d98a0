"""One DICOM file, read within bounds: pydicom inflates a deflated one without end."""

from __future__ import annotations

from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.filereader import data_element_generator
from pydicom.uid import DeflatedExplicitVRLittleEndian

from keras_vaegan.data.limits import check_inflation, compute_limit, measure_deflated

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


def _follows_meta(tag: int, vr: str | None, length: int) -> bool:
    """Whether an element stands behind the file's meta information."""
    return tag >> 16 != 2
