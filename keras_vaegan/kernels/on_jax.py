"""Forms that need JAX itself."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
from jax import numpy as jnp

_UNCOMPILED: set[tuple] = set()  # functions and options whose results' sizes follow from values


def call_compiled(function: Callable, arguments: tuple, options: dict):
    """`kernels.call_compiled`: a program for each set of sizes, in half the time of its parts.

    Where the sizes of the results follow from values there is no such program: a plain call.
    """
    key = (function, tuple(options.items()))
    if key not in _UNCOMPILED:
        try:
            return _compile(*key)(*arguments)
        except jax.errors.JAXTypeError:
            _UNCOMPILED.add(key)
    return function(*jax.tree.map(jnp.asarray, arguments), **options)


@functools.lru_cache(maxsize=64)
def _compile(function: Callable, options: tuple):
    """A function with its options, compiled."""
    return jax.jit(functools.partial(function, **dict(options)))


def compile_function(function: Callable):
    """A compiled function, one program for each set of sizes; what it closes over is constant."""
    return jax.jit(function)
