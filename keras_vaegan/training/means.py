"""Running means of whatever a step logs."""

from __future__ import annotations

import keras
from keras import ops

CAPACITY = 32


class RunningMeans(keras.metrics.Metric):
    """Means of named scalars, the names as they come: at most `CAPACITY` of them.

    Its variables exist from the start, so that no step has to make one.
    """

    def __init__(self, name: str = "running_means") -> None:
        super().__init__(name=name)
        self._places: dict[str, int] = {}
        self.totals = self.add_variable((CAPACITY,), "zeros", name="totals")
        self.counts = self.add_variable((CAPACITY,), "zeros", name="counts")

    def update_state(self, logs: dict) -> None:
        """Feed every value into its mean."""
        values, seen = [ops.zeros(())] * CAPACITY, [0.0] * CAPACITY
        for name, value in logs.items():
            place = self._places.setdefault(name, len(self._places))
            values[place], seen[place] = ops.cast(value, "float32"), 1.0
        self.totals.assign_add(ops.stack(values))
        self.counts.assign_add(ops.convert_to_tensor(seen, "float32"))

    def result(self) -> dict:
        """The means by name."""
        means = ops.divide(self.totals, ops.maximum(self.counts, 1.0))
        return {name: means[place] for name, place in self._places.items()}
