"""Systems C and A against their PyTorch renditions on one accelerator: steps and translations.

    python benchmarks/race_gpu.py --out race.json [--systems c a] [--tasks train translate feeds]
        [--precision bfloat16] [--batch-sizes 1 4 16 64] [--rounds 3] [--steps 20] [--minutes 9]

It needs Keras, JAX and PyTorch, no TensorFlow, and runs from a bare checkout. Ours runs under
JAX; PyTorch runs eager and through `torch.compile`, in bfloat16 under autocast, channels last.
Every side is a process of its own, and one waits while another works, turn by turn: two untimed
steps (of the first turn, which does not count, compilation), then the timed ones, with one wait
for the device at their end. The batch is that of the published run, on the device already;
augmentation and image pool are off.

Printed and written to `--out` as they come: medians of a step's time; images (pairs, in training)
a second; the memory that the device held at most, as the library counts it; and the share of the
dense bfloat16 rate: the arithmetic that the step's convolutions need over its time, over the best
rate of a large matrix product of either library in the same run.

"feeds" compares ours on the fixed batch with ours on a stream of decoded images from the host, and
on images that are on the device; `--batch-sizes` measures ours by batch size. The compiler's trials
at a program's start count to the memory of either library.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from pathlib import Path

import race

SIDES = Path(__file__).with_name("race_gpu_sides.py")
UNITS = {"translate": "images"}
ENVIRONMENTS = {
    # Without its preallocation JAX leaves the other sides their part of the memory.
    "jax": {
        "KERAS_BACKEND": "jax",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.95",
    },
    "torch": {},
}


class Board:
    """Rows, printed and written as they come, until the time is over.

    Args:
        arguments: The command's.
    """

    def __init__(self, arguments) -> None:
        self.out, self.rows = arguments.out, []
        self.end = time.monotonic() + 60 * arguments.minutes
        settings = {name: value for name, value in vars(arguments).items() if name != "out"}
        self.head = {"settings": settings, "python": platform.python_version(), "sides": {}}
        self.dense = 0.0

    def is_over(self) -> bool:
        """Whether no new measurement may begin."""
        return time.monotonic() > self.end

    def describe(self, side: race.Side) -> None:
        """Keep which device and versions a library has."""
        self.head["sides"][side.name] = f"{side.facts['device']}; {side.facts['versions']}"

    def add(self, text: str, **row) -> None:
        """Print a line, and write the file anew with its row."""
        print(text, flush=True)
        self.rows.append(row)
        self.write()

    def write(self) -> None:
        """The file, whole at any time."""
        if self.out is None:
            return
        content = {**self.head, "dense_tflops": self.dense / 1e12, "rows": self.rows}
        temporary = self.out.with_suffix(".part")
        temporary.write_text(json.dumps(content, indent=1) + "\n")
        temporary.replace(self.out)


# -- sides and turns ------------------------------------------------------------------------------


def open_side(arguments, system: str, task: str, name: str, **how) -> race.Side:
    """Start a side by its name: "ours", or PyTorch's way of calling and layout."""
    library = "jax" if name == "ours" else "torch"
    options = {"library": library, "system": system, "task": task, **how}
    for key in ("precision", "image_size", "steps", "steps_per_call", "images"):
        options[key] = getattr(arguments, key)
    options.setdefault("batch_size", arguments.batch_size)
    if library == "torch":
        _, options["call"], options["layout"] = name.split()
        options["steps_per_call"] = 1
    words = [str(SIDES), "--filters", *map(str, arguments.filters)]
    for key, value in options.items():
        words += [f"--{key.replace('_', '-')}", str(value)]
    return race.Side(name, words, ENVIRONMENTS[library])


def start(board: Board, side: race.Side, label: str) -> bool:
    """Wait for a side and let it warm up. Returns whether it can race."""
    try:
        side.wait()
        board.describe(side)
        begin = time.monotonic()
        side.facts["peak_gib"] = side.ask("work")["peak_gib"]  # before any other work
    except race.SideError as error:
        report_failure(board, side, label, error)
        return False
    print(f"{label}: {side.name} warm after {time.monotonic() - begin:.0f} s", flush=True)
    return True


