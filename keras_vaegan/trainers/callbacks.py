"""What happens around the training step: validation, records, checkpoints, stopping."""

from __future__ import annotations

import csv
import signal
import time
from functools import partial
from pathlib import Path

import keras
import numpy as np

from keras_vaegan.checkpoints.run_state import save_run_state
from keras_vaegan.data.image import write_image
from keras_vaegan.evaluation.report import draw_history
from keras_vaegan.evaluation.translation import (
    TranslationResult,
    draw_translation_grid,
    evaluate_translation,
    images_to_unit,
)
from keras_vaegan.files import atomic_path
from keras_vaegan.models import run_generator

SAMPLE_ROWS = 3


class StopOnSignalOrLimit(keras.callbacks.Callback):
    """End training after the current step: at a step count, a time limit or a signal.

    SIGINT and SIGTERM are caught while training runs, so that a step is never cut in two; a
    second signal acts as usual.

    Args:
        steps: Stop when the trainer has done this many steps.
        minutes: Stop after this much training time, validation included; None for no limit.
    """

    def __init__(self, steps: int, minutes: float | None = None) -> None:
        super().__init__()
        self.steps = steps
        self.minutes = minutes
        self.received: int | None = None
        self._handlers: dict[int, object] = {}

    def on_train_begin(self, logs=None) -> None:
        self._started = time.monotonic()
        self._done = int(self.model.trained_steps.numpy())
        for number in (signal.SIGINT, signal.SIGTERM):
            self._handlers[number] = signal.signal(number, self._receive)

    def on_train_batch_end(self, batch, logs=None) -> None:
        self._done += 1
        late = self.minutes and time.monotonic() - self._started > 60 * self.minutes
        if self.received or late or self._done >= self.steps:
            self.model.stop_training = True

    def on_train_end(self, logs=None) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _receive(self, number, frame) -> None:
        """Remember the signal; let the next one act."""
        self.received = number
        signal.signal(number, self._handlers[number])


class RunRecorder(keras.callbacks.Callback):
    """Validate at every epoch's end and keep the run folder current.

    Writes weights (`*.h5`, and `best/` where the score improved), `state/`, `history.csv`, loss
    plots and a sample grid. The score is the mean honest-cycle SSIM less the mean realism gap of
    both directions: a network that copies its input scores about 0, and so does one that forgets
    the anatomy.

    Args:
        folder: Run folder.
        mri: Validation images of the source domain (N, S, S, C), uint8 or uint16.
        ct: Validation images of the target domain.
        history: Rows of an earlier part of the run.
        best_score: Best score so far.
        seconds: Training time of earlier parts.
    """

    def __init__(
        self,
        folder: Path,
        mri: np.ndarray,
        ct: np.ndarray,
        history: list[dict] | None = None,
        best_score: float = float("-inf"),
        seconds: float = 0.0,
    ) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.mri, self.ct = images_to_unit(mri), images_to_unit(ct)
        self.history = list(history or [])
        self.best_score = best_score
        self.seconds = seconds

    def on_train_begin(self, logs=None) -> None:
        self._mark = time.monotonic()

    def on_epoch_end(self, epoch, logs=None) -> None:
        self.seconds += time.monotonic() - self._mark
        row = {
            "epoch": epoch + 1,
            "step": int(self.model.trained_steps.numpy()),
            "minutes": round(self.seconds / 60, 3),
            "learning_rate": float(self.model.g_optimizer.learning_rate.numpy()),
            **{name: float(value) for name, value in (logs or {}).items()},
        }
        is_best = False
        if len(self.mri) and len(self.ct):
            value_range = self.model.config.data.value_range
            result = evaluate_translation(
                partial(run_generator, self.model.g_target_ema, value_range=value_range),
                partial(run_generator, self.model.g_source_ema, value_range=value_range),
                self.mri,
                self.ct,
            )
            row |= summarise(result.metrics)
            is_best = row["val_score"] > self.best_score
            self._write_samples(result, row["step"])
            if logs is not None:
                logs.update({k: v for k, v in row.items() if k.startswith("val_")})
        self.history.append(row)
        self._write_records()
        self._write_checkpoints(is_best, row)
        self._mark = time.monotonic()

    def _write_samples(self, result: TranslationResult, step: int) -> None:
        """Write the grid of both directions."""
        grid = draw_translation_grid(result, SAMPLE_ROWS)
        write_image(self.folder / "samples" / f"step_{step:06d}.png", grid)

    def _write_records(self) -> None:
        """Write history.csv and its plots."""
        path = self.folder / "logs" / "history.csv"
        names = list(dict.fromkeys(name for row in self.history for name in row))
        with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(self.history)
        draw_history(path, self.folder / "logs" / "history.png")

    def _write_checkpoints(self, is_best: bool, row: dict) -> None:
        """Write weights and the resumable state, the best ones apart."""
        self.model.save_weight_files(self.folder)
        if is_best:
            self.best_score = row["val_score"]
            self.model.save_weight_files(self.folder / "best")
        extra = {
            "epoch": row["epoch"],
            "step": row["step"],
            "best_score": self.best_score,
            "seconds": self.seconds,
            "history": self.history,
        }
        save_run_state(self.model, self.folder / "state", extra)


def summarise(metrics: dict) -> dict:
    """Flatten an evaluation to the columns of history.csv, and score it."""
    row = {}
    for name in ("ct", "mri"):
        for kind in ("cycle", "honest_cycle"):
            row[f"val_{kind}_psnr_{name}"] = metrics[kind][name]["psnr"]["mean"]
            row[f"val_{kind}_ssim_{name}"] = metrics[kind][name]["ssim"]["mean"]
        for group, gap in metrics["realism"][name]["gap"].items():
            row[f"val_gap_{group}_{name}"] = gap
        row[f"val_copy_{name}"] = metrics["realism"][name]["copy"]
    similarity = (row["val_honest_cycle_ssim_ct"] + row["val_honest_cycle_ssim_mri"]) / 2
    gaps = [row[f"val_gap_all_{name}"] for name in ("ct", "mri")]
    row["val_score"] = similarity - sum(1.0 if gap is None else gap for gap in gaps) / 2
    return {name: value for name, value in row.items() if value is not None}
