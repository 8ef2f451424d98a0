"""Weight files in the HDF5 layout of Keras 2's `model.save_weights("x.h5")`.

Keras 3 still reads that layout, by position and with few checks, but no longer writes it. Here
it is written, and read by verified name: a model is changed only if the whole file fits.
"""

from __future__ import annotations

import errno
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

CONFIG_ATTRIBUTE = "keras_vaegan_config"
TOP_LEVEL = "top_level_model_weights"
ATTRIBUTE_LIMIT = 64512  # bytes; HDF5 keeps an attribute in an object header of 64 KiB
MAX_NAMES = 50_000
FLOAT_DTYPES = ("float16", "float32", "float64")


class UnreadableFile(InputError):
    """A file that is no HDF5, is cut short or is damaged."""


def save_legacy_h5(
    model: keras.Model, path: str | Path, config: Any = None, dtype: str = "float32"
) -> None:
    """Write a model's weights as Keras 2.15's `save_weights("x.h5")` would, all or nothing.

    The states of random seeds, which Keras 2 did not count as weights, stay out. A nested
    model's weights lie flat in its layer's group, trainable ones first.

    Args:
        model: A built model.
        path: The `.h5` file to write.
        config: Config of `keras_vaegan.config`, or its dict, to embed; None for none.
        dtype: "float16", "float32" or "float64", for the floating-point weights.

    Raises:
        InputError: the file cannot be written, `dtype` is another, two of a layer's weights
            share a name, or a weight is not finite in that dtype.
    """
    if dtype not in FLOAT_DTYPES:
        raise InputError(f"dtype={dtype!r}: expected one of {', '.join(FLOAT_DTYPES)}")
    weights = _collect_weights(model)
    with create_h5(path) as file:
        _write_names(file, "layer_names", [layer.name for layer in model.layers])
        file.attrs["backend"] = np.bytes_(b"tensorflow")
        file.attrs["keras_version"] = np.bytes_(b"2.15.0")
        if config is not None:
            record = config if isinstance(config, dict) else config_to_dict(config)
            file.attrs[CONFIG_ATTRIBUTE] = json.dumps(record)
        for layer_name, variables in weights.items():
            group = file.create_group(layer_name)
            _write_names(group, "weight_names", [f"{name}:0" for name in variables])
            for name, variable in variables.items():
                array = _to_array(variable, dtype, f"weight {_show(name)}")
                group.create_dataset(f"{name}:0", data=array)


def load_legacy_h5(model: keras.Model, path: str | Path) -> None:
    """Load a legacy `.h5` weight file into a model, if and only if every weight fits.

    Layers that hold weights must come in the same order and with the same names on both sides,
    and so must each layer's weight names (":0" is optional, order is free) and shapes.

    Args:
        model: A built model of the file's architecture.
        path: The file; float16, float32 or float64 weights.

    Raises:
        InputError: the first difference, in one line; or the file is unreadable, has links or
            holds a value that is not finite. The model is then unchanged.
    """
    expected = {name: values for name, values in _collect_weights(model).items() if values}
    with open_h5(path) as file:
        found = _read_weight_names(file, path)
        _check_layers(list(found), list(expected), path)
        pairs = [
            (variable, dataset)
            for layer_name, variables in expected.items()
            for variable, dataset in _match_layer(file, layer_name, found, variables, path)
        ]
        arrays = [_read_array(dataset, variable, path) for variable, dataset in pairs]
    for (variable, _), array in zip(pairs, arrays, strict=True):
        variable.assign(array)
    for layer in model.layers:
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()


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
            raise OSError(errno.EIO, _first_line(error)) from error


@contextmanager
def open_h5(path: str | Path) -> Iterator[h5py.File]:
    """Open an HDF5 file to read; whatever goes wrong in it becomes one line.

    Raises:
        UnreadableFile: `path` is no HDF5 file, or a damaged one.
        InputError: there is no such file.
    """
    if not Path(path).is_file():
        raise InputError(f"no file {path}: expected an HDF5 (.h5) file; check the path")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except InputError:
        raise
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, MemoryError) as error:
        raise UnreadableFile(
            f"cannot read {path}: expected a whole HDF5 (.h5) file, but {_first_line(error)}; "
            "copy or download it again"
        ) from error


