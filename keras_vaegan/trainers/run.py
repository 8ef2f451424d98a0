"""A whole training run: data in, run folder out."""

from __future__ import annotations

import dataclasses
import math
import sys
from pathlib import Path

import keras
import numpy as np

from keras_vaegan.checkpoints.run_config import write_run_config
from keras_vaegan.checkpoints.run_state import load_run_state
from keras_vaegan.config import CycleGANConfig
from keras_vaegan.data.pipeline import find_image_root, load_images, make_unpaired_dataset
from keras_vaegan.errors import InputError
from keras_vaegan.trainers.callbacks import RunRecorder, StopOnSignalOrLimit
from keras_vaegan.trainers.cyclegan import build_trainer


def train_cyclegan(
    config: CycleGANConfig,
    data: Path,
    out: Path,
    resume: bool = False,
    minutes: float | None = None,
    epochs: int | None = None,
) -> bool:
    """Train a CycleGAN and keep its run folder.

    Args:
        config: The run.
        data: Folder with trainA (CT) and trainB (MRI), or a parent of it.
        out: Run folder.
        resume: Continue from `out/state`.
        minutes: Time limit of this call, or None.
        epochs: Passes over the larger domain, instead of `config.steps`.

    Returns:
        Whether a signal ended the run early.

    Raises:
        InputError: unusable data or run folder.
    """
    root = find_image_root(data)
    mri, mri_held = _hold_back(load_images(root / "trainB", config.data)[0], config)
    ct, ct_held = _hold_back(load_images(root / "trainA", config.data)[0], config)
    _check_counts(config, mri, ct)
    one_pass = max(len(mri), len(ct)) // config.batch_size
    steps_per_epoch = config.steps_per_epoch or one_pass
    steps = epochs * one_pass if epochs else config.steps
    config = dataclasses.replace(config, steps=steps)
    trainer = build_trainer(config)
    past = load_run_state(trainer, out / "state") if resume else {}
    write_run_config(out, config)
    done = past.get("step", 0)
    print(
        f"training on {len(mri)} MRI and {len(ct)} CT images, {config.batch_size} pairs a step, "
        f"steps {done} to {steps}",
        flush=True,
    )
    if done >= steps:
        return False
    recorder = RunRecorder(
        out,
        mri_held,
        ct_held,
        past.get("history"),
        past.get("best_score", float("-inf")),
        past.get("seconds", 0.0),
    )
    limit = StopOnSignalOrLimit(steps, minutes)
    trainer.fit(
        make_unpaired_dataset(mri, ct, config.batch_size, config.seed, config.data, done),
        epochs=past.get("epoch", 0) + math.ceil((steps - done) / steps_per_epoch),
        shuffle=False,
        verbose="auto" if sys.stdout.isatty() else 2,
        initial_epoch=past.get("epoch", 0),
        steps_per_epoch=steps_per_epoch,
        callbacks=[limit, recorder, keras.callbacks.TensorBoard(str(out / "logs"))],
    )
    final = recorder.history[-1]
    print(f"saved {out} at step {final['step']} after {final['minutes']:.1f} minutes", flush=True)
    return limit.received is not None


def _hold_back(images: np.ndarray, config: CycleGANConfig) -> tuple[np.ndarray, np.ndarray]:
    """Split off validation images: at most a quarter, spread evenly over the folder's order."""
    count = min(config.data.validation_images, len(images) // 4)
    chosen = np.zeros(len(images), bool)
    chosen[np.linspace(0, len(images) - 1, count).astype(int)] = True
    return images[~chosen], images[chosen]


def _check_counts(config: CycleGANConfig, mri: np.ndarray, ct: np.ndarray) -> None:
    """Refuse fewer images than one batch draws."""
    for name, images in (("trainB (MRI)", mri), ("trainA (CT)", ct)):
        if len(images) < config.batch_size:
            raise InputError(
                f"{name} leaves {len(images)} training images: expected at least the batch size "
                f"{config.batch_size}; add images or lower --batch-size"
            )
