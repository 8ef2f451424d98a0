"""The size that an image file's header announces, without decoding anything.

Pillow tells it for PNG and JPEG. It refuses kinds of TIFF and BMP that OpenCV reads, and reads
every tag of a TIFF into memory, so the few bytes that matter are looked up here.
"""

from __future__ import annotations

import io
import struct

from PIL.JpegImagePlugin import JpegImageFile

_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_TIFF_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}  # unsigned integers
_J2K_SIZE = b"\xff\x4f\xff\x51"  # start of a codestream, and of its sizes
_JPEG_FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # markers
_WIDTH, _HEIGHT, _BITS, _SAMPLES = 256, 257, 258, 277  # tags of a TIFF


def read_header(content: bytes, kind: str) -> tuple[int, int, int] | None:
    """Read what an image announces.

    Args:
        content: The file's bytes, which start with the kind's signature.
        kind: "PNG", "JPEG", "TIFF" or "BMP".

    Returns:
        (width, height, bits of a pixel), of the first image; None where the header is damaged.
    """
    try:
        return _READERS[kind](content)
    except Exception:  # a damaged file may raise anything
        return None


def read_frame_size(content: bytes) -> tuple[int, int] | None:
    """(width, height) that a compressed frame of a DICOM file announces.

    Args:
        content: A JPEG (lossless ones and JPEG-LS too), or a JPEG 2000 codestream or file.

    Returns:
        None where it is damaged or of another kind.
    """
    try:
        if content.startswith(b"\xff\xd8"):
            return _find_jpeg_frame(content)
        width, height, left, top = struct.unpack_from(">4I", content, content.index(_J2K_SIZE) + 8)
        return width - left, height - top
    except (IndexError, ValueError, struct.error):
        return None


def _find_jpeg_frame(content: bytes) -> tuple[int, int]:
    """The first frame of a JPEG, whatever its compression."""
    place = 2
    while content[place + 1] not in _JPEG_FRAMES:
        if content[place] != 0xFF:
            raise ValueError("no marker")
        is_filled = content[place + 1] == 0xFF
        place += 1 if is_filled else 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    height, width = struct.unpack_from(">HH", content, place + 5)
    return width, height


def _read_png(content: bytes) -> tuple[int, int, int]:
    """The first chunk of a PNG."""
    width, height, depth, colour = struct.unpack_from(">IIBB", content, 16)
    return width, height, depth * _PNG_CHANNELS[colour]


def _read_jpeg(content: bytes) -> tuple[int, int, int]:
    """The frame of a JPEG."""
    width, height = JpegImageFile(io.BytesIO(content)).size
    return width, height, 24


def _read_bmp(content: bytes) -> tuple[int, int, int]:
    """The header of a BMP, of Windows or OS/2; a negative height stands for rows from the top."""
    if int.from_bytes(content[14:18], "little") == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", content, 18)
    else:
        width, height, _, bits = struct.unpack_from("<iiHH", content, 18)
    return width, abs(height), max(bits, 24)


def _read_tiff(content: bytes) -> tuple[int, int, int]:
    """The first directory of a TIFF, classic or big."""
    order = "<" if content[:2] == b"II" else ">"
    is_big = content[2:4] in (b"+\0", b"\0+")
    word, entry = ("Q", 20) if is_big else ("I", 12)
    start = struct.unpack_from(order + word, content, 8 if is_big else 4)[0]
    head = order + ("Q" if is_big else "H")
    count = min(struct.unpack_from(head, content, start)[0], 2**16)
    values: dict[int, int] = {_BITS: 1, _SAMPLES: 1}
    first = start + struct.calcsize(head)
    for place in range(first, first + count * entry, entry):
        tag, kind = struct.unpack_from(order + "HH", content, place)
        if tag in (_WIDTH, _HEIGHT, _BITS, _SAMPLES) and kind in _TIFF_TYPES:
            number = struct.unpack_from(order + word, content, place + 4)[0]
            place += 4 + struct.calcsize(word)
            if number * struct.calcsize(_TIFF_TYPES[kind]) > struct.calcsize(word):
                place = struct.unpack_from(order + word, content, place)[0]
            values[tag] = struct.unpack_from(order + _TIFF_TYPES[kind], content, place)[0]
    return values[_WIDTH], values[_HEIGHT], values[_BITS] * values[_SAMPLES]


_READERS = {"PNG": _read_png, "JPEG": _read_jpeg, "TIFF": _read_tiff, "BMP": _read_bmp}
