"""Write a network as a SavedModel folder, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from keras_vaegan.export.families import open_network
from keras_vaegan.export.model_card import write_model_card
from keras_vaegan.files import atomic_folder, check_new_folder

MODEL_CARD = "model_card.md"


def export_saved_model(
    weights: str | Path,
    out: str | Path,
    direction: str | None = None,
    tile: int = 256,
    training_data: str | None = None,
) -> list[str]:
    """Write a SavedModel that runs on plain TensorFlow, and its model card.

    Args:
        weights: Weight file, run folder, or folder of published names.
        out: New or empty folder.
        direction: "mri2ct" or "ct2mri", for a folder of CycleGAN generators.
        tile: Tile of an enlarging network in input pixels; 0 for the whole image at once.
        training_data: What the network was trained on, for the model card.

    Returns:
        Names of the signatures.

    Raises:
        InputError: no usable weights, or an output folder that holds something or cannot be
            written.
    """
    check_new_folder(out)
    network = open_network(weights, direction, tile)
    with atomic_folder(out) as folder:
        signatures = network.module.make_signatures()
        try:
            tf.saved_model.save(network.module, str(folder), signatures)
        except tf.errors.OpError as error:
            raise OSError(None, error.message.splitlines()[0]) from error
        write_model_card(folder / MODEL_CARD, network, signatures, training_data)
    return list(signatures)
