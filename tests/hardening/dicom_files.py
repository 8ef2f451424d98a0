"""DICOM series whose slices announce, or inflate to, more than they hold."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    JPEG2000,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
    generate_uid,
)

SUFFIX = ""
READER = "keras_vaegan.data.dicom_series"
LENGTH = 6 * 2**30  # of a file that is nearly nothing
LARGEST = (2**32 - 2).to_bytes(4, "little")  # an element
PIXELS = b"\xe0\x7f\x10\0OW\0\0"
STARTS: dict[str, Callable[[bytes], bytes]] = {
    "6 GB without a header": lambda content: b"",
    "6 GB of empty elements": lambda content: content[: _find_body(content)],
    "6 GB of pixels": lambda content: content[: content.rindex(PIXELS) + 8] + LARGEST,
    "6 GB after the image": lambda content: content,
    "a private element of 4 GB": lambda content: (
        content[: _find_body(content)] + b"\x07\0\x10\x10OB\0\0" + LARGEST
    ),
    "an open element of 6 GB": lambda content: (
        content[: _find_body(content)] + b"\x07\0\x10\x10OB\0\0" + b"\xff" * 4
    ),
}


def list_cases() -> dict[str, Callable[[Path], None]]:
    """One function a case, by name; each writes a folder of two slices."""
    cases: dict[str, Callable[[Path], None]] = {
        "honest": partial(_write, fields={}),
        "honest, deflated": partial(_write, fields={}, syntax=DeflatedExplicitVRLittleEndian),
        "Rows 65535, Columns 65535": partial(_write, fields={"Rows": 65535, "Columns": 65535}),
        "RLE of 65535 x 65535": partial(
            _write, fields={"Rows": 65535, "Columns": 65535}, syntax=RLELossless
        ),
        "RLE of 1 GB": partial(_write, fields={}, syntax=RLELossless, runs=2**23),
        "Rows is missing": partial(_write, fields={"Rows": None}),
    }
    for kind, syntax in (("JPEG", JPEGBaseline8Bit), ("JPEG2000", JPEG2000)):
        for label, side in ((f"honest, {kind}", 0), (f"{kind} of 65,000 x 65,000", 65_000)):
            cases[label] = partial(_compress, kind=kind, syntax=syntax, side=side)
    for gigabytes in (1, 6):
        cases[f"deflated zeros of {gigabytes} GB"] = partial(_deflate, size=gigabytes * 2**30)
    cases["deflated elements of 1 GB"] = partial(_deflate, size=2**30, whole=True)
    for label, start in STARTS.items():
        cases[label] = partial(_stretch, start=start)
    values = (0, 1, 7, 65535)
    for name in ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit",
                 "PixelRepresentation", "SamplesPerPixel"):  # fmt: skip
        for value in values:
            cases[f"{name} {value}"] = partial(_write, fields={name: value})
    for name in ("RescaleSlope", "RescaleIntercept", "NumberOfFrames", "InstanceNumber"):
        for value in ("0", "-1", "2147483647", "1e308"):
            if "e" not in value or "Rescale" in name:
                cases[f"{name} {value}"] = partial(_write, fields={name: value})
    for depth in (100, 3_000):
        cases[f"sequences {depth} deep"] = partial(_write_nested, depth=depth)
    return cases


def read(path: Path) -> None:
    """What every command that takes a series does."""
    from keras_vaegan.data.dicom_series import read_series

    read_series(path)


def _make(index: int, fields: dict) -> Dataset:
    """A slice of 8 x 8."""
    header = Dataset()
    header.SOPClassUID, header.SOPInstanceUID = (
        CTImageStorage,
        generate_uid(entropy_srcs=[str(index)]),
    )
    header.SeriesInstanceUID, header.Modality = "1.2.3", "CT"
    header.PhotometricInterpretation, header.SamplesPerPixel = "MONOCHROME2", 1
    header.Rows = header.Columns = 8
    header.BitsAllocated = header.BitsStored = 16
    header.HighBit, header.PixelRepresentation = 15, 1
    header.ImagePositionPatient = [0, 0, 2 * index]
    header.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    header.PixelSpacing, header.InstanceNumber = [1, 1], index
    header.PixelData = np.arange(64, dtype="int16").tobytes()
    for name, value in fields.items():
        if value is None:
            delattr(header, name)
        else:
            setattr(header, name, value)
    return header


def _write(path: Path, fields: dict, syntax=ExplicitVRLittleEndian, runs: int = 1000) -> None:
    """Two slices with these fields, under this transfer syntax; runs of RLE are of 128 bytes."""
    path.mkdir()
    for index in range(2):
        header = _make(index, fields)
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = syntax
        if syntax == RLELossless:
            frame = (1).to_bytes(4, "little") + (64).to_bytes(4, "little") + bytes(56)
            header.PixelData = pydicom.encaps.encapsulate([frame + b"\x81\0" * runs])
            header["PixelData"].is_undefined_length = True
        header.save_as(path / f"{index}.dcm", enforce_file_format=True)


def _compress(path: Path, kind: str, syntax: str, side: int) -> None:
    """Two slices of 8 x 8 that Pillow compresses; then `side` stands in place of their size."""
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, kind)
    content = buffer.getvalue()
    marker, skipped, size = (b"\xff\xc0", 5, 2) if kind == "JPEG" else (b"\xff\x51", 6, 4)
    start = content.index(marker) + skipped
    if side:
        content = content[:start] + side.to_bytes(size, "big") * 2 + content[start + 2 * size :]
    path.mkdir()
    for index in range(2):
        fields = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0}
        header = _make(index, fields)
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = syntax
        header.PixelData = pydicom.encaps.encapsulate([content])
        header["PixelData"].is_undefined_length = True
        header.save_as(path / f"{index}.dcm", enforce_file_format=True)


def _deflate(path: Path, size: int, whole: bool = False) -> None:
    """Two deflated slices whose pixel data are zeros to no end, or what follows them `whole`."""
    _write(path, {}, DeflatedExplicitVRLittleEndian)
    for file in path.iterdir():
        content = file.read_bytes()
        start = _find_body(content)
        body = zlib.decompress(content[start:], -15)
        cut = body.rindex(PIXELS) + len(PIXELS)
        packer = zlib.compressobj(9, wbits=-15)
        with file.open("wb") as target:
            target.write(content[:start])
            announced = min(size, 2**32 - 2).to_bytes(4, "little")
            target.write(packer.compress(body if whole else body[:cut] + announced))
            for _ in range(size // 2**20):
                target.write(packer.compress(bytes(2**20)))
            target.write(packer.flush())


def _stretch(path: Path, start: Callable[[bytes], bytes]) -> None:
    """Two slices of 6 GB, of which the disk holds little more than the start."""
    _write(path, {})
    for file in path.iterdir():
        file.write_bytes(start(file.read_bytes()))
        os.truncate(file, LENGTH)


def _find_body(content: bytes) -> int:
    """Where a file's own elements begin, behind its meta information."""
    return 132 + 12 + int.from_bytes(content[140:144], "little")


def _write_nested(path: Path, depth: int) -> None:
    """Two slices with sequences inside sequences."""
    _write(path, {})
    for file in path.iterdir():
        content = file.read_bytes()
        start = _find_body(content)
        open_item = b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\0\xe0\xff\xff\xff\xff"
        close_item = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
        body = open_item * depth + close_item * depth
        file.write_bytes(content[:start] + body + content[start:])
