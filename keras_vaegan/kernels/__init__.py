"""Operations whose fastest correct form differs by backend, behind one function each."""

from __future__ import annotations

import importlib

import keras
import numpy as np
from keras import ops

from keras_vaegan.kernels import plain

__all__ = [
    "call_compiled", "call_shared", "compile_function", "normalize_instances", "pad_by_reflection",
]  # fmt: skip

_TENSORFLOW = {"tensorflow": "keras_vaegan.kernels.on_tensorflow"}
_MODULES = {**_TENSORFLOW, "jax": "keras_vaegan.kernels.on_jax"}

pad_by_reflection = plain.pad_by_reflection


def normalize_instances(images, epsilon: float):
    """Give every channel of every image zero mean and unit variance.

    Args:
        images: (N, H, W, C) of any float type.
        epsilon: Added to the variance.

    Returns:
        The same shape and type; statistics are float32 in any precision.
    """
    module = _TENSORFLOW.get(keras.backend.backend())
    if module is None:
        return plain.normalize_instances(images, epsilon)
    return importlib.import_module(module).normalize_instances(images, epsilon)


def call_compiled(function, *arguments, **options):
    """Call a function of arrays that many sizes pass: compiled, once for all of them if it can be.

    JAX compiles it for every set of sizes.

    Args:
        function: Of (nested) arrays, in `keras.ops`.
        arguments: NumPy arrays or numbers, nested in tuples.
        options: Hashable keywords; each set of them, and of types, is compiled by itself.

    Returns:
        The results as NumPy arrays, nested as the function nests them.
    """
    arguments = keras.tree.map_structure(np.asarray, arguments)
    module = _MODULES.get(keras.backend.backend())
    if module is None:
        results = function(*keras.tree.map_structure(ops.convert_to_tensor, arguments), **options)
    else:
        results = importlib.import_module(module).call_compiled(function, arguments, options)
    return keras.tree.map_structure(ops.convert_to_numpy, results)


def call_shared(function, *arguments):
    """Call a pure function of tensors, which a program that calls it often should hold once.

    TensorFlow's programs keep every operation of every call else, and take long to trace.

    Args:
        function: Of tensors, in `keras.ops`; the same object each time.
        arguments: Tensors. Their types and ranks select the shared form, their sizes do not.

    Returns:
        The function's results.
    """
    module = _TENSORFLOW.get(keras.backend.backend())
    if module is None:
        return function(*arguments)
    return importlib.import_module(module).call_shared(function, arguments)


def compile_function(function):
    """A function of arrays, compiled; the weights of networks that it calls must not change."""
    module = _MODULES.get(keras.backend.backend())
    return (
        function if module is None else importlib.import_module(module).compile_function(function)
    )
