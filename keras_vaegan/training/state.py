"""Everything an interrupted run needs to go on as if it had never stopped."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

import h5py
import keras
import ml_dtypes  # noqa: F401  (gives NumPy the name "bfloat16")
import numpy as np

from keras_vaegan.errors import InputError
from keras_vaegan.weights.hdf5 import UnreadableFile, create_h5, find_dataset, open_h5

CURRENT = "state.h5"
PREVIOUS = "state.previous.h5"
COUNTERS = {"int32", "int64", "uint32"}
RETIRED = ("plateau_best", "plateau_wait")  # variables of version 0.1, today among the facts


def save_run_state(trainer: Any, folder: str | Path, extra: dict) -> None:
    """Write the trainer's state to `folder/state.h5`; the one before becomes state.previous.h5.

    Every value is stored bit for bit, 16-bit floats included. A crash or a full disk leaves at
    least the previous state.

    Args:
        trainer: Has `state_variables() -> dict[str, keras.Variable]`: weights, averages,
            optimisers, image pools, seeds and counters, by names that never change.
        folder: The run's `state` folder; created if absent.
        extra: JSON-ready facts: epoch, step, best score, history.

    Raises:
        InputError: the folder cannot be written to, or the disk is full.
    """
    folder = Path(folder)
    text = json.dumps(extra, default=lambda value: value.item())
    with create_h5(folder / "state.new.h5") as file:
        file["extra"] = np.frombuffer(text.encode(), "uint8")
        group = file.create_group("variables")
        for name, variable in trainer.state_variables().items():
            array = np.asarray(keras.ops.convert_to_numpy(variable))
            if array.dtype.kind not in "fiub":  # HDF5 lacks it, as bfloat16: its bits as integers
                array = array.view(f"uint{8 * array.itemsize}")
            group.create_dataset(name, data=array).attrs["dtype"] = variable.dtype
    try:
        if (folder / CURRENT).exists():
            os.replace(folder / CURRENT, folder / PREVIOUS)
        os.replace(folder / "state.new.h5", folder / CURRENT)
    except OSError as error:
        raise InputError(
            f"cannot write {folder / CURRENT}: {error.strerror}; choose a writable folder"
        ) from error


def load_run_state(trainer: Any, folder: str | Path) -> dict:
    """Give a trainer the state that `save_run_state` wrote: the newest that can be read.

    Args:
        trainer: Built as the saved one was; its optimisers are built too.
        folder: The run's `state` folder.

    Returns:
        The `extra` that was saved.

    Raises:
        InputError: no readable state, or one of another trainer; the trainer is then unchanged.
    """
    paths = [Path(folder) / CURRENT, Path(folder) / PREVIOUS]
    paths = [path for path in paths if path.exists()]
    if not paths:
        raise InputError(f"no {CURRENT} in {folder}: expected the state of a run; train anew")
    variables = trainer.state_variables()
    for path in paths:
        try:
            arrays, extra = _read_state(path, variables)
            break
        except UnreadableFile as error:
            if path == paths[-1]:
                raise
            warnings.warn(f"{error}; resuming from {PREVIOUS}", stacklevel=2)
    for name, variable in variables.items():
        variable.assign(arrays[name])
    return extra


def _read_state(path: Path, variables: dict) -> tuple[dict[str, np.ndarray], dict]:
    """Read all arrays after their names, shapes and dtypes were compared, and the extra facts."""
    with open_h5(path) as file:
        saved: list[str] = []
        file["variables"].visititems(
            lambda name, item: saved.append(name) if isinstance(item, h5py.Dataset) else None
        )
        retired = [name for name in RETIRED if name in saved and name not in variables]
        difference = sorted(set(saved) - set(retired) ^ set(variables))
        if difference:
            place = "the state" if difference[0] in saved else "the trainer"
            raise InputError(
                f"{path}: {difference[0]!r} is in {place} alone: expected the state of the same "
                "config; resume with the run's own settings"
            )
        arrays = {
            name: _read_variable(file["variables"], name, variable, path)
            for name, variable in variables.items()
        }
        extra = json.loads(find_dataset(file, "extra", path)[()].tobytes())
        for name in retired:
            extra[name] = float(find_dataset(file["variables"], name, path)[()])
    return arrays, extra


def _read_variable(group: h5py.Group, name: str, variable: Any, path: Path) -> np.ndarray:
    """Read one value in its own dtype."""
    dataset = find_dataset(group, name, path)
    saved = dataset.attrs["dtype"]
    if {saved, variable.dtype} <= COUNTERS:  # Keras's backends count in types of their own
        saved = variable.dtype
    received = (saved, dataset.shape)
    expected = (variable.dtype, tuple(variable.shape))
    if received != expected:
        raise InputError(
            f"{path}: {name!r} has (dtype, shape) {received}: expected {expected}; resume with "
            "the run's own settings"
        )
    array, dtype = np.asarray(dataset[()]), np.dtype(variable.dtype)
    if saved in COUNTERS:
        return array.astype(dtype)
    return array.view(dtype) if array.dtype != dtype else array
