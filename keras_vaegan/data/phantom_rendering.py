"""Phantom slices as images: a CT and MRI contrasts of the same anatomy, written as folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from keras_vaegan.data.image import write_image
from keras_vaegan.data.phantom import (
    FRAME_HALF_SIDE,
    HIGHEST_LEVEL,
    LOWEST_LEVEL,
    Anatomy,
    Tissue,
    Waves,
    cut_slice,
    draw_anatomy,
)
from keras_vaegan.errors import InputError

SUPERSAMPLING = 2
SLICES_PER_CASE = 8
SMALLEST_SIZE = 32
FOLDERS = ("trainA", "trainB", "testA", "testB")
CONTRASTS = ("t1", "t2", "mixture")

# Brightness in [0, 1] by tissue: CT in a brain window (level 40 HU, width 80 HU), MRI contrasts.
_BRIGHTNESS = {
    "ct": {
        Tissue.AIR: 0.0, Tissue.SKIN: 0.45, Tissue.FAT: 0.02, Tissue.MUSCLE: 0.62,
        Tissue.BONE: 1.0, Tissue.MARROW: 0.97, Tissue.CSF: 0.14, Tissue.GRAY_MATTER: 0.47,
        Tissue.WHITE_MATTER: 0.37, Tissue.VITREOUS: 0.14, Tissue.LENS: 0.85, Tissue.LESION: 0.6,
        Tissue.EDEMA: 0.25,
    },
    "t1": {
        Tissue.AIR: 0.0, Tissue.SKIN: 0.4, Tissue.FAT: 0.92, Tissue.MUSCLE: 0.36,
        Tissue.BONE: 0.04, Tissue.MARROW: 0.38, Tissue.CSF: 0.12, Tissue.GRAY_MATTER: 0.44,
        Tissue.WHITE_MATTER: 0.66, Tissue.VITREOUS: 0.12, Tissue.LENS: 0.34, Tissue.LESION: 0.8,
        Tissue.EDEMA: 0.36,
    },
    "t2": {
        Tissue.AIR: 0.0, Tissue.SKIN: 0.3, Tissue.FAT: 0.7, Tissue.MUSCLE: 0.22,
        Tissue.BONE: 0.03, Tissue.MARROW: 0.33, Tissue.CSF: 0.97, Tissue.GRAY_MATTER: 0.58,
        Tissue.WHITE_MATTER: 0.4, Tissue.VITREOUS: 0.93, Tissue.LENS: 0.2, Tissue.LESION: 0.7,
        Tissue.EDEMA: 0.84,
    },
}  # fmt: skip


@dataclass(frozen=True)
class PhantomSet:
    """What `write_phantom_folders` is asked for.

    Attributes:
        count: Training images per domain; the test set has an eighth of it, at least 8.
        size: Side of the CT images in pixels; MRI sizes vary around it.
        seed: Seed of everything.
        contrast: "t1", "t2", or "mixture" (each case one or the other, so that the truth of a CT
            is no longer unique).
    """

    count: int = 200
    size: int = 128
    seed: int = 0
    contrast: str = "t1"

    def __post_init__(self) -> None:
        if self.count < 4:
            raise InputError(f"count {self.count}: expected at least 4 images per domain")
        if not SMALLEST_SIZE <= self.size <= 1024:
            raise InputError(f"size {self.size}: expected {SMALLEST_SIZE} to 1024 pixels")
        if self.contrast not in CONTRASTS:
            raise InputError(f"contrast {self.contrast!r}: expected {', '.join(CONTRASTS)}")


def render_pair(
    seed: int, case: int, level: float, size: int, contrast: str = "t1"
) -> tuple[np.ndarray, np.ndarray]:
    """Render one slice of one head in both modalities.

    Args:
        seed: Seed of the set.
        case: Number of the head.
        level: Height of the slice, from `LOWEST_LEVEL` to `HIGHEST_LEVEL`.
        size: Side in pixels.
        contrast: "t1" or "t2".

    Returns:
        (mri, ct), each (size, size) uint8 of the same geometry.
    """
    anatomy = draw_anatomy(seed, case)
    labels = cut_slice(anatomy, level, SUPERSAMPLING * size)
    rng = np.random.default_rng([seed, case, round(1000 * (level + 1)), 1])
    return _render_mri(labels, size, contrast, rng), _render_ct(labels, anatomy, size, rng)


def write_phantom_folders(out: str | Path, settings: PhantomSet) -> dict[str, int]:
    """Write trainA, trainB, testA and testB in the layout of the Kaggle set.

    A is CT (square 8-bit gray PNG), B is MRI (JPEG stored as RGB, of varying size and width).
    Training folders show different heads; a test pair shares its file stem and its geometry.

    Args:
        out: Folder to write into; its four subfolders must be absent or empty.
        settings: What to write.

    Returns:
        Images per folder.

    Raises:
        InputError: the subfolders hold files, or cannot be written to.
    """
    out = Path(out)
    for name in FOLDERS:
        if (out / name).is_dir() and any((out / name).iterdir()):
            raise InputError(
                f"{out / name} is not empty: expected a new folder; choose another --out"
            )
    test_count = max(8, settings.count // 8)
    cases = -(-settings.count // SLICES_PER_CASE)
    for index in range(settings.count):
        _write_one(out / "trainA" / f"ct{index:05d}.png", settings, index, 0)
        _write_one(out / "trainB" / f"mri{index:05d}.jpg", settings, index, cases)
    for index in range(test_count):
        _write_one(out / "testA" / f"{index:05d}.png", settings, index, 2 * cases)
        _write_one(out / "testB" / f"{index:05d}.jpg", settings, index, 2 * cases)
    return {"trainA": settings.count, "trainB": settings.count, "testA": test_count,
            "testB": test_count}  # fmt: skip


def _write_one(path: Path, settings: PhantomSet, index: int, first_case: int) -> None:
    """Write image `index` of a folder whose heads start at `first_case`."""
    case = first_case + index // SLICES_PER_CASE
    rng = np.random.default_rng([settings.seed, case, index, 2])
    step = (index % SLICES_PER_CASE + rng.uniform(0.1, 0.9)) / SLICES_PER_CASE
    level = LOWEST_LEVEL + step * (HIGHEST_LEVEL - LOWEST_LEVEL)
    contrast = settings.contrast
    if contrast == "mixture":
        contrast = "t1" if np.random.default_rng([settings.seed, case]).uniform() < 0.5 else "t2"
    is_ct = path.suffix == ".png"
    size = settings.size if is_ct else int(settings.size * rng.uniform(0.8, 1.4))
    mri, ct = render_pair(settings.seed, case, level, size, contrast)
    if is_ct:
        write_image(path, ct)
        return
    trim = int(rng.uniform(0, 0.07) * size)  # both sides alike, so that the centre stays
    mri = mri[:, trim : size - trim]
    write_image(path, np.repeat(mri[..., None], 3, axis=-1))


def _paint(labels: np.ndarray, modality: str, size: int, jitter: np.ndarray) -> np.ndarray:
    """Labels -> brightness, area-averaged to `size`."""
    table = np.array([_BRIGHTNESS[modality][tissue] for tissue in Tissue], "float32")
    return cv2.resize((table * jitter)[labels], (size, size), interpolation=cv2.INTER_AREA)


def _render_ct(
    labels: np.ndarray, anatomy: Anatomy, size: int, rng: np.random.Generator
) -> np.ndarray:
    """CT: saturated bone, correlated noise, the head rest now and then."""
    image = _paint(labels, "ct", size, np.ones(len(Tissue), "float32"))
    body = cv2.GaussianBlur((image > 0.05).astype("float32"), (0, 0), size / 64)
    noise = rng.normal(0, 1, image.shape).astype("float32")
    noise = cv2.GaussianBlur(noise, (0, 0), 0.6) * rng.uniform(0.02, 0.05)
    image = image + noise * body
    if np.random.default_rng([round(1e6 * anatomy.width)]).uniform() < 0.3:
        image = np.maximum(image, _draw_head_rest(size))
    return np.round(np.clip(image, 0, 1) * 255).astype("uint8")


def _draw_head_rest(size: int) -> np.ndarray:
    """A thin arc below the head."""
    axis = ((np.arange(size) + 0.5) / size * 2 - 1) * FRAME_HALF_SIDE
    radius = np.hypot(axis[None, :], axis[:, None] - 0.02)
    line = np.exp(-(((radius - 1.13) / 0.012) ** 2))
    return (0.5 * line * (axis[:, None] > 0.55)).astype("float32")


def _render_mri(
    labels: np.ndarray, size: int, contrast: str, rng: np.random.Generator
) -> np.ndarray:
    """MRI: contrast that varies a little, receive-coil bias, Rician noise."""
    jitter = rng.normal(1, 0.03, len(Tissue)).astype("float32")
    image = _paint(labels, contrast, size, jitter)
    axis = np.linspace(-1, 1, size, dtype="float32")
    bias = Waves.draw(rng, 1.5, 6)(axis[None, :] + 0 * axis[:, None], axis[:, None] + 0 * axis, 0)
    image = image * (1 + 0.09 * bias)
    sigma = rng.uniform(0.01, 0.025)
    real, imaginary = rng.normal(0, sigma, (2, size, size))
    image = np.hypot(image + real, imaginary)
    return np.round(np.clip(image, 0, 1) * 255).astype("uint8")
