"""Learning rates as functions of the optimiser's own step count, which a run's state holds.

The one that falls when validations stop to improve is `callbacks.PlateauRate`.
"""

from __future__ import annotations

import math

from keras import ops
from keras.optimizers.schedules import LearningRateSchedule

from keras_vaegan.config.run import OptimizerConfig


class AnnealedRate(LearningRateSchedule):
    """A rate that decays every step, halves now and then, or falls along a cosine.

    rate / (1 + decay * step) * 0.5 ** floor(step / halving_steps)
    * (1 + cos(pi step / cosine_steps)) / 2

    Args:
        learning_rate: Rate at step 0.
        decay: Per-step decay, as in the legacy Keras optimisers; 0 for none.
        halving_steps: Steps between two halvings; 0 for none.
        cosine_steps: Steps until the rate is 0, after which it rises again; 0 for no cosine.

    Reference: Loshchilov & Hutter 2017, "SGDR", equation 5, without restarts.
    """

    def __init__(
        self, learning_rate: float, decay: float = 0.0, halving_steps: int = 0,
        cosine_steps: int = 0,
    ) -> None:  # fmt: skip
        self.learning_rate, self.decay = learning_rate, decay
        self.halving_steps, self.cosine_steps = halving_steps, cosine_steps

    def __call__(self, step):
        step = ops.cast(step, "float32")
        rate = self.learning_rate / (1.0 + self.decay * step)
        if self.halving_steps:
            rate = rate * 0.5 ** ops.floor(step / self.halving_steps)
        if self.cosine_steps:
            rate = rate * (0.5 + 0.5 * ops.cos(math.pi * step / self.cosine_steps))
        return rate

    def get_config(self) -> dict:
        return dict(vars(self))


class StagedRate(LearningRateSchedule):
    """One schedule up to a step, then another that begins anew.

    Args:
        first, second: The schedules.
        boundary: First step of the second.
    """

    def __init__(
        self, first: LearningRateSchedule, second: LearningRateSchedule, boundary: int
    ) -> None:
        self.first, self.second, self.boundary = first, second, boundary

    def __call__(self, step):
        step = ops.cast(step, "float32")
        is_first = step < self.boundary
        return ops.where(is_first, self.first(step), self.second(step - self.boundary))

    def get_config(self) -> dict:
        return dict(vars(self))


def make_schedule(rates: OptimizerConfig, learning_rate: float) -> LearningRateSchedule:
    """The schedule that a config describes, from a rate at step 0."""
    return AnnealedRate(learning_rate, rates.decay, rates.halving_steps, rates.cosine_steps)
