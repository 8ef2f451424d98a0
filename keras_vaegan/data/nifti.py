"""NIfTI files: read one whole or refuse it, write one with another's header."""

from __future__ import annotations

import gzip
import io
import logging
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.imageglobals import logger
from nibabel.spatialimages import HeaderDataError

from keras_vaegan.data.limits import MAX_VOXELS, PIECE, check_inflation
from keras_vaegan.data.volume import Volume
from keras_vaegan.errors import InputError, first_line
from keras_vaegan.files import atomic_path

SUFFIXES = (".nii.gz", ".nii")
COMPRESSION = 5
GZIP = b"\x1f\x8b"
MAX_OFFSET = 2**22  # bytes of header and extensions before the image
MAX_REST = 2**24  # bytes after the image
_IMAGES = {348: nibabel.Nifti1Image, 540: nibabel.Nifti2Image}


def list_nifti_files(folder: str | Path) -> list[Path]:
    """List a folder's NIfTI files by name, subfolders and hidden files not included."""
    return sorted(
        path
        for path in Path(folder).iterdir()
        if path.name.lower().endswith(SUFFIXES) and not path.name.startswith(".")
    )


def read_nifti(path: str | Path) -> tuple[Volume, nibabel.Nifti1Header]:
    """Read a 3-D NIfTI file (version 1 or 2, plain or gzip, told by its content).

    Returns:
        (volume, header): values as stored (X, Y, Z), or float64 where the header scales them, in
        an affine of its own; the header is `write_nifti`'s template.

    Raises:
        InputError: missing, empty, cut short, no NIfTI, not 3-D, not real numbers, more voxels
            than any scan has or than a compressed file of its length holds, values that are not
            finite, or an affine that cannot be inverted.
    """
    path = Path(path)
    with _open_content(path) as file, _quiet_nibabel():
        try:
            kind, content = _read_whole(path, file)
            image = kind.from_stream(io.BytesIO(content))
            header = image.header
            values = np.asanyarray(image.dataobj)
            affine = np.array(image.affine, "float64")
        except (
            ImageFileError, HeaderDataError, ValueError, KeyError, OverflowError,
        ) as error:  # fmt: skip
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{path} cannot be decoded ({first_line(error)}): replace it"
            ) from error
    _check_values(path, values, affine)
    return Volume(values, affine), header


def write_nifti(
    path: str | Path, volume: Volume, header: nibabel.Nifti1Header | None = None
) -> None:
    """Write a volume, whole or not at all.

    Args:
        path: Ends in .nii or .nii.gz.
        volume: Its array is stored as it is, or rounded and clipped into the header's dtype.
        header: Template of everything but the shape: dtype, scaling, units, codes of the affine,
            description; a fresh header in mm where not given.

    Raises:
        InputError: another suffix, or an unwritable place.
    """
    path = Path(path)
    if not path.name.lower().endswith(SUFFIXES):
        raise InputError(f"{path}: expected a name ending in {' or '.join(SUFFIXES)}")
    content = _encode(volume, header)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        if path.name.lower().endswith(".gz"):
            content = gzip.compress(content, COMPRESSION, mtime=0)
        file.write(content)


def _encode(volume: Volume, header: nibabel.Nifti1Header | None) -> bytes:
    """The bytes of an uncompressed file."""
    if header is None:
        image = nibabel.Nifti1Image(volume.values, volume.affine)
        image.header.set_xyzt_units("mm")
        image.set_qform(volume.affine, 1)
        image.set_sform(volume.affine, 1)
        return image.to_bytes()
    dtype = header.get_data_dtype()
    slope, intercept = header.get_slope_inter()
    slope, intercept = 1.0 if slope is None else slope, intercept or 0.0
    stored = volume.values
    if (slope, intercept) != (1, 0) or stored.dtype != dtype:
        stored = (np.asarray(stored, "float64") - intercept) / slope
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            stored = np.clip(np.round(stored), limits.min, limits.max)
    kind = nibabel.Nifti2Image if isinstance(header, nibabel.Nifti2Header) else nibabel.Nifti1Image
    image = kind(stored.astype(dtype.newbyteorder("=")), None, header.copy())
    image.header.set_data_dtype(dtype)
    image.header.set_slope_inter(slope, intercept)
    return image.to_bytes()


