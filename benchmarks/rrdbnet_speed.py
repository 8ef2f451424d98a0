"""RRDBNet of the published size, 128x128 -> 512x512, ours against the same network in PyTorch.

    python benchmarks/rrdbnet_speed.py [--repeats 5] [--size 128]

Each library and precision has a process of its own; they take turns, so that whatever else the
machine does meets all alike. Medians, ratios and each process's peak memory are printed. Needs
PyTorch (`pip install -e '.[test]'`).
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PRECISIONS = ("float32", "bfloat16")
WORKERS = [(library, precision) for precision in PRECISIONS for library in ("keras", "torch")]


def main() -> None:
    """Run the race, or one worker of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--worker", nargs=2, metavar=("LIBRARY", "PRECISION"))
    arguments = parser.parse_args()
    if arguments.worker:
        serve(*arguments.worker, arguments.size)
        return
    workers = {worker: start(worker, arguments.size) for worker in WORKERS}
    seconds: dict = {worker: [] for worker in WORKERS}
    for _ in range(arguments.repeats):
        for worker, process in workers.items():
            seconds[worker].append(float(ask(process, "run")))
    memory = {worker: float(ask(process, "memory")) for worker, process in workers.items()}
    for process in workers.values():
        process.stdin.close()
        process.wait()
    side = arguments.size
    print(f"RRDBNet x4, 16.7 M parameters, {side}x{side} -> {4 * side}x{4 * side}, medians of "
          f"{arguments.repeats}, {os.cpu_count()} cores")  # fmt: skip
    for precision in PRECISIONS:
        ours, theirs = (statistics.median(seconds[name, precision]) for name in ("keras", "torch"))
        print(
            f"{precision}: ours {ours:.2f} s ({memory['keras', precision]:.2f} GiB), PyTorch "
            f"{theirs:.2f} s ({memory['torch', precision]:.2f} GiB), ratio {theirs / ours:.2f}"
        )


def start(worker: tuple[str, str], size: int) -> subprocess.Popen:
    """Start a worker and wait until it has warmed up."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--worker", *worker, "--size", str(size)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip
    assert process.stdout.readline().strip() == "ready", worker
    return process


def ask(process: subprocess.Popen, question: str) -> str:
    """Send a line to a worker and read its answer."""
    process.stdin.write(question + "\n")
    process.stdin.flush()
    return process.stdout.readline()


def serve(library: str, precision: str, size: int) -> None:
    """Answer "run" with the seconds of one pass, "memory" with the peak in GiB."""
    run = {"keras": make_keras, "torch": make_torch}[library](precision, size)
    run()
    run()
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "memory":
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            print(peak, flush=True)
            continue
        begin = time.perf_counter()
        run()
        print(time.perf_counter() - begin, flush=True)


def make_keras(precision: str, size: int):
    """Our network, as `Enhancer` calls it."""
    import numpy as np

    from keras_vaegan.models.rrdbnet import build_rrdbnet
    from keras_vaegan.training.distribution import dtype_policy

    with dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32"):
        model = build_rrdbnet()
    image = np.random.default_rng(0).uniform(0, 1, (1, size, size, 3)).astype("float32")
    return lambda: model.predict_on_batch(image)


def make_torch(precision: str, size: int):
    """The peer in eager mode, channels last, under inference mode."""
    import torch

    sys.path.insert(0, str(REPOSITORY / "tests"))
    from torch_rrdbnet import RRDBNet

    dtype = getattr(torch, precision)
    network = RRDBNet().eval().to(dtype).to(memory_format=torch.channels_last)
    image = torch.rand(1, 3, size, size).to(dtype).to(memory_format=torch.channels_last)

    def run():
        with torch.inference_mode():
            return network(image)

    return run


if __name__ == "__main__":
    main()
