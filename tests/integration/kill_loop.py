"""Kill a process at random moments while it writes a run's state; count what can be loaded.

    python kill_loop.py FOLDER KILLS SEED

A child writes states one after another, number k holding k in every value; it is killed after a
random time. What is then in the folder must load, whole and of one number, and never be older
than a state that the child had already reported as written.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "numpy")

import numpy as np

from keras_vaegan.training.state import load_run_state, save_run_state


class Variable:
    """What run_state needs of a Keras variable."""

    def __init__(self, shape, dtype="float32") -> None:
        self.array = np.zeros(shape, dtype)

    shape = property(lambda self: self.array.shape)
    dtype = property(lambda self: self.array.dtype.name)

    def __array__(self, dtype=None, copy=None):
        return self.array if dtype is None else self.array.astype(dtype)

    def assign(self, value) -> None:
        self.array[...] = value


class State:
    """Two hundred kilobytes in forty variables."""

    def __init__(self) -> None:
        self.variables = {f"part/{k:04d}": Variable((1280,)) for k in range(40)}
        self.variables["count"] = Variable((), "int64")

    def state_variables(self) -> dict:
        return self.variables

    def fill(self, number: int) -> None:
        for variable in self.variables.values():
            variable.assign(number)

    def read(self) -> int:
        """The number that all values hold."""
        numbers = {float(v) for variable in self.variables.values() for v in np.unique(variable)}
        assert len(numbers) == 1, f"a mixture of states {sorted(numbers)}"
        return int(numbers.pop())


def write_until_killed(folder: Path, first: int, report: int) -> None:
    """Save states `first`, `first` + 1, ... and report each one."""
    state, number = State(), first
    while True:
        state.fill(number)
        save_run_state(state, folder, {"number": number})
        os.write(report, number.to_bytes(8, "little"))
        number += 1


def main(folder: Path, kills: int, seed: int) -> None:
    """Kill, load, and go on from what was loaded."""
    moments, number, loaded = random.Random(seed), 0, 0
    begin = time.perf_counter()
    for _ in range(5):
        save_run_state(State(), folder, {"number": 0})
    longest = (time.perf_counter() - begin) / 5 * 4  # about four states
    for _ in range(kills):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            write_until_killed(folder, number + 1, writing)
        os.close(writing)
        time.sleep(moments.uniform(0.0, longest))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        reported = os.read(reading, 1 << 20)
        os.close(reading)
        written = int.from_bytes(reported[-8:], "little") if reported else number
        state = State()
        extra = load_run_state(state, folder)
        assert state.read() == extra["number"] >= written, (state.read(), extra, written)
        number = extra["number"]
        loaded += 1
    print(f"{kills} kills, {loaded} loadable states, {number} states written")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
