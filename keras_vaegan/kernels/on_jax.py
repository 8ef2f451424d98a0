"""Forms that need JAX itself."""

from __future__ import annotations

from collections.abc import Callable

import jax


def compile_function(function: Callable):
    """A compiled function, one program for each set of sizes; what it closes over is constant."""
    return jax.jit(function)
