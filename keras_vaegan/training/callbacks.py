"""What happens around the training step: validation, records, checkpoints, stopping."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any, NoReturn

import keras
import numpy as np

from keras_vaegan.data.image import write_image
from keras_vaegan.errors import TrainingDiverged
from keras_vaegan.evaluation.history import draw_history
from keras_vaegan.files import write_csv
from keras_vaegan.training.backend import is_chief
from keras_vaegan.training.state import save_run_state

CHECKED_EVERY = 20  # calls of the compiled step


class StopOnSignalOrLimit(keras.callbacks.Callback):
    """End training after the current step: at a step count, a time limit or a signal.

    As a context it catches SIGINT and SIGTERM, so that neither a step nor what is written after
    it is cut in two, and so that a signal between two stages ends the second one after its first
    step; a second signal acts as usual. Several workers stop after the same step.

    Args:
        steps: Stop when the trainer has done this many steps.
        minutes: Stop after this much training time, validation included; None for no limit.

    Attributes:
        received: The signal that asked for the end, or None.
        is_over: Whether a signal or the time limit has ended the training, whatever stages remain.
    """

    def __init__(self, steps: int, minutes: float | None = None) -> None:
        super().__init__()
        self.steps = steps
        self.minutes = minutes
        self.received: int | None = None
        self.is_over = False
        self._started = 0.0
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> StopOnSignalOrLimit:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._handlers[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *failure) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def on_train_begin(self, logs=None) -> None:
        self._started = self._started or time.monotonic()
        self._done = int(keras.ops.convert_to_numpy(self.model.trained_steps))

    def on_train_batch_end(self, batch, logs=None) -> None:
        self._done += getattr(self.model, "steps_per_execution", 1)
        late = self.minutes and time.monotonic() - self._started > 60 * self.minutes
        self.is_over = self.model.agree_to_stop(bool(self.received or late))
        if self.is_over or self._done >= self.steps:
            self.model.stop_training = True

    def _receive(self, number, frame) -> None:
        """Remember the signal; let the next one act."""
        self.received = number
        signal.signal(number, self._handlers[number])


class StepsDone(keras.callbacks.ProgbarLogger):
    """Keras's line of an epoch, which tells the steps that were done where it ends early."""

    target: int | None

    def on_epoch_end(self, epoch, logs=None) -> None:
        planned = self.target
        self.target = self.progbar.target = self.seen
        super().on_epoch_end(epoch, logs)
        self.target = planned


class StopWhereDiverged(keras.callbacks.Callback):
    """End training with `TrainingDiverged` before anything of a diverged network is saved.

    Args:
        recorder: The run's, whose folder keeps what was saved before.
    """

    def __init__(self, recorder: RunRecorder) -> None:
        super().__init__()
        self.recorder = recorder
        self._calls = 0

    def on_train_batch_end(self, batch, logs=None) -> None:
        self._calls += 1
        if self._calls % CHECKED_EVERY == 0:  # reading the step's result waits for the device
            self._check(logs)

    def on_epoch_end(self, epoch, logs=None) -> None:
        self._check(logs)
        for name, (models, _) in self.model.weight_files().items():
            if not all(np.isfinite(weights).all() for weights in models[0].get_weights()):
                self._stop(self.model.trained_steps, f"a weight of {name}")

    def _check(self, logs: dict | None) -> None:
        """End training if a step's losses were not finite."""
        step = self.model.find_failure()
        if step:
            values = {name: float(np.mean(value)) for name, value in (logs or {}).items()}
            broken = [name for name, value in values.items() if not np.isfinite(value)]
            self._stop(step, f"the loss {', '.join(broken)}".rstrip())

    def _stop(self, step: Any, what: str) -> NoReturn:
        """Say which step, and what is kept."""
        history, folder = self.recorder.history, self.recorder.folder
        kept = (
            f"{folder} keeps the weights and state of step {history[-1]['step']}; go on from there "
            "with --resume"
            if history
            else "nothing was saved yet; train anew"
        )
        raise TrainingDiverged(
            f"{what} is not finite at step {int(keras.ops.convert_to_numpy(step))}: expected "
            f"finite ones; {kept}, if it happens again by --precision float32 or at a lower rate"
        )


