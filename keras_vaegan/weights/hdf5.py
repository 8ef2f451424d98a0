"""HDF5 files, read with every size checked first, and lists of names in them.

Nothing in a file is executed, unpickled or followed out of it.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import h5py
import numpy as np

from keras_vaegan.errors import InputError, first_line, show
from keras_vaegan.files import atomic_path
from keras_vaegan.weights.h5_heaps import find_largest_text

ATTRIBUTE_LIMIT = 64512  # bytes; HDF5 keeps an attribute in an object header of 64 KiB
MAX_NAMES = 5_000  # of layers, and of arrays; the largest known networks have about 2,000
MAX_NAME = 4_096  # characters
MAX_PIECES = 1_000  # of a list of names
MAX_LINKS = 3 * MAX_NAMES  # looked at in a group
MAX_TEXT = 2**26  # bytes of all texts of an attribute
MAX_CONFIG = 2**23  # bytes of one text; the largest known configs take about 1 MiB


class UnreadableFile(InputError):
    """A file that is no HDF5, is cut short or is damaged."""


@contextmanager
def create_h5(path: str | Path) -> Iterator[h5py.File]:
    """Give a new HDF5 file to write to, which takes `path`'s place once it is complete.

    Raises:
        InputError: the folder cannot be written to, or the disk is full.
    """
    with atomic_path(path) as temporary:
        try:
            with h5py.File(temporary, "w") as file:
                yield file
        except RuntimeError as error:  # how h5py tells that the last flush failed
            raise OSError(errno.EIO, first_line(error)) from error


@contextmanager
def open_h5(path: str | Path) -> Iterator[h5py.File]:
    """Open an HDF5 file to read; whatever goes wrong in it becomes one line.

    Raises:
        UnreadableFile: `path` is no HDF5 file, or a damaged one.
        InputError: there is no such file.
    """
    if not Path(path).is_file():
        raise InputError(
            f"no file {path}: expected an HDF5 (.h5) weight file, or a folder of them "
            "where one will do; check the path"
        )
    try:
        with h5py.File(path, "r") as file:
            yield file
    except InputError:
        raise
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, MemoryError) as error:
        raise UnreadableFile(
            f"cannot read {path}: expected a whole HDF5 (.h5) file, but {first_line(error)}; "
            "copy or download it again"
        ) from error


def find_dataset(group: h5py.Group, name: str, path: str | Path) -> h5py.Dataset:
    """Find a dataset whose values lie in the file itself, without reading them.

    Raises:
        InputError: it is missing, no dataset, or reached through a soft or external link.
    """
    dataset = find_object(group, name, path)
    if not isinstance(dataset, h5py.Dataset):
        raise InputError(f"{path}: {show(name)} is no array; use a Keras .h5 file")
    if dataset.external or dataset.is_virtual:
        raise InputError(f"{path}: {show(name)} lies in another file; use a self-contained file")
    return dataset


def find_object(group: h5py.Group, name: str, path: str | Path) -> h5py.Group | h5py.Dataset:
    """Walk from a group to a name over hard links only.

    Raises:
        InputError: it is missing, or reached through a soft or external link.
    """
    for part in filter(None, name.split("/")):
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
        if link is None:
            raise InputError(f"{path}: the file names {show(name)} but lacks it; use a whole file")
        if not isinstance(link, h5py.HardLink):
            raise InputError(
                f"{path}: {show(name)} is a soft or external link; use a self-contained file"
            )
        group = group[part]
    return group


def count_arrays(file: h5py.File, name: str) -> int:
    """Number of arrays below a group; soft and external links are not followed."""
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        return 0
    count, links, waiting, seen = 0, 0, [file[name]], set()
    while waiting:
        item = waiting.pop()
        address = h5py.h5o.get_info(item.id).addr
        if address in seen:  # hard links can make a circle
            continue
        seen.add(address)
        if isinstance(item, h5py.Dataset):
            count += 1
            continue
        for key in islice(item, MAX_LINKS - links):
            links += 1
            if isinstance(item.get(key, getlink=True), h5py.HardLink):
                waiting.append(item[key])
    return count


def read_text_attribute(group: h5py.Group, name: str, path: str | Path) -> str | None:
    """Read an attribute that holds one text, or None where it is absent."""
    if name not in group.attrs:
        return None
    _check_attribute_size(group, name, path, 1, MAX_CONFIG)
    value = group.attrs[name]
    if isinstance(value, bytes):
        value = value.decode()
    if not isinstance(value, str):
        raise InputError(f"{path}: attribute {name} is no text; use a file as Keras writes it")
    return value


def read_names(group: h5py.Group, attribute: str, path: str | Path) -> list[str]:
    """Read a list of names, whole or in numbered pieces; refuse a missing, odd or repeated one."""
    names: list[str] = []
    keys = _name_keys(group, attribute)
    for key in keys:
        _check_attribute_size(group, key, path, MAX_NAMES, MAX_TEXT)
        values = np.atleast_1d(group.attrs[key])
        if not values.size:
            continue
        names += [v.decode() if isinstance(v, bytes) else v for v in values.tolist()]
        if len(names) > MAX_NAMES:
            break
    if not keys or not all(isinstance(name, str) and is_name(name) for name in names):
        raise InputError(
            f"{path}: {show(group.name)} has no usable {attribute}; expected a file of Keras "
            'weights as save_weights("x.h5") wrote them'
        )
    if len(set(names)) < len(names) or len(names) > MAX_NAMES:
        raise InputError(
            f"{path}: {attribute} of {show(group.name)} holds repeated or too many names; "
            "use an undamaged file"
        )
    return names


def has_names(group: h5py.Group, attribute: str) -> bool:
    """Whether a group has a list of names."""
    return bool(_name_keys(group, attribute))


def write_names(group: h5py.Group, attribute: str, names: list[str]) -> None:
    """Write a list of names as an attribute, in numbered pieces where it is too long for one."""
    encoded = np.asarray([name.encode() for name in names])
    if encoded.itemsize > ATTRIBUTE_LIMIT:
        raise InputError(f"{attribute}: {show(max(names, key=len))} is too long; shorten the name")
    pieces, count = [encoded], 1
    while any(piece.nbytes > ATTRIBUTE_LIMIT for piece in pieces):
        count += 1
        pieces = np.array_split(encoded, count)
    for index, piece in enumerate(pieces):
        group.attrs[attribute if count == 1 else f"{attribute}{index}"] = piece


def is_name(text: str) -> bool:
    """Whether a text may be printed on a line as it is."""
    return len(text) <= MAX_NAME and text.isprintable()


def _name_keys(group: h5py.Group, attribute: str) -> list[str]:
    """The attributes that hold a list of names: the whole, or its numbered pieces in order."""
    if attribute in group.attrs:
        return [attribute]
    keys: list[str] = []
    while len(keys) < MAX_PIECES and f"{attribute}{len(keys)}" in group.attrs:
        keys.append(f"{attribute}{len(keys)}")
    return keys


def _check_attribute_size(
    group: h5py.Group, name: str, path: str | Path, count: int, limit: int
) -> None:
    """Refuse an attribute of more values or bytes than any that Keras writes."""
    attribute = group.attrs.get_id(name)
    size = attribute.dtype.itemsize
    if attribute.dtype.hasobject:  # references to texts of variable length
        size = max(size, _measure_largest_text(path))
    claimed = np.prod(attribute.shape, dtype=float)
    if claimed > count or claimed * size > limit:
        raise InputError(f"{path}: attribute {show(name)} is too large; use a Keras .h5 file")


def _measure_largest_text(path: str | Path) -> int:
    """Bytes of a file's largest text; refuses a damaged heap, which HDF5 would read without end."""
    largest = find_largest_text(str(path), Path(path).stat().st_mtime_ns)
    if largest is None:
        raise UnreadableFile(
            f"cannot read {path}: expected a whole HDF5 (.h5) file, but a heap of texts in it is "
            "damaged; copy or download it again"
        )
    return largest
