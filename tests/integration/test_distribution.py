"""Several devices and workers give the update of one; interrupted runs end as whole ones do."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from keras_vaegan.commands import phantom
from keras_vaegan.errors import InputError
from keras_vaegan.phantom.rendering import PhantomSet, write_phantom_folders
from keras_vaegan.training.distribution import check_global_batch, find_cluster, make_strategy

HERE = Path(__file__).parent
FAMILIES = ("vae", "resnet", "rrdbnet", "modality")
TOLERANCE = 2e-4  # see `compare_roughly` in tiny.py
LIMIT = 400


def start(*command, **environment) -> subprocess.Popen:
    """Start a Python process that writes both streams to one pipe."""
    settings = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "TF_NUM_INTRAOP_THREADS": "1"}
    settings.pop("TF_CONFIG", None)
    return subprocess.Popen(
        [sys.executable, *map(str, command)], env={**settings, **environment}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=HERE.parent.parent,
    )  # fmt: skip


def finish(process: subprocess.Popen, status: int = 0) -> str:
    """Wait for a process and check its exit status."""
    output, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == status, output[-3000:]
    return output


def finish_all(workers: list[subprocess.Popen]) -> None:
    """Wait for workers, and end the others where one has failed."""
    try:
        for worker in workers:
            finish(worker)
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    write_phantom_folders(folder, PhantomSet(count=12, size=32))
    return folder


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cases") / "set"
    phantom.main(["--out", str(folder), "--kind", "brats", "--count", "4", "--size", "32"])
    return folder


@pytest.fixture
def data(family, images, cases):
    """What a family is trained on."""
    return cases if family == "modality" else images


# -- one machine -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def differences():
    """Weight difference by family, one device against two logical CPUs."""
    return json.loads(finish(start(HERE / "mirrored.py")).splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_two_logical_cpus_give_the_update_of_one(differences, family):
    print(f"{family}: difference of the weights {differences[family]:.1e}")
    assert differences[family] <= TOLERANCE


# -- several workers ---------------------------------------------------------------------------


def find_ports(count: int) -> list[int]:
    """Free ports of the loopback."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def start_workers(family: str, folder: Path, *options) -> list[subprocess.Popen]:
    """Two workers on the loopback."""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in find_ports(2)]}
    return [
        start(
            HERE / "worker.py", family, folder / f"worker{index}.npz", *options,
            TF_CONFIG=json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}),
        )
        for index in range(2)
    ]  # fmt: skip


SLURM = {
    "SLURM_JOB_ID": "7", "SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_STEP_NODELIST": "node[1-2]", "SLURM_STEP_TASKS_PER_NODE": "1(x2)",
}  # fmt: skip


