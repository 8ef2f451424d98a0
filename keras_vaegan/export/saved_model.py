"""Write a network as a SavedModel folder, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from keras_vaegan.errors import InputError
from keras_vaegan.export.model_card import MODEL_CARD, write_model_card
from keras_vaegan.files import atomic_folder, check_new_folder
from keras_vaegan.interop.keras_h5.load import load_network
from keras_vaegan.systems.registry import SYSTEMS, find_command_system, find_system
from keras_vaegan.systems.system import Exportable
from keras_vaegan.weights.names import find_weight_file


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
        use = {"Signatures": list_signatures(signatures, network.typed_values)}
        write_model_card(folder / MODEL_CARD, network, use, training_data)
    return list(signatures)


def open_network(path: str | Path, direction: str | None = None, tile: int = 256) -> Exportable:
    """Load a network with its preparation and its way back, as a graph; as `export_saved_model`.

    Raises:
        InputError: no weights there, or a network that has no graph, such as a discriminator.
    """
    network = load_network(find_weight_file(path, direction))
    if network.config is None:  # a full model of other code translates, image to image
        return find_command_system("translate").open_export(network, tile)
    kinds = [kind for system in SYSTEMS for kind in system.network_types]
    if not isinstance(network.config, tuple(kinds)):
        raise InputError(
            f"{network.file} holds a network of {type(network.config).__name__}: expected one of "
            f"{', '.join(kind.__name__ for kind in kinds)}; export a generator"
        )
    return find_system(network.config).open_export(network, tile)


def list_signatures(signatures: dict, typed_values: str) -> str:
    """A line per signature with its inputs and outputs, and how to call one."""

    def show(specs: dict) -> str:
        return ", ".join(
            f"{name} {spec.dtype.name} {tuple(spec.shape)}".replace("None", "?")
            for name, spec in specs.items()
        )

    lines = ["| signature | inputs | outputs |", "|---|---|---|"]
    for name, function in signatures.items():
        given, named = function.structured_input_signature
        inputs = {**{spec.name: spec for spec in given}, **named}
        lines.append(f"| `{name}` | {show(inputs)} | {show(function.structured_outputs)} |")
    first, function = next(iter(signatures.items()))
    given, named = function.structured_input_signature
    names = [spec.name for spec in (*given, *named.values())]
    arguments = ", ".join(f"{name}=tf.constant({name})" for name in names)
    example = (
        "```python\nimport tensorflow as tf\n\n"
        'model = tf.saved_model.load("DIR")\n'
        f'answer = model.signatures["{first}"]({arguments})\n```'
    )
    return "\n".join([*lines, "", typed_values, "", example])
