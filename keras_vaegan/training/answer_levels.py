"""Moving averages of what a discriminator's heads answer, for the LeCam regularisation."""

from __future__ import annotations

import keras
from keras import ops

from keras_vaegan.training.backend import average_over_replicas

DECAY = 0.99


class AnswerLevels(keras.layers.Layer):
    """Follow each head's mean answer to real and to generated images.

    The averages are variables and so belong to the run's resumable state.

    Args:
        heads: Number of heads.

    Reference: Tseng et al. 2021 (LeCam); the decay is our reading.
    """

    def __init__(self, heads: int, **kwargs) -> None:
        super().__init__(trainable=False, dtype="float32", **kwargs)
        self.levels = self.add_weight(
            shape=(2, heads), initializer="zeros", trainable=False, name="levels",
            aggregation="only_first_replica",
        )  # fmt: skip
        self.built = True

    def read(self) -> tuple[list, list]:
        """(real, generated): the averages, scalars, one a head."""
        heads = range(self.levels.shape[1])
        return [self.levels[0, i] for i in heads], [self.levels[1, i] for i in heads]

    def follow(self, real: list, fake: list) -> None:
        """Move the averages towards this step's answers.

        Args:
            real: One map of logits a head, for real images.
            fake: The same, for generated ones.
        """
        means = [ops.mean(ops.cast(m, "float32")) for m in (*real, *fake)]
        (now,) = average_over_replicas([ops.reshape(ops.stack(means), (2, -1))])
        self.levels.assign(DECAY * self.levels + (1 - DECAY) * now)
