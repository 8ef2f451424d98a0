"""The state of a training run: everything that a resumed run needs to go on as it was."""

from __future__ import annotations

import json
import os
from pathlib import Path

import h5py
import keras
import numpy as np

from keras_vaegan.checkpoints.legacy_h5 import open_h5
from keras_vaegan.errors import InputError
from keras_vaegan.files import atomic_path

STATE_FILE = "state.h5"
PREVIOUS_FILE = "state.previous.h5"
EXTRA_ATTRIBUTE = "extra"


def save_run_state(trainer, folder: str | Path, extra: dict) -> None:
    """Write the run's state, keeping the generation before it.

    Args:
        trainer: Has `state_variables() -> dict[str, keras.Variable]`.
        folder: The run's `state/` folder.
        extra: JSON-ready values to keep beside the variables (epoch, step, history, ...).

    Raises:
        InputError: the folder cannot be written to; the old generations are untouched.
    """
    folder = Path(folder)
    with atomic_path(folder / STATE_FILE) as temporary:
        with h5py.File(temporary, "w") as file:
            text = file.create_dataset(EXTRA_ATTRIBUTE, data=json.dumps(extra))
            text.attrs["format"] = 1
            group = file.create_group("variables", track_order=True)
            for name, variable in trainer.state_variables().items():
                group.create_dataset(name, data=_to_storable(variable))
        if (folder / STATE_FILE).exists():
            os.replace(folder / STATE_FILE, folder / PREVIOUS_FILE)


def load_run_state(trainer, folder: str | Path) -> dict:
    """Restore the newest readable generation into a trainer.

    Nothing is assigned unless every variable's name and shape match.

    Args:
        trainer: Built and compiled like the one that was saved.
        folder: The run's `state/` folder.

    Returns:
        The `extra` values.

    Raises:
        InputError: no readable state, or one of a differently built run.
    """
    problems = []
    for name in (STATE_FILE, PREVIOUS_FILE):
        path = Path(folder) / name
        if path.is_file():
            try:
                extra, arrays = _read(path)
            except InputError as error:
                problems.append(str(error))
                continue
            _assign(trainer.state_variables(), arrays, path)
            return extra
    reason = problems[0] if problems else f"no {STATE_FILE} in {folder}"
    raise InputError(f"nothing to resume: {reason}; train without --resume, into a new folder")


def _to_storable(variable: keras.Variable) -> np.ndarray:
    """A variable's value in a type HDF5 knows; bfloat16 widens to float32 without loss."""
    array = keras.ops.convert_to_numpy(variable.value)
    return array.astype("float32") if array.dtype.name == "bfloat16" else array


def _read(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    """Read a whole state file."""
    arrays: dict[str, np.ndarray] = {}

    def visit(name: str, item) -> None:
        if isinstance(item, h5py.Dataset):
            arrays[name] = item[()]

    with open_h5(path) as file:
        extra = json.loads(file[EXTRA_ATTRIBUTE][()])
        file["variables"].visititems(visit)
    return extra, arrays


def _assign(variables: dict, arrays: dict, path: Path) -> None:
    """Assign every array to the variable of its name, or nothing at all."""
    unmatched = sorted(set(variables) ^ set(arrays))
    if unmatched:
        raise InputError(
            f"{path} belongs to a differently built run: {unmatched[0]} has no counterpart; resume "
            "with the run's own config"
        )
    for name, variable in variables.items():
        if arrays[name].shape != tuple(variable.shape):
            raise InputError(
                f"{path}: {name} has shape {arrays[name].shape}, expected {tuple(variable.shape)}; "
                "resume with the run's own config"
            )
    for name, variable in variables.items():
        variable.assign(arrays[name])
