"""From a weight file alone to the model it belongs to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from keras_vaegan.checkpoints.legacy_h5 import load_legacy_h5, read_embedded_config
from keras_vaegan.config import config_from_dict
from keras_vaegan.errors import InputError
from keras_vaegan.models import build_model


def read_config(path: str | Path) -> Any:
    """Read what a weight file says of itself.

    Returns:
        The embedded config: a `WeightsRecord`, or a bare model config.

    Raises:
        InputError: not a weight file, or one without an embedded config.
    """
    data = read_embedded_config(path)
    if data is None:
        raise InputError(
            f"{path} tells no architecture: expected a file that keras_vaegan wrote; build the "
            "model yourself and use load_legacy_h5(model, path)"
        )
    return config_from_dict(data)


def load_generator(path: str | Path) -> keras.Model:
    """Rebuild a network from its weight file.

    Args:
        path: `.h5` file with an embedded config.

    Returns:
        The Functional model with the file's weights.

    Raises:
        InputError: no such file, no embedded config, or weights that do not fit it.
    """
    model = build_model(read_config(path))
    load_legacy_h5(model, path)
    return model
