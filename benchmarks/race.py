"""What the races share: a process for each side, and the arithmetic of a step.

A side is a process of its own that works when a line arrives on its standard input and answers
with a line of JSON, so that the sides take turns and neither sees the other's threads or memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


# -- sides ----------------------------------------------------------------------------------------


class SideError(Exception):
    """A side could not do what it was asked for; the message says why."""


def serve(functions: dict[str, Callable[[], dict]], **facts) -> None:
    """Announce `facts`, then answer every line of standard input by the function of that name."""
    say({"ready": True, **facts})
    for line in sys.stdin:
        say(functions[line.strip()]())


def say(answer: dict) -> None:
    """Answer with a line of JSON."""
    print(json.dumps(answer), flush=True)


class Side:
    """One side's process. It starts at once; `wait` until it is ready before asking.

    Args:
        name: How the tables call it.
        words: Its script, and the options of it.
        environment: What its environment has besides this process's.
    """

    def __init__(self, name: str, words: list[str], environment: dict[str, str]) -> None:
        self.name = name
        self.facts: dict = {}
        self.turns: list[dict] = []
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        everything = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        self.process = subprocess.Popen(
            [sys.executable, *words], env=everything | environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def wait(self) -> None:
        """Until the process can work."""
        self.facts = self._read()

    def _read(self) -> dict:
        """The next answer; whatever else a library prints is passed over."""
        for line in self.process.stdout:
            if line.startswith("{"):
                answer = json.loads(line)
                if "error" in answer:
                    raise SideError(f"{self.name}: {answer['error']}")
                return answer
        raise SideError(f"{self.name} ended early with status {self.process.wait()}")

    def ask(self, what: str) -> dict:
        """Let the side work once."""
        try:
            self.process.stdin.write(what + "\n")
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise SideError(f"{self.name} has ended") from error
        return self._read()

    def take_turn(self, what: str = "work") -> None:
        """Let the side work once, and count it."""
        self.turns.append(self.ask(what))

    def median(self, key: str) -> float:
        """Median over the counted turns."""
        return statistics.median(turn[key] for turn in self.turns)

    def stop(self) -> None:
        """End the process."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


# -- arithmetic -----------------------------------------------------------------------------------


def count_convolutions(model) -> dict[str, float]:
    """Floating-point operations of one image's forward pass, by convolution, first to last."""
    counts = {}
    for layer in model.layers:
        kernel = getattr(layer, "kernel", None)
        if kernel is not None:
            is_transposed = "Transpose" in type(layer).__name__
            shape = layer.input.shape if is_transposed else layer.output.shape
            size = 1
            for number in kernel.shape:
                size *= number
            counts[layer.name] = 2.0 * size * shape[1] * shape[2]
    return counts


def count_step(config, generator: dict[str, float], discriminator: dict[str, float]) -> float:
    """Operations of the convolutions that one training step of a CycleGAN needs.

    Args:
        config: The run.
        generator, discriminator: `count_convolutions` of the networks.
    """
    forward, score = sum(generator.values()), sum(discriminator.values())
    # Per direction: the cycle; the translation and the identity, whose first layer needs no
    # gradient of its input; the discriminator for its input's gradient alone, then its update.
    first = next(iter(generator.values()))
    passes = 3 * forward + (1 + bool(config.losses.identity_weight)) * (3 * forward - first)
    passes += 2 * score
    first = next(iter(discriminator.values()))
    if config.losses.discriminator_gradients == "joint":
        passes += 2 * (3 * score - first)
    else:
        passes += 2 * (score + sum(2 * path - first for path in list_paths(discriminator)))
    return 2 * config.batch_size * passes


def list_paths(discriminator: dict[str, float]) -> list[float]:
    """For every head of a multi-scale discriminator the operations between it and the image."""
    levels = {name: int(re.search(r"\d+", name).group()) for name in discriminator}
    return [
        discriminator[head]
        + sum(
            count
            for name, count in discriminator.items()
            if name.startswith("level") and levels[name] <= levels[head]
        )
        for head in discriminator
        if head.startswith("head")
    ]
