"""What tiles cost and change: difference from the whole image by overlap, and peak memory.

    python benchmarks/tiling.py difference --weights RRDB.h5 --image FILE [--tile 128]
    python benchmarks/tiling.py memory --weights RRDB.h5 [--side 4096] [--tile 256]

`difference` enlarges an image whole and in tiles of several overlaps, and prints the largest and
mean absolute difference on [0, 1]; `--weights published` takes a randomly initialised network of
the published size, its dense blocks without ESRGAN's factor of 0.1, so that they weigh in.
`memory` enlarges a random image and prints the process's peak memory beside that of a small image.
"""

from __future__ import annotations

import argparse
import os
import resource
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=("difference", "memory"))
    parser.add_argument("--weights", required=True)
    parser.add_argument("--image")
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--tile", type=int, default=256)
    parser.add_argument("--crop", type=int, help="use the middle square of this side")
    parser.add_argument("--picture", help="PNG of the largest overlap's difference, times 1000")
    arguments = parser.parse_args()
    {"difference": measure_difference, "memory": measure_memory}[arguments.action](arguments)


def load(weights: str, tile: int, overlap: int):
    """An Enhancer from a file, or the published size at random."""
    from keras_vaegan.systems.super_resolution.enhancer import Enhancer

    if weights != "published":
        return Enhancer.load(weights, tile, overlap)
    from keras_vaegan.models.rrdbnet import build_rrdbnet

    model = build_rrdbnet()
    for layer in model.layers:
        if "_rdb" in layer.name and layer.weights:
            layer.set_weights([10 * array for array in layer.get_weights()])
    return Enhancer(model, 4, tile, overlap)


def measure_difference(arguments: argparse.Namespace) -> None:
    """Whole against tiles, by overlap."""
    import numpy as np

    from keras_vaegan.data.image import image_to_unit, read_image, write_image

    image = image_to_unit(read_image(arguments.image))
    image = image if image.ndim == 2 else image.mean(axis=-1)
    if arguments.crop:
        top, left = ((side - arguments.crop) // 2 for side in image.shape)
        image = image[top : top + arguments.crop, left : left + arguments.crop]
    image = np.ascontiguousarray(image, "float32")
    image[0, 0], image[0, 1] = 0, 1  # so that a float image's own range is [0, 1]
    enhancer = load(arguments.weights, 0, 0)
    whole = enhancer.enhance(image)
    print(f"image {image.shape}, tile {arguments.tile}, result from {whole.min():.2f} to "
          f"{whole.max():.2f}, deviation {whole.std():.3f}")  # fmt: skip
    for overlap in (0, 4, 8, 16, 32, 48, 64):
        if 8 * overlap > arguments.tile:
            break
        enhancer.tile, enhancer.overlap = arguments.tile, overlap
        difference = np.abs(enhancer.enhance(image) - whole)
        print(f"overlap {overlap:2d}: largest {difference.max():.1e}, mean {difference.mean():.1e}")
    if arguments.picture:
        write_image(arguments.picture, (np.clip(1000 * difference, 0, 1) * 255).astype("uint8"))


def measure_memory(arguments: argparse.Namespace) -> None:
    """Peak memory and seconds of a large image after a small one."""
    import numpy as np

    enhancer = load(arguments.weights, arguments.tile, arguments.tile // 8)
    rng = np.random.default_rng(0)
    for side in (2 * arguments.tile, arguments.side):
        image = rng.integers(0, 256, (side, side), "uint8")
        begin = time.perf_counter()
        result = enhancer.enhance(image)
        seconds = time.perf_counter() - begin
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"{side}x{side} -> {result.shape[0]}x{result.shape[1]}: {seconds:.0f} s, peak memory "
            f"{peak:.2f} GiB, of which the result {result.nbytes / 2**30:.2f} GiB"
        )


if __name__ == "__main__":
    main()
