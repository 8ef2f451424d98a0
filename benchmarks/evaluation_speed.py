"""How fast, and in how much memory, pairs of images are compared by every metric.

    python benchmarks/evaluation_speed.py [--counts 1000 10000] [--protocol unit] [--size 256]

Generated images go through `PairScores` in batches of 100. Prints, a line for each count, images a
second of the comparison alone, the processor's time an image (which does not depend on what else
runs), seconds of the summary with its intervals, and by how much the process's peak memory grew.
"""

from __future__ import annotations

import argparse
import resource
import time

import cv2
import numpy as np

from keras_vaegan.evaluation.protocols import PROTOCOLS, PairScores

BATCH = 100


def main() -> None:
    """Measure each count in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument(
        "--protocol",
        default="unit",
        choices=[name for name, rules in PROTOCOLS.items() if rules.dimensions == 2],
    )
    parser.add_argument("--size", type=int, default=256)
    arguments = parser.parse_args()
    measure(3 * BATCH, arguments.protocol, arguments.size)  # what is loaded and allocated once
    for count in arguments.counts:
        print(measure(count, arguments.protocol, arguments.size), flush=True)


def measure(count: int, protocol: str, size: int) -> str:
    """One line of figures."""
    scores, start, seconds, work = PairScores(protocol), read_peak(), 0.0, 0.0
    for seed, first in enumerate(range(0, count, BATCH)):
        pair = generate(min(BATCH, count - first), size, seed)
        begin, begin_work = time.perf_counter(), time.process_time()
        scores.add(*pair)
        seconds += time.perf_counter() - begin
        work += time.process_time() - begin_work
    begin = time.perf_counter()
    psnr = scores.summarise()["psnr"]
    summary = time.perf_counter() - begin
    peak = read_peak()
    return (
        f"{count} images of {size}x{size}: {count / seconds:.0f} images/s, "
        f"{1000 * work / count:.1f} ms of processor time an image, summary {summary:.1f} s, peak "
        f"memory {peak - start:+.0f} MiB to {peak:.0f} MiB; PSNR {psnr['mean']:.2f} dB"
    )


def generate(count: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Smooth random images and noisy copies, (count, size, size) float32 in [0, 1]."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(size=(count, 16, 16)).astype("float32")
    images = np.stack([cv2.resize(c, (size, size), interpolation=cv2.INTER_LINEAR) for c in coarse])
    return images, np.clip(images + rng.normal(0, 0.05, images.shape), 0, 1).astype("float32")


def read_peak() -> float:
    """The process's peak memory in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
