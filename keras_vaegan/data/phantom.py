"""A procedural head: seeded 3-D anatomy, cut into axial slices of tissue labels.

Every shape is a formula of the position, so a slice is computed where it is needed and no volume
is stored. Coordinates are in units of the head's half length (about 95 mm): x to the patient's
left, y to the front, z upwards; z = 0 is the level of the basal ganglia.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

LOWEST_LEVEL, HIGHEST_LEVEL = -0.5, 0.62
SCALP, SKULL_BASE_LEVEL = 0.075, -0.28
FRAME_HALF_SIDE = 1.18


class Tissue(IntEnum):
    """Labels of a slice."""

    AIR = 0
    SKIN = 1
    FAT = 2
    MUSCLE = 3
    BONE = 4
    MARROW = 5
    CSF = 6
    GRAY_MATTER = 7
    WHITE_MATTER = 8
    VITREOUS = 9
    LENS = 10
    LESION = 11
    EDEMA = 12


@dataclass(frozen=True)
class Waves:
    """Smooth 3-D noise of about unit variance: a sum of plane waves.

    Attributes:
        frequencies: (K, 3) radians per unit of length.
        phases: (K,).
    """

    frequencies: np.ndarray
    phases: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator, frequency: float, count: int = 24) -> Waves:
        """Draw waves of about `frequency` radians per unit, in all directions."""
        directions = rng.normal(size=(count, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        lengths = frequency * rng.uniform(0.6, 1.4, (count, 1))
        return cls(directions * lengths, rng.uniform(0, 2 * np.pi, count))

    def __call__(self, x: np.ndarray, y: np.ndarray, z: np.ndarray | float) -> np.ndarray:
        total = np.zeros(np.broadcast(x, y).shape, "float32")
        for (fx, fy, fz), phase in zip(self.frequencies, self.phases, strict=True):
            total += np.cos((fx * x + fy * y + fz * z + phase).astype("float32"))
        return total * np.sqrt(2 / len(self.phases))


@dataclass(frozen=True)
class Anatomy:
    """One head. Lengths in half head lengths.

    Attributes:
        width, height: Half axes of the head across and upwards (the half length is 1).
        skull: Thickness of the skull.
        ventricles: Size of the ventricles, 1 is average.
        atrophy: Width of the sulci, 1 is average.
        tilt, shift_x, shift_y, scale: How the head lies in the frame.
        lesion: (x, y, z, radius), or None.
        shape, folds, fine: Noise that bends the surfaces and folds the cortex.
    """

    width: float
    height: float
    skull: float
    ventricles: float
    atrophy: float
    tilt: float
    shift_x: float
    shift_y: float
    scale: float
    lesion: tuple[float, float, float, float] | None
    shape: Waves
    folds: Waves
    fine: Waves


def draw_anatomy(seed: int, case: int) -> Anatomy:
    """Draw head number `case` of a seed; equal numbers give equal heads."""
    rng = np.random.default_rng([seed, case])
    lesion = None
    if rng.uniform() < 0.25:
        side = rng.choice([-1, 1])
        lesion = (
            side * rng.uniform(0.15, 0.4), rng.uniform(-0.45, 0.45), rng.uniform(-0.05, 0.4),
            rng.uniform(0.06, 0.15),
        )  # fmt: skip
    return Anatomy(
        width=rng.uniform(0.75, 0.85),
        height=rng.uniform(0.84, 0.94),
        skull=rng.uniform(0.055, 0.095),
        ventricles=rng.uniform(0.75, 1.35),
        atrophy=rng.uniform(0.6, 1.5),
        tilt=rng.normal(0, 0.05),
        shift_x=rng.normal(0, 0.02),
        shift_y=rng.normal(0, 0.02),
        scale=rng.uniform(0.93, 1.05),
        lesion=lesion,
        shape=Waves.draw(rng, 3.0),
        folds=Waves.draw(rng, 15.0, 32),
        fine=Waves.draw(rng, 40.0),
    )


def cut_slice(anatomy: Anatomy, level: float, size: int) -> np.ndarray:
    """Cut an axial slice.

    Args:
        anatomy: The head.
        level: Height z, from `LOWEST_LEVEL` to `HIGHEST_LEVEL`.
        size: Side of the square result in pixels; the front is up, the patient's left is right.

    Returns:
        (size, size) uint8 of `Tissue` labels.
    """
    x, y = _make_grid(anatomy, size)
    outside = _measure_head(anatomy, x, y, level)
    scalp = SCALP * (1 + 0.25 * anatomy.shape(0.6 * y, x, level))
    inner = outside - scalp
    depth = inner - anatomy.skull * (1 + 0.22 * anatomy.shape(x, y, level + 2))
    labels = np.zeros(x.shape, "uint8")
    labels[outside > 0] = Tissue.SKIN
    labels[outside > 0.02] = Tissue.FAT
    _add_muscle(labels, x, y, level, outside, inner)
    _add_skull(labels, anatomy, x, y, level, inner, depth)
    _add_brain(labels, anatomy, x, y, level, depth)
    if level < SKULL_BASE_LEVEL + 0.12:
        _add_face_and_base(labels, anatomy, x, y, level, outside)
    return labels


def _make_grid(anatomy: Anatomy, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Head coordinates x and y of every pixel, (size, size) float32 each."""
    axis = (np.arange(size, dtype="float32") + 0.5) / size * 2 - 1
    axis *= FRAME_HALF_SIDE / anatomy.scale
    across, up = np.meshgrid(axis - anatomy.shift_x, -axis - anatomy.shift_y)
    cosine, sine = np.cos(anatomy.tilt), np.sin(anatomy.tilt)
    return cosine * across - sine * up, sine * across + cosine * up


