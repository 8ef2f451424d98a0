"""Keras weight files as plain data, and the HDF5 access underneath, with every size checked first.

Nothing in a file is executed, unpickled or followed out of it; reading what a file holds
(`read_weight_file`) loads names, shapes and texts, never the arrays.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import h5py
import numpy as np

from keras_vaegan.data.limits import INFLATION_LIMIT
from keras_vaegan.errors import InputError, first_line
from keras_vaegan.files import atomic_path
from keras_vaegan.weights.h5_heaps import find_largest_text
from keras_vaegan.weights.names import CONFIG_ATTRIBUTE

TOP_LEVEL = "top_level_model_weights"
ATTRIBUTE_LIMIT = 64512  # bytes; HDF5 keeps an attribute in an object header of 64 KiB
MAX_NAMES = 5_000  # of layers, and of arrays; the largest known networks have about 2,000
MAX_NAME = 4_096  # characters
MAX_PIECES = 1_000  # of a list of names
MAX_LINKS = 3 * MAX_NAMES  # looked at in an optimizer
MAX_CHUNKS = 100_000  # of all arrays
MAX_TEXT = 2**26  # bytes of all texts of an attribute
MAX_CONFIG = 2**23  # bytes of one text; the largest known configs take about 1 MiB


class UnreadableFile(InputError):
    """A file that is no HDF5, is cut short or is damaged."""


@dataclass(frozen=True)
class StoredWeight:
    """One array of a file.

    Attributes:
        name: As listed, without ":0".
        dataset: Its path inside the file.
        shape: Its shape.
        dtype: NumPy name of its type.
    """

    name: str
    dataset: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class StoredLayer:
    """One layer of a file, or a nested model's flat weights; `weights` in listed order."""

    name: str
    weights: tuple[StoredWeight, ...]


@dataclass(frozen=True)
class WeightFile:
    """What a Keras HDF5 file holds, without its arrays.

    Attributes:
        path: The file.
        is_full_model: Written by `model.save`, weights beside the model's config.
        keras_version, backend: As the writer said, "" where it did not.
        layers: Every layer in file order, also those without weights.
        model_config: The full model's config as JSON text, or None.
        own_config: The config that this package embeds, as JSON text, or None.
        optimizer_arrays: Number of optimizer arrays beside the weights.
    """

    path: Path
    is_full_model: bool
    keras_version: str
    backend: str
    layers: tuple[StoredLayer, ...]
    model_config: str | None
    own_config: str | None
    optimizer_arrays: int

    @property
    def weighted_layers(self) -> tuple[StoredLayer, ...]:
        """The layers that hold weights."""
        return tuple(layer for layer in self.layers if layer.weights)

    @property
    def parameters(self) -> int:
        """Number of stored weight values, the optimizer's not counted."""
        return sum(math.prod(w.shape) for layer in self.layers for w in layer.weights)


def read_weight_file(path: str | Path) -> WeightFile:
    """Read names, shapes and texts of a Keras HDF5 file.

    Args:
        path: A legacy weight file or full model (`.h5`) of Keras 1, 2 or 3.

    Raises:
        UnreadableFile: no HDF5, cut short or damaged.
        InputError: no such file, another layout, links out of the file, or sizes that no honest
            file of its length has.
    """
    with open_h5(path) as file:
        root = _find_weight_root(file, path)
        layers = tuple(_read_layers(root, path, Path(path).stat().st_size))
        writer = {}
        for name in ("keras_version", "backend"):
            text = read_text_attribute(root, name, path) or read_text_attribute(file, name, path)
            writer[name] = text or ""
            if not _is_name(writer[name]):
                raise InputError(f"{path}: its {name} is no name; use a Keras .h5 file")
        return WeightFile(
            path=Path(path),
            is_full_model=root.name != "/",
            **writer,
            layers=layers,
            model_config=read_text_attribute(file, "model_config", path),
            own_config=read_text_attribute(file, CONFIG_ATTRIBUTE, path),
            optimizer_arrays=_count_arrays(file, "optimizer_weights"),
        )


def read_arrays(file: WeightFile, wanted: list[tuple[StoredWeight, str]]) -> Iterator[np.ndarray]:
    """Read arrays one after another, each in the dtype that stands beside it.

    Raises:
        InputError: the file changed or is damaged, an array is of another kind than its dtype,
            or a value is not finite.
    """
    with open_h5(file.path) as handle:
        for weight, dtype in wanted:
            dataset = find_dataset(handle, weight.dataset, file.path)
            if dataset.shape != weight.shape:
                raise InputError(f"{file.path} changed while it was read; try again")
            yield _read_array(dataset, dtype, file.path)


