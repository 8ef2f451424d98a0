"""From a config to its compiled trainer."""

from __future__ import annotations

import importlib

import keras

from keras_vaegan.errors import InputError
from keras_vaegan.training.distribution import dtype_policy, resolve_precision

_TRAINERS = {
    "CycleGANConfig": ("cyclegan", "CycleGAN"),
    "ModalityConfig": ("modality", "ModalitySynthesis"),
    "SuperResolutionConfig": ("super_resolution", "SuperResolution"),
}


def build_trainer(config) -> keras.Model:
    """Build and compile the trainer that a config describes.

    Args:
        config: The run, as `get_preset` gives it; its `precision` sets the layers' dtype policy.

    Returns:
        A compiled trainer, ready for `fit(dataset)` or `train_on_batch((inputs, targets))`.

    Raises:
        InputError: no trainer takes this kind of config.
    """
    name = type(config).__name__
    if name not in _TRAINERS:
        raise InputError(f"no trainer for {name}: expected one of {', '.join(_TRAINERS)}")
    module, trainer_class = _TRAINERS[name]
    module = importlib.import_module(f"keras_vaegan.trainers.{module}")
    with dtype_policy(resolve_precision(config.precision)):
        trainer = getattr(module, trainer_class)(config)
    trainer.compile()
    return trainer
