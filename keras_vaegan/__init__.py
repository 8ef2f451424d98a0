"""VAE-CycleGAN in Keras 3: unpaired MRI <-> CT translation, trained and measured honestly.

Public names load on first use, so that `import keras_vaegan` stays quick and free of TensorFlow.
"""

from __future__ import annotations

import importlib

from keras_vaegan.errors import InputError

__version__ = "0.1.0"

_HOMES = {
    "CycleGAN": "trainers.cyclegan",
    "ModalitySynthesis": "trainers.modality",
    "Translator": "inference",
    "build_discriminator": "models",
    "build_generator": "models",
    "build_modality_unet": "models",
    "SuperResolution": "trainers.super_resolution",
    "build_rrdbnet": "models",
    "build_patch_discriminator": "models",
    "build_resnet_generator": "models",
    "build_trainer": "trainers.build",
    "evaluate_pairs": "evaluation.protocols",
    "get_preset": "presets",
    "inspect_checkpoint": "checkpoints.inspect",
    "load_generator": "checkpoints.architecture",
    "load_legacy_h5": "checkpoints.legacy_h5",
    "save_legacy_h5": "checkpoints.legacy_h5",
}

__all__ = ["InputError", "__version__"]
__all__ += sorted(_HOMES)


def __getattr__(name: str):
    """Import a public name's module the first time the name is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
