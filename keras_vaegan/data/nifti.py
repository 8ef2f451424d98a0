"""NIfTI files: read one whole or refuse it, write one with another's header."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from keras_vaegan.data.volume import Volume
from keras_vaegan.errors import InputError, first_line
from keras_vaegan.files import atomic_path

SUFFIXES = (".nii.gz", ".nii")
COMPRESSION = 5
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
        InputError: missing, empty, cut short, no NIfTI, not 3-D, not real numbers, values that
            are not finite, or an affine that cannot be inverted.
    """
    path = Path(path)
    content = _read_content(path)
    sizes = [int.from_bytes(content[:4], order) for order in ("little", "big")]
    kind = next((_IMAGES[size] for size in sizes if size in _IMAGES), None)
    if kind is None or len(content) < 348:
        raise InputError(f"{path} is no NIfTI file: expected .nii or .nii.gz content; replace it")
    try:
        image = kind.from_stream(io.BytesIO(content))
        header, shape = image.header, image.shape
        _check_header(path, header, shape, len(content))
        values = np.asanyarray(image.dataobj)
        affine = np.array(image.affine, "float64")
    except (
        ImageFileError, HeaderDataError, ValueError, OSError, EOFError, KeyError, OverflowError,
    ) as error:  # fmt: skip
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} cannot be decoded ({first_line(error)}): replace it") from error
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


def _read_content(path: Path) -> bytes:
    """A file's bytes, decompressed with their checksum compared."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check the path") from error
    if not content:
        raise InputError(f"{path} is empty (0 bytes): expected a NIfTI file; replace or remove it")
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise InputError(
            f"{path} is truncated or damaged ({error}): expected a whole gzip file; replace it"
        ) from error


def _check_header(path: Path, header, shape: tuple[int, ...], size: int) -> None:
    """Refuse other than three dimensions, foreign types, and more voxels than there are bytes."""
    if len(shape) != 3 or min(shape) < 1:
        received = "x".join(map(str, shape))
        raise InputError(
            f"{path} is {len(shape)}-D ({received}): expected one 3-D volume; split it first"
        )
    dtype = header.get_data_dtype()
    if dtype.kind not in "iuf":
        raise InputError(f"{path} holds {dtype} values: expected real numbers; convert it first")
    needed = int(header["vox_offset"]) + dtype.itemsize * int(np.prod(shape, dtype=object))
    if size < needed:
        raise InputError(
            f"{path} holds {size} bytes where its header asks for {needed}: expected a whole "
            "file; replace it"
        )


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
