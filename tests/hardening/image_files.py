"""Image files that are small, or say so, and decode to gigabytes; and hostile headers."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np

SUFFIX = ".png"
READER = "keras_vaegan.data.image"
SIZES = {
    "20000x20000": (20_000, 20_000), "32000x32000": (32_000, 32_000),
    "1000000x1000": (1_000_000, 1_000), "1000x1000000": (1_000, 1_000_000),
    "100000x100000": (100_000, 100_000), "2**31": (2**31 - 1, 2**31 - 1), "0x5": (0, 5),
}  # fmt: skip
KINDS = {"gray": (8, 0), "gray 16": (16, 0), "RGB": (8, 2), "RGBA": (8, 6), "RGBA 16": (16, 6),
         "bit": (1, 0)}  # fmt: skip
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def list_cases() -> dict[str, Callable[[Path], None]]:
    """One function a case, by name."""
    cases: dict[str, Callable[[Path], None]] = {}
    for suffix in (".png", ".jpg", ".tif", ".bmp"):
        content = _encode(suffix)
        cases[f"honest {suffix}"] = partial(_write, content=content)
        for share in (0.02, 0.3, 0.9):
            cut = content[: int(share * len(content))]
            cases[f"{share:.0%} of {suffix}"] = partial(_write, content=cut)
    cases["honest 16-bit .tif"] = partial(_write, content=_encode(".tif", "uint16"))
    cases["honest 16-bit .png"] = partial(_write, content=_encode(".png", "uint16"))
    cases["honest float .tif"] = partial(_write, content=_encode(".tif", "float32"))
    for label, (width, height) in SIZES.items():
        for kind, (depth, colour) in KINDS.items():
            cases[f"PNG {label} {kind}"] = partial(
                _write_png, width=width, height=height, depth=depth, colour=colour
            )
        for suffix in (".tif", ".bmp", ".png"):
            name = {".tif": "TIFF", ".bmp": "BMP", ".png": "PNG"}[suffix]
            cases[f"{name} header {label}"] = partial(
                _write_resized, suffix=suffix, width=width, height=height
            )
    for side in (8_193, 30_000, 65_500):
        cases[f"JPEG header {side}x{side}"] = partial(
            _write_resized, suffix=".jpg", width=side, height=side
        )
    return cases | _list_tiffs() | _list_others()


def read(path: Path) -> None:
    """What every command that takes images does."""
    from keras_vaegan.data.image import read_image

    read_image(path)


def _encode(suffix: str, dtype: str = "uint8") -> bytes:
    """An honest file of 40 x 48 pixels."""
    image = np.add.outer(np.arange(40), np.arange(48)).astype(dtype)
    return cv2.imencode(suffix, image)[1].tobytes()


def _write(path: Path, content: bytes) -> None:
    """A file of these bytes."""
    path.write_bytes(content)


def _chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _write_png(path, width, height, depth, colour) -> None:
    """Black of any size; above a gigabyte of it the data end early, as a reader finds last."""
    stride = 1 + -(-width * depth * CHANNELS[colour] // 8)
    rows = min(height, 2**31 // stride)
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        file.write(_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)))
        for part in _repeat(stride * rows):
            file.write(_chunk(b"IDAT", part))
        file.write(_chunk(b"IEND", b""))


def _repeat(size: int) -> Iterator[bytes]:
    """A zlib stream of so many zeros, from one packed block of them."""
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(bytes(2**22)) + packer.flush(zlib.Z_FULL_FLUSH)
    yield b"\x78\xda" + packer.compress(bytes(size % 2**22)) + packer.flush(zlib.Z_FULL_FLUSH)
    for _ in range(size // 2**22):
        yield block
    checksum = (size % 65521 << 16) + 1  # Adler-32 of zeros
    yield b"\1\0\0\xff\xff" + struct.pack(">I", checksum)


def _write_resized(path, suffix, width, height) -> None:
    """An honest file whose header says another size."""
    content = bytearray(_encode(suffix))
    if suffix == ".png":
        header = struct.pack(">II", width, height) + content[24:29]
        content[8:33] = _chunk(b"IHDR", header)
    elif suffix == ".bmp":
        content[18:26] = struct.pack("<ii", width, height)
    elif suffix == ".jpg":
        place = content.index(b"\xff\xc0") + 5
        content[place : place + 4] = struct.pack(">HH", height, width)
    else:
        return path.write_bytes(_make_tiff({256: (4, width), 257: (4, height)}))
    path.write_bytes(content)


def _make_tiff(fields: dict[int, tuple[int, int]] | None = None, data: bytes = bytes(100)) -> bytes:
    """A gray TIFF of 10 x 10 with other values of some tags: (type, value)."""
    tags = {
        256: (4, 10), 257: (4, 10), 258: (3, 8), 259: (3, 1), 262: (3, 1), 273: (4, 8),
        277: (3, 1), 278: (4, 10), 279: (4, len(data)), **(fields or {}),
    }  # fmt: skip
    count = {4: 1, 3: 1, 1: 4}
    entries = b"".join(
        struct.pack("<HHII", tag, kind, count.get(kind, 1), value % 2**32)
        for tag, (kind, value) in sorted(tags.items())
    )
    head = b"II*\0" + struct.pack("<I", 8 + len(data))
    return head + data + struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)


def _list_tiffs() -> dict[str, Callable[[Path], None]]:
    """Hostile tags, tiles, circles and counts of entries."""
    values = (0, 1, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**32 - 1)
    cases = {
        f"TIFF tag {tag} {value}": partial(_write, content=_make_tiff({tag: (4, value)}))
        for tag in (256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 317, 339)
        for value in values
    }
    for side in (2**12, 2**16, 2**24, 2**31 - 16):
        tiles = {322: (4, side), 323: (4, side), 324: (4, 8), 325: (4, 100)}
        cases[f"TIFF tiles of {side}"] = partial(_write, content=_make_tiff(tiles))
    cases["TIFF of deflated black"] = _write_deflated
    many = {10_000 + tag: (1, 2**31) for tag in range(50_000)}
    cases["TIFF of 50,000 entries"] = partial(_write, content=_make_tiff(many))
    whole = _make_tiff()
    cases["TIFF whose directory is itself"] = partial(_write, content=whole[:-4] + whole[4:8])
    cases["TIFF without a directory"] = partial(_write, content=whole[:4] + b"\xff\xff\xff\x7f")
    cases["BigTIFF of nothing"] = partial(
        _write, content=b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**60)
    )
    for suffix in ("uint16", "float32", "float64"):
        image = np.ones((9, 9), suffix)
        cases[f"honest TIFF of {suffix}"] = partial(
            _write, content=cv2.imencode(".tif", image)[1].tobytes()
        )
    return cases


def _write_deflated(path) -> None:
    """A TIFF of 2**28 black pixels in one strip."""
    wide = {256: (4, 2**14), 257: (4, 2**14), 278: (4, 2**14), 259: (3, 8)}
    path.write_bytes(_make_tiff(wide, b"".join(_repeat(2**28))))


def _list_others() -> dict[str, Callable[[Path], None]]:
    """Bombs in texts and profiles, progressive scans, BMP in runs."""
    honest = _encode(".png")
    runs = struct.pack("<2sIHHI", b"BM", 2**16, 0, 0, 54) + struct.pack(
        "<IiiHHIIiiII", 40, 30_000, 30_000, 1, 8, 1, 0, 0, 0, 0, 0
    )
    turned = runs[:22] + struct.pack("<i", -(2**31)) + runs[26:]
    return {
        "PNG of text bombs": partial(_write_inflating, kind=b"zTXt", count=64),
        "PNG of a profile bomb": partial(_write_inflating, kind=b"iCCP", count=1),
        "PNG without data": partial(_write, content=honest[:33] + honest[-12:]),
        "PNG of 500,000 chunks": partial(
            _write, content=honest[:33] + _chunk(b"aaAa", b"") * 500_000 + honest[33:]
        ),
        "JPEG of 10,000 scans": partial(_write_scans, count=10_000),
        "JPEG of 60 scans": partial(_write_scans, count=60),
        "BMP of runs 30000x30000": partial(_write, content=runs + bytes(2**16)),
        "BMP of negative height": partial(_write, content=turned + bytes(2**16)),
    }


def _write_inflating(path, kind: bytes, count: int) -> None:
    """An honest PNG with chunks that inflate to 128 MiB each."""
    honest = _encode(".png")
    chunk = _chunk(kind, b"a\0\0" + b"".join(_repeat(2**27)))
    path.write_bytes(honest[:33] + chunk * count + honest[33:])


def _write_scans(path, count: int) -> None:
    """A progressive JPEG whose last scan comes again and again."""
    black = np.zeros((4096, 4096), "uint8")
    content = cv2.imencode(".jpg", black, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    scan = content[content.rindex(b"\xff\xda") : -2]
    path.write_bytes(content[:-2] + scan * count + content[-2:])
