"""A whole training run, of whichever system: data in, run folder out."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from keras_vaegan.errors import InputError
from keras_vaegan.training.backend import is_chief, make_run_callbacks, make_stream
from keras_vaegan.training.callbacks import (
    RunRecorder,
    StepsDone,
    StopOnSignalOrLimit,
    StopWhereDiverged,
)
from keras_vaegan.training.data_record import keep_data_record
from keras_vaegan.training.distribution import check_global_batch, resolve_precision
from keras_vaegan.training.run_folder import write_run_config
from keras_vaegan.training.run_lock import hold_run_folder
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
    device_data: bool = False,
    steps_per_call: int = 1,
    init_from: Path | None = None,
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
        device_data: Keep the decoded images in the device's memory and draw batches there.
        steps_per_call: Steps that one call of the compiled program takes.
        init_from: Folder of weights of the same networks to start from, or None.

    Returns:
        The signal that ended the run early, or None.

    Raises:
        InputError: unusable data or run folder, one in which another training runs, or a batch
            that the replicas cannot share.
        TrainingDiverged: a loss or weight is not finite; the folder keeps what was saved before.
    """
    resolve_precision(config.precision)  # refuses what this machine cannot do, before the data
    _check_calls(steps_per_call, config.validate_every, *([] if epochs else [config.steps]))
    with hold_run_folder(out) if is_chief() else nullcontext():
        samples = system.load_data(config, data, out, resume)
        config = samples.complete(config)
        if epochs:
            config = dataclasses.replace(config, steps=epochs * samples.one_pass)
        check_global_batch(config.batch_size)
        every = config.validate_every or samples.one_pass
        trainer = system.build_trainer(config)
        trainer.steps_per_execution = steps_per_call
        read = _choose_reader(samples, trainer, device_data)
        past = load_run_state(trainer, out / "state") if resume else {}
        if init_from is not None and not resume:
            trainer.load_weight_files(init_from)
        done, stages = past.get("step", 0), system.list_stages(config)
        _check_calls(steps_per_call, done, every, *(end for _, end in stages))
        if is_chief():
            write_run_config(out, config)
            keep_data_record(out, samples.sources, resume)
            samples.write_records(out, resume)
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
        limit = StopOnSignalOrLimit(config.steps, minutes)
        _train_stages(trainer, stages, read, limit, recorder, every)
        final = recorder.history[-1]
        _log_on_chief(f"saved {out} at step {final['step']} after {final['minutes']:.1f} minutes")
        return limit.received


def _train_stages(
    trainer: Trainer,
    stages: Sequence[tuple[str, int]],
    read: Callable[[int], tuple],
    limit: StopOnSignalOrLimit,
    recorder: RunRecorder,
    every: int,
) -> None:
    """Train what is left of every stage, unless a signal or the time limit ends the run.

    A stage is validated every `every` steps from its beginning, also in a run that was interrupted
    between two validations.
    """
    done, begin = recorder.history[-1]["step"] if recorder.history else 0, 0
    with limit:
        for stage, end in stages:
            if done < end and not limit.is_over:
                trainer.set_stage(stage)
                limit.steps = end
            while done < end and not limit.is_over:  # twice at most
                rest = -(done - begin) % every  # of an epoch that was cut
                steps = min(rest or end, end - done)
                _fit(trainer, make_stream(read, done), limit, recorder, steps, every)
                done = recorder.history[-1]["step"]
            begin = end


def _fit(
    trainer: Trainer,
    stream: Iterable,
    limit: StopOnSignalOrLimit,
    recorder: RunRecorder,
    steps: int,
    every: int,
) -> None:
    """Train `steps` more, from the recorder's last epoch; `every` steps are validated, an epoch."""
    callbacks: list[Any] = [limit, StopWhereDiverged(recorder), recorder]
    done = recorder.history[-1]["epoch"] if recorder.history else 0
    if is_chief():
        callbacks += [*make_run_callbacks(recorder.folder), StepsDone()]
    trainer.fit(
        stream,
        epochs=done + math.ceil(steps / every),
        shuffle=False,
        verbose=("auto" if sys.stdout.isatty() else 2) if is_chief() else 0,
        initial_epoch=done,
        steps_per_epoch=min(steps, every),
        callbacks=callbacks,
    )


def _choose_reader(samples: Any, trainer: Trainer, device_data: bool) -> Callable[[int], tuple]:
    """Step -> what the trainer is fed: images, or their places in the device's memory."""
    if not device_data:
        return samples.read_batch
    trainer.take_from(samples.make_store())
    return samples.read_places


def _check_calls(steps_per_call: int, *lengths: int) -> None:
    """Refuse calls that the run, a stage or what lies between validations is no multiple of."""
    if steps_per_call < 1 or any(length % steps_per_call for length in lengths):
        listed = ", ".join(str(length) for length in sorted(set(lengths)) if length)
        raise InputError(
            f"--steps-per-call {steps_per_call}: expected a divisor of {listed}, the steps of the "
            "run, its stages, between validations and done"
        )


def _log_on_chief(text: str) -> None:
    """Print a line, on the chief alone."""
    if is_chief():
        print(text, flush=True)
