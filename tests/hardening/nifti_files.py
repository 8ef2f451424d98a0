"""NIfTI files with one hostile header field, announced sizes that no file holds, gzip bombs."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path

import nibabel
import numpy as np

SUFFIX = ".nii"
READER = "keras_vaegan.data.nifti"
VALUES = np.arange(60, dtype="int16").reshape(3, 4, 5)
AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])
INTEGERS = (0, 1, -1, 2, 4, 7, 8, 127, 255, 32767, -32768, 2**31 - 1, -(2**31), 2**40, 2**62)
FLOATS = (0.0, -1.0, 1e-40, 1e38, 3e9, 353.5, 16.0, np.nan, np.inf, -np.inf)
FIELDS = (
    "sizeof_hdr", "dim", "datatype", "bitpix", "pixdim", "vox_offset", "scl_slope", "scl_inter",
    "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "srow_x",
    "srow_z", "intent_code", "slice_code", "xyzt_units", "magic",
)  # fmt: skip


def list_cases() -> dict[str, Callable[[Path], None]]:
    """One function a case, by name."""
    cases: dict[str, Callable[[Path], None]] = {
        "honest": partial(_write, content=_make(1)),
        "honest, gzip": partial(_write, content=gzip.compress(_make(1))),
        "honest, version 2": partial(_write, content=_make(2)),
    }
    for version in (1, 2):
        for field in FIELDS:
            cases |= _list_field(version, field)
    for gigabytes in (1, 6):
        size = gigabytes * 2**30
        cases |= {
            f"bomb without a header, {gigabytes} GB": partial(_write_bomb, head=b"", size=size),
            f"bomb after the header, {gigabytes} GB": partial(
                _write_bomb, head=_announce((1024, 1024, 512 * gigabytes)), size=size
            ),
            f"bomb after the image, {gigabytes} GB": partial(_write_bomb, head=_make(1), size=size),
            f"bomb of 4-D, {gigabytes} GB": partial(
                _write_bomb, head=_announce((1024, 1024, 2, 256 * gigabytes)), size=size
            ),
            f"bomb of scaled bytes, {gigabytes} GB": partial(
                _write_bomb, head=_announce((1024, 1024, 1024 * gigabytes), "uint8", 2.0), size=size
            ),
        }
    cases["bomb after the image, 64 MB"] = partial(_write_bomb, head=_make(1), size=2**26)
    cases["sparse file of 6 GB"] = partial(_write_sparse, size=6 * 2**30)
    cases["bomb of 32767 cubed"] = partial(
        _write_bomb, head=_announce((32767, 32767, 32767)), size=2**26
    )
    cases["a million extensions"] = partial(_write_extensions, count=10**6)
    cases["extensions, gzip bomb"] = partial(
        _write_bomb, head=_announce((4, 4, 4), offset=2.0**30), size=2**26
    )
    cases["an extension of 2 GB"] = partial(_write_extensions, count=1, size=2**31 - 16)
    cases["a negative extension"] = partial(_write_extensions, count=1, size=-16)
    cases["gzip in gzip"] = partial(_write, content=gzip.compress(gzip.compress(_make(1))))
    for cut in (0, 1, 2, 10, 100, 347, 348, 352, 400):
        cases[f"{cut} bytes"] = partial(_write, content=_make(1)[:cut])
        cases[f"{cut} bytes of gzip"] = partial(_write, content=gzip.compress(_make(1))[:cut])
    return cases


def read(path: Path) -> None:
    """What every command that takes a volume does."""
    from keras_vaegan.data.nifti import read_nifti

    read_nifti(path)


def _list_field(version: int, field: str) -> dict[str, Callable[[Path], None]]:
    """A field's entries with every value that their type takes, in a plain file."""
    kind = _header(version)[field].dtype
    cases: dict[str, Callable[[Path], None]] = {}
    for index in range(min(4, _header(version)[field].size)):
        for value in FLOATS if kind.kind == "f" else INTEGERS:
            if kind.kind in "iu" and not np.iinfo(kind).min <= value <= np.iinfo(kind).max:
                continue
            shown = f"2**{value.bit_length() - 1}" if abs(value) in (2**40, 2**62) else f"{value:g}"
            cases[f"{version} {field}[{index}] {shown}"] = partial(
                _write_field, version=version, field=field, index=index, value=value
            )
    return cases


def _header(version: int):
    """A header of the version."""
    return nibabel.Nifti1Header() if version == 1 else nibabel.Nifti2Header()


def _make(version: int) -> bytes:
    """An honest file."""
    kind = nibabel.Nifti1Image if version == 1 else nibabel.Nifti2Image
    return kind(VALUES, AFFINE).to_bytes()


def _write(path: Path, content: bytes) -> None:
    """A file of these bytes."""
    path.write_bytes(content)


def _write_field(path, version, field, index, value) -> None:
    """An honest file with one entry of one field changed."""
    content = _make(version)
    kind = nibabel.Nifti1Header if version == 1 else nibabel.Nifti2Header
    fields = np.frombuffer(bytearray(content), kind.template_dtype, count=1).copy()
    if fields[field].dtype.kind == "S":
        fields[field] = b"no"
    elif fields[field].ndim > 1:
        fields[field][0, index] = value
    else:
        fields[field] = value
    path.write_bytes(fields.tobytes() + content[fields.itemsize :])


def _announce(shape, dtype="int16", slope=None, offset=352.0) -> bytes:
    """The first bytes of a file of this shape."""
    header = nibabel.Nifti1Header()
    header.set_data_dtype(dtype)
    header.set_data_shape(shape)
    header.set_sform(AFFINE, 1)
    header["magic"], header["vox_offset"] = b"n+1", offset
    header["scl_slope"], header["scl_inter"] = slope or np.nan, 0 if slope else np.nan
    return header.binaryblock + bytes(4)


def _write_bomb(path, head: bytes, size: int) -> None:
    """The bytes, then zeros to no end: a thousand for each byte of the file."""
    member = gzip.compress(bytes(2**24))
    with path.open("wb") as file:
        file.write(gzip.compress(head))
        for _ in range(size // 2**24):
            file.write(member)


def _write_sparse(path, size: int) -> None:
    """A plain file that is as long as it announces and takes no room on the disk."""
    with path.open("wb") as file:
        file.write(_announce((1024, 1024, size // 2**21)))
        file.truncate(size + 352)


def _write_extensions(path, count: int, size: int = 16) -> None:
    """An image behind this many header extensions."""
    extension = struct.pack("<ii", size, 6) + bytes(8)
    head = _announce((3, 4, 5), offset=352.0 + 16 * count)[:-4] + b"\1\0\0\0"
    path.write_bytes(head + extension * count + VALUES.tobytes())
