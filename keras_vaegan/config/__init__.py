"""What a run is made of: frozen dataclasses, their checks, JSON in and out.

A config is the whole record of a model or a run: two equal configs build equal networks. Change
one with `dataclasses.replace`; every check runs again on the copy. One file per system.
"""

from __future__ import annotations

from keras_vaegan.config.checks import VALUE_RANGES
from keras_vaegan.config.cyclegan import (
    AugmentationConfig,
    CycleGANConfig,
    DataConfig,
    LossConfig,
    OptimizerConfig,
    WeightsRecord,
    resize_config,
)
from keras_vaegan.config.modality import (
    ModalityConfig,
    ModalityDataConfig,
    ModalityLossConfig,
    ModalityUNetConfig,
)
from keras_vaegan.config.resnet import PatchDiscriminatorConfig, ResnetGeneratorConfig
from keras_vaegan.config.serialization import config_from_dict, config_to_dict, config_to_json
from keras_vaegan.config.super_resolution import (
    SCALES,
    DegradationConfig,
    RRDBNetConfig,
    SuperResolutionConfig,
)
from keras_vaegan.config.vae_unet import DiscriminatorConfig, VAEUNetConfig

__all__ = [
    "SCALES",
    "VALUE_RANGES",
    "AugmentationConfig",
    "CycleGANConfig",
    "DataConfig",
    "DegradationConfig",
    "DiscriminatorConfig",
    "LossConfig",
    "ModalityConfig",
    "ModalityDataConfig",
    "ModalityLossConfig",
    "ModalityUNetConfig",
    "OptimizerConfig",
    "RRDBNetConfig",
    "SuperResolutionConfig",
    "PatchDiscriminatorConfig",
    "ResnetGeneratorConfig",
    "VAEUNetConfig",
    "WeightsRecord",
    "config_from_dict",
    "config_to_dict",
    "config_to_json",
    "resize_config",
]