def find_dataset(group: h5py.Group, name: str, path: str | Path) -> h5py.Dataset:
    """Find a dataset whose values lie in the file itself, without reading them.

    Raises:
        InputError: it is missing, no dataset, or reached through a soft or external link.
    """
    dataset = _find(group, name, path)
    if not isinstance(dataset, h5py.Dataset):
        raise InputError(f"{path}: {_show(name)} is no array; use a Keras .h5 file")
    if dataset.external or dataset.is_virtual:
        raise InputError(f"{path}: {_show(name)} lies in another file; use a self-contained file")
    return dataset


def read_text_attribute(group: h5py.Group, name: str, path: str | Path) -> str | None:
    """Read an attribute that holds one text, or None where it is absent."""
    if name not in group.attrs:
        return None
    _check_attribute_size(group, name, path)
    value = group.attrs[name]
    if isinstance(value, bytes):
        value = value.decode()
    if not isinstance(value, str):
        raise InputError(f"{path}: attribute {name} is no text; use a file as `train` writes it")
    return value


def _find(group: h5py.Group, name: str, path: str | Path) -> h5py.Group | h5py.Dataset:
    """Walk from a group to a name over hard links only."""
    for part in filter(None, name.split("/")):
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
        if link is None:
            raise InputError(f"{path}: the file names {_show(name)} but lacks it; use a whole file")
        if not isinstance(link, h5py.HardLink):
            raise InputError(
                f"{path}: {_show(name)} is a soft or external link; use a self-contained file"
            )
        group = group[part]
    return group


def _check_attribute_size(group: h5py.Group, name: str, path: str | Path) -> None:
    """Refuse an attribute that claims to be larger than any that Keras writes."""
    attribute = group.attrs.get_id(name)
    count = np.prod(attribute.shape, dtype=float)
    if count > MAX_NAMES or count * attribute.dtype.itemsize > 2**20:
        raise InputError(f"{path}: attribute {_show(name)} is too large; use a Keras .h5 file")


# -- names ----------------------------------------------------------------------------------------


def _collect_weights(model: keras.Model) -> dict[str, dict[str, keras.Variable]]:
    """Every layer's weights by name, in the order of Keras 2; the model's own ones last."""
    weights: dict[str, dict[str, keras.Variable]] = {}
    in_layers: set[int] = set()
    for layer in model.layers:
        variables = layer.trainable_weights + layer.non_trainable_weights
        weights[layer.name] = _by_name(variables, layer.name)
        in_layers.update(map(id, variables))
    own = model.trainable_weights + model.non_trainable_weights
    weights[TOP_LEVEL] = _by_name([v for v in own if id(v) not in in_layers], model.name)
    return weights


def _by_name(variables: list, owner: str) -> dict[str, keras.Variable]:
    """Variables by path; the legacy layout cannot hold two of one path in a layer."""
    named = {variable.path: variable for variable in variables}
    if len(named) < len(variables):
        paths = [variable.path for variable in variables]
        double = next(path for path in paths if paths.count(path) > 1)
        raise InputError(
            f"two weights of {_show(owner)} are both named {_show(double)}: expected different "
            "names, as the .h5 layout needs; rename the layers inside it"
        )
    return named


def _write_names(group: h5py.Group, attribute: str, names: list[str]) -> None:
    """Write a list of names as an attribute, in numbered pieces where it is too long for one."""
    encoded = np.asarray([name.encode() for name in names])
    if encoded.itemsize > ATTRIBUTE_LIMIT:
        raise InputError(f"{attribute}: {_show(max(names, key=len))} is too long; shorten the name")
    pieces, count = [encoded], 1
    while any(piece.nbytes > ATTRIBUTE_LIMIT for piece in pieces):
        count += 1
        pieces = np.array_split(encoded, count)
    for index, piece in enumerate(pieces):
        group.attrs[attribute if count == 1 else f"{attribute}{index}"] = piece


def _read_names(group: h5py.Group, attribute: str, path: str | Path) -> list[str]:
    """Read a list of names, whole or in pieces; refuse a missing, odd or repeated one."""
    keys = [attribute]
    if attribute not in group.attrs:
        keys = [f"{attribute}{i}" for i in range(len(group.attrs))]
        keys = [key for key in keys if key in group.attrs]
    names: list[str] = []
    for key in keys:
        _check_attribute_size(group, key, path)
        values = np.atleast_1d(group.attrs[key])
        names += [v.decode() if isinstance(v, bytes) else v for v in values.tolist()]
    if not keys or not all(isinstance(name, str) for name in names):
        raise InputError(
            f"{path}: {_show(group.name)} has no usable {attribute}; expected a file of Keras "
            'weights as save_weights("x.h5") wrote them'
        )
    if len(set(names)) < len(names) or len(names) > MAX_NAMES:
        raise InputError(
            f"{path}: {attribute} of {_show(group.name)} holds repeated or too many names; "
            "use an undamaged file"
        )
    return names


