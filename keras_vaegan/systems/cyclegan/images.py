"""Folders of images -> cached squares -> an endless, seeded stream of unpaired batches."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from keras_vaegan.config.base import VALUE_RANGES
from keras_vaegan.config.data import DataConfig
from keras_vaegan.data.folders import (
    TEST_FOLDERS,
    find_pairs,
    load_files,
    read_integers,
    spread,
)
from keras_vaegan.data.image import list_images, read_image
from keras_vaegan.data.preparation import fit_images
from keras_vaegan.data.sampling import Passes, find_scale
from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.leaks import leave_out_leaks
from keras_vaegan.kernels import call_compiled


def load_images(
    paths: list[Path], config: DataConfig, partners: Mapping[str, Path] | None = None
) -> tuple[np.ndarray, list[str]]:
    """Decode files of one folder, in parallel, into one array of network-sized images.

    Args:
        paths: PNG, JPEG, TIFF or BMP files.
        config: Size, channels and placement.
        partners: Files by the stem of those that they share a box with.

    Returns:
        (images, names) as `load_files` gives them, the images as (N, S, S, C).
    """
    partners = partners or {}
    images, names = load_files(paths, lambda p: _prepare(p, config, partners.get(p.stem)))
    return np.stack(images), names


def load_test_sets(
    root: str | Path, config: DataConfig, limit: int | None = None, keep_leaks: bool = False
) -> dict:
    """Load both test folders, and pair them by file stem where nearly all have a partner.

    Images that leak from the training folders beside them are left out.

    Args:
        root: Folder with testA (CT) and testB (MRI).
        config: Preparation of the images; in a paired set align="head" crops both images of a
            pair to one box.
        limit: Images per domain at most, spread evenly; of a paired set, whole pairs.
        keep_leaks: Keep images that leak from the training folders.

    Returns:
        {"testA": {"images", "names"}, "testB": ..., "pairs": [(MRI index, CT index)] or None,
        "leaks": by folder as `leave_out_leaks` tells}.

    Raises:
        InputError: a missing or empty folder, and as `load_images` and `leave_out_leaks`.
    """
    files = {name: list_images(Path(root) / name) for name in TEST_FOLDERS}
    files, leaks = leave_out_leaks(Path(root), files, keep_leaks)
    by_stem = {name: {p.stem: p for p in paths} for name, paths in files.items()}
    paired = find_pairs(files["testA"], files["testB"])
    if paired and limit is not None:
        chosen = set(spread(paired, limit))
        files = {name: [p for p in paths if p.stem in chosen] for name, paths in files.items()}
    sets: dict = {"leaks": leaks}
    for name, other in (TEST_FOLDERS, TEST_FOLDERS[::-1]):
        partners = by_stem[other] if paired and config.align != "none" else {}
        images, names = load_images(spread(files[name], limit), config, partners)
        sets[name] = {"images": images, "names": names}
    sets["pairs"] = None
    if paired:
        ct = {Path(name).stem: i for i, name in enumerate(sets["testA"]["names"])}
        mri = [Path(name).stem for name in sets["testB"]["names"]]
        sets["pairs"] = [(i, ct[stem]) for i, stem in enumerate(mri) if stem in ct]
    return sets


class UnpairedSampler:
    """Unpaired batches by step.

    Each domain is dealt in `Passes` of its own.

    Args:
        source_images: (N, S, S, C) uint8 or uint16.
        target_images: (M, S, S, C).
        batch_size: Images per domain and step.
        seed: Seed of the order.
        config: Its `value_range` is that of the batches.
    """

    def __init__(
        self,
        source_images: np.ndarray,
        target_images: np.ndarray,
        batch_size: int,
        seed: int,
        config: DataConfig,
    ) -> None:
        self.domains = (source_images, target_images)
        self.passes = [Passes(len(images), (seed, n)) for n, images in enumerate(self.domains)]
        self.batch_size = batch_size
        self.limits = VALUE_RANGES[config.value_range]

    def read_batch(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """(source, target) of a step, each (batch_size, S, S, C) float32 in the value range."""
        source, target = (
            scale_images(images[places], self.limits)
            for images, places in zip(self.domains, self.read_places(step), strict=True)
        )
        return source, target

    def read_places(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Which images of each domain a step has, each (batch_size,) int32."""
        positions = range(step * self.batch_size, (step + 1) * self.batch_size)
        source, target = (
            np.array([passes[position] for position in positions], "int32")
            for passes in self.passes
        )
        return source, target


def scale_images(images: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Integers over the whole range of their type -> float32 from the lower to the upper limit."""
    scale, low = find_scale(images.dtype, limits)
    return images.astype("float32") * scale + low


def _prepare(path: Path, config: DataConfig, partner: Path | None) -> np.ndarray:
    """File -> (S, S, C) uint8 or uint16; placed together with its partner's, where it has one."""
    pictures = [read_integers(path), _read_if_usable(partner) if partner else None]
    batches = [p.reshape(1, *p.shape[:2], -1) for p in pictures if p is not None]
    return call_compiled(fit_images, *batches, data=config)[0]


def _read_if_usable(path: Path) -> np.ndarray | None:
    """An image, or None where its own turn will report what is wrong with it."""
    try:
        return read_image(path)
    except InputError:
        return None
