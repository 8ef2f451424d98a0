"""Training under JAX, without TensorFlow: the same steps, runs that go on either way, commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_vaegan.data.image import list_images, read_image
from keras_vaegan.data.nifti import read_nifti
from keras_vaegan.errors import InputError
from keras_vaegan.phantom.brats import BratsPhantomSet, write_phantom_cases
from keras_vaegan.phantom.rendering import PhantomSet, write_phantom_folders
from keras_vaegan.systems.registry import build_trainer
from keras_vaegan.training.state import load_run_state, save_run_state

HERE = Path(__file__).parent
FAMILIES = ("vae", "rrdbnet", "modality")  # a ResNet's runs are compared below
if os.environ.get("KERAS_VAEGAN_EVERY_PRESET"):
    FAMILIES += ("resnet",)
GUARD = 1800  # seconds after which something hangs
LOSSES = 1e-5
GRADIENTS = 1e-5  # of a variable's own, of most variables
KINK = 5e-2  # of any: a value at a ReLU's kink may fall to either side of it
ADAM = 1e-2  # of the rate, over all weights: Adam blows up rounding where a gradient is all but 0

pytest.importorskip("jax", reason="JAX is not installed")


def run_on_jax(*arguments) -> Any:
    """Run an action of on_jax.py; what it printed last."""
    done = subprocess.run(
        [sys.executable, str(HERE / "on_jax.py"), *map(str, arguments)],
        capture_output=True, text=True, timeout=GUARD, cwd=HERE.parent.parent, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def steps(tiny, tmp_path_factory):
    """One step of each family by both backends: (folder, JAX's logs, TensorFlow's trainers)."""
    folder = tmp_path_factory.mktemp("steps")
    trainers = {}
    for name in FAMILIES:
        trainers[name] = build_trainer(tiny.TINY[name])
        if name == "rrdbnet":
            trainers[name].set_stage("adversarial")
        save_run_state(trainers[name], folder / name, {"step": 0})
    return folder, run_on_jax("steps", folder), trainers


def read_change(tiny, trainer, folder) -> dict[str, np.ndarray]:
    """How far a saved state's weights are from the trainer's own."""
    before = tiny.read_state(trainer)
    load_run_state(trainer, folder)
    return dict(tiny.list_weights(tiny.read_state(trainer), before))


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_is_tensorflows_and_its_state_goes_back(steps, tiny, family):
    """Adam's step and its state, then losses and plain gradients.

    The gradients on several batches, of which one has to agree: where rounding pushes a value over
    a kink, all gradients before it differ by a hundredth; a step that is not the same differs
    everywhere.
    """
    folder, on_jax, trainers = steps
    config, trainer = tiny.TINY[family], trainers[family]
    start, rate = tiny.read_state(trainer), config.optimizer.learning_rate
    if family in tiny.WITH_ADAM:
        trainer.train_on_batch(tiny.make_batch(config, tiny.COMPARED[0]))
        adam = read_change(tiny, trainer, folder / f"{family}_adam")
        whole = np.sqrt(np.mean(np.concatenate([part.ravel() for part in adam.values()]) ** 2))
        again = trainer.train_on_batch(tiny.make_batch(config, 1), return_dict=True)
        assert all(np.isfinite(value) for value in again.values())
        print(f"{family}: Adam's weights within {whole / rate:.1e} of the rate")
        assert whole <= ADAM * rate

    tiny.use_plain_gradients(trainer)
    medians, largest = [], []
    for seed in tiny.COMPARED:
        tiny.put_back(trainer, start)
        before = tiny.read_state(trainer)
        logs = trainer.train_on_batch(tiny.make_batch(config, seed), return_dict=True)
        if seed == tiny.COMPARED[0]:
            for name, value in logs.items():
                assert abs(on_jax[family][name] - value) <= LOSSES, name
        taken = dict(tiny.list_weights(tiny.read_state(trainer), before))
        plain = read_change(tiny, trainer, folder / f"{family}_plain_{seed}")
        shares = [
            np.sqrt(np.mean(part**2) / np.mean(taken[name] ** 2))
            for name, part in plain.items()
            if np.abs(taken[name]).max() > 1e-6
        ]
        medians.append(np.median(shares))
        largest.append(max(shares))
    print(
        f"{family}: gradients within {', '.join(f'{m:.1e}' for m in medians)} of their own, at "
        f"most {', '.join(f'{m:.1e}' for m in largest)}"
    )
    agreeing = [m <= GRADIENTS and n <= KINK for m, n in zip(medians, largest, strict=True)]
    assert any(agreeing)


@pytest.mark.slow
def test_every_way_through_a_run_ends_at_the_same_weights(tiny, tmp_path):
    """A resumed run always; programs that round otherwise in a run without a kink."""
    runs = run_on_jax("runs", tmp_path)
    print(runs)
    assert all(differences["resumed"] == 0 for differences in runs)
    assert max(runs[-1].values()) <= tiny.AGREEMENT


@pytest.mark.slow
def test_the_commands_run_without_tensorflow(tmp_path):
    write_phantom_folders(tmp_path / "images", PhantomSet(count=16, size=32))
    write_phantom_cases(tmp_path / "cases", BratsPhantomSet(count=1, size=32), 1)
    statuses = run_on_jax("commands", tmp_path)
    assert set(statuses.values()) == {0}
    history = (tmp_path / "run" / "logs" / "history.csv").read_text().splitlines()
    assert [line.split(",")[1] for line in history[1:]] == ["2", "4"]
    metrics = json.loads((tmp_path / "evaluation" / "metrics.json").read_text())
    assert metrics
    assert read_image(tmp_path / "out.png").std() > 0
    assert read_image(list_images(tmp_path / "x4")[0]).shape[0] >= 4 * 32
    assert read_nifti(tmp_path / "flair.nii.gz")[0].values.std() > 0


REFUSALS = {
    "float16": (["--precision", "mixed_float16"], "mixed_float16 under JAX"),
    "workers": (["--strategy", "multi_worker"], "multi_worker under JAX"),
    "no TPU": (["--strategy", "tpu"], "a TPU that JAX sees"),
    "calls": (["--steps", "9", "--steps-per-call", "2"], "--steps-per-call 2"),
    "another system": (["--preset", "rrdbnet_x4_small", "--device-data"], "--device-data"),
}


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """The exit status and the last words of `train` for each of `REFUSALS`, and its folder."""
    folder = tmp_path_factory.mktemp("refused")
    write_phantom_folders(folder / "images", PhantomSet(count=16, size=32))
    calls = {}
    for name, (options, _) in REFUSALS.items():
        preset = [] if "--preset" in options else ["--preset", "demo"]
        calls[name] = [
            *preset, "--data", str(folder / "images"), "--out", str(folder / name), *options,
        ]  # fmt: skip
    (folder / "calls.json").write_text(json.dumps(calls))
    return folder, run_on_jax("refusals", folder)


@pytest.mark.parametrize("name", REFUSALS)
def test_bad_input_is_one_line(name, refused):
    folder, answers = refused
    status, words = answers[name]
    assert status == 2
    lines = words.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ") and REFUSALS[name][1] in lines[0]
    assert not (folder / name / "state").exists()


def test_an_unknown_backend_is_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "keras_vaegan.train", "--preset", "demo", "--data", str(tmp_path),
         "--out", str(tmp_path / "run")],
        capture_output=True, text=True, timeout=GUARD, cwd=HERE.parent.parent, check=False,
        env={**os.environ, "KERAS_BACKEND": "theano"},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert "KERAS_BACKEND=theano" in done.stderr


def test_a_slurm_step_of_several_tasks_is_refused(monkeypatch):
    """Each task would train alone, into the same folder."""
    from keras_vaegan.training.backend.jax_devices import start_strategy

    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    with pytest.raises(InputError, match="a Slurm step of 2 tasks under JAX"):
        start_strategy("auto")
