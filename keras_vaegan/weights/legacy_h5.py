"""Weight files in the HDF5 layout of Keras 2's `model.save_weights("x.h5")`.

Keras 3 still reads that layout, by position and with few checks, but no longer writes it. Here
it is written, and read by verified name or by fully checked position: a model is changed only
if the whole file fits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_vaegan.errors import InputError, show
from keras_vaegan.weights.hdf5 import create_h5, write_names
from keras_vaegan.weights.leaves import (
    Difference,
    NormalizedKernel,
    collect_weights,
    file_leaves,
    find_interchangeable,
    list_differences,
    model_leaves,
    pair_leaves,
    split_layer,
    split_variables,
)
from keras_vaegan.weights.names import CONFIG_ATTRIBUTE
from keras_vaegan.weights.record import record_to_text
from keras_vaegan.weights.weight_file import (
    StoredLayer,
    StoredWeight,
    WeightFile,
    cast,
    read_arrays,
    read_weight_file,
)

FLOAT_DTYPES = ("float16", "float32", "float64")
TABLE_ROWS = 5


class WeightMismatch(InputError):
    """A file whose weights do not fit a model; the message ends in a table of the differences."""


@dataclass(frozen=True)
class LoadReport:
    """How a file was matched with a model.

    Attributes:
        match: "name" where every layer and weight name was verified, "position" where kinds and
            shapes were.
        weights: Number of arrays loaded.
        interchangeable: Groups of layers that only their place in the file tells apart (matched
            by position): had two of a group been swapped, nothing would show it.
    """

    match: str
    weights: int
    interchangeable: tuple[tuple[str, ...], ...] = ()


def save_legacy_h5(
    model: keras.Model, path: str | Path, config: Any = None, dtype: str = "float32"
) -> None:
    """Write a model's weights as Keras 2.15's `save_weights("x.h5")` would, all or nothing.

    The states of random seeds, which Keras 2 did not count as weights, stay out. A nested
    model's weights lie flat in its layer's group, trainable ones first.

    Args:
        model: A built model.
        path: The `.h5` file to write.
        config: What to embed: the network's config, a `WeightsRecord` that tells how its images
            are prepared too, or the dict of either; None for nothing.
        dtype: "float16", "float32" or "float64", for the floating-point weights.

    Raises:
        InputError: the file cannot be written, `dtype` or the config's kind is another, two of a
            layer's weights share a name, or a weight is not finite in that dtype.

    Examples:
        >>> import keras_vaegan as kv
        >>> config = kv.RRDBNetConfig(channels=1, num_features=8, num_blocks=1, growth_channels=4)
        >>> model = kv.build_rrdbnet(config)
        >>> kv.save_legacy_h5(model, "rrdbnet.h5", config)
        >>> kv.inspect_checkpoint("rrdbnet.h5").config == config
        True
    """
    if dtype not in FLOAT_DTYPES:
        raise InputError(f"dtype={dtype!r}: expected one of {', '.join(FLOAT_DTYPES)}")
    record = None if config is None else record_to_text(config)
    weights = collect_weights(model)
    with create_h5(path) as file:
        write_names(file, "layer_names", [layer.name for layer in model.layers])
        file.attrs["backend"] = np.bytes_(b"tensorflow")
        file.attrs["keras_version"] = np.bytes_(b"2.15.0")
        if record is not None:
            file.attrs[CONFIG_ATTRIBUTE] = np.bytes_(record.encode())
        for layer_name, variables in weights.items():
            group = file.create_group(layer_name)
            write_names(group, "weight_names", [f"{name}:0" for name in variables])
            for name, variable in variables.items():
                array = keras.ops.convert_to_numpy(variable)
                if "float" in variable.dtype:
                    array = cast(array, dtype, f"weight {show(name)}")
                group.create_dataset(f"{name}:0", data=array)


def load_legacy_h5(model: keras.Model, path: str | Path) -> LoadReport:
    """Load a legacy `.h5` file into a model, if and only if every weight of both sides fits.

    Where the layers that hold weights have the model's names, every layer, weight name and
    shape must agree. Otherwise the files' layers are matched by position: kinds of weights,
    kinds of layers as far as automatic names tell them, and shapes must agree all along, and no
    name that somebody gave (unlike `conv2d_7`) may stand at another place than in the model.

    Args:
        model: A built model of the file's architecture.
        path: A weights-only or full-model file of Keras 1, 2 or 3; float16, float32 or float64.

    Returns:
        How it was matched.

    Raises:
        WeightMismatch: the first difference in one line, and a table of the first few.
        InputError: the file is unreadable, has links or holds a value that is not finite. The
            model is then unchanged.

    Examples:
        >>> import keras_vaegan as kv
        >>> model = kv.build_rrdbnet(channels=1, num_features=32, num_blocks=4, growth_channels=16)
        >>> kv.load_legacy_h5(model, "weights/rrdbnet_weights.h5").match
        'name'
    """
    return load_weight_file(model, read_weight_file(path))


def load_weight_file(model: keras.Model, file: WeightFile, check_order: bool = True) -> LoadReport:
    """Load a file that has been read by `read_weight_file`; see `load_legacy_h5`.

    `check_order=False` is for a model rebuilt from the file's own config: its names are the
    file's, while its operations may be cut otherwise, which moves layers in the order.
    """
    pairs, report = match_weights(model, file, check_order)
    arrays = list(_read_sources(pairs, file))  # all of them, before the model changes
    arrays.reverse()
    for variable, _ in pairs:
        variable.assign(arrays.pop())  # lets go of each array in turn
    for layer in model.layers:
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
    return report


def match_weights(
    model: keras.Model, file: WeightFile, check_order: bool = True
) -> tuple[list, LoadReport]:
    """Find each variable's stored weight, without reading any; errors as `load_legacy_h5`."""
    is_flipped = file.backend == "theano"
    if is_flipped and any(len(w.shape) > 2 for layer in file.layers for w in layer.weights):
        raise InputError(
            f"{file.path} was written under Theano, whose convolution kernels are flipped: "
            "convert it with the Keras that wrote it"
        )
    expected = {name: values for name, values in collect_weights(model).items() if values}
    found = [layer.name for layer in file.weighted_layers]
    if sorted(found) == sorted(expected):
        pairs = _match_names(file, expected, check_order)
        return pairs, LoadReport("name", len(pairs))
    pairs = _match_positions(file, model)
    groups = find_interchangeable(file_leaves(file))
    return pairs, LoadReport("position", len(pairs), groups)


