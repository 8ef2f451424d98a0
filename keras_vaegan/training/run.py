"""A whole training run, of whichever system its config describes."""

from __future__ import annotations

import importlib
from pathlib import Path

from keras_vaegan.errors import InputError

_RUNS = {
    "CycleGANConfig": ("cyclegan_run", "train_cyclegan"),
    "ModalityConfig": ("modality_run", "train_modality"),
    "SuperResolutionConfig": ("super_resolution_run", "train_super_resolution"),
}


def train_run(
    config,
    data: Path,
    out: Path,
    resume: bool = False,
    minutes: float | None = None,
    epochs: int | None = None,
) -> int | None:
    """Train what a config describes and keep its run folder.

    Args:
        config: The run, as `get_preset` gives it.
        data: Folder with the training data of that system.
        out: Run folder.
        resume: Continue from `out/state`.
        minutes: Time limit of this call, or None.
        epochs: Passes over the data, instead of `config.steps`.

    Returns:
        The signal that ended the run early, or None.

    Raises:
        InputError: unusable data or run folder.
    """
    name = type(config).__name__
    if name not in _RUNS:
        raise InputError(f"no training for {name}: expected one of {', '.join(_RUNS)}")
    module, function = _RUNS[name]
    train = getattr(importlib.import_module(f"keras_vaegan.trainers.{module}"), function)
    return train(config, data, out, resume, minutes, epochs)
