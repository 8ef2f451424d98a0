"""The config that a weight file of this package carries: written, read and checked here alone."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import TYPE_CHECKING, Any

from keras_vaegan.config.base import config_from_dict, config_to_dict, frozen_config
from keras_vaegan.config.data import DataConfig, ModalityDataConfig
from keras_vaegan.config.networks import ModalityUNetConfig, NetworkConfig
from keras_vaegan.errors import InputError, first_line
from keras_vaegan.weights.names import CONFIG_ATTRIBUTE

if TYPE_CHECKING:
    from keras_vaegan.weights.h5_file import WeightFile

CLAIM_LIMIT = 200  # a crude upper estimate of a network's weights over those of its file
LARGEST_KERNEL = 4  # of the hidden layers whose kernel no config names


@frozen_config
class WeightsRecord:
    """The config that a weight file carries.

    Attributes:
        model: Architecture of the network.
        data: Preparation of its input images; None where it needs none.
    """

    model: NetworkConfig
    data: DataConfig | ModalityDataConfig | None = None


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
    try:
        record = _wrap(json.loads(file.own_config))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{file.path}: its {CONFIG_ATTRIBUTE} is unusable: {first_line(error)}; build the "
            "model with build_generator(config) and call load_legacy_h5(model, path)"
        ) from error
    if _estimate_parameters(record.model) > CLAIM_LIMIT * (file.parameters + 10_000):
        raise InputError(
            f"{file.path}: its {CONFIG_ATTRIBUTE} asks for a network far larger than its "
            f"{file.parameters:,} parameters: use an undamaged file"
        )
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


def _estimate_parameters(network: Any) -> int:
    """A crude upper estimate of a network's weights: all layers as wide as its widest."""
    fields = dataclasses.asdict(network)

    def pick(*names: str) -> list[int]:
        values = [fields[name] for name in names if name in fields]
        return [n for value in values for n in (value if isinstance(value, tuple) else (value,))]

    dense = sum(pick("num_features")) + 4 * sum(pick("growth_channels"))
    width = max([dense, *pick("filters", "latent_channels", "channels", "output_channels")])
    kernel = max([LARGEST_KERNEL, *pick("kernel_sizes", "head_kernel_size")])
    depth = len(pick("filters")) + sum(pick("num_residual_blocks", "num_blocks"))
    depth *= math.prod(pick("convs_per_block", "trunk_depth"))
    estimate = (kernel * width) ** 2 * depth
    if fields.get("latent") == "dense" or isinstance(network, ModalityUNetConfig):
        positions = (network.image_size // network.stride) ** 2
        estimate += 3 * positions * network.filters[-1] * network.latent_channels
    return estimate
