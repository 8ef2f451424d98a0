"""Several devices give the update of one; interrupted runs end as whole ones do."""

import json
import os
import signal
import subprocess

import pytest

from keras_vaegan.errors import InputError
from keras_vaegan.training.distribution import check_global_batch, make_strategy

FAMILIES = ("vae", "modality")
if os.environ.get("KERAS_VAEGAN_EVERY_PRESET"):  # super-resolution alone: test_workers.py
    FAMILIES += ("rrdbnet", "resnet")

# -- one machine -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def differences(processes):
    """Weight difference by family, one device against two logical CPUs."""
    return json.loads(
        processes.finish(processes.start(processes.HERE / "mirrored.py", *FAMILIES)).splitlines()[
            -1
        ]
    )


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_two_logical_cpus_give_the_update_of_one(processes, differences, family):
    print(f"{family}: difference of the weights {differences[family]:.1e}")
    assert differences[family] <= processes.TOLERANCE


# -- surviving ---------------------------------------------------------------------------------


KILLED = [
    *((family, "2", "tensorflow") for family in ("rrdbnet", "resnet", "modality")),
    ("modality", "", "tensorflow"),
    ("modality", "", "jax"),
]


@pytest.mark.slow
@pytest.mark.skipif("resnet" not in FAMILIES, reason="two workers are killed in test_workers.py")
@pytest.mark.parametrize(("family", "devices", "backend"), KILLED, ids=str)
def test_a_killed_run_resumes_bit_for_bit(processes, family, devices, backend, data, tmp_path):
    """kill -9 after a saved state, --resume, against the whole run."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    strategy = "mirrored" if devices else "single"
    options = [data, "--deterministic", "--strategy", strategy, "--steps", 6]

    def run(folder, *more) -> subprocess.Popen:
        command = [processes.HERE / "worker.py", family, folder, *options, *more]
        return processes.start(*command, LOGICAL_CPUS=devices, KERAS_BACKEND=backend)

    processes.finish(run(whole))
    process = run(cut)
    processes.wait_for(cut / family / "state" / "state.h5", [process])
    process.kill()
    process.communicate()
    assert not (cut / f"{family}.0.npz").exists()
    processes.finish(run(cut, "--resume"))
    difference = processes.find_difference(whole / f"{family}.0.npz", cut / f"{family}.0.npz")
    print(f"{family} {strategy} {backend}: largest difference after kill and resume {difference}")
    assert difference == 0


@pytest.mark.slow
def test_sigterm_saves_and_has_its_own_status(processes, data, tmp_path):
    process = processes.start(
        processes.HERE / "worker.py", "rrdbnet", tmp_path, data, "--steps", 100_000
    )
    processes.wait_for(tmp_path / "rrdbnet" / "state" / "state.h5", [process])
    process.send_signal(signal.SIGTERM)
    assert "saved" in processes.finish(process, 128 + signal.SIGTERM)


@pytest.mark.slow
def test_every_kill_leaves_a_loadable_state(processes, tmp_path):
    output = processes.finish(processes.start(processes.HERE / "kill_loop.py", tmp_path, 60, 0))
    print(output)
    assert "60 kills, 60 loadable states" in output
    assert int(output.split(", ")[-1].split()[0]) > 10


# -- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "config", "word"),
    [
        ("fast", None, "one of auto"),
        ("multi_worker", None, "without a cluster"),
        ("multi_worker", "{", "no JSON"),
        ("multi_worker", "[1]", "JSON object"),
        ("tpu", None, "cannot start"),
    ],
    ids=str,
)
def test_bad_strategies_are_refused_in_one_line(monkeypatch, name, config, word):
    for variable in ("TF_CONFIG", "SLURM_JOB_ID", "TPU_NAME"):
        monkeypatch.delenv(variable, raising=False)
    if config is not None:
        monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(InputError, match=word) as caught:
        make_strategy(name)
    assert "\n" not in str(caught.value)


def test_a_batch_must_be_shared_evenly():
    class Three:
        num_replicas_in_sync = 3

    check_global_batch(6, Three)
    with pytest.raises(InputError, match="multiple of 3"):
        check_global_batch(4, Three)
