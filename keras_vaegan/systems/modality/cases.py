"""Cases read once into memory-mapped files, and their slices as batches."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_vaegan.config.base import config_to_dict
from keras_vaegan.config.data import LANDMARK_PERCENTILES, LandmarkConfig, ModalityDataConfig
from keras_vaegan.config.networks import ANY_TARGET, MODALITIES
from keras_vaegan.data.brats import find_scans, find_segmentation, read_case, read_tumour
from keras_vaegan.data.folders import skip_unusable
from keras_vaegan.data.intensity import find_box
from keras_vaegan.data.sampling import Passes
from keras_vaegan.errors import InputError
from keras_vaegan.files import atomic_path
from keras_vaegan.systems.modality.config import ModalityConfig
from keras_vaegan.systems.modality.slices import (
    cut_window,
    encode_inputs,
    plan_windows,
    take_centre,
)
from keras_vaegan.systems.modality.variation import choose_dropped, vary_intensities, warp

VERSION = 2
LEVELS = 65_534  # uint16: 0 is outside the brain, 1 to 65,535 are [0, 1]
SMALLEST_SLICE = 200
SMALLEST_TUMOUR = 50


@dataclass(frozen=True)
class CachedCase:
    """A case's brain box on disk.

    Attributes:
        name: The case.
        path: .npy file of (Z, X, Y, 4) uint16, channels as `MODALITIES`; see `LEVELS`.
        slices: Slices whose brain has at least `SMALLEST_SLICE` pixels.
        tumour: Those of them with `SMALLEST_TUMOUR` pixels of a segmentation beside the scans.
        windows: (J, 3) int32 of `plan_windows`: slice, first row and first column.
    """

    name: str
    path: Path
    slices: tuple[int, ...]
    tumour: tuple[int, ...]
    windows: np.ndarray

    def list_windows(self, level: int) -> np.ndarray:
        """(K, 2): first row and column of the windows of a slice."""
        return self.windows[self.windows[:, 0] == level, 1:]

    def read_slice(self, level: int, neighbours: int = 0) -> np.ndarray:
        """A slice and its neighbours from below to above, (X, Y, 4 P) uint16; 0 where none is.

        The mapping is closed again at once, so that pages once read do not count as memory.
        """
        stack = np.load(self.path, mmap_mode="r")
        empty = np.zeros(stack.shape[1:], stack.dtype)
        levels = range(level - neighbours, level + neighbours + 1)
        return np.concatenate([stack[k] if 0 <= k < len(stack) else empty for k in levels], axis=-1)


def cache_cases(folders: list[Path], cache: Path, config: ModalityDataConfig) -> list[CachedCase]:
    """Bring cases into the cache; those that it holds unchanged are not read again.

    Unusable cases are named and left out where at least 90 % are usable.

    Args:
        folders: Case folders with all four contrasts.
        cache: Folder of the cache files.
        config: Its normalisation belongs to a file's key, as do the scans' names, sizes and times.

    Raises:
        InputError: too many unusable cases, or a cache that cannot be written.
    """
    cases, errors = [], []
    for folder in folders:
        try:
            cases.append(_cache_case(folder, Path(cache), config))
        except InputError as error:
            errors.append(error)
    skip_unusable(errors, len(folders), "cases")
    return cases


def learn_landmarks(folders: list[Path]) -> LandmarkConfig:
    """Learn where the percentiles of each contrast's brain lie, as means over cases.

    Args:
        folders: Case folders with all four contrasts; unusable ones are passed over.
    """
    found, errors = [], []
    for folder in folders:
        try:
            case = read_case(folder, MODALITIES)
        except InputError as error:
            errors.append(error)
            continue
        units = [case.scans[name].unit[case.brain] for name in MODALITIES]
        found.append([np.percentile(unit, LANDMARK_PERCENTILES) for unit in units])
    skip_unusable(errors, len(folders), "cases")
    levels = np.mean(found, axis=0).tolist()
    inner = {name: row[1:-1] for name, row in zip(MODALITIES, levels, strict=True)}
    return LandmarkConfig(**{name: (0.0, *row, 1.0) for name, row in inner.items()})


class SliceSampler:
    """The training samples by position: which slice, window, target and variation.

    Slices are dealt in `Passes`, those with tumour in passes of their own; what is random of a
    sample depends on the seed and its position alone.

    Args:
        cases: Training cases.
        config: The run.
    """

    def __init__(self, cases: list[CachedCase], config: ModalityConfig) -> None:
        self.cases, self.config = cases, config
        self.table = [
            (number, level)
            for number, case in enumerate(cases)
            for level in case.slices[:: config.data.slice_stride]
        ]
        self.passes = Passes(len(self.table), (config.seed,), (0,))
        self.tumour_table = [(number, k) for number, case in enumerate(cases) for k in case.tumour]
        self.tumour_passes = Passes(len(self.tumour_table), (config.seed,), (5,))

    def __len__(self) -> int:
        return len(self.table)

    def read_batch(self, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The batch of a step.

        Returns:
            (inputs, target, brain): (B, S, S, channels), (B, S, S, 1) and (B, S, S, 1), float32 in
            [0, 1].
        """
        size = self.config.batch_size
        samples = [self.read_sample(step * size + offset) for offset in range(size)]
        inputs, target, brain = map(np.stack, zip(*samples, strict=True))
        return inputs, target, brain

    def read_sample(self, position: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The sample at a position of the endless stream."""
        case, level = self.choose_slice(position)
        data, generator = self.config.data, self.config.generator
        changes = data.augmentation
        rng = np.random.default_rng([self.config.seed, position, 1])
        target: str = generator.target
        if target == ANY_TARGET:
            target = MODALITIES[rng.integers(len(MODALITIES))]
        picture = self.cases[case].read_slice(level, data.neighbours)
        windows = self.cases[case].list_windows(level)
        start = windows[rng.integers(len(windows))]
        start = start + rng.integers(-changes.shift, changes.shift + 1, 2)
        window = cut_window(picture, start, data.image_size)
        if rng.uniform() < changes.flip:
            window = window[::-1]
        images, brain = to_unit(window)
        if changes.elastic:
            images, brain = warp(images, brain, changes.elastic, rng)
        truth = take_centre(images, data.neighbours)[..., [MODALITIES.index(target)]]
        images = vary_intensities(images, changes, rng)
        drop = changes.drop_inputs
        missing = choose_dropped(target, drop, rng) if drop else ()
        return encode_inputs(images[None], target, generator, missing)[0], truth, brain

    def choose_slice(self, position: int) -> tuple[int, int]:
        """Number of the case, and level, of the slice at a position."""
        share = self.config.data.tumour_share
        if share and self.tumour_table:
            rng = np.random.default_rng([self.config.seed, position, 6])
            if rng.uniform() < share:
                return self.tumour_table[self.tumour_passes[position]]
        return self.table[self.passes[position]]


def to_unit(window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slices of the cache in [0, 1], and the brain of the middle one.

    Args:
        window: (..., 4 P) uint16.

    Returns:
        (..., 4 P) and (..., 1) float32.
    """
    neighbours = window.shape[-1] // len(MODALITIES) // 2
    brain = take_centre(window, neighbours).any(axis=-1, keepdims=True).astype("float32")
    return np.maximum(window.astype("float32") - 1, 0) / LEVELS, brain


def _cache_case(folder: Path, cache: Path, config: ModalityDataConfig) -> CachedCase:
    """One case's cache file, written where absent."""
    facts: list = [VERSION, config.normalization, list(config.percentiles)]
    facts += [config_to_dict(config.landmarks)] if config.landmarks else []
    labels = find_segmentation(folder)
    paths = find_scans(folder) | ({"segmentation": labels} if labels else {})
    for modality, path in sorted(paths.items()):
        status = path.stat()
        facts.append([modality, str(path.resolve()), status.st_size, status.st_mtime_ns])
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    name = folder.resolve().name
    path = cache / f"{name}-{key}.npy"
    if not path.is_file():
        _write_case(folder, path, config)
    brain = np.load(path, mmap_mode="r").any(axis=-1)
    slices = tuple(np.flatnonzero(brain.sum(axis=(1, 2)) >= SMALLEST_SLICE).tolist())
    if not slices:
        raise InputError(
            f"{folder} has no slice with {SMALLEST_SLICE} pixels of brain: leave it out"
        )
    # The borders of what is cached are the brain's box.
    windows = np.asarray(plan_windows(np.moveaxis(brain, 0, 2), config.image_size))
    counts = np.load(path.with_suffix(".tumour.npy")) if labels else np.zeros(len(brain), int)
    tumour = tuple(level for level in slices if counts[level] >= SMALLEST_TUMOUR)
    return CachedCase(name, path, slices, tumour, windows)


def _write_case(folder: Path, path: Path, config: ModalityDataConfig) -> None:
    """Read, normalise, quantise and write one case."""
    case = read_case(folder, MODALITIES, None, config)
    box = tuple(slice(int(first), int(last)) for first, last in find_box(case.brain))
    brain = case.brain[box]
    stack = np.zeros((brain.shape[2], *brain.shape[:2], len(MODALITIES)), "uint16")
    for channel, modality in enumerate(MODALITIES):
        levels = np.round(case.scans[modality].unit[box] * LEVELS) + 1
        stack[..., channel] = np.moveaxis(np.where(brain, levels, 0), 2, 0)
    tumour = read_tumour(folder, case)
    if tumour is not None:
        _save(path.with_suffix(".tumour.npy"), tumour[box].sum(axis=(0, 1)))
    _save(path, stack)


def _save(path: Path, array: np.ndarray) -> None:
    """Write an array's file, whole or not at all."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, array)