def _measure_head(anatomy: Anatomy, x, y, level: float) -> np.ndarray:
    """Depth below the skin, negative outside."""
    z = level / anatomy.height if level > 0 else 0.35 * level
    radius = np.sqrt(max(1e-3, 1 - z**2))
    taper = 1 + 0.08 * y  # the back of the head is wider than the front
    rho = np.sqrt((x * taper / anatomy.width) ** 2 + y**2)
    bent = radius * (1 + 0.018 * anatomy.shape(x, y, level))
    return (bent - rho) * (0.5 + 0.5 * np.minimum(1, rho)) * 0.92


def _ellipsoid(x, y, z, centre, axes) -> np.ndarray:
    """Inside where above 0, 1 at the centre."""
    offsets = ((x - centre[0]) / axes[0], (y - centre[1]) / axes[1], (z - centre[2]) / axes[2])
    return 1 - sum(offset**2 for offset in offsets)


def _add_muscle(labels, x, y, level: float, outside, inner) -> None:
    """Temporal muscle at the sides, neck muscle behind, at lower levels."""
    if level > 0.25:
        return
    strength = np.clip((0.25 - level) / 0.6, 0, 1)
    temporal = (np.abs(x) > 0.55) & (np.abs(y - 0.15) < 0.25 + 0.3 * strength)
    neck = (y < -0.6) & (level < -0.2)
    labels[(temporal | neck) & (outside > 0.035) & (inner < 0.02)] = Tissue.MUSCLE


def _add_skull(labels, anatomy: Anatomy, x, y, level: float, inner, depth) -> None:
    """Two tables of compact bone with marrow between, closed by a suture here and there."""
    labels[inner > 0] = Tissue.BONE
    thickness = inner - depth
    share = inner / np.maximum(thickness, 1e-3)
    spongy = (share > 0.32) & (share < 0.68) & (thickness > 0.05)
    labels[spongy & (anatomy.shape(2 * x, 2 * y, level - 3) > -0.7) & (inner > 0)] = Tissue.MARROW
    labels[depth > 0] = Tissue.CSF


def _add_brain(labels, anatomy: Anatomy, x, y, level: float, depth) -> None:
    """Folded cortex, white matter, deep nuclei, fissure, ventricles, lesion."""
    below = depth - 0.018 * anatomy.atrophy
    is_brain = below > 0
    folds = np.abs(anatomy.folds(x + 0.03 * anatomy.shape(y, x, level), y, level))
    reach = np.clip(1 - below / 0.24, 0, 1)
    sulcus = folds < 0.26 * anatomy.atrophy * reach
    cortex = (folds < 0.26 * anatomy.atrophy * reach + 0.42 * (reach > 0)) | (below < 0.035)
    fissure_x = np.abs(x + 0.012 * anatomy.shape(x, y, level + 1))
    in_fissure_plane = (level > 0.3) | (np.abs(y) > 0.42)
    labels[is_brain] = Tissue.WHITE_MATTER
    labels[is_brain & cortex] = Tissue.GRAY_MATTER
    labels[is_brain & (fissure_x < 0.05) & in_fissure_plane] = Tissue.GRAY_MATTER
    _add_nuclei(labels, x, y, level, is_brain)
    labels[is_brain & sulcus] = Tissue.CSF
    labels[is_brain & (fissure_x < 0.013 * anatomy.atrophy) & in_fissure_plane] = Tissue.CSF
    _add_ventricles(labels, anatomy, x, y, level, is_brain)
    _add_lesion(labels, anatomy, x, y, level, below)


def _add_nuclei(labels, x, y, level: float, is_brain) -> None:
    """Thalamus, putamen and caudate."""
    side = np.abs(x)
    for centre, axes in (
        ((0.11, -0.08, 0.04), (0.08, 0.16, 0.13)),
        ((0.28, 0.1, 0.0), (0.06, 0.2, 0.13)),
        ((0.15, 0.26, 0.08), (0.05, 0.1, 0.16)),
    ):
        inside = _ellipsoid(side, y, level, centre, axes) > 0
        labels[inside & is_brain] = Tissue.GRAY_MATTER


