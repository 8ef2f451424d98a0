"""What the tests run under JAX, in a process that cannot import TensorFlow.

    python on_jax.py steps FOLDER      one step of every family from FOLDER/NAME, saved beside it
    python on_jax.py runs FOLDER       ways to the same weights: calls, stores, resumes, devices
    python on_jax.py commands FOLDER   the commands on FOLDER/images and FOLDER/cases
    python on_jax.py refusals FOLDER   `train` with each of the options in FOLDER/calls.json

Each prints JSON as its last line. Compiled programs are kept beside FOLDER, for the next process.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ |= {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0 "
    "--xla_llvm_disable_expensive_passes=true"
)
os.environ |= {
    "JAX_COMPILATION_CACHE_DIR": str(Path(sys.argv[2]).parent / "jax_cache"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
sys.path.insert(0, str(Path(__file__).parents[1]))


class NoTensorFlow:
    """An import hook for which TensorFlow is not installed."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "tensorflow":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def take_steps(folder: Path) -> dict:
    """One step from each state that TensorFlow saved: plain gradients on several batches, and Adam.

    Returns:
        The logs of the first batch by family. The states are FOLDER/NAME_plain_SEED, and
        FOLDER/NAME_adam of some families.
    """
    from tiny import (
        COMPARED,
        TINY,
        WITH_ADAM,
        make_batch,
        put_back,
        read_state,
        use_plain_gradients,
    )

    from keras_vaegan.training.state import load_run_state, save_run_state

    logs = {}
    for name, config in TINY.items():
        if not (folder / name).exists():
            continue
        trainer = build(config)
        load_run_state(trainer, folder / name)
        start = read_state(trainer)
        if name in WITH_ADAM:
            trainer.train_on_batch(make_batch(config, COMPARED[0]))
            save_run_state(trainer, folder / f"{name}_adam", {"step": 1})
        use_plain_gradients(trainer)
        for seed in COMPARED:
            put_back(trainer, start)
            found = trainer.train_on_batch(make_batch(config, seed), return_dict=True)
            logs.setdefault(name, found)
            save_run_state(trainer, folder / f"{name}_plain_{seed}", {"step": 1})
    return logs


def build(config):
    """A compiled trainer; super-resolution's in its second stage, which has both networks."""
    from keras_vaegan.systems.registry import build_trainer

    trainer = build_trainer(config)
    if trainer.name == "super_resolution":
        trainer.set_stage("adversarial")
    return trainer


def compare_runs(folder: Path) -> list[dict]:
    """How far each way ends from four plain steps in a row, run by run, up to one that agrees."""
    from tiny import AGREEMENT, COMPARED, MODALITY, make_batch

    eager = build(MODALITY)
    eager.compile(run_eagerly=True)
    assert eager.train_on_batch(make_batch(MODALITY, 0))
    watch_a_run()
    runs = []
    for seed in COMPARED:
        runs.append(compare_ways(folder / str(seed), seed))
        if max(runs[-1].values()) <= AGREEMENT:
            break
    return runs


def watch_a_run() -> None:
    """A run is looked at between its steps, and ends at the first check after losses of NaN."""
    from types import SimpleNamespace

    import numpy as np
    from tiny import MODALITY, make_batch

    from keras_vaegan.errors import TrainingDiverged
    from keras_vaegan.training.callbacks import CHECKED_EVERY, StopWhereDiverged

    trainer, batch = build(MODALITY), make_batch(MODALITY, 0)
    recorder: Any = SimpleNamespace(history=[], folder="run")
    watch, steps = [StopWhereDiverged(recorder)], CHECKED_EVERY + 1
    trainer.fit(iter([batch] * steps), steps_per_epoch=steps, callbacks=watch, verbose=0)
    assert int(trainer.trained_steps.value) == steps and trainer.find_failure() == 0
    broken = [np.full_like(part, np.nan) if part.ndim == 4 else part for part in batch]
    batches = iter([batch, broken] + [batch] * 2 * CHECKED_EVERY)
    try:
        trainer.fit(batches, steps_per_epoch=2 * steps, callbacks=watch, verbose=0)
    except TrainingDiverged as told:
        assert f"step {steps + 2}" in str(told), told
        assert len(list(batches)) == CHECKED_EVERY + 3  # stopped at call 2 * CHECKED_EVERY
    else:
        raise AssertionError("a run of NaN went on")
    assert trainer.find_failure() == steps + 2 and trainer.get_weights()


