"""What happens around the training step: validation, records, checkpoints, stopping."""

from __future__ import annotations

import csv
import signal
import time
from pathlib import Path

import keras
import numpy as np

from keras_vaegan.evaluation.report import draw_history
from keras_vaegan.files import atomic_path
from keras_vaegan.training.distribution import is_chief
from keras_vaegan.training.state import save_run_state


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
        self._started: float | None = None
        self._handlers: dict[int, object] = {}

    def __enter__(self) -> StopOnSignalOrLimit:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._handlers[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *failure) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def on_train_begin(self, logs=None) -> None:
        self._started = self._started or time.monotonic()
        self._done = int(self.model.trained_steps.numpy())

    def on_train_batch_end(self, batch, logs=None) -> None:
        self._done += 1
        late = self.minutes and time.monotonic() - self._started > 60 * self.minutes
        self.is_over = self.model.agree_to_stop(bool(self.received or late))
        if self.is_over or self._done >= self.steps:
            self.model.stop_training = True

    def _receive(self, number, frame) -> None:
        """Remember the signal; let the next one act."""
        self.received = number
        signal.signal(number, self._handlers[number])


class RunRecorder(keras.callbacks.Callback):
    """Validate at every epoch's end and keep the run folder current.

    Writes weights (`*.h5`, and `best/` where the score improved), `state/`, `history.csv` and
    loss plots; of several workers only the chief does. A system's own recorder overrides
    `validate`.

    Args:
        folder: Run folder.
        past: What `load_run_state` gave back of an earlier part of the run, or nothing.

    Attributes:
        judges_everywhere: Whether all workers validate, since `learn_from` needs it.
    """

    judges_everywhere = False

    def __init__(self, folder: Path, past: dict | None = None) -> None:
        super().__init__()
        past = past or {}
        self.folder = Path(folder)
        self.history: list[dict] = list(past.get("history") or [])
        self.best_score: float = past.get("best_score", float("-inf"))
        self.seconds: float = past.get("seconds", 0.0)

    def validate(self, step: int) -> dict[str, float]:
        """Judge the current weights, write sample pictures.

        Returns:
            Columns of history.csv; "val_score" (higher is better) chooses `best/`. Empty where
            there is nothing to validate on.
        """
        return {}

    def learn_from(self, row: dict) -> None:
        """Change the trainer by what an epoch gave, before its state is written."""

    def on_train_begin(self, logs=None) -> None:
        self._mark = time.monotonic()

    def on_epoch_end(self, epoch, logs=None) -> None:
        self.seconds += time.monotonic() - self._mark
        row = {
            "epoch": epoch + 1,
            "step": int(self.model.trained_steps.numpy()),
            "minutes": round(self.seconds / 60, 3),
            "learning_rate": float(self.model.optimizer.learning_rate.numpy()),
            **{name: float(np.mean(value)) for name, value in (logs or {}).items()},
        }
        judged = self.validate(row["step"]) if is_chief() or self.judges_everywhere else {}
        row |= judged
        if logs is not None:
            logs.update(judged)
        self.history.append(row)
        self.learn_from(row)
        if is_chief():
            self._write_records()
            self._write_checkpoints(judged.get("val_score", float("-inf")), row)
        self._mark = time.monotonic()

    def _write_records(self) -> None:
        """Write history.csv and its plots."""
        path = self.folder / "logs" / "history.csv"
        names = list(dict.fromkeys(name for row in self.history for name in row))
        with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(self.history)
        draw_history(path, self.folder / "logs" / "history.png")

    def _write_checkpoints(self, score: float, row: dict) -> None:
        """Write weights and the resumable state, the best ones apart."""
        self.model.save_weight_files(self.folder)
        if score > self.best_score:
            self.best_score = score
            self.model.save_weight_files(self.folder / "best")
        extra = {
            "epoch": row["epoch"],
            "step": row["step"],
            "best_score": self.best_score,
            "seconds": self.seconds,
            "history": self.history,
        }
        save_run_state(self.model, self.folder / "state", extra)
