"""A whole training run, of whichever system: data in, run folder out."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from keras_vaegan.training.backend import make_run_callbacks, make_stream
from keras_vaegan.training.callbacks import RunRecorder, StopOnSignalOrLimit
from keras_vaegan.training.distribution import check_global_batch, is_chief
from keras_vaegan.training.run_folder import write_run_config
from keras_vaegan.training.state import load_run_state
from keras_vaegan.training.trainer import Trainer


def train_run(
    system: Any,
    config: Any,
    data: Path,
    out: Path,
    resume: bool = False,
    minutes: float | None = None,
    epochs: int | None = None,
) -> int | None:
    """Train what a config describes and keep its run folder.

    Args:
        system: The config's `System`.
        config: The run, as `get_preset` gives it.
        data: Folder with the training data of that system.
        out: Run folder.
        resume: Continue from `out/state`.
        minutes: Time limit of this call, or None; reading the data does not count.
        epochs: Passes over the data, instead of `config.steps`.

    Returns:
        The signal that ended the run early, or None.

    Raises:
        InputError: unusable data or run folder, or a batch that the replicas cannot share.
    """
    samples = system.load_data(config, data, out, resume)
    if epochs:
        config = dataclasses.replace(config, steps=epochs * samples.one_pass)
    check_global_batch(config.batch_size)
    trainer = system.build_trainer(config)
    past = load_run_state(trainer, out / "state") if resume else {}
    if is_chief():
        write_run_config(out, config)
        samples.write_records(out)
    done = past.get("step", 0)
    _log_on_chief(
        f"training on {samples.description}, batches of {config.batch_size}, steps {done} to "
        f"{config.steps}"
    )
    if done >= config.steps:
        _log_on_chief(
            f"already at step {done} of {config.steps}: give --steps a higher number to go on"
        )
        return None
    recorder = RunRecorder(out, samples, past)
    every = config.validate_every or samples.one_pass
    with StopOnSignalOrLimit(config.steps, minutes) as limit:
        for stage, end in system.list_stages(config):
            if done >= end or limit.is_over:
                continue
            trainer.set_stage(stage)
            limit.steps = end
            stream = make_stream(samples.read_batch, done)
            _fit(trainer, stream, limit, recorder, end - done, every)
            done = recorder.history[-1]["step"]
    final = recorder.history[-1]
    _log_on_chief(f"saved {out} at step {final['step']} after {final['minutes']:.1f} minutes")
    return limit.received


def _fit(
    trainer: Trainer,
    stream: Iterable,
    limit: StopOnSignalOrLimit,
    recorder: RunRecorder,
    steps: int,
    every: int,
) -> None:
    """Train `steps` more, from the recorder's last epoch; `every` steps are validated, an epoch."""
    callbacks: list[Any] = [limit, recorder]
    done = recorder.history[-1]["epoch"] if recorder.history else 0
    if is_chief():
        callbacks += make_run_callbacks(recorder.folder)
    trainer.fit(
        stream,
        epochs=done + math.ceil(steps / every),
        shuffle=False,
        verbose=("auto" if sys.stdout.isatty() else 2) if is_chief() else 0,
        initial_epoch=done,
        steps_per_epoch=min(steps, every),
        callbacks=callbacks,
    )


def _log_on_chief(text: str) -> None:
    """Print a line, on the chief alone."""
    if is_chief():
        print(text, flush=True)