def _add_ventricles(labels, anatomy: Anatomy, x, y, level: float, is_brain) -> None:
    """Lateral ventricles with frontal and occipital horns, third ventricle, cisterns."""
    side = np.abs(x + 0.006 * anatomy.shape(y, x, level))
    size = anatomy.ventricles
    for centre, axes in (
        ((0.075 + 0.05 * np.abs(y), 0.02, 0.2), (0.055 * size, 0.34, 0.1 * size)),
        ((0.09, 0.28, 0.1), (0.045 * size, 0.13 * size, 0.13)),
        ((0.2, -0.34, 0.08), (0.05 * size, 0.16 * size, 0.14)),
        ((0.0, -0.02, 0.0), (0.018 * size, 0.14, 0.11)),
        ((0.0, -0.42, -0.36), (0.09 * size, 0.06, 0.1)),
        ((0.0, 0.16, -0.26), (0.15, 0.1, 0.07)),
    ):
        labels[(_ellipsoid(side, y, level, centre, axes) > 0) & is_brain] = Tissue.CSF


def _add_lesion(labels, anatomy: Anatomy, x, y, level: float, below) -> None:
    """A round lesion in a cuff of edema that spares the ventricles."""
    if anatomy.lesion is None:
        return
    cx, cy, cz, radius = anatomy.lesion
    distance = np.sqrt((x - cx) ** 2 + (y - cy) ** 2 + (level - cz) ** 2)
    distance = distance * (1 + 0.12 * anatomy.shape(3 * x, 3 * y, level))
    solid = (labels == Tissue.WHITE_MATTER) | (labels == Tissue.GRAY_MATTER)
    labels[solid & (labels == Tissue.WHITE_MATTER) & (distance < 1.8 * radius)] = Tissue.EDEMA
    labels[solid & (below > 0.02) & (distance < radius)] = Tissue.LESION


def _add_face_and_base(labels, anatomy: Anatomy, x, y, level: float, outside) -> None:
    """Orbits, sinuses, petrous bones and mastoid cells at the lower levels."""
    side = np.abs(x)
    head = outside > 0.02
    deep = np.clip((SKULL_BASE_LEVEL + 0.12 - level) / 0.25, 0, 1)
    face = (y > 0.62 - 0.3 * deep) & head
    labels[face & (outside > 0.05) & (level < SKULL_BASE_LEVEL)] = Tissue.MUSCLE
    ridge = np.abs(y - 0.02 + 0.55 * (side - 0.3)) < 0.06 + 0.05 * deep
    petrous = ridge & (side > 0.16) & (side < 0.62) & head & (level < SKULL_BASE_LEVEL)
    labels[petrous] = Tissue.BONE
    mastoid = _ellipsoid(side, y, level, (0.58, -0.2, -0.42), (0.13, 0.18, 0.16)) > 0
    labels[mastoid & head] = Tissue.BONE
    labels[mastoid & head & (anatomy.fine(x, y, level) > 0.2)] = Tissue.AIR
    _add_orbits(labels, side, y, level, head)
    for centre, axes in (
        ((0.0, 0.9, -0.22), (0.16, 0.06, 0.12)),
        ((0.07, 0.68, -0.4), (0.06, 0.2, 0.14)),
        ((0.0, 0.36, -0.44), (0.12, 0.09, 0.1)),
    ):
        field = _ellipsoid(side, y, level, centre, axes)
        labels[(field > -0.5) & head] = Tissue.BONE
        labels[(field > 0) & head] = Tissue.AIR


def _add_orbits(labels, side, y, level: float, head) -> None:
    """Bony orbits filled with fat, with globe, lens, optic nerve and two muscles."""
    axis = 0.33 - 0.12 * np.clip((0.72 - y) / 0.4, 0, 1)
    cone = _ellipsoid(side, y, level, (axis, 0.62, -0.4), (0.2, 0.34, 0.2))
    labels[(cone > -0.3) & head & (y < 0.86)] = Tissue.BONE
    labels[(cone > 0) & head] = Tissue.FAT
    behind = (cone > 0) & (y < 0.64)
    labels[behind & (np.abs(side - axis) < 0.022) & (abs(level + 0.4) < 0.05)] = Tissue.MUSCLE
    labels[behind & (np.abs(np.abs(side - axis) - 0.12) < 0.018)] = Tissue.MUSCLE
    globe = _ellipsoid(side, y, level, (0.33, 0.74, -0.4), (0.135, 0.135, 0.135))
    labels[(globe > -0.12) & (cone > -0.6)] = Tissue.MUSCLE
    labels[globe > 0] = Tissue.VITREOUS
    labels[_ellipsoid(side, y, level, (0.33, 0.84, -0.4), (0.055, 0.022, 0.055)) > 0] = Tissue.LENS
