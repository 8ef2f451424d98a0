"""Every system by what it is asked for: a preset, a run's or a network's config, a command.

A fourth system is a folder beside these and a line in `SYSTEMS`. Outside, only what must be known
without a system names it: a network of its own (`config/networks.py`, `models/build.py`), the
names of its weight files (`weights/names.py`), the config of its preparation (`weights/record.py`),
options of its own (`commands/train.py`), its command, and public names (`__init__.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keras_vaegan.errors import InputError
from keras_vaegan.systems.cyclegan.system import CycleGANSystem
from keras_vaegan.systems.modality.system import ModalitySystem
from keras_vaegan.systems.super_resolution.system import SuperResolutionSystem
from keras_vaegan.systems.system import OtherNetworkError, System

SYSTEMS: tuple[System, ...] = (CycleGANSystem(), ModalitySystem(), SuperResolutionSystem())
PRESETS = {preset.__name__: preset for system in SYSTEMS for preset in system.presets}


def get_preset(name: str) -> Any:
    """Look up a preset by name.

    Args:
        name: One of `PRESETS`.

    Returns:
        A frozen config; change it with `dataclasses.replace`.

    Raises:
        InputError: there is no such preset.

    Examples:
        >>> import dataclasses
        >>> import keras_vaegan as kv
        >>> config = kv.get_preset("demo")
        >>> dataclasses.replace(config, steps=100).steps
        100
    """
    if name not in PRESETS:
        raise InputError(
            f"unknown preset {name!r}: expected one of {', '.join(sorted(PRESETS))}; see --help"
        )
    return PRESETS[name]()


def find_system(config: Any) -> System:
    """The system whose run, or one of whose networks, a config describes.

    Raises:
        InputError: it is no system's.
    """
    for system in SYSTEMS:
        if isinstance(config, (system.config_type, *system.network_types)):
            return system
    kinds = ", ".join(system.config_type.__name__ for system in SYSTEMS)
    raise InputError(f"no system for {type(config).__name__}: expected one of {kinds}")


def find_command_system(command: str) -> System:
    """The system whose networks a command runs, such as "translate"."""
    return next(system for system in SYSTEMS if system.command == command)


def open_predictor(command: str, path: str | Path, **options: Any) -> Any:
    """Load what a command runs, by `System.open_predictor` of its system.

    Raises:
        InputError: no weights there, or another system's, whose command is then named.
    """
    try:
        return find_command_system(command).open_predictor(path, **options)
    except OtherNetworkError as error:
        serving = [s.command for s in SYSTEMS if isinstance(error.config, s.network_types)]
        advice = f", or use the {serving[0]} command" if serving else ""
        raise InputError(f"{error}{advice}") from error


def build_trainer(config: Any) -> Any:
    """Build and compile the trainer that a config describes.

    Args:
        config: The run, as `get_preset` gives it; its `precision` sets the layers' dtype policy.

    Returns:
        A compiled trainer, ready for `fit(dataset)` or `train_on_batch((inputs, targets))`.

    Raises:
        InputError: no system takes this kind of config.

    Examples:
        >>> import keras_vaegan as kv
        >>> trainer = kv.build_trainer(kv.get_preset("rrdbnet_x4_small"))
        >>> type(trainer).__name__
        'SuperResolution'
    """
    return find_system(config).build_trainer(config)