def test_slurm_tells_the_workers_their_places(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    resolver = find_cluster()
    assert resolver.cluster_spec().as_dict() == {"worker": ["node1:8888", "node2:8888"]}
    assert (resolver.task_type, resolver.task_id) == ("worker", 1)


@pytest.mark.slow
def test_two_workers_train_under_slurm(images, tmp_path):
    slurm = {**SLURM, "SLURM_STEP_NODELIST": "localhost", "SLURM_STEP_TASKS_PER_NODE": "2"}
    options = ["--data", images, "--steps", "2", "--out", tmp_path / "run"]
    finish_all([
        start(
            HERE / "worker.py", "rrdbnet", tmp_path / f"worker{index}.npz", *options, **slurm
            | {"SLURM_PROCID": str(index)},
        )
        for index in range(2)
    ])  # fmt: skip
    assert compare(tmp_path / "worker0.npz", tmp_path / "worker1.npz") == 0


def compare(first: Path, second: Path) -> float:
    """Largest difference of two states, all slots and image pools included."""
    one, two = np.load(first), np.load(second)
    assert set(one.files) == set(two.files)
    return max(float(np.abs(one[name] - two[name]).max()) for name in one.files)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_two_workers_agree_with_each_other_and_with_one_process(family, data, tiny, tmp_path):
    options = ["--data", data, "--steps", "2"]
    finish_all(start_workers(family, tmp_path, *options, "--out", tmp_path / "two"))
    assert compare(tmp_path / "worker0.npz", tmp_path / "worker1.npz") == 0
    alone = [HERE / "worker.py", family, tmp_path / "one.npz", *options, "--out", tmp_path / "one"]
    finish(start(*alone))
    difference = tiny.compare_roughly(
        dict(np.load(tmp_path / "worker0.npz")), dict(np.load(tmp_path / "one.npz"))
    )
    print(f"{family}: two workers against one process {difference:.1e}")
    assert difference <= TOLERANCE
    assert (tmp_path / "two" / "state" / "state.h5").exists()  # the chief's, once
    lines = (tmp_path / "two" / "logs" / "history.csv").read_text().splitlines()
    assert len(lines) == 2


@pytest.mark.slow
def test_a_killed_worker_resumes_to_the_same_weights(images, tmp_path):
    common = ["rrdbnet", tmp_path, "--data", images, "--deterministic", "--steps", "12"]
    finish_all(start_workers(*common, "--out", tmp_path / "whole"))
    (tmp_path / "worker0.npz").rename(tmp_path / "whole.npz")
    run = tmp_path / "run"
    workers = start_workers(*common, "--out", run)
    wait_for(run / "state" / "state.h5", workers)
    for worker in workers[::-1]:
        assert worker.poll() is None
        worker.kill()
        worker.communicate()
    finish_all(start_workers(*common, "--out", run, "--resume"))
    for index in range(2):
        assert compare(tmp_path / f"worker{index}.npz", tmp_path / "whole.npz") == 0


def wait_for(path: Path, processes: list[subprocess.Popen]) -> None:
    """Wait until a file is there."""
    begin = time.monotonic()
    while not path.exists():
        assert time.monotonic() - begin < LIMIT
        assert all(process.poll() is None for process in processes)
        time.sleep(0.02)


# -- surviving ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "strategy"),
    [("resnet", "single"), ("vae", "mirrored"), ("rrdbnet", "mirrored"), ("modality", "mirrored")],
)
def test_a_killed_run_resumes_bit_for_bit(family, strategy, data, tmp_path):
    """kill -9 after a saved state, --resume, against the whole run."""
    worker = [HERE / "worker.py", family]
    common = ["--data", data, "--deterministic", "--strategy", strategy, "--steps", 6]
    devices = {"LOGICAL_CPUS": "2" if strategy == "mirrored" else ""}
    finish(start(*worker, tmp_path / "whole.npz", *common, "--out", tmp_path / "a", **devices))
    run = tmp_path / "b"
    process = start(*worker, tmp_path / "x.npz", *common, "--out", run, **devices)
    wait_for(run / "state" / "state.h5", [process])
    process.kill()
    process.communicate()
    finish(start(*worker, tmp_path / "part.npz", *common, "--out", run, "--resume", **devices))
    assert not (tmp_path / "x.npz").exists()
    difference = compare(tmp_path / "whole.npz", tmp_path / "part.npz")
    print(f"{family} {strategy}: largest difference after kill and resume {difference}")
    assert difference == 0


@pytest.mark.slow
def test_sigterm_saves_and_has_its_own_status(images, tmp_path):
    process = start(
        HERE / "worker.py", "rrdbnet", tmp_path / "x.npz", "--data", images, "--steps", 100_000,
        "--out", tmp_path / "run",
    )  # fmt: skip
    wait_for(tmp_path / "run" / "state" / "state.h5", [process])
    process.send_signal(signal.SIGTERM)
    assert "saved" in finish(process, 128 + signal.SIGTERM)


@pytest.mark.slow
def test_every_kill_leaves_a_loadable_state(tmp_path):
    output = finish(start(HERE / "kill_loop.py", tmp_path, 60, 0))
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
