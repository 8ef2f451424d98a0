"""Cases read once into memory-mapped files, and their slices as batches."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_vaegan.config.data import ModalityDataConfig
from keras_vaegan.config.networks import ANY_TARGET, MODALITIES
from keras_vaegan.data.brats import find_scans, read_case
from keras_vaegan.data.folders import skip_unusable
from keras_vaegan.data.intensity import find_box
from keras_vaegan.data.sampling import Passes
from keras_vaegan.errors import InputError
from keras_vaegan.files import atomic_path
from keras_vaegan.systems.modality.config import ModalityConfig
from keras_vaegan.systems.modality.slices import cut_window, encode_inputs, plan_windows

VERSION = 1
LEVELS = 65_534  # uint16: 0 is outside the brain, 1 to 65,535 are [0, 1]
SMALLEST_SLICE = 200


@dataclass(frozen=True)
class CachedCase:
    """A case's brain box on disk.

    Attributes:
        name: The case.
        path: .npy file of (Z, X, Y, 4) uint16, channels as `MODALITIES`; see `LEVELS`.
        slices: Slices whose brain has at least `SMALLEST_SLICE` pixels.
        windows: (J, 3) int32 of `plan_windows`: slice, first row and first column.
    """

    name: str
    path: Path
    slices: tuple[int, ...]
    windows: np.ndarray

    def list_windows(self, level: int) -> np.ndarray:
        """(K, 2): first row and column of the windows of a slice."""
        return self.windows[self.windows[:, 0] == level, 1:]

    def read_slice(self, level: int) -> np.ndarray:
        """One slice, (X, Y, 4) uint16.

        The mapping is closed again at once, so that pages once read do not count as memory.
        """
        return np.array(np.load(self.path, mmap_mode="r")[level])


def cache_cases(folders: list[Path], cache: Path, config: ModalityDataConfig) -> list[CachedCase]:
    """Bring cases into the cache; those that it holds unchanged are not read again.

    Unusable cases are named and left out where at least 90 % are usable.

    Args:
        folders: Case folders with all four contrasts.
        cache: Folder of the cache files.
        config: Its `percentiles` belong to a file's key, as do the scans' names, sizes and times.

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


class SliceSampler:
    """The training samples by position: which slice, window, target and variation.

    Slices are dealt in `Passes`; what is random of a sample depends on the seed and its position
    alone.

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
        case, level = self.table[self.passes[position]]
        data, generator = self.config.data, self.config.generator
        rng = np.random.default_rng([self.config.seed, position, 1])
        target: str = generator.target
        if target == ANY_TARGET:
            target = MODALITIES[rng.integers(len(MODALITIES))]
        picture = self.cases[case].read_slice(level)
        windows = self.cases[case].list_windows(level)
        start = windows[rng.integers(len(windows))]
        start = start + rng.integers(-data.shift, data.shift + 1, 2)
        window = cut_window(picture, start, data.image_size)
        if rng.uniform() < data.flip:
            window = window[::-1]
        images, brain = to_unit(window)
        truth = images[..., MODALITIES.index(target)][..., None].copy()
        images = _vary(images, data.intensity, rng) * brain
        return encode_inputs(images[None], target, generator)[0], truth, brain


def to_unit(window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(..., 4) uint16 of the cache -> the same in [0, 1], and the brain (..., 1), both float32."""
    brain = window.any(axis=-1, keepdims=True).astype("float32")
    return np.maximum(window.astype("float32") - 1, 0) / LEVELS, brain


def _vary(images: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Change each contrast's gamma and gain a little."""
    if not strength:
        return images
    gamma, gain = 1 + rng.uniform(-strength, strength, (2, images.shape[-1])).astype("float32")
    return np.clip(gain * images**gamma, 0, 1)


def _cache_case(folder: Path, cache: Path, config: ModalityDataConfig) -> CachedCase:
    """One case's cache file, written where absent."""
    facts = [VERSION, list(config.percentiles)]
    for modality, path in sorted(find_scans(folder).items()):
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
    return CachedCase(name, path, slices, windows)


def _write_case(folder: Path, path: Path, config: ModalityDataConfig) -> None:
    """Read, normalise, quantise and write one case."""
    case = read_case(folder, MODALITIES, None, config.percentiles)
    box = tuple(slice(int(first), int(last)) for first, last in find_box(case.brain))
    brain = case.brain[box]
    stack = np.zeros((brain.shape[2], *brain.shape[:2], len(MODALITIES)), "uint16")
    for channel, modality in enumerate(MODALITIES):
        levels = np.round(case.scans[modality].unit[box] * LEVELS) + 1
        stack[..., channel] = np.moveaxis(np.where(brain, levels, 0), 2, 0)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, stack)