class PlateauRate(keras.callbacks.ReduceLROnPlateau):
    """Halve the learning rate after some validations in a row without a better score.

    The score is "val_score", or where nothing is validated the negative of another log.

    Args:
        patience: Validations without a better one.
        otherwise: Name of that log.
    """

    def __init__(self, patience: int, otherwise: str) -> None:
        super().__init__("plateau_score", factor=0.5, patience=patience, mode="max", min_delta=0)
        self.otherwise = otherwise
        self.past: dict[str, float] = {}

    def on_train_begin(self, logs=None) -> None:
        super().on_train_begin(logs)
        if "plateau_best" in self.past:
            self.best, self.wait = self.past["plateau_best"], int(self.past["plateau_wait"])

    def on_epoch_end(self, epoch, logs=None) -> None:
        score = logs.get("val_score", -float(np.mean(logs[self.otherwise])))
        super().on_epoch_end(epoch, {"plateau_score": score})
        self.past = {"plateau_best": float(self.best), "plateau_wait": self.wait}


class RunRecorder(keras.callbacks.Callback):
    """Validate at every epoch's end and keep the run folder current.

    Writes weights (`*.h5`, and `best/` where the score improved), `state/`, `history.csv`, loss
    plots and sample grids; of several workers only the chief does.

    Args:
        folder: Run folder.
        samples: The run's `TrainingData`, which validates.
        past: What `load_run_state` gave back of an earlier part of the run, or nothing.
    """

    def __init__(self, folder: Path, samples, past: dict | None = None) -> None:
        super().__init__()
        past = past or {}
        self.folder, self.samples = Path(folder), samples
        self.history: list[dict] = list(past.get("history") or [])
        self.best_score: float = past.get("best_score", float("-inf"))
        self.seconds: float = past.get("seconds", 0.0)
        self.plateau: PlateauRate | None = samples.plateau
        if self.plateau is not None:
            self.plateau.past = past

    def set_model(self, model) -> None:
        super().set_model(model)
        if self.plateau is not None:
            self.plateau.set_model(model)

    def on_train_begin(self, logs=None) -> None:
        if self.plateau is not None:
            self.plateau.on_train_begin()
        self._mark = time.monotonic()

    def on_epoch_end(self, epoch, logs=None) -> None:
        logs = logs if logs is not None else {}
        self.seconds += time.monotonic() - self._mark
        row = {
            "epoch": epoch + 1,
            "step": int(keras.ops.convert_to_numpy(self.model.trained_steps)),
            "minutes": round(self.seconds / 60, 3),
            "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            **{name: float(np.mean(value)) for name, value in logs.items()},
        }
        score = float("-inf")
        if is_chief() or self.plateau is not None:  # a rate that all workers must lower
            validation = self.samples.validate(self.model)
            score = validation.row.get("val_score", score)
            row |= validation.row
            logs.update(validation.row)
            if validation.picture is not None and is_chief():
                name = f"step_{row['step']:06d}.png"
                write_image(self.folder / "samples" / name, validation.picture)
        self.history.append(row)
        if self.plateau is not None:
            self.plateau.on_epoch_end(epoch, logs)
        if is_chief():
            logs_folder = self.folder / "logs"
            write_csv(logs_folder / "history.csv", self.history)
            draw_history(logs_folder / "history.csv", logs_folder / "history.png")
            self._write_checkpoints(score)
        self._mark = time.monotonic()

    def _write_checkpoints(self, score: float) -> None:
        """Write weights and the resumable state, the best ones apart."""
        self.model.save_weight_files(self.folder)
        if score > self.best_score:
            self.best_score = score
            self.model.save_weight_files(self.folder / "best")
        extra = {
            "epoch": self.history[-1]["epoch"],
            "step": self.history[-1]["step"],
            "best_score": self.best_score,
            "seconds": self.seconds,
            "history": self.history,
            **(self.plateau.past if self.plateau is not None else {}),
        }
        save_run_state(self.model, self.folder / "state", extra)
