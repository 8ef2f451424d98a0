"""Running values of a training step, on any number of replicas: averaged weights, mean losses."""

from __future__ import annotations

from collections.abc import Iterable

import keras
import tensorflow as tf

from keras_vaegan.training.distribution import is_multi_worker
from keras_vaegan.training.replicas import count_replicas


def average_weights(pairs: Iterable[tuple[keras.Model, keras.Model]], decay) -> None:
    """Move averaged models towards the current ones: mean * decay + value * (1 - decay).

    Every replica holds the same values, and moves its own copy.

    Args:
        pairs: (model, averaged model) of equal architecture.
        decay: Scalar in [0, 1); None copies, without arithmetic.
    """
    variables = [
        (mean.value, value.value)
        for model, average in pairs
        for value, mean in zip(
            model.trainable_variables, average.trainable_variables, strict=True
        )
    ]  # fmt: skip

    def move(mean, value, decay=None):
        mean.assign(value if decay is None else mean * decay + value * (1 - decay))

    def move_all(strategy, *decay) -> None:
        for mean, value in variables:
            strategy.extended.update(mean, move, args=(value, *decay), group=False)

    if count_replicas() == 1 and not is_multi_worker():
        for mean, value in variables:
            move(mean, value, decay)
    else:
        tf.distribute.get_replica_context().merge_call(
            move_all, args=() if decay is None else (decay,)
        )


class MeanTracker:
    """Running means of named scalars.

    Args:
        names: Every name that will come, so that no variable is made inside a step.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.means = {name: keras.metrics.Mean(name=name) for name in names}

    def track(self, logs: dict) -> dict:
        """Feed every value into its mean.

        Returns:
            The means by name. Among several workers each has shape (1,), since Keras reduces
            what a step returns over axis 0 there.
        """
        shape = (1,) if is_multi_worker() else ()
        for name, value in logs.items():
            self.means[name].update_state(value)
        return {name: tf.reshape(self.means[name].result(), shape) for name in logs}
