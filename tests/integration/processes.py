"""Python processes of the tests, and the states that `worker.py` keeps."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
GUARD = 1800  # seconds after which something hangs
TOLERANCE = 2e-4  # see `compare_roughly` in tiny.py


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


def finish_all(workers: list[subprocess.Popen]) -> list[str]:
    """Wait for workers, and end the others where one has failed. Returns what each wrote."""
    try:
        return [finish(worker) for worker in workers]
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
