"""Keras weight files as plain data: which layers and arrays a file holds, before it is trusted.

Reading what a file holds (`read_weight_file`) loads names, shapes and texts, never the arrays.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from keras_vaegan.data.limits import INFLATION_LIMIT
from keras_vaegan.errors import InputError, show
from keras_vaegan.weights.hdf5 import (
    MAX_NAMES,
    count_arrays,
    find_dataset,
    find_object,
    has_names,
    is_name,
    open_h5,
    read_names,
    read_text_attribute,
)
from keras_vaegan.weights.names import CONFIG_ATTRIBUTE

TOP_LEVEL = "top_level_model_weights"
MAX_CHUNKS = 100_000  # of all arrays


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
            if not is_name(writer[name]):
                raise InputError(f"{path}: its {name} is no name; use a Keras .h5 file")
        return WeightFile(
            path=Path(path),
            is_full_model=root.name != "/",
            **writer,
            layers=layers,
            model_config=read_text_attribute(file, "model_config", path),
            own_config=read_text_attribute(file, CONFIG_ATTRIBUTE, path),
            optimizer_arrays=count_arrays(file, "optimizer_weights"),
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


def _find_weight_root(file: h5py.File, path: str | Path) -> h5py.Group:
    """The group with the layers: the file itself, or a full model's `model_weights`."""
    if has_names(file, "layer_names"):
        return file
    if "model_weights" in file:
        root = find_object(file, "model_weights", path)
        if isinstance(root, h5py.Group) and has_names(root, "layer_names"):
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
        group = find_object(root, name, path)
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
