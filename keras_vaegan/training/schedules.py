"""Learning rates as functions of the optimiser's own step count, which a run's state holds."""

from __future__ import annotations

import math

import keras
from keras import ops

from keras_vaegan.config.run import OptimizerConfig


class DecayedCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Cosine annealing by passes over the data, with the legacy Keras decay per step.

    In pass e the rate is rate / (1 + decay * step) * (1 + cos(pi e / cosine_epochs)) / 2.

    Args:
        learning_rate: Rate at step 0.
        decay: Per-step decay; 0 for none.
        cosine_epochs: Passes until the rate is 0, after which it rises again; 0 for no cosine.
        epoch_steps: Steps of a pass.

    Reference: Loshchilov & Hutter 2017, "SGDR", equation 5, without restarts.
    """

    def __init__(
        self, learning_rate: float, decay: float, cosine_epochs: int, epoch_steps: int
    ) -> None:
        self.learning_rate = learning_rate
        self.decay = decay
        self.cosine_epochs = cosine_epochs
        self.epoch_steps = epoch_steps

    def __call__(self, step):
        step = ops.cast(step, "float32")
        rate = self.learning_rate / (1.0 + self.decay * step)
        if self.cosine_epochs:
            epoch = ops.floor((step + 0.5) / self.epoch_steps)
            rate = rate * (1.0 + ops.cos(math.pi * epoch / self.cosine_epochs)) / 2
        return rate

    def get_config(self) -> dict:
        names = ("learning_rate", "decay", "cosine_epochs", "epoch_steps")
        return {name: getattr(self, name) for name in names}


class StagedRate(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate over two stages, each with its own start.

    Args:
        rates: Rate at the start of either stage.
        lengths: Steps of either stage.
        schedule: "halve" every `halving_steps` of a stage, or "cosine" to 0 at its end.
        halving_steps: Steps between two halvings.
    """

    def __init__(
        self,
        rates: tuple[float, float],
        lengths: tuple[int, int],
        schedule: str = "halve",
        halving_steps: int = 200_000,
    ) -> None:
        self.rates, self.lengths = tuple(rates), tuple(lengths)
        self.schedule, self.halving_steps = schedule, halving_steps

    def __call__(self, step):
        step = ops.cast(step, "float32")
        first = step < self.lengths[0]
        step = ops.where(first, step, step - self.lengths[0])
        if self.schedule == "halve":
            share = 0.5 ** ops.floor(step / self.halving_steps)
        else:
            length = ops.where(first, *(float(max(1, length)) for length in self.lengths))
            share = 0.5 + 0.5 * ops.cos(math.pi * ops.minimum(1.0, step / length))
        return ops.where(first, *self.rates) * share

    def get_config(self) -> dict:
        names = ("rates", "lengths", "schedule", "halving_steps")
        return {name: getattr(self, name) for name in names}


def make_schedule(
    rates: OptimizerConfig, learning_rate: float, epoch_steps: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """The schedule that a config describes.

    Args:
        rates: Its `decay` and `cosine_epochs` are used.
        learning_rate: Rate at step 0.
        epoch_steps: Steps of a pass over the data.
    """
    return DecayedCosine(learning_rate, rates.decay, rates.cosine_epochs, epoch_steps)
