"""What all trainers share: counted steps, running means, a state by name, a vote to stop."""

from __future__ import annotations

from functools import partial

import keras
import numpy as np
import tensorflow as tf

from keras_vaegan.training.averages import MeanTracker
from keras_vaegan.training.distribution import (
    is_multi_worker,
    resolve_precision,
    should_compile_with_xla,
)
from keras_vaegan.training.replicas import count_replicas


class Trainer(keras.Model):
    """A `keras.Model` whose step is a pure function of its state and its batch.

    A subclass has `update(batch) -> logs`, which changes its networks, and names what its state
    consists of in `state_parts`.

    Args:
        config: The run; its `precision` is read here.
        logs: The names of all that a training or test step logs.
        name: Keras name.
    """

    def __init__(self, config, logs, name: str) -> None:
        super().__init__(name=name)
        self.config = config
        self.trained_steps = self._add_scalar("trained_steps", "int64")
        self._running = MeanTracker(logs)
        self._votes = is_multi_worker()
        self.stop_wish = self._add_scalar("stop_wish") if self._votes else None
        self.stop_decided = self._add_scalar("stop_decided") if self._votes else None
        self._compiled: dict = {}
        self.built = True

    def _add_scalar(self, name: str, dtype: str = "float32") -> keras.Variable:
        """A counter or flag that every replica holds."""
        return self.add_weight(
            shape=(), dtype=dtype, initializer="zeros", trainable=False, name=name,
            aggregation="only_first_replica",
        )  # fmt: skip

    def compile(self, optimizer, **kwargs) -> None:
        """As `keras.Model.compile`; XLA only where the hardware requires it."""
        kwargs.setdefault("jit_compile", should_compile_with_xla())
        super().compile(optimizer=optimizer, **kwargs)

    def scale_for_precision(self, optimizer, variables) -> keras.optimizers.Optimizer:
        """Build an optimiser, with loss scaling where float16 needs it."""
        if resolve_precision(self.config.precision) == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(variables)
        return optimizer

    @property
    def metrics(self) -> list:
        return list(self._running.means.values())

    def update(self, data) -> dict:
        """Change the networks by one batch. Returns the losses by name."""
        raise NotImplementedError

    def train_step(self, data):
        """One step: update, count, and agree with other workers whether to stop.

        Returns:
            Dict of running means: the loss terms by name.
        """
        logs = self.update(self._know_batch_size(data))
        self.trained_steps.assign_add(1)
        if self._votes:
            context = tf.distribute.get_replica_context()
            wishes = context.all_reduce(tf.distribute.ReduceOp.SUM, self.stop_wish.value + 0.0)
            self.stop_decided.assign(wishes)
        return self._running.track(logs)

    def _know_batch_size(self, data):
        """Give a replica's tensors the static batch size that cutting the global batch lost."""
        replicas = count_replicas()
        if replicas == 1:
            return data
        count = self.config.batch_size // replicas
        return tf.nest.map_structure(
            lambda part: tf.ensure_shape(part, (count, *part.shape[1:])), data
        )

    def agree_to_stop(self, wish: bool) -> bool:
        """Whether to stop after this step: this worker's wish or, of several, anyone's.

        A wish takes effect at the end of the next step, for all workers alike, so that none
        waits for another that has left.
        """
        if not self._votes:
            return wish
        self.stop_wish.assign(float(wish))
        return float(self.stop_decided.numpy()) > 0

    def infer(self, network: keras.Model, images) -> np.ndarray:
        """A network's output for one batch, on this process's first device alone.

        `predict_on_batch` would run on every replica, and join what all of them give.

        Args:
            network: One of the trainer's.
            images: A batch.
        """
        if id(network) not in self._compiled:
            self._compiled[id(network)] = tf.function(partial(network, training=False))
        return self._compiled[id(network)](tf.convert_to_tensor(images)).numpy()

    def _maybe_symbolic_build(self, iterator=None, data_batch=None) -> None:
        """Everything is built: Keras need not take a batch from the stream to see its shape."""

    def state_parts(self) -> dict:
        """What a resume needs besides the step count: owners of `variables`, by lasting names."""
        raise NotImplementedError

    def state_variables(self) -> dict[str, keras.Variable]:
        """Every variable that an exact resume needs, by a name that does not change."""
        variables = {
            f"{part}/{index:04d}/{variable.name}": variable
            for part, owner in self.state_parts().items()
            for index, variable in enumerate(owner.variables)
        }
        return {"trained_steps": self.trained_steps, **variables}
