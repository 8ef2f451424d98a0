"""Loading a large legacy weight file, against h5py reading its arrays and Keras loading it.

    python benchmarks/weight_loading.py [--megabytes 200] [--repeats 5] [--cold]

Prints seconds (the best of the repeats, interleaved) and the memory that each way needs beyond
the built model, as a multiple of the file's size; the memory from a process of its own each.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

WAYS = ("h5py", "ours", "keras")


def build(megabytes: int):
    """A stack of convolutions with about that many megabytes of float32 weights."""
    import keras

    x = image = keras.Input((16, 16, 512))
    for index in range(max(1, round(megabytes * 1e6 / (4 * 9 * 512 * 512)))):
        x = keras.layers.Conv2D(512, 3, padding="same", name=f"conv_{index}")(x)
    return keras.Model(image, x)


def load(way: str, model, path: Path) -> None:
    """Load the file in one of the ways."""
    from keras_vaegan.weights.legacy_h5 import load_legacy_h5

    if way == "h5py":
        import h5py

        arrays = []

        def visit(_, item) -> None:
            if isinstance(item, h5py.Dataset):
                arrays.append(item[()])

        with h5py.File(path) as file:
            file.visititems(visit)
    elif way == "ours":
        load_legacy_h5(model, path)
    else:
        model.load_weights(path)


def measure_memory(way: str, path: Path, megabytes: int) -> float:
    """Growth of this process's resident set while loading, sampled every millisecond."""
    model = build(megabytes)
    before, peak, done = read_resident(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.001):
            peak = max(peak, read_resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    load(way, model, path)
    done.set()
    watcher.join()
    return (peak - before) / path.stat().st_size


def read_resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def forget(path: Path) -> None:
    """Drop a file from the page cache, so that the next reading goes to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cold", action="store_true", help="read from disk, not from the cache")
    parser.add_argument("--memory-of", choices=WAYS)
    parser.add_argument("--path", type=Path)
    arguments = parser.parse_args()
    if arguments.memory_of:
        print(json.dumps(measure_memory(arguments.memory_of, arguments.path, arguments.megabytes)))
        return
    from keras_vaegan.weights.legacy_h5 import save_legacy_h5

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.h5"
        model = build(arguments.megabytes)
        save_legacy_h5(model, path)
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(arguments.repeats):
            for way in WAYS:
                if arguments.cold:
                    forget(path)
                begin = time.perf_counter()
                load(way, model, path)
                seconds[way].append(time.perf_counter() - begin)
        print(f"{path.stat().st_size / 1e6:.0f} MB, {len(model.weights)} arrays")
        for way in WAYS:
            command = [sys.executable, __file__, "--memory-of", way, "--path", str(path),
                       "--megabytes", str(arguments.megabytes)]  # fmt: skip
            environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
            done = subprocess.run(
                command, capture_output=True, text=True, env=environment, check=True
            )
            memory = float(done.stdout.splitlines()[-1])
            best = min(seconds[way])
            ratio = best / min(seconds["h5py"])
            print(f"{way:6} {best:6.3f} s ({ratio:.2f} x h5py), peak {memory:.2f} x the file")


if __name__ == "__main__":
    main()
