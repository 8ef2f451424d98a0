"""The heap collections of an HDF5 file, which hold its texts of variable length.

The HDF5 library does not tell a text's size before it reads it, and reads a damaged collection
without end. So the file's bytes are walked here first.
"""

from __future__ import annotations

import functools
import mmap

HEAP_SIGNATURE, HEAP_HEADER = b"GCOL\x01\0\0\0", 16


@functools.lru_cache(maxsize=4)
def find_largest_text(path: str, changed: int) -> int | None:
    """The largest object of all heap collections of a file as it was at the time `changed`.

    Args:
        path: HDF5 file.
        changed: Its time of change, so that the answer of an unchanged file is kept.

    Returns:
        Bytes; None where a collection is damaged.

    Reference: HDF5 file format specification 3.0, III.E "Disk Format: Level 1E - Global Heap".
    """
    largest = 0
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        start = data.find(HEAP_SIGNATURE)
        while start >= 0:
            end = start + int.from_bytes(data[start + 8 : start + 16], "little")
            if not start + HEAP_HEADER < end <= len(data):
                return None
            offset = start + HEAP_HEADER
            while offset + HEAP_HEADER <= end:
                index = int.from_bytes(data[offset : offset + 2], "little")
                length = int.from_bytes(data[offset + 8 : offset + 16], "little")
                step = HEAP_HEADER + -(-length // 8) * 8 if index else length  # 0 is free space
                if step < HEAP_HEADER or offset + step > end:
                    return None
                largest = max(largest, length if index else 0)
                offset += step
            start = data.find(HEAP_SIGNATURE, end)
    return largest
