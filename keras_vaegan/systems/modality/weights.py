"""Weight files of missing-modality networks, rebuilt from themselves."""

from __future__ import annotations

from pathlib import Path

import keras

from keras_vaegan.config.data import ModalityDataConfig
from keras_vaegan.config.networks import ModalityUNetConfig
from keras_vaegan.errors import InputError
from keras_vaegan.interop.keras_h5.load import load_network
from keras_vaegan.weights.names import MODALITY_FILE, find_weight_file


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
    network = load_network(find_weight_file(path, name=MODALITY_FILE))
    if not isinstance(network.config, ModalityUNetConfig):
        raise InputError(
            f"{network.file} holds a {type(network.config).__name__}: expected the weights of a "
            "modality_unet preset; check --weights"
        )
    data = network.data or ModalityDataConfig(image_size=network.config.image_size)
    return network.model, network.config, data
