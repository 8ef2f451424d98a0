"""A network rebuilt from its weight file alone: ours, or other code's."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras

from keras_vaegan.config.data import DataConfig, ModalityDataConfig
from keras_vaegan.config.networks import (
    DiscriminatorConfig,
    NetworkConfig,
    PatchDiscriminatorConfig,
)
from keras_vaegan.errors import InputError
from keras_vaegan.interop.keras_h5.infer import infer_config
from keras_vaegan.interop.keras_h5.rebuild import rebuild_model
from keras_vaegan.models.build import build_model
from keras_vaegan.weights.legacy_h5 import load_weight_file
from keras_vaegan.weights.names import GENERATOR_FILES, find_weight_file
from keras_vaegan.weights.record import WeightsRecord, read_record
from keras_vaegan.weights.weight_file import WeightFile, read_weight_file


@dataclass(frozen=True)
class Network:
    """A network as its weight file tells it.

    Attributes:
        file: The weight file.
        source: Where the architecture comes from: "embedded", "model_config" or "inferred".
        model: The network.
        record: Our config of it, embedded or inferred; None for a full model of other code.
        notes: What was assumed or replaced.
    """

    file: Path
    source: str
    model: keras.Model
    record: WeightsRecord | None
    notes: tuple[str, ...] = ()

    @property
    def config(self) -> NetworkConfig | None:
        """Our config of the network; None for a full model of other code."""
        return self.record.model if self.record else None

    @property
    def data(self) -> DataConfig | ModalityDataConfig | None:
        """How the network's images are prepared, where the file says so."""
        return self.record.data if self.record else None


def load_generator(
    path: str | Path,
    direction: str | None = None,
    replacements: Mapping[str, str] | None = None,
    assume: Mapping[str, object] | None = None,
) -> keras.Model:
    """Rebuild a generator, weights included, from its file alone.

    Args:
        path: Weight file or full-model file (`.h5`) of Keras 1, 2 or 3, or a run folder.
        direction: "mri2ct" or "ct2mri"; needed for a folder.
        replacements: As `load_network`'s.
        assume: As `load_network`'s.

    Returns:
        A Functional model, (N, H, W, C) -> (N, H, W, C) in the network's own value range.

    Raises:
        InputError: no such file, no generator, an architecture that cannot be told, or weights
            that do not fit.

    Examples:
        >>> import keras_vaegan as kv
        >>> kv.load_generator("weights/resnet", "mri2ct").input_shape
        (None, 256, 256, 1)
    """
    file = find_weight_file(path, direction)
    return check_generator(load_network(file, replacements, assume)).model


def check_generator(network: Network) -> Network:
    """Give a network back that takes one image and generates one.

    Raises:
        InputError: it is a discriminator, or has other inputs or outputs.
    """
    file, model = network.file, network.model
    if isinstance(network.config, (DiscriminatorConfig, PatchDiscriminatorConfig)):
        raise InputError(
            f"{file} holds a discriminator: expected a generator; use "
            f"{' or '.join(GENERATOR_FILES.values())}"
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1 or len(model.input_shape) != 4:
        raise InputError(
            f"{file} holds a model of {len(model.inputs)} inputs and {len(model.outputs)} "
            "outputs: expected one image in, one image out"
        )
    return network


def load_network(
    path: str | Path,
    replacements: Mapping[str, str] | None = None,
    assume: Mapping[str, object] | None = None,
) -> Network:
    """Rebuild any network, weights included, from its file alone.

    The architecture comes from the config that this package embeds, else from a full-model
    file's own config, else from the kinds and shapes of the weights. What had to be assumed or
    replaced is said on standard error.

    Args:
        path: Weight file or full-model file (`.h5`) of Keras 1, 2 or 3.
        replacements: What stands for Lambda layers; see `rebuild.rebuild_model`.
        assume: Fields that weights alone do not tell; see `infer.infer_config`.

    Raises:
        InputError: no such file, an architecture that cannot be told, or weights that do not fit.
    """
    file = read_weight_file(path)
    network = build_network(file, replacements, assume)
    for note in network.notes:
        print(f"warning: {path}: {note}", file=sys.stderr)
    load_weight_file(network.model, file, check_order=network.config is not None)
    return network


def build_network(
    file: WeightFile,
    replacements: Mapping[str, str] | None = None,
    assume: Mapping[str, object] | None = None,
) -> Network:
    """Build the network that a file tells, without its weights; otherwise as `load_network`."""
    source, record, notes = _tell_record(file, assume)
    if record is None:
        model, notes = rebuild_model(file, replacements)
    else:
        model = build_model(record.model)
    return Network(file.path, source, model, record, tuple(notes))


def _tell_record(
    file: WeightFile, assume: Mapping[str, object] | None = None
) -> tuple[str, WeightsRecord | None, Sequence[str]]:
    """Where a file tells its network, what it tells (None for a model config), and remarks."""
    if assume and (file.own_config is not None or file.model_config is not None):
        raise InputError(
            f"{file.path} holds its own config: expected no assumed values beside it, got "
            f"{', '.join(assume)}"
        )
    if file.own_config is not None:
        return "embedded", read_record(file), ()
    if file.model_config is not None:
        return "model_config", None, ()
    found = infer_config(file, assume)
    return "inferred", WeightsRecord(found.config), found.notes