def _read_weight_names(file: h5py.File, path: str | Path) -> dict[str, list[str]]:
    """Weight names by layer, in file order, of the layers that hold weights."""
    layer_names = _read_names(file, "layer_names", path)
    if TOP_LEVEL in file:
        layer_names.append(TOP_LEVEL)
    found = {}
    for layer_name in layer_names:
        group = _find(file, layer_name, path)
        if not isinstance(group, h5py.Group):
            raise InputError(f"{path}: layer {_show(layer_name)} is no group; use a Keras .h5 file")
        names = _read_names(group, "weight_names", path)
        if names:
            found[layer_name] = names
    return found


# -- comparison -----------------------------------------------------------------------------------


def _check_layers(found: list[str], expected: list[str], path: str | Path) -> None:
    """Refuse the first layer whose name or place differs."""
    for index in range(max(len(found), len(expected))):
        theirs, ours = (names[index : index + 1] for names in (found, expected))
        if theirs == ours:
            continue
        received = f"the file has {_show(theirs[0])}" if theirs else "the file ends"
        wanted = f"the model has {_show(ours[0])}" if ours else "the model ends"
        swapped = bool(theirs) and bool(ours) and sorted(found) == sorted(expected)
        hint = "swapped layers" if swapped else "another architecture"
        raise InputError(
            f"{path}: at layer with weights number {index + 1} {received} where {wanted} "
            f"({hint}; {len(found)} against {len(expected)} layers); build the file's model"
        )


def _match_layer(file, layer_name: str, found: dict, variables: dict, path: str | Path) -> list:
    """Pairs (variable, dataset) of one layer, after its names and shapes were compared."""
    group = _find(file, layer_name, path)
    theirs = {name.removesuffix(":0"): name for name in found[layer_name]}
    for name in theirs:
        if name not in variables:
            raise InputError(
                f"{path}: layer {_show(layer_name)} has weight {_show(name)}, which the model "
                f"lacks: expected {_show(', '.join(variables))}; build the file's model"
            )
    pairs = []
    for name, variable in variables.items():
        if name not in theirs:
            raise InputError(
                f"{path}: layer {_show(layer_name)} lacks weight {_show(name)} of the model; "
                "build the file's model"
            )
        dataset = find_dataset(group, theirs[name], path)
        if dataset.shape != tuple(variable.shape):
            raise InputError(
                f"{path}: weight {_show(name)} has shape {dataset.shape}: expected "
                f"{tuple(variable.shape)}; build the file's model"
            )
        pairs.append((variable, dataset))
    return pairs


# -- values ---------------------------------------------------------------------------------------


def _read_array(dataset: h5py.Dataset, variable: keras.Variable, path: str | Path) -> np.ndarray:
    """Read a weight of known shape in its variable's dtype; refuse what is not finite there."""
    is_float = "float" in variable.dtype
    kinds = "f" if is_float else "iub"
    if dataset.dtype.kind not in kinds or dataset.dtype.itemsize > 8:
        raise InputError(
            f"{path}: weight {_show(dataset.name)} has dtype {dataset.dtype}: expected "
            f"{', '.join(FLOAT_DTYPES) if is_float else variable.dtype}; use a Keras .h5 file"
        )
    return _cast(dataset[()], variable.dtype, f"{path}: weight {_show(dataset.name)}")


def _to_array(variable: keras.Variable, dtype: str, label: str) -> np.ndarray:
    """A variable's value; floating-point ones in `dtype`."""
    array = keras.ops.convert_to_numpy(variable)
    return _cast(array, dtype, label) if "float" in variable.dtype else array


def _cast(array: np.ndarray, dtype: str, label: str) -> np.ndarray:
    """Convert to a dtype (bfloat16 by way of float32), refusing non-finite floats."""
    with np.errstate(over="ignore"):
        array = np.asarray(array).astype("float32" if dtype == "bfloat16" else dtype)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(
            f"{label} holds NaN or infinity: expected finite {dtype}; use other weights"
        )
    return array


def _show(name: str) -> str:
    """A name from a file, on one line and of bounded length."""
    return repr(name if len(name) <= 100 else name[:97] + "...")


def _first_line(error: Exception) -> str:
    """The first line of an error's text, of bounded length."""
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
