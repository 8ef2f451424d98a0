"""The architecture that a weight file tells, and the model rebuilt from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras

from keras_vaegan.checkpoints.legacy_h5 import (
    CONFIG_ATTRIBUTE,
    load_legacy_h5,
    open_h5,
    read_text_attribute,
)
from keras_vaegan.config import DiscriminatorConfig, WeightsRecord, config_from_dict
from keras_vaegan.errors import InputError
from keras_vaegan.models import build_model

GENERATOR_FILES = {"mri2ct": "g_target_weights.h5", "ct2mri": "g_source_weights.h5"}


def read_config(path: str | Path) -> Any:
    """Read the config that `save_legacy_h5` embedded in a weight file.

    Args:
        path: The `.h5` file.

    Returns:
        The config dataclass, such as a `WeightsRecord` (files of `train`) or a model's config.

    Raises:
        InputError: the file is unreadable, or holds no config or a damaged one.
    """
    with open_h5(path) as file:
        text = read_text_attribute(file, CONFIG_ATTRIBUTE, path)
    if text is None:
        raise InputError(
            f"{path} holds no {CONFIG_ATTRIBUTE}: expected a file as `train` writes it; build its "
            "model with build_generator(config) and call load_legacy_h5(model, path)"
        )
    try:
        return config_from_dict(json.loads(text))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{path}: its {CONFIG_ATTRIBUTE} is unusable: {reason}; build the model with "
            "build_generator(config) and call load_legacy_h5(model, path)"
        ) from error


def find_generator_file(path: str | Path, direction: str | None = None) -> Path:
    """The generator file that a path and a direction mean; in a run folder, `best/` comes first.

    Args:
        path: A weight file (the direction is then ignored), or a folder that holds such files.
        direction: "mri2ct" (`g_target_weights.h5`) or "ct2mri" (`g_source_weights.h5`).

    Raises:
        InputError: nothing there, or a folder without a direction.
    """
    path = Path(path)
    if not path.is_dir():
        return path
    if direction not in GENERATOR_FILES:
        raise InputError(
            f"direction {direction!r} for the folder {path}: expected "
            f"{' or '.join(GENERATOR_FILES)}; add --direction"
        )
    name = GENERATOR_FILES[direction]
    for folder in (path / "best", path):
        if (folder / name).is_file():
            return folder / name
    raise InputError(
        f"no {name} in {path}: expected a run folder or a weight file; check --weights"
    )


def load_generator(path: str | Path, direction: str | None = None) -> keras.Model:
    """Rebuild a generator, weights included, from its file alone.

    Args:
        path: Weight file with an embedded config, or a run folder.
        direction: "mri2ct" or "ct2mri"; needed for a folder.

    Returns:
        A Functional model, (N, S, S, C) -> (N, S, S, C) in the config's value range.

    Raises:
        InputError: no such file, no embedded config, no generator, or weights that do not fit.
    """
    file = find_generator_file(path, direction)
    config = read_config(file)
    kind = config.model if isinstance(config, WeightsRecord) else config
    if isinstance(kind, DiscriminatorConfig):
        raise InputError(
            f"{file} holds a discriminator: expected a generator; use "
            f"{' or '.join(GENERATOR_FILES.values())}"
        )
    model = build_model(config)
    load_legacy_h5(model, file)
    return model
