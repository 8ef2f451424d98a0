"""Seconds and peak memory of translating a whole volume, and of samples against one translation.

    python benchmarks/volume_translation.py --weights weights --direction ct2mri
        [--shape 512 512 300] [--samples 16]

The volume is a drawn head, int16 Hounsfield units, written as NIfTI and translated by the command
in a process of its own. Then one image is translated once and by samples, in turns in this process.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from keras_vaegan.commands.shell import import_backend


def draw_head(shape: tuple[int, int, int]) -> np.ndarray:
    """A skull with brain and two ventricles in air: (X, Y, Z) int16 HU, drawn slice by slice.

    The memory of this process counts into its child's peak.
    """
    x, y, z = (np.linspace(-1, 1, side, dtype="float32") for side in shape)
    right, front = x[:, None], y[None]
    fluid = np.hypot(np.abs(right) - 0.1, front * 0.5) < 0.06
    rng = np.random.default_rng(0)
    volume = np.empty(shape, "int16")
    for place, up in enumerate(z):
        radius = np.sqrt((right / 0.7) ** 2 + (front / 0.85) ** 2 + (up / 0.95) ** 2)
        head = np.select([radius < 0.88, radius < 0.95, radius < 1], [36, 1100, -80], -1000)
        head[fluid & (radius < 0.5)] = 8
        noise = rng.normal(0, 4, radius.shape) * (radius < 1)
        volume[..., place] = np.round(head + noise)
    return volume


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--direction", choices=("mri2ct", "ct2mri"), default="ct2mri")
    parser.add_argument("--shape", type=int, nargs=3, default=(512, 512, 300))
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    measure_volume(arguments)
    measure_samples(arguments)


def measure_volume(arguments: argparse.Namespace) -> None:
    """Run the command on a drawn head."""
    import nibabel

    with tempfile.TemporaryDirectory() as folder:
        source, target = (Path(folder) / name for name in ("head.nii.gz", "made.nii.gz"))
        nibabel.save(
            nibabel.Nifti1Image(draw_head(arguments.shape), np.diag([0.5, 0.5, 1, 1])), source
        )
        command = [
            sys.executable, "-m", "keras_vaegan.translate", "--weights", str(arguments.weights),
            "--direction", arguments.direction, "--input", str(source), "--output", str(target),
        ]  # fmt: skip
        start = time.perf_counter()
        subprocess.run(command, check=True)
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    size = "x".join(map(str, arguments.shape))
    voxels = 4 * np.prod(arguments.shape) / 2**30
    print(f"{size}: {seconds:.0f} s, peak {peak:.2f} GiB; its values in float32 {voxels:.2f} GiB")


def measure_samples(arguments: argparse.Namespace) -> None:
    """Time samples of one image against its translation, in turns."""
    import_backend()
    from keras_vaegan.systems.cyclegan.translator import Translator

    translator = Translator.load(arguments.weights, arguments.direction)
    if translator.latent is None:
        print("no latent: no samples")
        return
    side, channels = translator.data.image_size, translator.data.channels
    image = np.random.default_rng(0).random((1, side, side, channels), "float32")
    times: dict[str, list[float]] = {"once": [], "samples": []}
    runs = {
        "once": lambda: translator.translate_batch(image),
        "samples": lambda: translator.draw_one(image, arguments.samples),
    }
    for turn in range(arguments.repeats + 1):
        for name, call in runs.items():
            start = time.perf_counter()
            call()
            if turn:
                times[name].append(time.perf_counter() - start)
    once, drawn = (statistics.median(times[name]) for name in ("once", "samples"))
    print(
        f"{arguments.samples} samples of an image: {drawn:.2f} s, one translation {once:.2f} s: "
        f"{drawn / once:.1f} times"
    )


if __name__ == "__main__":
    main()
