"""Operations whose fastest correct form differs by backend, behind one function each."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from keras_vaegan.kernels import plain

__all__ = [
    "call_compiled", "call_shared", "compile_function", "find_peak", "normalize_instances",
    "pad_by_reflection",
]  # fmt: skip

_MODULES = {
    "tensorflow": "keras_vaegan.kernels.on_tensorflow",
    "jax": "keras_vaegan.kernels.on_jax",
}

find_peak = plain.find_peak
pad_by_reflection = plain.pad_by_reflection


def _find_form(name: str) -> Callable | None:
    """A function of the running backend's own module; None where it has none of that name."""
    module = _MODULES.get(keras.backend.backend())
    return getattr(importlib.import_module(module), name, None) if module else None


def normalize_instances(images, epsilon: float):
    """Give every channel of every image zero mean and unit variance.

    Args:
        images: (N, H, W, C) of any float type.
        epsilon: Added to the variance.

    Returns:
        The same shape and type; statistics are float32 in any precision.
    """
    normalize = _find_form("normalize_instances") or plain.normalize_instances
    return normalize(images, epsilon)


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
    call = _find_form("call_compiled")
    if call is None:
        results = function(*keras.tree.map_structure(ops.convert_to_tensor, arguments), **options)
    else:
        results = call(function, arguments, options)
    return keras.tree.map_structure(ops.convert_to_numpy, results)


def call_shared(function, *arguments):
    """Call a pure function of tensors, which a program that calls it often should hold once.

    TensorFlow's programs keep every operation of every call else, and take long to trace.

    Args:
        function: Of tensors, in `keras.ops`; the same object each time.
        arguments: Tensors, nested in tuples. Their types and ranks select the shared form, their
            sizes do not.

    Returns:
        The function's results.
    """
    call = _find_form("call_shared")
    return function(*arguments) if call is None else call(function, arguments)


def compile_function(function):
    """A function of arrays, compiled; the weights of networks that it calls must not change."""
    compiler = _find_form("compile_function")
    return function if compiler is None else compiler(function)
