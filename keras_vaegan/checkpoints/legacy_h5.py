"""Weight files in the layout of Keras 2's `save_weights("x.h5")`.

The file holds one group a layer; attributes list the layers and each layer's weights in order,
named as TensorFlow 2 named them (`conv/kernel:0`). Keras 3 still loads this layout but no longer
writes it. Reading here checks every name and shape before a single weight changes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from keras_vaegan.config import config_to_dict
from keras_vaegan.errors import InputError
from keras_vaegan.files import atomic_path

KERAS_VERSION = b"2.15.0"
CONFIG_ATTRIBUTE = "keras_vaegan_config"
ATTRIBUTE_LIMIT = 64_512  # bytes; HDF5 keeps an object's attributes in a 64 KiB header


def save_legacy_h5(
    model: keras.Model, path: str | Path, config: Any = None, dtype: str = "float32"
) -> None:
    """Write a model's weights as Keras 2.15's `model.save_weights(path)` would.

    Variables that Keras 2 did not know (states of seed generators) are left out.

    Args:
        model: Functional or Sequential model.
        path: Ends in `.h5`. Replaced only once the new file is whole.
        config: Dataclass config (or its dict) to embed as JSON, so that `load_generator` can
            rebuild the model from the file alone; None embeds nothing.
        dtype: "float32", or "float16" for half the size.

    Raises:
        InputError: the place cannot be written to.
    """
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["backend"] = b"tensorflow"
        file.attrs["keras_version"] = KERAS_VERSION
        if config is not None:
            data = config if isinstance(config, dict) else config_to_dict(config)
            file.attrs[CONFIG_ATTRIBUTE] = json.dumps(data)
        _write_names(file, "layer_names", [layer.name for layer in model.layers])
        for layer in sorted(model.layers, key=lambda layer: layer.name):
            _write_group(file.create_group(layer.name), _list_weights(layer), dtype)
        _write_group(file.create_group("top_level_model_weights"), [], dtype)


def load_legacy_h5(model: keras.Model, path: str | Path) -> None:
    """Load a legacy weight file whose every layer and weight matches the model's by name.

    Nothing is assigned unless everything matches: layer names in order, weight names in order,
    shapes, finite values. Full-model files are read through their `model_weights` group.

    Args:
        model: Model to fill.
        path: `.h5` file; float16, float32 or float64 arrays; `:0` in names is optional.

    Raises:
        InputError: not a readable weight file, or the first difference from the model.
    """
    with open_h5(path) as file:
        root = file["model_weights"] if "model_weights" in file else file
        targets = {layer.name: _list_weights(layer) for layer in model.layers}
        targets = {name: weights for name, weights in targets.items() if weights}
        sources = _list_sources(root, path)
        _check_same("layers", list(targets), list(sources), path)
        arrays = []
        for name, weights in targets.items():
            expected = [weight.path for weight in weights]
            found = [source.removesuffix(":0") for source, _ in sources[name]]
            _check_same(f"weights of layer {name}", expected, found, path)
            for weight, (_, dataset) in zip(weights, sources[name], strict=True):
                arrays.append((weight, _read_array(weight, dataset, path)))
    for weight, array in arrays:
        weight.assign(array)


def read_embedded_config(path: str | Path) -> dict | None:
    """Read the JSON config that `save_legacy_h5` embedded; None where there is none.

    Raises:
        InputError: not a readable weight file, or a config that is no JSON.
    """
    with open_h5(path) as file:
        text = file.attrs.get(CONFIG_ATTRIBUTE)
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}: its embedded config is damaged; restore the file") from error


@contextmanager
def open_h5(path: str | Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading; whatever is wrong with it becomes one line.

    Raises:
        InputError: missing, not HDF5, truncated or damaged.
    """
    if not Path(path).is_file():
        raise InputError(f"{path} does not exist: expected a weight file; check the path")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except InputError:
        raise
    except (OSError, RuntimeError, KeyError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(
            f"{path} is no whole HDF5 weight file ({reason}): expected Keras .h5 weights; fetch "
            "or write it again"
        ) from error


def _list_weights(layer: keras.layers.Layer) -> list[keras.Variable]:
    """A layer's weights in Keras 2's order: trainable, then not."""
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def _write_group(group: h5py.Group, weights: list, dtype: str) -> None:
    """Write one layer's weights and their names."""
    names = [f"{weight.path}:0" for weight in weights]
    _write_names(group, "weight_names", names)
    for name, weight in zip(names, weights, strict=True):
        group.create_dataset(name, data=keras.ops.convert_to_numpy(weight.value).astype(dtype))


def _write_names(group: h5py.Group, attribute: str, names: list[str]) -> None:
    """Write a list of names, in numbered chunks where one attribute cannot hold it."""
    encoded = np.array([name.encode() for name in names]) if names else np.array([], "S1")
    chunks = max(1, -(-encoded.nbytes // ATTRIBUTE_LIMIT))
    if chunks == 1:
        group.attrs[attribute] = encoded
        return
    for index, chunk in enumerate(np.array_split(encoded, chunks)):
        group.attrs[f"{attribute}{index}"] = chunk


def _read_names(group: h5py.Group, attribute: str) -> list[str] | None:
    """Read a list of names, chunked or not; None where it is absent."""
    if attribute in group.attrs:
        parts = [group.attrs[attribute]]
    elif f"{attribute}0" in group.attrs:
        count = 0
        while f"{attribute}{count}" in group.attrs:
            count += 1
        parts = [group.attrs[f"{attribute}{index}"] for index in range(count)]
    else:
        return None
    return [n.decode() if isinstance(n, bytes) else str(n) for part in parts for n in part]


def _list_sources(root: h5py.Group, path: str | Path) -> dict[str, list]:
    """Layers that hold weights -> [(weight name, dataset)], in the file's order."""
    layers = _read_names(root, "layer_names")
    if layers is None:
        raise InputError(
            f"{path} has no layer_names: expected a legacy Keras weight file; save it with "
            "save_legacy_h5"
        )
    sources = {}
    for layer in layers:
        group = _follow(root, layer, path)
        names = _read_names(group, "weight_names") or []
        if names:
            sources[layer] = [(name, _follow(group, name, path)) for name in names]
    return sources


def _follow(group: h5py.Group, name: str, path: str | Path):
    """Get a member that really lies in this file."""
    for depth in range(1, len(name.split("/")) + 1):
        part = "/".join(name.split("/")[:depth])
        link = group.get(part, getlink=True)
        if link is None:
            raise InputError(f"{path} lists {name} but does not hold it: expected a whole file")
        if not isinstance(link, h5py.HardLink):
            raise InputError(f"{path}: {part} is a link to elsewhere: expected the weights here")
    return group[name]


def _check_same(what: str, expected: list[str], found: list[str], path: str | Path) -> None:
    """Refuse the first difference between two lists of names."""
    if expected == found:
        return
    length = max(len(expected), len(found))
    pairs = zip(
        expected + ["nothing"] * (length - len(expected)),
        found + ["nothing"] * (length - len(found)),
        strict=True,
    )
    index, (want, have) = next((i, p) for i, p in enumerate(pairs) if p[0] != p[1])
    raise InputError(
        f"{path} does not match the model: {what}, position {index + 1}: expected {want}, received "
        f"{have} ({len(expected)} expected, {len(found)} received); build the model that the file "
        "was saved from"
    )


def _read_array(weight: keras.Variable, dataset, path: str | Path) -> np.ndarray:
    """Read one weight after checking its kind and shape, and check its values."""
    is_array = isinstance(dataset, h5py.Dataset) and dataset.dtype.kind == "f"
    if not is_array or dataset.shape != tuple(weight.shape):
        received = dataset.shape if is_array else "no float array"
        raise InputError(
            f"{path} does not match the model: {weight.path}: expected shape "
            f"{tuple(weight.shape)}, received {received}; build the model that the file was "
            "saved from"
        )
    array = dataset[()].astype("float32")
    if not np.isfinite(array).all():
        raise InputError(f"{path}: {weight.path} holds NaN or infinite values; use another file")
    return array
