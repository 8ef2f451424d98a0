"""Whole volumes through a generator of slices, without a flicker from slice to slice.

Three things are one for the whole volume, where single images each have their own: how its values
become [0, 1], where the head lies (a box that changes smoothly from slice to slice), and the noise
of the latent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from keras import ops
from scipy.ndimage import gaussian_filter1d, median_filter

from keras_vaegan.config.data import DataConfig
from keras_vaegan.data.head import find_head_edges
from keras_vaegan.data.planes import AxialSlices, cut_axial
from keras_vaegan.data.preparation import HEAD_MARGIN, Placement, crop_squares
from keras_vaegan.data.volume import Volume
from keras_vaegan.errors import InputError
from keras_vaegan.kernels import call_compiled
from keras_vaegan.losses.start import find_air
from keras_vaegan.systems.cyclegan.config import OTHER
from keras_vaegan.systems.cyclegan.translator import Translator

MRI_SCALE = 1000.0  # of generated MRI, whose unit is arbitrary
AIR = -1000.0  # HU of the air around a generated CT
KEPT = 2  # every how many slices the network's squares are given back
AIR_CEILING = 0.1  # what a generator may leave in the air, which is then called air
BOX_MM = 8.0  # standard deviation of the smoothing of the head's box
BOX_SHARE = 0.15  # of a bright slice's mean, below which a slice's own box counts nothing
SHOWN = (0.1, 0.002)  # brightness, and the share of pixels above it, of a slice with a head
Progress = Callable[[Iterator, str, int], Iterator]


@dataclass(frozen=True)
class VolumeTranslation:
    """A translated volume.

    Attributes:
        values: (X, Y, Z) in the source's stored order: int16 Hounsfield units of CT, or of MRI 0
            to 1000.
        deviation: Expected standard deviation of the error, or of the samples where the run is
            not calibrated, float32 in the same unit; None without either.
        figures: "through_plane" and "in_plane", mean absolute differences of neighbours in the
            head of "input" and "output" on [0, 1], and "flicker", the output's ratio of the two
            over the input's: 1 where the translation is as smooth along the body.
        squares: Every second of the network's input squares, (K, S, S, C) in [0, 1].
    """

    values: np.ndarray
    deviation: np.ndarray | None
    figures: dict = field(default_factory=dict)
    squares: np.ndarray | None = None


def translate_volume(
    translator: Translator,
    volume: Volume,
    domain: str,
    samples: int = 0,
    seed: int = 0,
    limits: tuple[float, float] | None = None,
    progress: Progress = lambda items, what, total: items,
) -> VolumeTranslation:
    """Translate a volume slice by slice, in memory bounded by a batch of slices.

    Args:
        translator: The generator, and how its images are prepared.
        volume: The source, at least 16 voxels a side of its axial plane; CT in Hounsfield units.
        domain: Of the source: "mri" or "ct".
        samples: Latents to draw; 0 takes the latent's mean once.
        seed: Of the noise, which all slices share.
        limits: The source's values that become 0 and 1; by default `find_limits`'s.
        progress: Wraps the batches, to show how far it is.

    Raises:
        InputError: samples of a network without a latent, or a volume without contrast.
    """
    translator.check_samples(samples)
    slices = cut_axial(volume)
    low, high = limits or find_limits(volume.values, domain, translator.data)
    size = translator.batch_size

    def read_unit(start: int, stop: int) -> np.ndarray:
        part = np.asarray(slices.pictures[start:stop], "float32")
        return np.clip((part - low) / (high - low), 0, 1)[..., None]

    regions, shown = plan_regions(slices, read_unit, size, translator.data)
    if not len(shown) or max(low, volume.values.min()) >= min(high, volume.values.max()):
        raise InputError(
            f"no slice shows a head between the values {low:g} and {high:g}: expected some "
            "contrast there; check the file, its unit and --range"
        )
    shape = slices.pictures.shape
    result = np.full(shape, to_stored(np.zeros(()), True, OTHER[domain], translator.data), "int16")
    told = samples or translator.error_map is not None
    spread = np.zeros(shape, "float32") if told else None
    span = measure_span(OTHER[domain], translator.data)
    differences, kept = Differences(), []
    batches = [shown[i : i + size] for i in range(0, len(shown), size)]
    for places in progress(iter(batches), "translating", len(batches)):
        part = np.concatenate([read_unit(i, i + 1) for i in places])
        squares, made, air, *deviations = _translate_slices(
            translator, part, Placement(regions[places], shape[1:]), samples, seed
        )
        empty = find_empty(made, air > 0.5, OTHER[domain])
        result[places] = to_stored(made, empty, OTHER[domain], translator.data)
        if spread is not None:
            spread[places] = np.where(empty, 0, deviations[0] * span)
        differences.add(places, part[..., 0], made, air < 0.5)
        kept.append(squares[::KEPT])
    stored = None if spread is None else slices.restore(spread)
    return VolumeTranslation(
        slices.restore(result), stored, differences.summarise(), np.concatenate(kept)
    )


def find_limits(values: np.ndarray, domain: str, data: DataConfig) -> tuple[float, float]:
    """The values of a volume that become 0 and 1: of CT a window's ends, of MRI percentiles.

    Raises:
        InputError: MRI without contrast.
    """
    if domain == "ct":
        level, width = data.ct_window
        return level - width / 2, level + width / 2
    low, high = (float(value) for value in np.percentile(values, data.mri_percentiles))
    if low >= high:
        raise InputError(
            f"the volume holds {low:g} at its percentiles {data.mri_percentiles}: expected MRI "
            "with contrast; check the file"
        )
    return low, high


def measure_span(domain: str, data: DataConfig) -> float:
    """What 1 on the unit scale is in a generated volume's unit."""
    return data.ct_window[1] if domain == "ct" else MRI_SCALE


