"""Beginning, running and ending `fit` in the same way for every system."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import keras
import tensorflow as tf

from keras_vaegan.systems.registry import build_trainer
from keras_vaegan.training.callbacks import RunRecorder, StopOnSignalOrLimit
from keras_vaegan.training.distribution import check_global_batch, is_chief
from keras_vaegan.training.run_config import write_run_config
from keras_vaegan.training.state import load_run_state


def begin_run(config, out: Path, resume: bool) -> tuple[keras.Model, dict]:
    """Build a run's trainer, give it its past, and write the run's config.

    Args:
        config: The run.
        out: Run folder.
        resume: Load `out/state`.

    Returns:
        (trainer, past): past is what was saved beside the state, empty for a new run.

    Raises:
        InputError: no usable state, a batch that the replicas cannot share, or a folder that
            cannot be written to.
    """
    check_global_batch(config.batch_size, tf.distribute.get_strategy())
    trainer = build_trainer(config)
    past = load_run_state(trainer, out / "state") if resume else {}
    if is_chief():
        write_run_config(out, config)
    return trainer, past


def fit_run(
    trainer: keras.Model,
    dataset: tf.data.Dataset,
    recorder: RunRecorder,
    limit: StopOnSignalOrLimit,
    steps: int,
    steps_per_epoch: int,
) -> None:
    """Train on from the recorder's last epoch, and record.

    Args:
        trainer: Compiled.
        dataset: Endless stream of global batches, at the trainer's next step.
        recorder: The run's.
        limit: When to stop.
        steps: Steps to come.
        steps_per_epoch: Steps between two validations.
    """
    options = tf.data.Options()
    policy = tf.data.experimental.AutoShardPolicy.DATA  # each worker computes its rows of a batch
    options.experimental_distribute.auto_shard_policy = policy
    done = recorder.history[-1]["epoch"] if recorder.history else 0
    callbacks = [limit, recorder]
    if is_chief():
        callbacks.append(keras.callbacks.TensorBoard(str(recorder.folder / "logs")))
    trainer.fit(
        dataset.with_options(options),
        epochs=done + math.ceil(steps / steps_per_epoch),
        shuffle=False,
        verbose=("auto" if sys.stdout.isatty() else 2) if is_chief() else 0,
        initial_epoch=done,
        steps_per_epoch=min(steps, steps_per_epoch),
        callbacks=callbacks,
    )


def end_run(out: Path, recorder: RunRecorder, limit: StopOnSignalOrLimit) -> int | None:
    """Say where a run was saved. Returns the signal that ended it early, or None."""
    final = recorder.history[-1]
    say(f"saved {out} at step {final['step']} after {final['minutes']:.1f} minutes")
    return limit.received


def has_ended(done: int, steps: int) -> bool:
    """Whether a run has no step left; says what to do then."""
    if done >= steps:
        say(f"already at step {done} of {steps}: give --steps a higher number to go on")
    return done >= steps


def say(text: str) -> None:
    """Print a line, on the chief alone."""
    if is_chief():
        print(text, flush=True)
