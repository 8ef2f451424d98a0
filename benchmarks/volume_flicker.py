"""Translate a volume as a volume, and slice by slice as images: flicker, and planes to look at.

    python benchmarks/volume_flicker.py --weights weights --direction ct2mri --input DIR|FILE \
        --picture planes.png

Flicker: mean absolute difference of neighbours along the body over that in the plane, in the head,
as a multiple of the input's own.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from keras_vaegan.commands.shell import import_backend


def main() -> None:
    import_backend()
    from keras_vaegan.data.image import write_image
    from keras_vaegan.data.volume_files import read_volume
    from keras_vaegan.systems.cyclegan.config import OTHER
    from keras_vaegan.systems.cyclegan.translator import Translator
    from keras_vaegan.systems.cyclegan.volumes import find_limits, translate_volume

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--direction", choices=("mri2ct", "ct2mri"), required=True)
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--range", type=float, nargs=2, help="values that become 0 and 1")
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    translator = Translator.load(arguments.weights, arguments.direction)
    volume = read_volume(arguments.input).volume
    domain = arguments.direction[: arguments.direction.index("2")]

    limits = tuple(arguments.range) if arguments.range else None
    whole = translate_volume(translator, volume, domain, limits=limits)
    single = translate_slices(translator, volume, domain)
    low, high = limits or find_limits(volume.values, domain, translator.data)
    print(f"{arguments.input}, {arguments.direction}")
    print(f"as a volume:    {describe(whole.figures)}")
    figures = compare(volume, np.clip((volume.values - low) / (high - low), 0, 1), single)
    print(f"slice by slice: {describe(figures)}")
    if arguments.picture:
        low_out, high_out = (0, 1000) if OTHER[domain] == "mri" else find_limits(
            whole.values, "ct", translator.data
        )  # fmt: skip
        rows = [
            draw_planes(volume, volume.values, low, high),
            draw_planes(volume, whole.values, low_out, high_out),
            draw_planes(volume, single, 0, 1),
        ]
        width = max(row.shape[1] for row in rows)
        rows = [np.pad(row, [(0, 4), (0, width - row.shape[1])]) for row in rows]
        write_image(arguments.picture, np.concatenate(rows))


def translate_slices(translator, volume, domain: str) -> np.ndarray:
    """Every axial slice as an image of its own, mapped by its own range: [0, 1], stored order."""
    from keras_vaegan.data.planes import cut_axial
    from keras_vaegan.systems.cyclegan.volumes import find_limits

    slices = cut_axial(volume)
    results = np.zeros(slices.pictures.shape, "float32")
    low, high = find_limits(volume.values, domain, translator.data)
    for place, picture in enumerate(slices.pictures):
        picture = np.ascontiguousarray(picture, "float32")
        if domain == "ct":
            picture = np.clip((picture - low) / (high - low), 0, 1)
        span = float(np.ptp(picture))
        if span > 0:
            made, _ = translator.translate(picture)
            results[place] = (made - picture.min()) / span
    return slices.restore(results)


def compare(volume, inputs: np.ndarray, outputs: np.ndarray) -> dict:
    """The figures of `translate_volume` for any two arrays in [0, 1] on a volume's grid."""
    from keras_vaegan.data.planes import cut_axial
    from keras_vaegan.data.volume import Volume
    from keras_vaegan.systems.cyclegan.volumes import Differences

    stacks = [cut_axial(Volume(values, volume.affine)).pictures for values in (inputs, outputs)]
    differences = Differences()
    head = stacks[0] > 0.05
    differences.add(np.arange(len(head)), *stacks, head)
    return differences.summarise()


def describe(figures: dict) -> str:
    """Figures in a line."""
    through, within = figures["through_plane"], figures["in_plane"]
    return (
        f"flicker {figures['flicker']:.2f} (along the body {through['output']:.4f}, input "
        f"{through['input']:.4f}; in the plane {within['output']:.4f}, input {within['input']:.4f})"
    )


def draw_planes(volume, values: np.ndarray, low: float, high: float) -> np.ndarray:
    """The three middle planes side by side, pixels square: (H, W) uint8."""
    import cv2

    from keras_vaegan.data.planes import cut_middle
    from keras_vaegan.data.volume import Volume

    pictures = []
    for picture, aspect in cut_middle(Volume(values, volume.affine)):
        unit = np.clip((picture.astype("float32") - low) / (high - low), 0, 1)
        side = 256 / max(unit.shape[0] * aspect, unit.shape[1])
        size = (round(unit.shape[1] * side), round(unit.shape[0] * aspect * side))
        pictures.append(cv2.resize(unit, size, interpolation=cv2.INTER_AREA))
    height = max(picture.shape[0] for picture in pictures)
    padded = [np.pad(p, [(0, height - p.shape[0]), (0, 4)]) for p in pictures]
    return np.round(np.concatenate(padded, axis=1) * 255).astype("uint8")


if __name__ == "__main__":
    main()
