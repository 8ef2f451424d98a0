"""VAE-CycleGAN in Keras 3: unpaired MRI <-> CT translation, trained and measured honestly.

Public names load on first use, so that `import keras_vaegan` stays quick and free of TensorFlow.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

from keras_vaegan.errors import InputError

# TensorFlow leaves oneDNN off on processors without AVX-512: training takes half as long again or
# twice as long there. It reads this when it is imported.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

__version__ = "0.1.0"

_HOMES = {
    "AugmentationConfig": "config.data",
    "CycleGAN": "systems.cyclegan.trainer",
    "CycleGANConfig": "systems.cyclegan.config",
    "DataConfig": "config.data",
    "DegradationConfig": "systems.super_resolution.config",
    "DiscriminatorConfig": "config.networks",
    "LossConfig": "systems.cyclegan.config",
    "ModalityConfig": "systems.modality.config",
    "ModalityDataConfig": "config.data",
    "ModalityLossConfig": "systems.modality.config",
    "ModalitySynthesis": "systems.modality.trainer",
    "ModalityUNetConfig": "config.networks",
    "OptimizerConfig": "config.run",
    "PatchDiscriminatorConfig": "config.networks",
    "RRDBNetConfig": "config.networks",
    "ResnetGeneratorConfig": "config.networks",
    "SuperResolution": "systems.super_resolution.trainer",
    "SuperResolutionConfig": "systems.super_resolution.config",
    "Translator": "systems.cyclegan.translator",
    "VAEUNetConfig": "config.networks",
    "build_discriminator": "models.discriminators",
    "build_generator": "models.vae_unet",
    "build_modality_unet": "models.modality_unet",
    "build_patch_discriminator": "models.patch_discriminator",
    "build_resnet_generator": "models.resnet",
    "build_rrdbnet": "models.rrdbnet",
    "build_trainer": "systems.registry",
    "evaluate_pairs": "evaluation.protocols",
    "get_preset": "systems.registry",
    "inspect_checkpoint": "interop.keras_h5.inspect",
    "load_generator": "interop.keras_h5.load",
    "load_legacy_h5": "weights.legacy_h5",
    "save_legacy_h5": "weights.legacy_h5",
}

__all__ = ["InputError", "__version__"]
__all__ += sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import a public name's module the first time the name is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
