"""The config that a weight file of this package carries: written, read and checked here alone."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from keras_vaegan.config.base import config_from_dict, config_to_dict, frozen_config, require
from keras_vaegan.config.data import DataConfig, ModalityDataConfig
from keras_vaegan.config.networks import NetworkConfig
from keras_vaegan.errors import InputError, first_line
from keras_vaegan.weights.claims import check_claim
from keras_vaegan.weights.names import CONFIG_ATTRIBUTE

if TYPE_CHECKING:
    from keras_vaegan.weights.weight_file import WeightFile

RECORD_LIMIT = 2**16  # characters; the longest honest record takes about two thousand


@frozen_config
class WeightsRecord:
    """The config that a weight file carries.

    Attributes:
        model: Architecture of the network.
        data: Preparation of its input images; None where it needs none.
    """

    model: NetworkConfig
    data: DataConfig | ModalityDataConfig | None = None

    def __post_init__(self) -> None:
        for name in ("image_size", "channels", "neighbours"):
            value = getattr(self.data, name, None)
            if value is not None and hasattr(self.model, name):
                expected = getattr(self.model, name)
                require(value == expected, name, value, f"{expected}, the network's own")


def record_to_text(config: Any) -> str:
    """What is embedded in a weight file.

    Args:
        config: A `WeightsRecord`, a network's config or the dict of either.

    Raises:
        InputError: it describes no network.
    """
    return json.dumps(config_to_dict(_wrap(config)))


def read_record(file: WeightFile) -> WeightsRecord | None:
    """The record that a file carries, of this version or an earlier one; None where it has none.

    Raises:
        InputError: it is damaged, describes no network, or one far larger than the file.
    """
    if file.own_config is None:
        return None
    if len(file.own_config) > RECORD_LIMIT:
        raise InputError(
            f"{file.path}: its {CONFIG_ATTRIBUTE} has {len(file.own_config):,} characters: "
            f"expected at most {RECORD_LIMIT:,}; use an undamaged file"
        )
    try:
        record = _wrap(json.loads(file.own_config))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{file.path}: its {CONFIG_ATTRIBUTE} is unusable: {first_line(error)}; build the "
            "model with build_generator(config) and call load_legacy_h5(model, path)"
        ) from error
    check_claim(file.path, record.model, len(file.weighted_layers), file.parameters)
    return record


def _wrap(config: Any) -> WeightsRecord:
    """A record of what may be its dict, or the config of a network alone (or the dict of that)."""
    config = config_from_dict(config) if not dataclasses.is_dataclass(config) else config
    if isinstance(config, WeightsRecord):
        return config
    if not isinstance(config, NetworkConfig):
        raise InputError(
            f"a {type(config).__name__} describes no network: expected a WeightsRecord or the "
            "config of a generator, discriminator, modality U-Net or RRDBNet"
        )
    return WeightsRecord(config)
