"""The JAX side of a training step: one pure, compiled function of the variables' values.

A step is written statefully, as for TensorFlow. Here it runs inside a `keras.StatelessScope` that
holds every variable's value, under `jax.jit`, and what it assigned is what the function returns.
Several devices share a step by sharding alone: the program sees the global batch, so nothing that
looks at replicas has any work to do.
"""

from __future__ import annotations

import itertools
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import keras
import numpy as np
from jax import numpy as jnp

from keras_vaegan.kernels.random import draw_standard_normal

# -- the scope of a running step -------------------------------------------------------------------

_OPEN: list[tuple[list, keras.StatelessScope]] = []  # the variables and the scope, innermost last


@contextmanager
def _hold(variables: list, values: Iterable) -> Iterator[keras.StatelessScope]:
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
    with _hold(everything, start) as scope:
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


# -- running --------------------------------------------------------------------------------------


def compile_inference(network: keras.Model) -> Callable[[Any], np.ndarray]:
    """A network as a compiled function of one batch."""
    variables = network.variables

    @jax.jit
    def run(values, images):
        with keras.StatelessScope(list(zip(variables, values, strict=True))):
            return network(images, training=False)

    return lambda images: np.asarray(run([v.value for v in variables], jnp.asarray(images)))


def make_stream(
    read_batch: Callable[[int], tuple], first_step: int, threads: int = 4, ahead: int = 8
) -> Iterator[tuple]:
    """Stream batches without end, read and placed on the devices ahead.

    Args:
        read_batch: Step -> tuple of arrays, always of the same shapes.
        first_step: Where to begin.
        threads: That read.
        ahead: Batches that wait on the devices.
    """
    distribution = keras.distribution.distribution()  # other threads do not see it

    def read(step: int) -> tuple:
        return place_batch(read_batch(step), distribution)

    with ThreadPoolExecutor(threads, "batches") as pool:
        waiting = deque(pool.submit(read, first_step + k) for k in range(ahead))
        for step in itertools.count(first_step + ahead):
            batch = waiting.popleft().result()
            waiting.append(pool.submit(read, step))
            yield batch


def make_run_callbacks(folder: Path) -> list[keras.callbacks.Callback]:
    """What a run's folder gets beyond the recorder's files: nothing, without TensorBoard."""
    return []


