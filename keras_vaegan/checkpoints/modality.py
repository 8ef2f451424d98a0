"""Weight files of missing-modality networks: found in a run, rebuilt from themselves."""

from __future__ import annotations

from pathlib import Path

import keras

from keras_vaegan.checkpoints.architecture import load_model, read_config
from keras_vaegan.config import (
    ModalityConfig,
    ModalityDataConfig,
    ModalityUNetConfig,
    WeightsRecord,
)
from keras_vaegan.errors import InputError

WEIGHT_FILE = "modality_unet_weights.h5"


def find_modality_file(path: str | Path) -> Path | None:
    """The weight file that a path means; in a run folder, `best/` comes first.

    Returns:
        A file path as it is; of a folder the file in it, or None where it holds none.
    """
    path = Path(path)
    if not path.is_dir():
        return path
    files = (folder / WEIGHT_FILE for folder in (path / "best", path))
    return next((file for file in files if file.is_file()), None)


def load_modality_unet(
    path: str | Path,
) -> tuple[keras.Model, ModalityUNetConfig, ModalityDataConfig]:
    """Rebuild a missing-modality network from its file alone.

    Args:
        path: Run folder or weight file.

    Returns:
        (network, its config, the preparation of its slices).

    Raises:
        InputError: nothing there, or a file of another network.
    """
    file = find_modality_file(path)
    if file is None:
        raise InputError(
            f"no {WEIGHT_FILE} in {path}: expected a run of a modality_unet preset, or its weight "
            "file; check --weights"
        )
    config = read_config(file)
    model = config.model if isinstance(config, (WeightsRecord, ModalityConfig)) else config
    if not isinstance(model, ModalityUNetConfig):
        raise InputError(
            f"{file} holds a {type(model).__name__}: expected the weights of a modality_unet "
            "preset; check --weights"
        )
    data = getattr(config, "data", None) or ModalityDataConfig(image_size=model.image_size)
    return load_model(file)[0], model, data