def report_failure(board: Board, side: race.Side, label: str, error: Exception) -> None:
    """A row for a side that could not do its work."""
    side.turns.clear()
    board.add(
        f"{label}: FAILED: {error}", kind="error", what=label, side=side.name, error=str(error)
    )


def run_rounds(board: Board, sides: list[race.Side], rounds: int, label: str) -> list[race.Side]:
    """Turn by turn. Returns the sides that are still there."""
    for number in range(rounds):
        if number and board.is_over():
            break
        for side in list(sides):
            try:
                board.dense = max(board.dense, side.ask("dense")["rate"])
                side.take_turn()
            except race.SideError as error:
                report_failure(board, side, label, error)
                sides.remove(side)
    return sides


# -- measurements ---------------------------------------------------------------------------------


def summarize(board: Board, side: race.Side, unit: str, operations: float) -> tuple[str, dict]:
    """A side's turns as text and as fields of a row."""
    seconds, count = side.median("seconds"), side.facts["batch_size"]
    fields = {
        "side": side.name,
        "batch_size": count,
        "seconds": seconds,
        "steps_per_second": 1 / seconds,
        "per_second": count / seconds,
        "unit": unit,
        "peak_gib": side.facts["peak_gib"],
        "turns": [turn["seconds"] for turn in side.turns],
        "tensorflow": side.turns[-1]["tensorflow"],
        "device": side.facts["device"],
        "tflop": operations / 1e12,
        "share_of_dense": operations / seconds / board.dense,
    }
    text = (
        f"{1e3 * seconds:.1f} ms, {count / seconds:.2f} {unit}/s ({1 / seconds:.2f} steps/s), "
        f"{fields['peak_gib']:.2f} GiB, {fields['share_of_dense']:.1%} of the dense rate; turns "
        + " ".join(f"{1e3 * turn:.1f}" for turn in fields["turns"])
    )
    return text, fields


def race_once(board: Board, arguments, system: str, task: str) -> None:
    """Ours against PyTorch in one task."""
    label = f"{system} {task} {arguments.precision}"
    rivals = [f"torch {call} {layout}" for layout in arguments.layouts for call in arguments.calls]
    everyone = [open_side(arguments, system, task, name) for name in ("ours", *rivals)]
    try:
        sides = [side for side in everyone if start(board, side, label)]
        sides = run_rounds(board, sides, arguments.rounds, label)
    finally:
        for side in everyone:
            side.stop()
    operations = everyone[0].facts.get("operations", 0.0)
    print(
        f"{label}: {operations / 1e12:.3f} TFLOP; dense rate {board.dense / 1e12:.1f} TFLOP/s",
        flush=True,
    )
    for side in sides:
        text, fields = summarize(board, side, UNITS.get(task, "pairs"), operations)
        where = {"system": system, "task": task, "precision": arguments.precision}
        board.add(f"  {side.name}: {text}", kind="race", **where, **fields)
    if sides[1:] and sides[0].name == "ours":
        compare(board, sides, label)


def compare(board: Board, sides: list[race.Side], label: str) -> None:
    """A row of ours over the fastest of the others."""
    ours, best = sides[0], min(sides[1:], key=lambda side: side.median("seconds"))
    speed = best.median("seconds") / ours.median("seconds")
    memory = ours.facts["peak_gib"] / best.facts["peak_gib"]
    board.add(
        f"  ours over {best.name}: {speed:.2f}x as fast, {memory:.2f}x the memory",
        kind="ratio", what=label, rival=best.name, speed=speed, memory=memory,
    )  # fmt: skip


def measure_batch(board: Board, arguments, system: str, batch_size: int) -> None:
    """Ours alone at another batch size."""
    label = f"{system} train {arguments.precision} batch {batch_size}"
    side = open_side(arguments, system, "train", "ours", batch_size=batch_size)
    try:
        sides = [side] if start(board, side, label) else []
        sides = run_rounds(board, sides, arguments.rounds, label)
    finally:
        side.stop()
    for side in sides:
        text, fields = summarize(board, side, "pairs", side.facts["operations"])
        where = {"system": system, "precision": arguments.precision}
        board.add(f"{label}: {text}", kind="batch", **where, **fields)


