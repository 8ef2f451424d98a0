"""What a weight file of this package says of itself: the network, and how its images were prepared."""

from __future__ import annotations

from keras_vaegan.config.base import frozen_config
from keras_vaegan.config.data import DataConfig, ModalityDataConfig
from keras_vaegan.config.networks import (
    DiscriminatorConfig,
    ModalityUNetConfig,
    PatchDiscriminatorConfig,
    ResnetGeneratorConfig,
    RRDBNetConfig,
    VAEUNetConfig,
)


@frozen_config
class WeightsRecord:
    """The config that a weight file carries.

    Attributes:
        model: Architecture of the network.
        data: Preparation of its input images; None where it needs none.
    """

    model: (
        VAEUNetConfig
        | ResnetGeneratorConfig
        | DiscriminatorConfig
        | PatchDiscriminatorConfig
        | ModalityUNetConfig
        | RRDBNetConfig
    )
    data: DataConfig | ModalityDataConfig | None = None