def compare_ways(folder: Path, seed: int) -> dict:
    """The largest difference of each way from four plain steps in a row."""
    import numpy as np
    from tiny import RESNET, SIZE, compare, read_state

    from keras_vaegan.config.base import VALUE_RANGES
    from keras_vaegan.systems.cyclegan.images import UnpairedSampler
    from keras_vaegan.training.backend import make_stream
    from keras_vaegan.training.device_store import DeviceStore
    from keras_vaegan.training.distribution import make_strategy
    from keras_vaegan.training.state import load_run_state, save_run_state

    losses = dataclasses.replace(RESNET.losses, identity_weight=0.0)
    config = dataclasses.replace(RESNET, losses=losses, seed=seed)
    images = np.random.default_rng(0).integers(0, 256, (2, 12, SIZE, SIZE, 1), dtype="uint8")
    sampler = UnpairedSampler(*images, config.batch_size, config.seed, config.data)
    states = {}

    def train(config=config, steps=4, first=0, state=None, store=False, per_call=1, keep=None):
        trainer = build(config)
        if state is not None:
            load_run_state(trainer, state)
        if store:
            trainer.take_from(DeviceStore(sampler.domains, VALUE_RANGES[config.data.value_range]))
        trainer.steps_per_execution = per_call
        read = sampler.read_places if store else sampler.read_batch
        trainer.fit(make_stream(read, first), steps_per_epoch=steps, verbose=0)
        if keep is not None:
            save_run_state(trainer, keep, {})
        return read_state(trainer)

    plain = train()
    trainer = build(config)
    logs = trainer.evaluate([sampler.read_batch(0)], return_dict=True)
    assert set(logs) == {name for name in logs if name.startswith("cycle_")} and len(logs) == 6
    train(steps=2, keep=folder / "half")
    states["resumed"] = train(steps=2, first=2, state=folder / "half")
    states["device_data, two steps a call"] = train(store=True, per_call=2)
    with make_strategy("mirrored").scope():
        states["two devices, recompute"] = train(dataclasses.replace(config, recompute=True))
    return {name: compare(state, plain) for name, state in states.items()}


def run_commands(folder: Path) -> dict:
    """Each command's exit status, on a tiny preset in the place of the demo's."""
    from tiny import MODALITY, RESNET, RRDBNET, Blank

    from keras_vaegan.evaluation import pictures
    from keras_vaegan.models.build import build_model
    from keras_vaegan.systems import registry
    from keras_vaegan.weights.legacy_h5 import save_legacy_h5
    from keras_vaegan.weights.record import WeightsRecord

    registry.PRESETS["demo"] = lambda: RESNET
    pictures.FigureCanvasAgg = Blank
    images, prepared, run = folder / "images", folder / "set.npz", folder / "run"
    rrdbnet, modality = folder / "rrdbnet.h5", folder / "modality.h5"
    for config, path in ((RRDBNET, rrdbnet), (MODALITY, modality)):
        record = WeightsRecord(config.generator, getattr(config, "data", None))
        save_legacy_h5(build_model(config.generator), path, record)
    case = min((folder / "cases").iterdir())
    train = ["--preset", "demo", "--data", prepared, "--out", run, "--strategy", "single"]
    train += ["--precision", "mixed_bfloat16", "--device-data", "--steps-per-call", 2]
    calls = {
        "prepare": ["--preset", "demo", "--data", images, "--out", prepared],
        "train": [*train, "--steps", 2],
        "train again": [*train, "--steps", 4, "--resume"],
        "evaluate": ["--weights", run, "--data", images, "--out", folder / "evaluation"],
        "translate": [
            "--weights", run, "--input", min((images / "testB").iterdir()),
            "--output", folder / "out.png", "--direction", "mri2ct",
        ],
        "enhance": ["--weights", rrdbnet, "--input", images / "testA", "--output", folder / "x4"],
        "synthesize": ["--weights", modality, "--input", case, "--output", folder / "flair.nii.gz"],
    }  # fmt: skip
    return {
        name: importlib.import_module(f"keras_vaegan.commands.{name.split()[0]}").main(
            [str(word) for word in words]
        )
        for name, words in calls.items()
    }


def list_refusals(folder: Path) -> dict:
    """Each call's exit status and what it wrote to stderr."""
    from contextlib import redirect_stderr
    from io import StringIO

    from keras_vaegan.commands import train

    answers = {}
    for name, words in json.loads((folder / "calls.json").read_text()).items():
        with redirect_stderr(StringIO()) as written:
            try:
                status = train.main(words)
            except SystemExit as ended:
                status = ended.code
        answers[name] = status, written.getvalue()
    return answers


def main(action: str, folder: str) -> None:
    """Run one of the actions."""
    sys.meta_path.insert(0, NoTensorFlow())
    actions = {
        "steps": take_steps, "runs": compare_runs, "commands": run_commands,
        "refusals": list_refusals,
    }  # fmt: skip
    result = actions[action](Path(folder))
    assert "tensorflow" not in sys.modules
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