# -- matching -------------------------------------------------------------------------------------


def _match_names(
    file: WeightFile, expected: dict, check_order: bool
) -> list[tuple[keras.Variable, StoredWeight]]:
    """Pairs of variable and stored weight, every name verified."""
    found = [layer.name for layer in file.weighted_layers]
    for index, (theirs, ours) in enumerate(zip(found, expected, strict=True), start=1):
        if check_order and theirs != ours:
            raise WeightMismatch(
                f"{file.path}: at layer with weights number {index} the file has {show(theirs)} "
                f"where the model has {show(ours)} (swapped layers); build the file's model"
            )
    pairs, names = [], set(found)
    for layer in file.weighted_layers:
        pairs += _match_roles(layer, expected[layer.name], names) or _match_layer(
            layer, expected[layer.name], file.path
        )
    return pairs


def _match_roles(layer: StoredLayer, variables: dict, names: set[str]) -> list:
    """Pairs of one layer whose weights have other scopes or older names; empty if they differ.

    A weight that is named after another one of the file's layers, whose `names` these are, is out
    of place.
    """
    theirs, ours = split_layer(layer), split_variables(layer.name, variables)
    if len(theirs) != len(ours) or any(a.compare(b) for a, b in zip(theirs, ours, strict=True)):
        return []
    owners = {leaf.name.rpartition("/")[2] for leaf in theirs}
    if (owners - {layer.name}) & names:
        return []
    return pair_leaves(theirs, ours)


def _match_layer(layer: StoredLayer, variables: dict, path: Path) -> list:
    """Pairs of one layer, after its names and shapes were compared."""
    theirs = {weight.name: weight for weight in layer.weights}
    for name in (*theirs, *variables):
        received = theirs[name].shape if name in theirs else None
        expected = tuple(variables[name].shape) if name in variables else None
        if received != expected:
            state = "is missing" if received is None else f"has shape {received}"
            raise WeightMismatch(
                f"{path}: layer {show(layer.name)}: weight {show(name)} {state}: expected "
                f"{'none of that name' if expected is None else expected}; build the file's model"
            )
    return [(variable, theirs[name]) for name, variable in variables.items()]


def _match_positions(
    file: WeightFile, model: keras.Model
) -> list[tuple[keras.Variable, StoredWeight]]:
    """Pairs by place, after kinds and shapes were compared all along."""
    theirs, ours = file_leaves(file), model_leaves(model)
    rows = list(list_differences(theirs, ours))
    if rows:
        raise WeightMismatch(_format_mismatch(file.path, rows, len(theirs), len(ours)))
    return pair_leaves(theirs, ours)


def _format_mismatch(path: Path, rows: list[Difference], theirs: int, ours: int) -> str:
    """One line for the first difference, then a table of the first few."""
    lines = [
        f"{path}: {rows[0].describe('the model')} ({theirs} against {ours} layers); build the "
        "file's model"
    ]
    lines += [
        f"  {row.place:>4}  file: {row.theirs or '-'}  model: {row.ours or '-'}  {row.reason}"
        for row in rows[:TABLE_ROWS]
    ]
    if len(rows) > TABLE_ROWS:
        lines.append(f"  and {len(rows) - TABLE_ROWS} more")
    return "\n".join(lines)


# -- values ---------------------------------------------------------------------------------------


def _read_sources(pairs: list, file: WeightFile) -> Iterator[np.ndarray]:
    """The arrays to assign, in order; a normalised kernel is put together from its two."""
    wanted = [
        (part, variable.dtype)
        for variable, source in pairs
        for part in (source.parts if isinstance(source, NormalizedKernel) else (source,))
    ]
    stream = read_arrays(file, wanted)
    for _, source in pairs:
        array = next(stream)
        if isinstance(source, NormalizedKernel):
            array = NormalizedKernel.compute(array, next(stream))
        yield array
