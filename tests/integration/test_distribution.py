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
GUARD = 1800  # seconds after which something hangs


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
    output, _ = process.communicate(timeout=GUARD)
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


def wait_for(path: Path, processes: list[subprocess.Popen]) -> None:
    """Wait until a file is there."""
    begin = time.monotonic()
    while not path.exists():
        assert time.monotonic() - begin < GUARD
        assert all(process.poll() is None for process in processes)
        time.sleep(0.02)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The state that a worker kept."""
    return dict(np.load(path))


def find_difference(first: Path, second: Path) -> float:
    """Largest difference of two states, all slots and image pools included."""
    one, two = read_arrays(first), read_arrays(second)
    assert set(one) == set(two)
    return max(float(np.abs(one[name] - two[name]).max()) for name in one)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Images for three families, cases for the fourth: `worker.py`'s IMAGES+CASES."""
    folder = tmp_path_factory.mktemp("data")
    write_phantom_folders(folder / "images", PhantomSet(count=12, size=32))
    settings = ["--out", folder / "cases", "--kind", "brats", "--count", 4, "--size", 32]
    phantom.main([str(part) for part in settings])
    return f"{folder / 'images'}+{folder / 'cases'}"


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


def start_workers(*arguments) -> list[subprocess.Popen]:
    """Two workers on the loopback."""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in find_ports(2)]}
    tasks = [{"type": "worker", "index": index} for index in range(2)]
    return [
        start(
            HERE / "worker.py", *arguments,
            TF_CONFIG=json.dumps({"cluster": cluster, "task": task}),
        )
        for task in tasks
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
def test_two_workers_train_under_slurm(data, tmp_path):
    slurm = {**SLURM, "SLURM_STEP_NODELIST": "localhost", "SLURM_STEP_TASKS_PER_NODE": "2"}
    command = [HERE / "worker.py", "rrdbnet", tmp_path, data, "--steps", 2]
    finish_all([start(*command, **slurm | {"SLURM_PROCID": str(index)}) for index in range(2)])
    assert find_difference(tmp_path / "rrdbnet.0.npz", tmp_path / "rrdbnet.1.npz") == 0


@pytest.fixture(scope="module")
def two_and_one(data, tmp_path_factory):
    """Every family trained by two workers, and by one process: the two folders."""
    two, one = (tmp_path_factory.mktemp(name) for name in ("two", "one"))
    finish_all(start_workers(",".join(FAMILIES), two, data, "--steps", 2))
    finish(start(HERE / "worker.py", ",".join(FAMILIES), one, data, "--steps", 2))
    return two, one


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_two_workers_agree_with_each_other_and_with_one_process(two_and_one, family, tiny):
    two, one = two_and_one
    assert find_difference(two / f"{family}.0.npz", two / f"{family}.1.npz") == 0
    difference = tiny.compare_roughly(
        read_arrays(two / f"{family}.0.npz"), read_arrays(one / f"{family}.0.npz")
    )
    print(f"{family}: two workers against one process {difference:.1e}")
    assert difference <= TOLERANCE
    assert (two / family / "state" / "state.h5").exists()  # the chief's, once
    lines = (two / family / "logs" / "history.csv").read_text().splitlines()
    assert len(lines) == 2


@pytest.mark.slow
def test_killed_workers_resume_to_the_same_weights(data, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    options = [data, "--deterministic", "--steps", 12]
    finish_all(start_workers("rrdbnet", whole, *options))
    workers = start_workers("rrdbnet", cut, *options)
    wait_for(cut / "rrdbnet" / "state" / "state.h5", workers)
    for worker in workers[::-1]:
        assert worker.poll() is None
        worker.kill()
        worker.communicate()
    finish_all(start_workers("rrdbnet", cut, *options, "--resume"))
    for index in range(2):
        assert find_difference(whole / "rrdbnet.0.npz", cut / f"rrdbnet.{index}.npz") == 0


# -- surviving ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("family", "devices"), [("resnet", "2"), ("modality", "")], ids=str)
def test_a_killed_run_resumes_bit_for_bit(family, devices, data, tmp_path):
    """kill -9 after a saved state, --resume, against the whole run."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    strategy = "mirrored" if devices else "single"
    options = [data, "--deterministic", "--strategy", strategy, "--steps", 6]

    def run(folder, *more) -> subprocess.Popen:
        command = [HERE / "worker.py", family, folder, *options, *more]
        return start(*command, LOGICAL_CPUS=devices)

    finish(run(whole))
    process = run(cut)
    wait_for(cut / family / "state" / "state.h5", [process])
    process.kill()
    process.communicate()
    assert not (cut / f"{family}.0.npz").exists()
    finish(run(cut, "--resume"))
    difference = find_difference(whole / f"{family}.0.npz", cut / f"{family}.0.npz")
    print(f"{family} {strategy}: largest difference after kill and resume {difference}")
    assert difference == 0


@pytest.mark.slow
def test_sigterm_saves_and_has_its_own_status(data, tmp_path):
    process = start(HERE / "worker.py", "rrdbnet", tmp_path, data, "--steps", 100_000)
    wait_for(tmp_path / "rrdbnet" / "state" / "state.h5", [process])
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