def measure_feeds(board: Board, arguments, system: str) -> None:
    """Ours on a fixed batch, on a stream from the host and on images on the device."""
    label = f"{system} feeds {arguments.precision}"
    side = open_side(arguments, system, "feeds", "ours")
    turns: dict[str, list] = {"fixed": [], "stream": [], "reading": [], "store": []}
    try:
        if not start(board, side, label):
            return
        for name in ("fixed", "stream", "reading") * arguments.rounds:
            turns[name].append(side.ask("work" if name == "fixed" else name))
        side.ask("store")  # compiles
        turns["store"] = [side.ask("store") for _ in range(arguments.rounds)]
    except race.SideError as error:
        report_failure(board, side, label, error)
        return
    finally:
        side.stop()
    for name, side.turns in turns.items():
        seconds = side.median("seconds")
        board.add(
            f"{label}: {name}: {1e3 * seconds:.1f} ms, {1 / seconds:.2f} steps/s, "
            f"{side.turns[-1]['peak_gib']:.2f} GiB",
            kind="feed", system=system, feed=name, seconds=seconds, steps_per_second=1 / seconds,
            batch_size=side.facts["batch_size"], peak_gib=side.turns[-1]["peak_gib"],
            turns=[turn["seconds"] for turn in side.turns],
            tensorflow=side.turns[-1]["tensorflow"],
        )  # fmt: skip


# -- the command ----------------------------------------------------------------------------------


def list_measurements(board: Board, arguments) -> list:
    """What is to be measured, in order: functions without arguments."""
    todo = []
    for task in ("train", "translate"):
        if task in arguments.tasks:
            todo += [
                lambda s=system, t=task: race_once(board, arguments, s, t)
                for system in arguments.systems
            ]
    if "feeds" in arguments.tasks:
        todo += [
            lambda s=system: measure_feeds(board, arguments, s) for system in arguments.systems
        ]
    todo += [
        lambda s=system, b=size: measure_batch(board, arguments, s, b)
        for system in arguments.systems
        for size in arguments.batch_sizes
    ]
    return todo


def parse_arguments() -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    tasks = ["train", "translate", "feeds"]
    parser.add_argument("--systems", nargs="+", choices=["c", "a"], default=["c", "a"])
    parser.add_argument("--tasks", nargs="*", choices=tasks, default=tasks)
    parser.add_argument("--precision", choices=["bfloat16", "float32"], default="bfloat16")
    parser.add_argument("--calls", nargs="*", default=["eager", "compiled"], help="PyTorch's")
    parser.add_argument("--layouts", nargs="+", default=["channels_last"], help="PyTorch's")
    parser.add_argument("--batch-size", type=int, default=0, help="0: the published")
    parser.add_argument("--batch-sizes", type=int, nargs="*", default=[], help="of ours alone")
    parser.add_argument("--image-size", type=int, default=256)
    parser.add_argument("--filters", type=int, nargs="*", default=[], help="narrow, for a trial")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20, help="timed a turn")
    parser.add_argument("--steps-per-call", type=int, default=1, help="of our compiled program")
    parser.add_argument("--images", type=int, default=512, help="a domain of the feeds' set")
    parser.add_argument("--minutes", type=float, default=1e6, help="until nothing new begins")
    parser.add_argument("--out", type=Path, help="JSON file")
    arguments = parser.parse_args()
    if arguments.steps % arguments.steps_per_call:
        parser.error(f"--steps {arguments.steps}: expected a multiple of --steps-per-call")
    return arguments


def main() -> None:
    """Measure everything, or as much as there is time for."""
    arguments = parse_arguments()
    board = Board(arguments)
    todo = list_measurements(board, arguments)
    while todo and not board.is_over():
        todo.pop(0)()
    if todo:
        print(f"time is over: {len(todo)} measurements left out", flush=True)
    board.head["left_out"] = len(todo)
    board.write()
    sys.exit(any(row["kind"] == "error" for row in board.rows))


if __name__ == "__main__":
    main()
