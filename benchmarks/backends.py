"""The same run under TensorFlow and under JAX: losses step by step, and the time of a step.

    python benchmarks/backends.py --data DIR [--preset demo] [--steps 20]

Both begin from one state, which TensorFlow's side draws and writes, and see the same batches.
Times are medians of all steps but the first, which compiles.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BACKENDS = ("tensorflow", "jax")


def train(arguments) -> None:
    """One side: train from the shared state and print a line of JSON a step."""
    from keras_vaegan.systems.registry import find_system, get_preset
    from keras_vaegan.training.state import load_run_state, save_run_state

    config = get_preset(arguments.preset)
    system = find_system(config)
    samples = system.load_data(config, arguments.data, arguments.state, False)
    trainer = system.build_trainer(config)
    if not (arguments.state / "state.h5").exists():
        save_run_state(trainer, arguments.state, {})
    load_run_state(trainer, arguments.state)
    for step in range(arguments.steps):
        batch = samples.read_batch(step)
        begin = time.perf_counter()
        logs = trainer.train_on_batch(batch, return_dict=True)
        row = {"seconds": time.perf_counter() - begin, **{k: float(v) for k, v in logs.items()}}
        print(json.dumps(row), flush=True)


def run_side(backend: str, words: list[str]) -> list[dict]:
    """Train under a backend in a process of its own."""
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, __file__, *words]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def main() -> None:
    """Train both sides, and print them beside each other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--state", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.state:
        train(arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = [run_side(name, [*sys.argv[1:], "--state", folder]) for name in BACKENDS]
    names = [name for name in rows[0][0] if name != "seconds"]
    for step, (first, second) in enumerate(zip(*rows, strict=True), 1):
        worst = max(names, key=lambda n: abs(first[n] - second[n]))
        print(f"step {step}: largest difference {abs(first[worst] - second[worst]):.1e} ({worst})")
    print(f"\nstep {arguments.steps}:")
    for name in names:
        print(f"  {name}: tensorflow {rows[0][-1][name]:.5f}, jax {rows[1][-1][name]:.5f}")
    for backend, side in zip(BACKENDS, rows, strict=True):
        median = statistics.median(row["seconds"] for row in side[1:])
        print(f"{backend}: first step {side[0]['seconds']:.1f} s, then {median:.3f} s")


if __name__ == "__main__":
    main()
