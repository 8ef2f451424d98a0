"""How much a file may ask for: bounds far above any honest scan, told from headers alone.

A crafted file of a few megabytes can announce, or inflate to, more than any machine holds. What a
file announces is compared with its own length before anything is decoded.
"""

from __future__ import annotations

from pathlib import Path

from keras_vaegan.errors import InputError

MAX_PIXELS = 2**26  # of one image, 8192 x 8192
MAX_VOXELS = 2**30  # of one volume, 1024 x 1024 x 1024
FREE_BYTES = 2**28  # that any file may announce
INFLATION_LIMIT = 64  # bytes that a file may announce beyond those, for each of its own
PIECE = 2**20


def check_pixels(path: Path, width: int, height: int, bits: int = 8) -> None:
    """Refuse an image of more than `MAX_PIXELS` (of 64 bits each), or of none.

    Args:
        path: The file, to name it.
        width: As its header says.
        height: As its header says.
        bits: Of a pixel, all channels together.
    """
    if min(width, height) < 1 or width * height * max(1, bits / 64) > MAX_PIXELS:
        raise InputError(
            f"{path} is {width} x {height} pixels of {bits} bits: expected at least 1 and at most "
            f"{MAX_PIXELS:,}; cut or shrink it"
        )


def compute_limit(stored: int) -> int:
    """Bytes that a file, or a series, of so many may announce."""
    return max(FREE_BYTES, INFLATION_LIMIT * stored)


def check_inflation(path: Path, announced: int, stored: int) -> None:
    """Refuse a file whose values would take far more memory than it has bytes.

    Args:
        path: The file, to name it.
        announced: Bytes of its values once they are read.
        stored: Bytes of the file, or of all files of a series.
    """
    limit = compute_limit(stored)
    if announced > limit:
        raise InputError(
            f"{path} announces {announced:,} bytes of values in {stored:,} of file: expected at "
            f"most {limit:,}; store it uncompressed, or replace it"
        )