@contextmanager
def _open_content(path: Path) -> Iterator[BinaryIO | gzip.GzipFile]:
    """A file's content as a stream, which is decompressed as it is read."""
    try:
        with path.open("rb") as file:
            start = file.read(len(GZIP))
            file.seek(0)
            if not start:
                raise InputError(
                    f"{path} is empty (0 bytes): expected a NIfTI file; replace or remove it"
                )
            yield gzip.GzipFile(fileobj=file) if start == GZIP else file
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            f"{path} is truncated or damaged ({error}): expected a whole gzip file; replace it"
        ) from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check the path") from error


@contextmanager
def _quiet_nibabel() -> Iterator[None]:
    """Keep nibabel's remarks on odd headers off the terminal."""
    logger.addFilter(_refuse)
    try:
        yield
    finally:
        logger.removeFilter(_refuse)


def _refuse(record: logging.LogRecord) -> bool:
    """A filter that nothing passes."""
    return False


def _read_whole(
    path: Path, file: BinaryIO | gzip.GzipFile
) -> tuple[type[nibabel.Nifti1Image], bytes]:
    """The class of an image and its bytes: the header first, then as many as it announces.

    A compressed file is read to its end, where its checksum stands.
    """
    start = file.read(max(_IMAGES))
    sizes = [int.from_bytes(start[:4], order) for order in ("little", "big")]
    kind = next((_IMAGES[size] for size in sizes if size in _IMAGES), None)
    if kind is None or len(start) < kind.header_class.sizeof_hdr:
        raise InputError(f"{path} is no NIfTI file: expected .nii or .nii.gz content; replace it")
    header = kind.header_class(start[: kind.header_class.sizeof_hdr])
    is_packed = isinstance(file, gzip.GzipFile)
    needed = _check_header(path, header, is_packed)
    content = start + file.read(max(0, needed - len(start)))
    if len(content) < needed:
        raise InputError(
            f"{path} holds {len(content)} bytes where its header asks for {needed}: expected a "
            "whole file; replace it"
        )
    rest = 0
    while is_packed and (piece := file.read(PIECE)):
        rest += len(piece)
        if rest > MAX_REST:
            raise InputError(
                f"{path} goes on for over {MAX_REST} bytes after its image: expected its end; "
                "replace it"
            )
    return kind, content


def _check_header(path: Path, header: nibabel.Nifti1Header, is_packed: bool) -> int:
    """Refuse other than three dimensions, foreign types and absurd sizes. Returns bytes needed."""
    shape = header.get_data_shape()
    if len(shape) != 3 or min(shape) < 1:
        received = "x".join(map(str, shape))
        raise InputError(
            f"{path} is {len(shape)}-D ({received}): expected one 3-D volume; split it first"
        )
    dtype = header.get_data_dtype()
    if dtype.kind not in "iuf":
        raise InputError(f"{path} holds {dtype} values: expected real numbers; convert it first")
    voxels, offset = math.prod(map(int, shape)), float(header["vox_offset"])
    if voxels > MAX_VOXELS:
        raise InputError(
            f"{path} announces {voxels:,} voxels: expected at most {MAX_VOXELS:,}; cut it"
        )
    if not 0 <= offset <= MAX_OFFSET:
        raise InputError(
            f"{path} has vox_offset {offset:g}: expected 0 to {MAX_OFFSET}; repair its header"
        )
    if is_packed:
        is_scaled = header.get_slope_inter() not in ((None, None), (1, 0))
        size = max(8, dtype.itemsize) if is_scaled else dtype.itemsize
        check_inflation(path, voxels * size, path.stat().st_size)
    return int(offset) + dtype.itemsize * voxels


def _check_values(path: Path, values: np.ndarray, affine: np.ndarray) -> None:
    """Refuse values that are not finite, and an affine that places nothing."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        count = int((~np.isfinite(values)).sum())
        raise InputError(
            f"{path} holds {count} NaN or infinite voxels: expected finite values; repair it"
        )
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise InputError(
            f"{path} has an affine that cannot be inverted: expected voxel sizes and axes; "
            "repair its header"
        )
