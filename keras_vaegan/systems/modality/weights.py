"""Weight files of missing-modality networks: found in a run, rebuilt from themselves."""

from __future__ import annotations

from pathlib import Path

import keras

from keras_vaegan.config.data import ModalityDataConfig
from keras_vaegan.config.networks import ModalityUNetConfig
from keras_vaegan.errors import InputError
from keras_vaegan.interop.keras_h5.load import load_model, read_config
from keras_vaegan.systems.modality.config import ModalityConfig
from keras_vaegan.weights.names import MODALITY_FILE, find_in_folder
from keras_vaegan.weights.record import WeightsRecord


def find_modality_file(path: str | Path) -> Path | None:
    """The weight file that a path means; in a run folder, `best/` comes first.

    Returns:
        A file path as it is; of a folder the file in it, or None where it holds none.
    """
    path = Path(path)
    return find_in_folder(path, MODALITY_FILE) if path.is_dir() else path


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
            f"no {MODALITY_FILE} in {path}: expected a run of a modality_unet preset, or its "
            "weight file; check --weights"
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