class StepRunner:
    """How a trainer runs its steps under JAX; mixed into `Trainer` before `keras.Model`.

    Keras's own JAX loop knows one optimiser. This one compiles `train_step` and `test_step` for
    all that `list_variables` names, gives them the old values' memory, and takes the new ones over.
    """

    steps_per_execution = 1  # Keras's name of it
    variables: Any  # and what else a trainer is
    metrics: Any
    history: Any
    state_variables: Callable[[], dict]
    reset_metrics: Callable[[], None]
    train_step: Callable[[Any], dict]
    test_step: Callable[[Any], dict]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.reset_step()

    def list_variables(self) -> list[keras.Variable]:
        """Everything that a step may read or change, each once."""
        found = [*self.variables, *self.state_variables().values()]
        found += [variable for metric in self.metrics for variable in metric.variables]
        return list({id(variable): variable for variable in found}.values())

    def reset_step(self) -> None:
        """Compile the step anew, for another stage."""
        self._calls: dict[tuple, Callable] = {}  # compiled, by the step and how many it takes

    def fit(
        self,
        x: Iterable,
        *,
        epochs: int = 1,
        steps_per_epoch: int | None = None,
        initial_epoch: int = 0,
        callbacks: list | None = None,
        verbose: Any = "auto",
        shuffle: bool = False,
    ) -> keras.callbacks.History:
        """Train on a stream of batches; arguments as `keras.Model.fit`'s.

        Args:
            x: Batches: tuples of arrays. Without `steps_per_epoch` an epoch ends with it.
            epochs, steps_per_epoch, initial_epoch, callbacks, verbose: As in Keras.
            shuffle: Has to be off: a stream has its own order.

        Returns:
            Keras's `History`.
        """
        loud = 1 if verbose in ("auto", True) else int(verbose)
        listeners = keras.callbacks.CallbackList(
            callbacks, add_history=True, add_progbar=loud > 0, verbose=loud, epochs=epochs,
            steps=steps_per_epoch, model=self,
        )  # fmt: skip
        self.stop_training = False
        stream = iter(x)
        listeners.on_train_begin()
        for epoch in range(initial_epoch, epochs):
            self.reset_metrics()
            listeners.on_epoch_begin(epoch)
            logs = self._run_epoch(stream, steps_per_epoch, listeners, loud == 1)
            if not steps_per_epoch:
                stream = iter(x)
            listeners.on_epoch_end(epoch, logs)
            if self.stop_training:
                break
        listeners.on_train_end()
        return self.history

    def train_on_batch(self, x, y=None, *, return_dict: bool = False, **unused):
        """One step on one batch; as `keras.Model.train_on_batch`."""
        batch = x if y is None else (x, y)
        self.reset_metrics()
        with self._run(self.train_step) as call:
            logs = _to_floats(call([batch]))
        return logs if return_dict else list(logs.values())

    def evaluate(self, x: Iterable, *, return_dict: bool = False, **unused):
        """Means of `test_step` over a finite stream; as `keras.Model.evaluate`."""
        self.reset_metrics()
        logs: dict = {}
        with self._run(self.test_step) as call:
            for batch in x:
                logs = call([batch])
        values = _to_floats(logs)
        return values if return_dict else list(values.values())

    def _run_epoch(self, stream: Iterator, steps: int | None, listeners, live: bool) -> dict:
        """Steps until the epoch, the stream or the training ends. Returns the last logs."""
        logs: dict = {}
        size = self.steps_per_execution
        with self._run(self.train_step, size) as call:
            for first in range(0, steps or sys.maxsize, size):
                batches = list(itertools.islice(stream, size))
                if len(batches) < size:
                    break
                listeners.on_train_batch_begin(first)
                logs = call(batches)
                # Whoever reads them waits for the device: only a live display does.
                last = first + size - 1
                listeners.on_train_batch_end(last, _to_floats(logs) if live else None)
                if self.stop_training:
                    break
        return _to_floats(logs)

    @contextmanager
    def _run(self, step: Callable, size: int = 1) -> Iterator[Callable[[list], dict]]:
        """Give `size` batches -> logs; the variables have their new values after the block."""
        variables, key = self.list_variables(), (step.__name__, size)
        if key not in self._calls:
            self._calls[key] = self._compile(step, variables, size)
        state = [[variable.value for variable in variables]]
        distribution = keras.distribution.distribution()

        def call(batches: list) -> dict:
            placed = [place_batch(batch, distribution) for batch in batches]
            state[0], logs = self._calls[key](state[0], placed)
            return logs

        yield call
        for variable, value in zip(variables, state[0], strict=True):
            variable.assign(value)

    def _compile(self, step: Callable, variables: list, size: int) -> Callable:
        """(values, `size` batches) -> (values, logs); takes over the memory of the old values."""

        def take(values: list, batch) -> tuple[list, dict]:
            with _hold(variables, values) as scope:
                logs = step(batch)
                return [scope.get_current_value(variable) for variable in variables], logs

        def run(values: list, batches: list) -> tuple[list, dict]:
            if size == 1:
                return take(values, batches[0])
            stacked = jax.tree.map(lambda *parts: jnp.stack(parts), *batches)
            values, logs = jax.lax.scan(take, values, stacked)
            return values, jax.tree.map(lambda part: part[-1], logs)

        if getattr(self, "run_eagerly", False):
            return run
        shardings = None
        if keras.distribution.distribution() is not None:
            shardings = ([variable.value.sharding for variable in variables], None)
        return jax.jit(run, donate_argnums=0, out_shardings=shardings)


def place_batch(batch, distribution):
    """Arrays of a batch on the device, or their rows dealt over several; placed ones stay."""
    if distribution is None:
        return jax.tree.map(jnp.asarray, batch)
    return jax.tree.map(
        lambda part: jax.device_put(
            part, distribution.get_data_layout(np.shape(part)).backend_layout
        ),
        batch,
    )


def _to_floats(logs: dict) -> dict[str, float]:
    """What a step returned, as numbers."""
    return {name: float(np.mean(value)) for name, value in logs.items()}