# -- HDF5 -----------------------------------------------------------------------------------------


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
    dataset = _find(group, name, path)
    if not isinstance(dataset, h5py.Dataset):
        raise InputError(f"{path}: {show(name)} is no array; use a Keras .h5 file")
    if dataset.external or dataset.is_virtual:
        raise InputError(f"{path}: {show(name)} lies in another file; use a self-contained file")
    return dataset


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
    if not keys or not all(isinstance(name, str) and _is_name(name) for name in names):
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


def cast(array: np.ndarray, dtype: str, label: str) -> np.ndarray:
    """Convert to a dtype (bfloat16 by way of float32), refusing non-finite floats."""
    with np.errstate(over="ignore"):
        array = np.asarray(array).astype("float32" if dtype == "bfloat16" else dtype, copy=False)
    if array.dtype.kind == "f" and not _is_finite(array):
        raise InputError(
            f"{label} holds NaN or infinity: expected finite {dtype}; use other weights"
        )
    return array


def _is_finite(array: np.ndarray) -> bool:
    """Whether all values are finite; the sum of squares tells at the speed of memory, mostly."""
    flat = array.reshape(-1)
    with np.errstate(all="ignore"):
        if flat.dtype != np.float16 and np.isfinite(np.dot(flat, flat)):
            return True
    return bool(np.isfinite(flat).all())


def show(name: str) -> str:
    """A name from a file, on one line and of bounded length."""
    return repr(name if len(name) <= 100 else name[:97] + "...")


def _is_name(text: str) -> bool:
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


def _find_weight_root(file: h5py.File, path: str | Path) -> h5py.Group:
    """The group with the layers: the file itself, or a full model's `model_weights`."""
    if _name_keys(file, "layer_names"):
        return file
    if "model_weights" in file:
        root = _find(file, "model_weights", path)
        if isinstance(root, h5py.Group) and _name_keys(root, "layer_names"):
            return root
    if "_layer_checkpoint_dependencies" in file or ("layers" in file and "vars" in file):
        raise InputError(
            f"{path} is a Keras 3 .weights.h5 file: expected the legacy .h5 layout; load it with "
            "model.load_weights and write it with save_legacy_h5"
        )
    raise InputError(
        f"{path}: '/' has no usable layer_names; expected a file of Keras weights as "
        'save_weights("x.h5") or save("x.h5") wrote them'
    )


def _read_layers(root: h5py.Group, path: str | Path, file_size: int) -> Iterator[StoredLayer]:
    """Every layer with its weights' names and shapes."""
    names = read_names(root, "layer_names", path)
    if TOP_LEVEL in root and TOP_LEVEL not in names:
        names.append(TOP_LEVEL)
    claimed = chunks = count = 0
    for name in names:
        group = _find(root, name, path)
        if not isinstance(group, h5py.Group):
            raise InputError(f"{path}: layer {show(name)} is no group; use a Keras .h5 file")
        weights = []
        for listed in read_names(group, "weight_names", path):
            dataset = find_dataset(group, listed, path)
            if dataset.shape is None or dataset.dtype.kind not in "fiub":
                raise InputError(f"{path}: {show(listed)} holds no numbers; use a Keras .h5 file")
            count += 1
            if count > MAX_NAMES:
                raise InputError(f"{path} names over {MAX_NAMES} arrays; use an undamaged file")
            block = dataset.chunks or ()  # is read as a whole
            claimed += max(dataset.size, math.prod(block)) * dataset.dtype.itemsize
            chunks += math.prod(-(-a // b) for a, b in zip(dataset.shape, block, strict=False))
            if claimed > INFLATION_LIMIT * file_size:
                raise InputError(
                    f"{path}: its arrays claim over {claimed:.1e} bytes in a file of "
                    f"{file_size}; use an undamaged file"
                )
            if chunks > MAX_CHUNKS:
                raise InputError(
                    f"{path}: its arrays lie in over {MAX_CHUNKS} pieces; use an undamaged file"
                )
            weights.append(
                StoredWeight(
                    listed.removesuffix(":0"), dataset.name, dataset.shape, dataset.dtype.name
                )
            )
        yield StoredLayer(name, tuple(weights))


def _read_array(dataset: h5py.Dataset, dtype: str, path: str | Path) -> np.ndarray:
    """Read a weight of known shape; refuse another kind of number and what is not finite."""
    is_float = "float" in dtype
    kinds = "f" if is_float else "iub"
    if dataset.dtype.kind not in kinds or dataset.dtype.itemsize > 8:
        expected = "float16, float32 or float64" if is_float else dtype
        raise InputError(
            f"{path}: weight {show(dataset.name)} has dtype {dataset.dtype}: expected "
            f"{expected}; use a Keras .h5 file"
        )
    return cast(dataset[()], dtype, f"{path}: weight {show(dataset.name)}")


def _find(group: h5py.Group, name: str, path: str | Path) -> h5py.Group | h5py.Dataset:
    """Walk from a group to a name over hard links only."""
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


def _count_arrays(file: h5py.File, name: str) -> int:
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
