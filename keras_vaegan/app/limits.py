"""How much the page takes: less than the package, whose own limits are no person's patience."""

from __future__ import annotations

import gzip
import io
import math
import re
import shutil
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import nibabel
import numpy as np

from keras_vaegan.data.limits import PIECE
from keras_vaegan.errors import InputError, first_line

UPLOAD_BYTES = 200 * 2**20
IMAGE_SIDE = 4096
VOLUME_SIDE = 1024
VOLUME_VOXELS = 512**3
ZIP_FILES = 4096
ZIP_BYTES = 2**30  # unpacked
ZIP_LIST_BYTES = 2**22  # of the list of files at its end
NAME_LETTERS = 60  # of a file in it, from the end; folders take 255 bytes, a letter at most 4
_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others cannot be unpacked by pieces
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError,
    ValueError,
)  # fmt: skip


def check_upload(path: Path) -> None:
    """Refuse a file of more than 200 MB.

    Raises:
        InputError: it is larger, or gone.
    """
    if not path.is_file():
        raise InputError(f"{path.name} did not arrive whole: expected an upload; drop it again")
    check_upload_size(path.name, path.stat().st_size)


def check_upload_size(name: str, size: int) -> None:
    """Refuse more than 200 MB.

    Raises:
        InputError: there are more.
    """
    if size > UPLOAD_BYTES:
        raise InputError(
            f"{name[-80:]} has {math.ceil(size / 2**20)} MB: expected at most "
            f"{UPLOAD_BYTES / 2**20:.0f} MB here; use the command `translate` for it"
        )


def check_image_size(name: str, image: np.ndarray) -> None:
    """Refuse an image of more than 4096 pixels a side.

    Raises:
        InputError: it is larger.
    """
    height, width = image.shape[:2]
    if max(height, width) > IMAGE_SIDE:
        raise InputError(
            f"{name} has {width}x{height} pixels: expected at most {IMAGE_SIDE} a side; shrink or "
            "crop it"
        )


def check_voxels(name: str, shape: Sequence[int]) -> None:
    """Refuse a volume of more than 512^3 voxels, or of more than 1024 a side.

    Raises:
        InputError: it is larger.
    """
    if math.prod(shape) > VOLUME_VOXELS or max(shape, default=0) > VOLUME_SIDE:
        raise InputError(
            f"{name} has {'x'.join(map(str, shape))} voxels: expected at most 512x512x512 in all "
            f"and {VOLUME_SIDE} a side here; use the command `translate` for it"
        )


def check_nifti_size(path: Path) -> None:
    """Refuse a NIfTI file whose header tells too many voxels.

    A header that cannot be read passes: `read_nifti` says what is wrong with it.

    Raises:
        InputError: there are too many.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as stream:
            head = stream.read(540)
        sizes = [int.from_bytes(head[:4], order) for order in ("little", "big")]
        kind = nibabel.Nifti2Header if 540 in sizes else nibabel.Nifti1Header
        shape = kind.from_fileobj(io.BytesIO(head), check=False).get_data_shape()
    except Exception:  # foreign bytes may raise anything
        return
    check_voxels(path.name, shape)


def unpack_zip(path: Path, folder: Path) -> None:
    """Unpack a zip file's files into one folder, in no subfolders, with a number before each name.

    Folders, hidden files and DICOMDIR are left out. Names lose signs that a line cannot show.

    Args:
        path: The zip file.
        folder: A new folder.

    Raises:
        InputError: too many or too large files, names that lead out of the folder, a password,
            rare compression, or damage.
    """
    _check_list(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = _choose_members(path, archive.infolist())
            folder.mkdir(parents=True)
            for number, member in enumerate(members):
                name = re.sub(r"[^\w.+-]", "_", PurePosixPath(member.filename).name[-NAME_LETTERS:])
                with (
                    archive.open(member) as source,
                    (folder / f"{number:04d}-{name}").open("wb") as sink,
                ):
                    shutil.copyfileobj(source, sink, PIECE)
    except _DAMAGED as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path.name} cannot be unpacked ({first_line(error)}): expected a whole zip file; "
            "zip the series again"
        ) from error


def _check_list(path: Path) -> None:
    """Refuse a list of files that is longer than a series', before it is read."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 2**16 - 64))
        tail = file.read()
    ends = [match.start() for match in re.finditer(rb"(?=PK\x05\x06)", tail)]
    sizes = [int.from_bytes(tail[end + 12 : end + 16], "little") for end in ends]
    if b"PK\x06\x07" in tail or max(sizes, default=0) > ZIP_LIST_BYTES:
        raise _refuse_many(path)


def _choose_members(path: Path, members: list[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    """The files that may be slices, once all have passed."""
    for member in members:
        place = PurePosixPath(member.filename.replace("\\", "/"))
        if place.is_absolute() or ".." in place.parts or ":" in str(place)[1:2]:
            raise InputError(
                f"{path.name} holds the name {member.filename[:80]!r}, which leads out of its "
                "folder: expected plain names; zip the series again"
            )
        if member.flag_bits & 1 or member.compress_type not in _PLAIN:
            raise InputError(
                f"{path.name} has a password or a rare compression: expected a plain zip file; "
                "zip the series again"
            )
    files = [member for member in members if not member.is_dir()]
    if len(files) > ZIP_FILES:
        raise _refuse_many(path)
    total = sum(member.file_size for member in files)
    if total > ZIP_BYTES:
        raise InputError(
            f"{path.name} unpacks to {total / 2**30:.1f} GB: expected at most "
            f"{ZIP_BYTES / 2**30:.1f} GB here; use the command `translate` for it"
        )
    return [member for member in files if not _is_aside(PurePosixPath(member.filename))]


def _is_aside(place: PurePosixPath) -> bool:
    """Whether a file is no slice for sure."""
    hidden = place.name.startswith(".") or "__MACOSX" in place.parts
    return hidden or place.name.upper() == "DICOMDIR"


def _refuse_many(path: Path) -> InputError:
    """What to say of too many files."""
    return InputError(
        f"{path.name} holds too many files: expected at most {ZIP_FILES}; zip one series alone"
    )
