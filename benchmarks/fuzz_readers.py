"""Crafted files of every kind that is read: what loads, what is refused, what breaks a reader.

    python benchmarks/fuzz_readers.py [--kinds config_files h5_files ...] [--every 1] [--verbose]

The cases are those of tests/hardening. Each file is written by one process and read by another,
which is stopped after 20 s of processor time or 1.5 GiB. Prints, a line for each kind, the cases
tried, loaded and refused, and those that must not be: another exception (or a crash), over 5 s of
processor time, over 1 GiB beyond what the process held before. Those are listed by name too.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

HARDENING = Path(__file__).resolve().parent.parent / "tests" / "hardening"
KINDS = tuple(sorted(path.stem for path in HARDENING.glob("*_files.py")))
SLOW, LARGE = 5.0, 2**30  # seconds, bytes
COLUMNS = ("loaded", "refused", "exception", "over 5 s", "over 1 GiB")
MAX_LINES = 8  # a mismatch of layers ends in a short table


def main() -> None:
    """Try every case and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--only", default="", help="cases whose name holds this text")
    parser.add_argument("--every", type=int, default=1, help="every how many cases one is tried")
    parser.add_argument("--verbose", action="store_true", help="print every case")
    arguments = parser.parse_args()
    print("| Kind | Cases |", " | ".join(COLUMNS), "| slowest | largest |", flush=True)
    for kind in arguments.kinds:
        results = try_kind(kind, arguments)
        counts = Counter(result["outcome"] for result in results.values())
        slowest = max((result["seconds"] for result in results.values()), default=0)
        largest = max((result["grown"] for result in results.values()), default=0) / 2**20
        figures = " | ".join(str(counts[column]) for column in COLUMNS)
        print(f"| {kind} | {len(results)} | {figures} | {slowest:.1f} s | {largest:.0f} MiB |")
        for name, result in results.items():
            if result["outcome"] in COLUMNS[2:] or result["noise"]:
                print(
                    f"    {result['outcome']}: {name}: {result['text'][:300]!r} {result['noise']}"
                )
        sys.stdout.flush()


def try_kind(kind: str, arguments: argparse.Namespace) -> dict[str, dict]:
    """The results of one kind's cases by name."""
    module = load_module(kind)
    importlib.import_module(module.READER)  # once, not in every process
    results: dict[str, dict] = {}
    cases = [item for item in module.list_cases().items() if arguments.only in item[0]]
    for name, write in cases[:: arguments.every]:
        folder = Path(tempfile.mkdtemp())
        path = folder / f"x{module.SUFFIX}"
        written = run_apart(lambda path=path, write=write: write(path), limited=False)
        if written["outcome"] == "exception":
            print(f"    cannot be written: {name}: {written['text'][:200]}", flush=True)
        else:
            results[name] = run_apart(lambda path=path: module.read(path))
            if arguments.verbose:
                print("   ", json.dumps({"name": name, **results[name]}), flush=True)
        shutil.rmtree(folder)
    return results


def load_module(kind: str) -> ModuleType:
    """The generator of a kind of files."""
    spec = importlib.util.spec_from_file_location(kind, HARDENING / f"{kind}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_apart(work: Callable[[], None], limited: bool = True) -> dict:
    """Run in a child process and watch it: what came out, how long it took, how large it grew."""
    with tempfile.TemporaryFile("w+") as answer, tempfile.TemporaryFile("w+") as noise:
        child = os.fork()
        if not child:
            os.dup2(noise.fileno(), 1)
            os.dup2(noise.fileno(), 2)
            json.dump(_work(work), answer)
            answer.flush()
            os._exit(0)
        begin, stopped = measure(child)[1], ""
        while not os.waitpid(child, os.WNOHANG)[0]:
            seconds, held = measure(child)
            stopped = "over 5 s" if seconds > 4 * SLOW else ""
            stopped = "over 1 GiB" if held - begin > 1.5 * LARGE else stopped
            if stopped and limited:
                os.kill(child, 9)
                os.waitpid(child, 0)
                break
            time.sleep(0.005)
        answer.seek(0)
        noise.seek(0)
        text = answer.read()
        lost = {"outcome": stopped or "exception", "text": "the process died", "seconds": 0,
                "grown": 0}  # fmt: skip
        return {**(json.loads(text) if text else lost), "noise": noise.read()[:200]}


def _work(work: Callable[[], None]) -> dict:
    """Do the work and tell how it went."""
    from keras_vaegan.errors import InputError

    before, begin = read_peak(), time.process_time()
    outcome, text = "loaded", ""
    try:
        work()
    except InputError as error:
        outcome, text = "refused", str(error)
        lines = text.splitlines()
        if len(lines) > MAX_LINES or max(map(len, lines)) > 1500:
            outcome = "exception"
        if _ran_out(error):
            outcome = "over 1 GiB"
    except BaseException as error:  # whatever it is, it is what is looked for
        outcome, text = "exception", f"{type(error).__name__}: {error}"
    seconds, grown = time.process_time() - begin, read_peak() - before
    if outcome in ("loaded", "refused"):
        outcome = "over 1 GiB" if grown > LARGE else "over 5 s" if seconds > SLOW else outcome
    return {"outcome": outcome, "text": text[:500], "seconds": seconds, "grown": grown}


def _ran_out(error: BaseException | None) -> bool:
    """Whether the memory's end stands behind an error."""
    while error is not None and not isinstance(error, MemoryError):
        error = error.__cause__ or error.__context__
    return error is not None


def read_peak() -> int:
    """The most bytes that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(process: int) -> tuple[float, int]:
    """Seconds of processor time and resident bytes of a process that may be over."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0, 0
    ticks = int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
