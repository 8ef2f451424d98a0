"""Operations whose fastest correct form differs by backend, behind one function each."""

from __future__ import annotations

import importlib

import keras

from keras_vaegan.kernels import plain

__all__ = ["normalize_instances", "pad_by_reflection"]

_MODULES = {"tensorflow": "keras_vaegan.kernels.on_tensorflow"}

pad_by_reflection = plain.pad_by_reflection


def normalize_instances(images, epsilon: float):
    """Give every channel of every image zero mean and unit variance.

    Args:
        images: (N, H, W, C) of any float type.
        epsilon: Added to the variance.

    Returns:
        The same shape and type; statistics are float32 in any precision.
    """
    module = _MODULES.get(keras.backend.backend())
    if module is None:
        return plain.normalize_instances(images, epsilon)
    return importlib.import_module(module).normalize_instances(images, epsilon)
