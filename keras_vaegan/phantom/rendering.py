"""CT and MRI pictures of phantom heads, one by one and as folders of the real set's layout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
from pydantic import Field

from keras_vaegan.config.base import Seed, frozen_config
from keras_vaegan.data.image import unit_to_image, write_image
from keras_vaegan.files import check_new_folder, staged_entries
from keras_vaegan.phantom.heads import (
    CAVITY_RADII,
    HIGHEST_Z,
    LOWEST_Z,
    Head,
    Tissue,
    draw_tissues,
    make_head,
)
from keras_vaegan.phantom.shapes import Plane

FOLDERS = ("trainA", "trainB", "testA", "testB")
SLICES_PER_CASE = 4
FINEST_GRID = 176  # rows; small pictures are averages of a grid at least this fine

# HU, T1-weighted and T2-weighted signal of each tissue; fat gives the brightest T1 signal, 1.
_PROPERTIES = {
    Tissue.AIR: (-1000, 0.0, 0.0), Tissue.SKIN: (45, 0.42, 0.34),
    Tissue.FAT: (-95, 1.0, 0.72), Tissue.MUSCLE: (56, 0.36, 0.20),
    Tissue.CORTICAL_BONE: (1150, 0.04, 0.03), Tissue.MARROW: (420, 0.38, 0.30),
    Tissue.CSF: (7, 0.11, 1.0), Tissue.DURA: (54, 0.30, 0.25),
    Tissue.GREY_MATTER: (38, 0.43, 0.54), Tissue.WHITE_MATTER: (29, 0.60, 0.36),
    Tissue.VITREOUS: (11, 0.14, 0.98), Tissue.LENS: (80, 0.40, 0.22),
    Tissue.OEDEMA: (19, 0.30, 0.80), Tissue.BLOOD: (70, 0.72, 0.28),
    Tissue.TUMOUR: (46, 0.26, 0.66), Tissue.CALCIFICATION: (180, 0.10, 0.08),
}  # fmt: skip


@frozen_config
class PhantomSet:
    """What `write_phantom_folders` is asked for.

    Attributes:
        count: Training images per domain; the test set has an eighth of it, at least 8 pairs.
        size: Side of the CT pictures in pixels; MRI sizes vary around it.
        seed: Seed of everything.
        contrast: "t1", "t2", or "mixture" (each case one or the other, so that the truth of a CT
            is no longer unique).
    """

    count: Annotated[int, Field(ge=4)] = 200
    size: Annotated[int, Field(ge=32, le=1024)] = 128
    seed: Seed = 0
    contrast: Literal["t1", "t2", "mixture"] = "t1"


@dataclass(frozen=True)
class Cut:
    """A slice of one case, posed in a frame, before any scanner sees it.

    Attributes:
        tissues: (H * factor, W * factor) uint8, `Tissue` values on a fine grid.
        shape: (H, W) of the pictures in pixels.
        spacing_mm: Size of a picture's pixel.
    """

    tissues: np.ndarray
    shape: tuple[int, int]
    spacing_mm: float


def write_phantom_folders(out: str | Path, settings: PhantomSet) -> dict[str, int]:
    """Write trainA, trainB, testA and testB in the layout of the Kaggle set, all or none.

    A is CT: square 8-bit gray PNG. B is MRI: JPEG stored as RGB, of varying size, in training
    also of varying aspect. No two folders share a head, except that a test pair (same file stem)
    shows one slice in one frame, so that resizing both aligns them. Files do not change when
    `count` grows.

    Args:
        out: Folder to write into; its four subfolders must be absent or empty.
        settings: What to write.

    Returns:
        Images per folder.

    Raises:
        InputError: a subfolder holds files, or the place cannot be written to.
    """
    out = Path(out)
    tests = max(8, settings.count // 8)
    counts = dict(zip(FOLDERS, (settings.count, settings.count, tests, tests), strict=True))
    for name in FOLDERS:
        check_new_folder(out / name)
    with staged_entries(out) as staging:
        for name, count in counts.items():
            (staging / name).mkdir()
            for index in range(count):
                _write_one(staging / name, settings, index)
    return counts


def cut_head(seed: int, case: int, level: float, shape: tuple[int, int]) -> Cut:
    """Cut a case at a level.

    The pose (rotation, tilt, position, field of view) belongs to the case and does not depend on
    the shape: frames of one aspect show the same region at any number of pixels.

    Args:
        seed, case: Identify the anatomy; whole numbers from 0.
        level: 0 (orbits) to 1 (near the vertex).
        shape: (height, width) of the pictures in pixels. The height spans the field of view.

    Returns:
        The cut.
    """
    rng = np.random.default_rng([seed, case])
    head = make_head(rng)
    factor = max(2, -(-FINEST_GRID // shape[0]))
    plane, field_of_view = _pose(head, level, shape, factor, rng)
    return Cut(draw_tissues(head, plane), shape, field_of_view / shape[0])


def render_ct(cut: Cut, rng: np.random.Generator) -> np.ndarray:
    """Photograph a cut as a CT in a brain window: bone white, air and fat black.

    Args:
        cut: The slice.
        rng: Source of noise, window and table.

    Returns:
        (H, W) uint8.
    """
    image = _scan(cut, 0, blur_mm=rng.uniform(0.5, 0.8))
    if rng.uniform() < 0.3:
        image = np.maximum(image, _draw_table(cut, rng))
    grain = rng.normal(size=cut.shape) * rng.uniform(2.0, 4.5)
    image += 1.6 * cv2.GaussianBlur(grain.astype("float32"), (0, 0), 0.6)
    width = rng.uniform(82, 92)
    return unit_to_image((image - 38) / width + 0.45, "uint8")


def render_mri(cut: Cut, contrast: str, rng: np.random.Generator) -> np.ndarray:
    """Photograph a cut as an MRI magnitude picture: cortical bone dark, scalp fat bright.

    Args:
        cut: The slice.
        contrast: "t1" or "t2" weighting.
        rng: Source of bias field, noise and gain.

    Returns:
        (H, W) uint8.
    """
    image = _scan(cut, {"t1": 1, "t2": 2}[contrast], blur_mm=rng.uniform(0.6, 1.0))
    image *= _draw_bias_field(cut.shape, rng)
    sigma = rng.uniform(0.012, 0.03)
    noise = rng.normal(size=(2, *cut.shape)) * sigma
    image = np.hypot(image + noise[0], noise[1])
    return unit_to_image(image * rng.uniform(0.82, 0.92), "uint8")


def _write_one(folder: Path, settings: PhantomSet, index: int) -> None:
    """Write image `index` of a folder; testA and testB draw the same heads and levels."""
    group = {"trainA": 0, "trainB": 1, "testA": 2, "testB": 2}[folder.name]
    case = 1_000_000 * group + index // SLICES_PER_CASE
    rng = np.random.default_rng([settings.seed, case, index])
    level = (index % SLICES_PER_CASE + rng.uniform()) / SLICES_PER_CASE
    noise = np.random.default_rng([settings.seed, case, index, folder.name.endswith("B")])
    prefix = {"trainA": "ct", "trainB": "mri"}.get(folder.name, "")
    if folder.name.endswith("A"):
        cut = cut_head(settings.seed, case, level, (settings.size, settings.size))
        write_image(folder / f"{prefix}{index:04d}.png", render_ct(cut, noise))
        return
    height = width = round(settings.size * rng.uniform(0.8, 1.4))
    if group == 1 and rng.uniform() < 0.5:
        width = round(height * rng.uniform(0.8, 1.1))
    cut = cut_head(settings.seed, case, level, (height, width))
    mri = render_mri(cut, _choose_contrast(settings.seed, case, settings.contrast), noise)
    write_image(folder / f"{prefix}{index:04d}.jpg", np.repeat(mri[..., None], 3, axis=-1))


def _choose_contrast(seed: int, case: int, contrast: str) -> str:
    """Of a mixture, the weighting that a case got."""
    if contrast != "mixture":
        return contrast
    return "t1" if np.random.default_rng([seed, case, 3]).uniform() < 0.5 else "t2"


def _pose(
    head: Head, level: float, shape: tuple[int, int], factor: int, rng: np.random.Generator
) -> tuple[Plane, float]:
    """Lay a fine pixel grid through a head; also the field of view in mm."""
    spin, tilt = np.radians(rng.normal(0, 3.5)), np.radians(rng.normal(0, 4))
    offset = rng.uniform(-5, 5, 2)
    length = 2 * head.scale[1] * (CAVITY_RADII[1] + head.skull + head.fat + head.skin)
    field_of_view = length * rng.uniform(1.16, 1.3)
    z = head.scale[2] * (LOWEST_Z + level * (HIGHEST_Z - LOWEST_Z))
    forward = np.array([0, np.cos(tilt), np.sin(tilt)])
    sideways = np.array([1.0, 0, 0])
    down = -np.cos(spin) * forward + np.sin(spin) * sideways
    right = np.cos(spin) * sideways + np.sin(spin) * forward
    spacing = field_of_view / (shape[0] * factor)
    rows, columns = (
        (np.arange(side * factor) - (side * factor - 1) / 2) * spacing + shift
        for side, shift in zip(shape, offset, strict=True)
    )
    return Plane(np.array([0, 4.0, z]), down, right, rows, columns), field_of_view


def _scan(cut: Cut, column: int, blur_mm: float) -> np.ndarray:
    """A property of the tissues, blurred by the scanner's point spread and averaged to pixels."""
    table = np.array([_PROPERTIES[tissue][column] for tissue in Tissue], "float32")
    fine_spacing = cut.spacing_mm * cut.shape[0] / cut.tissues.shape[0]
    image = cv2.GaussianBlur(table[cut.tissues], (0, 0), max(0.3, blur_mm / fine_spacing))
    return cv2.resize(image, cut.shape[::-1], interpolation=cv2.INTER_AREA)


def _draw_table(cut: Cut, rng: np.random.Generator) -> np.ndarray:
    """The head rest below the head: an arc of 300 HU in air."""
    height, width = cut.shape
    rows = (np.arange(height)[:, None] + 0.5) / height
    columns = (np.arange(width)[None, :] + 0.5) / height - width / height / 2
    centre, bottom = rng.uniform(0.38, 0.45), rng.uniform(0.975, 1.03)
    distance = np.hypot(rows - centre, columns + rng.uniform(-0.03, 0.03)) - (bottom - centre)
    arc = np.clip(1.2 - np.abs(distance) * height / max(1, 0.009 * height), 0, 1)
    arc *= rows > centre + 0.25
    return (1300 * arc - 1000).astype("float32")


def _draw_bias_field(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Smooth receive sensitivity around 1: brighter near the coils."""
    rows = np.linspace(-1, 1, shape[0])[:, None]
    columns = np.linspace(-1, 1, shape[1])[None, :]
    slope = rng.normal(0, 0.06, 2)
    rim = rng.uniform(-0.05, 0.12)
    log_field = slope[0] * rows + slope[1] * columns + rim * (rows**2 + columns**2 - 0.7)
    return np.exp(log_field).astype("float32")