def find_empty(unit: np.ndarray, air: np.ndarray, domain: str) -> np.ndarray:
    """Where a generated slice in [0, 1] is nothing: in the input's air, of CT where it is dark."""
    return air if domain == "mri" else air & (unit < AIR_CEILING)


def to_stored(unit: np.ndarray, empty, domain: str, data: DataConfig) -> np.ndarray:
    """Generated slices in [0, 1] -> int16 in the domain's unit, air where they are empty."""
    if domain == "mri":
        return np.round(np.where(empty, 0, unit) * MRI_SCALE).astype("int16")
    level, width = data.ct_window
    values = unit * width + (level - width / 2)
    return np.round(np.where(empty, AIR, values)).astype("int16")


def plan_regions(
    slices: AxialSlices, read_unit: Callable, batch: int, data: DataConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Where the network's square lies in every slice, and which slices show a head.

    Args:
        slices: The volume's.
        read_unit: (start, stop) -> those slices, (n, H, W, 1) float32 in [0, 1].
        batch: Slices a call.
        data: With align="head" the square follows the head's box, smoothed along the body; else
            it is the whole frame's. Its sides are equal in mm, whatever the pixels are.

    Returns:
        ((N, 4) float32: top, left, height, width in pixels; (M,) indices of slices, rising).
    """
    count, height, width = slices.pictures.shape
    edges, means, bright = np.zeros((count, 4)), np.zeros(count), np.zeros(count)
    for start in range(0, count, batch):
        unit = read_unit(start, min(start + batch, count))
        means[start : start + len(unit)] = unit.mean(axis=(1, 2, 3))
        bright[start : start + len(unit)] = (unit > SHOWN[0]).mean(axis=(1, 2, 3))
        if data.align == "head":
            fill = np.pad(unit, [(0, batch - len(unit)), (0, 0), (0, 0), (0, 0)])
            edges[start : start + len(unit)] = call_compiled(find_head_edges, fill)[: len(unit)]
    shown = np.flatnonzero(bright > SHOWN[1])
    spacing = np.array([*slices.spacing, *slices.spacing])
    if data.align != "head":
        edges[:] = (0, 0, height, width)
    else:
        boxed = np.flatnonzero(means > BOX_SHARE * max(np.percentile(means, 90), 1e-6))
        edges = _smooth_boxes(edges, boxed, BOX_MM / slices.thickness)
    first, last = np.split(edges * spacing, 2, axis=1)
    if data.align != "head" and data.resize == "stretch":
        sides = last - first
    else:
        margin = HEAD_MARGIN if data.align == "head" else 0.0
        sides = (last - first).max(axis=1, keepdims=True).repeat(2, axis=1) * (1 + 2 * margin)
    regions = np.concatenate([(first + last - sides) / 2, sides], axis=1) / spacing
    return regions.astype("float32"), shown


def restore(squares: tuple, placement: Placement, *, size: int) -> tuple:
    """(generated, input, *others) squares -> frames of one channel: generated, air, *others.

    Beyond the square there is air.
    """
    generated, inputs, *others = (
        ops.reshape(ops.mean(part, axis=-1), (-1, size, size, 1)) for part in squares
    )
    head = placement.restore(1.0 - find_air(inputs))
    return (placement.restore(generated), 1.0 - head, *map(placement.restore, others))


def _translate_slices(
    translator: Translator, part: np.ndarray, frame: Placement, samples: int, seed: int
) -> tuple[np.ndarray, ...]:
    """Translate at most a batch of slices.

    Args:
        translator, samples, seed: As `translate_volume`.
        part: (n, H, W, 1) in [0, 1].
        frame: Where the network's squares lie in them.

    Returns:
        What the network saw (n, S, S, C), the translation, the share of air and, with samples or
        an error map, the deviation (n, H, W) each.
    """
    count, side = len(part), translator.data.image_size
    # The last batch is filled up: every new size would be compiled anew.
    fill = np.pad(np.arange(count), (0, translator.batch_size - count), mode="edge")
    frame = Placement(frame.regions[fill], frame.shape)
    gray = dataclasses.replace(translator.data, channels=1)
    squares = call_compiled(crop_squares, part[fill], frame, data=gray)
    squares = np.repeat(squares, translator.data.channels, axis=-1)
    mean, deviation = _run(translator, squares, samples, seed)
    restored = call_compiled(restore, (mean, squares, *deviation), frame, size=side)
    return squares[:count], *(values[:count, ..., 0] for values in restored)


def _run(translator: Translator, squares: np.ndarray, samples: int, seed: int) -> tuple:
    """(mean, [deviation]) of the translations of squares; none without samples and error map."""
    if not samples and translator.error_map is None:
        return translator.translate_batch(squares), []
    if not samples:
        mean = translator.translate_batch(squares)
        return mean, [translator.tell_deviation(squares, mean, np.zeros_like(mean))]
    total, squared = np.zeros(squares.shape), np.zeros(squares.shape)
    for drawn in translator.draw_batch(squares, samples, seed):
        total += drawn
        squared += np.square(drawn, dtype="float64")
    mean = (total / samples).astype("float32")
    spread = np.sqrt(np.maximum(squared / samples - np.square(total / samples), 0))
    return mean, [translator.tell_deviation(squares, mean, spread.astype("float32"))]


def _smooth_boxes(edges: np.ndarray, boxed: np.ndarray, sigma: float) -> np.ndarray:
    """Boxes (N, 4) smoothed along the body, from the slices `boxed`; the nearest one's else."""
    if not len(boxed):
        return edges
    every = np.arange(len(edges))
    smooth = np.empty_like(edges)
    for column in range(4):
        filled = np.interp(every, boxed, edges[boxed, column])
        filled = median_filter(filled, size=5, mode="nearest")  # a slice whose box is wrong
        smooth[:, column] = gaussian_filter1d(filled, sigma, mode="nearest")
    return smooth


class Differences:
    """Mean absolute differences of neighbours in the head, along the body and in the plane."""

    def __init__(self) -> None:
        self.sums = dict.fromkeys(("input", "output"), np.zeros(4))
        self.last: tuple | None = None

    def add(self, places: np.ndarray, inputs: np.ndarray, outputs: np.ndarray, head) -> None:
        """Slices (n, H, W) in [0, 1] in rising order, and where the head is."""
        for row, place in enumerate(places):
            now = (place, head[row], {"input": inputs[row], "output": outputs[row]})
            for name, picture in now[2].items():
                beside = head[row][:, 1:] & head[row][:, :-1]
                step = np.abs(np.diff(picture, axis=1))[beside]
                self.sums[name] = self.sums[name] + (0, 0, step.sum(), step.size)
                if self.last is not None and self.last[0] == place - 1:
                    both = head[row] & self.last[1]
                    step = np.abs(picture - self.last[2][name])[both]
                    self.sums[name] = self.sums[name] + (step.sum(), step.size, 0, 0)
            self.last = now

    def summarise(self) -> dict:
        """The figures, None where there is nothing to compare."""
        table: dict = {"through_plane": {}, "in_plane": {}}
        for name, (through, through_count, within, within_count) in self.sums.items():
            table["through_plane"][name] = through / through_count if through_count else None
            table["in_plane"][name] = within / within_count if within_count else None
        parts = [table[kind][name] for kind in table for name in ("output", "input")]
        known = all(parts)
        table["flicker"] = parts[0] / parts[2] / (parts[1] / parts[3]) if known else None
        return table
