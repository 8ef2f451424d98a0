"""How a trainer runs under JAX: compiled steps, the loop around them, and batches read ahead."""

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

from keras_vaegan.training.backend.jax import hold


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
    trained_steps: keras.Variable  # callbacks read these two between the steps
    failed_step: keras.Variable
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
        """Give `size` batches -> logs; the variables have their new values after the block.

        `trained_steps` and `failed_step` have theirs after every call.
        """
        variables, key = self.list_variables(), (step.__name__, size)
        if key not in self._calls:
            self._calls[key] = self._compile(step, variables, size)
        state = [[variable.value for variable in variables]]
        distribution = keras.distribution.distribution()
        between = {id(self.trained_steps), id(self.failed_step)}
        watched = [(k, v) for k, v in enumerate(variables) if id(v) in between]

        def call(batches: list) -> dict:
            placed = [place_batch(batch, distribution) for batch in batches]
            state[0], logs = self._calls[key](state[0], placed)
            for place, variable in watched:
                variable.assign(state[0][place])
            return logs

        try:
            yield call
        finally:  # the old values' memory is gone, whatever has happened
            for variable, value in zip(variables, state[0], strict=True):
                variable.assign(value)

    def _compile(self, step: Callable, variables: list, size: int) -> Callable:
        """(values, `size` batches) -> (values, logs); takes over the memory of the old values."""

        def take(values: list, batch) -> tuple[list, dict]:
            with hold(variables, values) as scope:
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
