"""The JAX side of a training step: one pure, compiled function of the variables' values.

A step is written statefully, as for TensorFlow. Here it runs inside a `keras.StatelessScope` that
holds every variable's value, under `jax.jit`, and what it assigned is what the function returns.
Several devices share a step by sharding alone: the program sees the global batch, so nothing that
looks at replicas has any work to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import keras
from jax import numpy as jnp

from keras_vaegan.kernels.random import draw_standard_normal

# -- the scope of a running step -------------------------------------------------------------------

_OPEN: list[tuple[list, keras.StatelessScope]] = []  # the variables and the scope, innermost last


@contextmanager
def hold(variables: list, values: Iterable) -> Iterator[keras.StatelessScope]:
    """Open a scope in which each variable has the given value."""
    with keras.StatelessScope(list(zip(variables, values, strict=True))) as scope:
        _OPEN.append((variables, scope))
        try:
            yield scope
        finally:
            _OPEN.pop()


@contextmanager
def _hold_inside(variables: list, values: Iterable) -> Iterator[Callable[[], dict]]:
    """Open a scope that differs from the one around it in the values of some variables.

    Yields:
        () -> {place among all variables: value} of what has been assigned since.
    """
    everything, around = _OPEN[-1]
    own = {id(variable): value for variable, value in zip(variables, values, strict=True)}
    start = [own.get(id(v), around.get_current_value(v)) for v in everything]
    with hold(everything, start) as scope:
        before = [scope.get_current_value(v) for v in everything]

        def list_changes() -> dict:
            now = [scope.get_current_value(v) for v in everything]
            return {k: n for k, (n, b) in enumerate(zip(now, before, strict=True)) if n is not b}

        yield list_changes


def _differentiable(
    function: Callable[[], tuple], variables: list, optimizer: keras.optimizers.Optimizer
) -> Callable:
    """values -> (scaled losses, (rest, changes)), for JAX to differentiate."""

    def compute(values: list) -> tuple:
        with _hold_inside(variables, values) as list_changes:
            losses, rest = function()
            return jax.tree.map(optimizer.scale_loss, losses), (rest, list_changes())

    return compute


def _apply_changes(changes: dict) -> None:
    """Assign in the scope of the step what a differentiated function assigned in its own."""
    everything = _OPEN[-1][0]
    for place, value in changes.items():
        everything[place].assign(value)


def _read(variables: list) -> list:
    """Current values in the scope of the step."""
    return [_OPEN[-1][1].get_current_value(variable) for variable in variables]


# -- gradients ------------------------------------------------------------------------------------


def compute_gradients(
    function: Callable[[], tuple], variables: list, optimizer: keras.optimizers.Optimizer
) -> tuple[list, Any]:
    """Differentiate a loss.

    Args:
        function: () -> (loss, anything): the mean loss of the global batch, a scalar.
        variables: What it is differentiated by.
        optimizer: Scales the loss where its precision needs it.

    Returns:
        (gradients, anything), for `optimizer.apply`.
    """
    compute = jax.grad(_differentiable(function, variables, optimizer), has_aux=True)
    gradients, (rest, changes) = compute(_read(variables))
    _apply_changes(changes)
    return gradients, rest


def compute_separate_gradients(
    function: Callable[[], tuple], variables: list, optimizer: keras.optimizers.Optimizer
) -> tuple[list[list], Any]:
    """Differentiate several losses that share one forward pass, each on its own.

    Args:
        function: () -> (list of losses, anything).
        variables, optimizer: As for `compute_gradients`.

    Returns:
        (gradients, anything): for every loss the gradients, 0 where it does not depend on a
        variable.
    """
    compute, values = _differentiable(function, variables, optimizer), _read(variables)
    count = len(jax.eval_shape(compute, values)[0])

    def choose(index: int) -> Callable:
        def compute_one(values: list) -> tuple:
            losses, rest = compute(values)
            return losses[index], rest

        return compute_one

    # XLA merges the forward passes, which are equal. One pass and a pull-back for each loss would
    # pull zeros back through all that belongs to the other losses.
    pairs = [jax.grad(choose(index), has_aux=True)(values) for index in range(count)]
    rest, changes = pairs[0][1]
    _apply_changes(changes)
    return [gradients for gradients, _ in pairs], rest


def clip_by_global_norm(gradients: list, limit) -> list:
    """Scale gradients down together so that their common norm is at most `limit`."""
    norm = jnp.sqrt(sum(jnp.sum(jnp.square(part.astype("float32"))) for part in gradients))
    scale = limit / jnp.maximum(norm, limit)
    return [part * scale.astype(part.dtype) for part in gradients]


def recompute(function: Callable) -> Callable:
    """The same function, run again for its gradient instead of keeping what lies between."""
    return jax.checkpoint(function)


# -- replicas: the program sees the global batch ---------------------------------------------------


def count_replicas() -> int:
    """Parts that the program itself divides a batch into: none."""
    return 1


def average_over_replicas(tensors: list) -> list:
    """They are means over the global batch already."""
    return tensors


def sum_over_workers(value):
    """There is one process."""
    return value


def fix_batch_size(data, batch_size: int):
    """Sizes are known."""
    return data


def gather_batch(images, num_views: int = 1):
    """The batch is global."""
    return images


def take_own_part(images, num_views: int = 1):
    """The batch is global."""
    return images


def find_own_rows(images) -> tuple:
    """(first row, rows in all) of images in the global batch."""
    return 0, images.shape[0]


def draw_normal(like, seed, num_views: int = 1):
    """Standard normal noise of the shape and dtype of `like`; `seed` is a (2,) integer tensor."""
    return draw_standard_normal(like.shape, seed).astype(like.dtype)


def move_averages(pairs: Iterable[tuple[keras.Model, keras.Model]], decay) -> None:
    """Move averaged models towards the current ones: mean * decay + value * (1 - decay).

    Args:
        pairs: (model, averaged model) of equal architecture.
        decay: Scalar in [0, 1); None copies, without arithmetic.
    """
    for model, average in pairs:
        for value, mean in zip(model.trainable_variables, average.trainable_variables, strict=True):
            mean.assign(value if decay is None else mean * decay + value * (1 - decay))
