"""One DICOM file and its tags, read within bounds: pydicom takes all that a file announces."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import data_element_generator
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from keras_vaegan.data.limits import PIECE
from keras_vaegan.errors import InputError

HEADER_BYTES = 2**24  # of a file beside its pixels
ELEMENT_BYTES = 2**20  # of an element that a slice may need beside them
PIXEL_BYTES = 8  # of a pixel, in the widest type that DICOM has
MAX_READS = 2**18  # two an element, or three
PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)  # tags of float, double and integer ones


def read_dicom(path: Path, pixels: int = 0) -> Dataset:
    """Read a DICOM file by pydicom, also one without preamble or meta information.

    A deflated one is inflated as far as it is read, and becomes explicit little endian. Elements
    of more than `ELEMENT_BYTES` that are no pixels are left out.

    Args:
        path: The file.
        pixels: Of its image, rows times columns; 0 reads the header alone.

    Raises:
        InputError: it holds, or inflates to, far more than such an image and a header.
        Exception: of any kind, where it is damaged.
    """
    limit = HEADER_BYTES + PIXEL_BYTES * pixels
    with path.open("rb") as file:
        stream = _Bounded(path, file, limit)
        meta = _read_meta(stream)
        deflated = meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian
        if deflated:
            stream = _Bounded(path, _Inflated(file), limit)
        else:
            stream.seek(0)
        image = pydicom.dcmread(
            stream, None if pixels else ELEMENT_BYTES, stop_before_pixels=not pixels, force=True
        )
    image.filename, image.buffer = str(path), None
    if deflated:
        image.file_meta = meta
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    # As they lie there: elements() would read those that were passed over.
    for item in list(image.values()):
        is_long = isinstance(item, RawDataElement) and item.length > ELEMENT_BYTES
        if is_long and item.tag not in PIXELS:
            del image[item.tag]
    return image


class _Inflated:
    """What a file holds deflated from where it stands, inflated as far as it is read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._content, self._place = file, bytearray(), 0
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)

    def read(self, size: int) -> bytes:
        """So many bytes, fewer at the end."""
        stop = self._place + size
        while len(self._content) < stop and not self._inflater.eof:
            packed = self._inflater.unconsumed_tail or self._file.read(PIECE)
            part = self._inflater.decompress(packed, PIECE)
            if not packed and not part:
                break
            self._content += part
        found = bytes(self._content[self._place : stop])
        self._place += len(found)
        return found

    def seek(self, place: int, whence: int = 0) -> int:
        """Go to a place, from the start (0) or from here (1)."""
        self._place = place + whence * self._place
        return self._place

    def tell(self) -> int:
        """Where it stands."""
        return self._place


class _Bounded:
    """A stream that is read so far, in so many pieces, and no further.

    Args:
        path: The file, to name it.
        stream: What is read.
        limit: Bytes to be read; of an inflated stream also the furthest place.
    """

    def __init__(self, path: Path, stream: BinaryIO | _Inflated, limit: int) -> None:
        self.name, self.tell = str(path), stream.tell
        self._stream, self._limit = stream, limit
        self._bytes, self._reads = limit, MAX_READS

    def read(self, size: int = -1) -> bytes:
        """So many bytes, all that are left where it is negative."""
        most = self._bytes + 1
        content = self._stream.read(most if size < 0 else min(size, most))
        self._bytes -= len(content)
        self._reads -= 1
        if min(self._bytes, self._reads) < 0:
            raise self._refuse()
        return content

    def seek(self, place: int, whence: int = 0) -> int:
        """Go to a place."""
        if isinstance(self._stream, _Inflated) and place > self._limit:
            raise self._refuse()
        return self._stream.seek(place, whence)

    def _refuse(self) -> InputError:
        """What to say."""
        return InputError(
            f"{self.name} holds more than {self._limit:,} bytes or {MAX_READS // 2:,} elements: "
            "expected one image of a scan; replace it or move it away"
        )


def _read_meta(stream: _Bounded) -> FileMetaDataset:
    """A file's meta information, empty where it has none; the stream then stands behind it."""
    meta = FileMetaDataset()
    if stream.read(132)[128:] == b"DICM":
        for item in data_element_generator(cast(BinaryIO, stream), False, True, _follows_meta):
            meta[item.tag] = item
    return meta


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
            header = read_dicom(path)
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
        for kind in (UserWarning, RuntimeWarning):  # the latter of Pillow, on large images
            warnings.simplefilter("ignore", kind)
        yield


def _follows_meta(tag: int, vr: str | None, length: int) -> bool:
    """Whether an element stands behind the file's meta information."""
    return tag >> 16 != 2
