"""What all trainers share: counted steps, running means, a state by name, a vote to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_vaegan.config.run import OptimizerConfig
from keras_vaegan.errors import InputError
from keras_vaegan.files import staged_entries
from keras_vaegan.training.backend import (
    StepRunner,
    compile_inference,
    fix_batch_size,
    is_multi_worker,
    should_compile_with_xla,
    sum_over_workers,
)
from keras_vaegan.training.device_store import DeviceStore
from keras_vaegan.training.distribution import dtype_policy, resolve_precision
from keras_vaegan.training.means import RunningMeans
from keras_vaegan.weights.legacy_h5 import load_legacy_h5, save_legacy_h5
from keras_vaegan.weights.names import find_in_folder
from keras_vaegan.weights.record import WeightsRecord


class Trainer(StepRunner, keras.Model):
    """A `keras.Model` whose step is a pure function of its state and its batch.

    A subclass has `update(batch) -> logs`, which changes its networks, names what its state
    consists of in `state_parts`, and which networks its weight files hold in `weight_files`.

    Args:
        config: The run.
        name: Keras name.
    """

    def __init__(self, config: Any, name: str) -> None:
        super().__init__(name=name)
        self.config = config
        self.trained_steps = self._add_scalar("trained_steps", "int32")
        self.failed_step = self._add_scalar("failed_step", "int32")
        self._votes = is_multi_worker()
        self.stop_requested: Any = self._add_scalar("stop_requested") if self._votes else None
        self.stop_decided: Any = self._add_scalar("stop_decided") if self._votes else None
        self._means = RunningMeans()
        self._compiled: dict[int, Callable] = {}
        self.store: DeviceStore | None = None
        self.built = True

    def _add_scalar(self, name: str, dtype: str = "float32") -> keras.Variable:
        """A counter or flag that every replica holds."""
        return self.add_weight(
            shape=(), dtype=dtype, initializer="zeros", trainable=False, name=name,
            aggregation="only_first_replica",
        )  # fmt: skip

    def compile(self, *optimizers: Any, **kwargs: Any) -> None:
        """As `keras.Model.compile`; XLA only where the hardware requires it."""
        kwargs.setdefault("jit_compile", should_compile_with_xla())
        super().compile(*optimizers, **kwargs)

    def prepare_optimizer(self, optimizer, variables) -> keras.optimizers.Optimizer:
        """Build an optimiser for its variables, with loss scaling where float16 needs it."""
        if resolve_precision(self.config.precision) == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(variables)
        return optimizer

    def set_stage(self, name: str) -> None:
        """Change to a stage of the run that compiles its own step; most have one alone."""

    def take_from(self, store: DeviceStore) -> None:
        """Train on places in a store of images from here on, not on images."""
        self.store = store
        self.reset_step()

    # -- one step ----------------------------------------------------------------------------------

    def update(self, data) -> dict:
        """Change the networks by one batch. Returns the unweighted losses by name."""
        raise NotImplementedError

    def train_step(self, data) -> dict:
        """One step: update, count, and agree with other workers whether to stop.

        Returns:
            Dict of running means: the loss terms by name.
        """
        data = fix_batch_size(data, self.config.batch_size)
        logs = self.update(self.store.fetch(data) if self.store is not None else data)
        self.trained_steps.assign_add(1)
        self._note_failure(logs)
        if self._votes:
            self.stop_decided.assign(sum_over_workers(self.stop_requested.value + 0.0))
        return self.track(logs)

    def _note_failure(self, logs: dict) -> None:
        """Remember in `failed_step` the first step whose losses are not all finite; else 0."""
        total = sum(keras.ops.cast(value, "float32") for value in logs.values())
        total = sum_over_workers(total) if self._votes else total
        failed, step = keras.ops.logical_not(keras.ops.isfinite(total)), self.failed_step
        is_first = keras.ops.logical_and(failed, keras.ops.equal(step.value, 0))
        step.assign(keras.ops.where(is_first, self.trained_steps.value, step.value))

    def make_seeds(self, names: Iterable[str], further: bool = False) -> dict[str, Any]:
        """One seed a random stream, a function of the run's seed and the step alone.

        Args:
            names: Of the streams, at most 8. A stream may add small numbers to its seed, to both
                words alike: no two streams of a step meet so.
            further: Another 8 streams, apart from the first.
        """
        step = keras.ops.cast(self.trained_steps, "int32")
        run = keras.ops.convert_to_tensor(self.config.seed - 2**31 * further, "int32")
        return {
            name: keras.ops.stack([run, 16 * step + 2 * index]) for index, name in enumerate(names)
        }

    @property
    def step_number(self):
        """Steps done so far, as a float32 scalar for schedules inside the step."""
        return keras.ops.cast(self.trained_steps, "float32")

    def average_decay(self):
        """Decay of averaged weights in this step: less in the first steps; None for no average."""
        limit = self.config.optimizer.ema_decay
        step = self.step_number
        return keras.ops.minimum(limit, (1 + step) / (10 + step)) if limit else None

    def track(self, logs: dict) -> dict:
        """Feed every value into its running mean.

        Returns:
            The means by name. Among several workers each has shape (1,), since Keras reduces
            what a step returns over axis 0 there.
        """
        self._means.update_state(logs)
        means, shape = self._means.result(), (1,) if is_multi_worker() else ()
        return {name: keras.ops.reshape(means[name], shape) for name in logs}

    @property
    def metrics(self) -> list:
        return [self._means]

    # -- around the step ---------------------------------------------------------------------------

    def agree_to_stop(self, requested: bool) -> bool:
        """Whether to stop after this step: this worker's request or, of several, anyone's.

        A request takes effect at the end of the next step, for all workers alike, so that none
        waits for another that has left.
        """
        if not self._votes:
            return requested
        self.stop_requested.assign(float(requested))
        return float(keras.ops.convert_to_numpy(self.stop_decided)) > 0

    def find_failure(self) -> int:
        """The first step whose losses were not finite; 0 for none."""
        return int(keras.ops.convert_to_numpy(self.failed_step))

    def infer(self, network: keras.Model, images) -> np.ndarray:
        """A network's output for one batch; `network` is one of the trainer's."""
        if id(network) not in self._compiled:
            self._compiled[id(network)] = compile_inference(network)
        return self._compiled[id(network)](images)

    # -- state -------------------------------------------------------------------------------------

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

    def weight_files(self) -> dict[str, tuple[list[keras.Model], WeightsRecord]]:
        """What the weight files hold, by name: the models that have one network's weights, of which
        the first is written and all are read into, and what the file tells of the network."""
        raise NotImplementedError

    def save_weight_files(self, folder: str | Path) -> None:
        """Write the system's weight files: each whole, and none before all can be written.

        Raises:
            InputError: the folder cannot be written to, or the disk is full.
        """
        with staged_entries(folder) as staging:
            for name, (models, record) in self.weight_files().items():
                save_legacy_h5(models[0], staging / name, record)

    def load_weight_files(self, folder: str | Path) -> None:
        """Start from the weights of a run of the same networks, at any image size.

        Args:
            folder: Run folder, whose `best/` comes first, or folder of published weight files.

        Raises:
            InputError: a file is missing or fits no network; the trainer is then of no use.
        """
        for name, (models, _) in self.weight_files().items():
            path = find_in_folder(Path(folder), name)
            if path is None:
                raise InputError(
                    f"{folder} has no {name}: expected a run folder, or one of weight files"
                )
            for model in models:
                load_legacy_h5(model, path)


def build_compiled(trainer_class: Callable[[Any], Trainer], config: Any) -> Trainer:
    """Build a trainer under its run's dtype policy, and compile it."""
    with dtype_policy(resolve_precision(config.precision)):
        trainer = trainer_class(config)
    trainer.compile()
    return trainer


def make_adam(rates: OptimizerConfig, learning_rate) -> keras.optimizers.Optimizer:
    """Adam, or AdamW where weight decay is asked for, at a rate or on a schedule."""
    settings = {"beta_1": rates.beta_1, "beta_2": rates.beta_2, "epsilon": rates.epsilon}
    if rates.weight_decay:
        return keras.optimizers.AdamW(learning_rate, weight_decay=rates.weight_decay, **settings)
    return keras.optimizers.Adam(learning_rate, **settings)


def copy_model(model: keras.Model) -> keras.Model:
    """A model of the same architecture and weights, for averaging."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    copy.trainable = True
    return copy


def unpack_batch(data) -> tuple:
    """The parts of a dataset's element, or of what `train_on_batch((first, second))` was given."""
    first, *others = keras.utils.unpack_x_y_sample_weight(data)
    if others[0] is None and isinstance(first, (list, tuple)):
        return tuple(first)
    return (first, *(part for part in others if part is not None))
