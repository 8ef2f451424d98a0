"""A procedural head: analytic shapes and smooth noise, evaluated on any plane.

Coordinates are in mm of a template head, shared by all cases: x to the right of the picture, y to
the face, z to the vertex; the origin lies in the middle of the brain at its widest level. A case
scales, bends and furnishes the template its own way.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from keras_vaegan.phantom.shapes import Plane, Waves, bump, ellipsoid, join, make_waves, step

LOWEST_Z, HIGHEST_Z = -34.0, 60.0
CAVITY_RADII = (66.0, 82.0, 74.0)
CAVITY_RADIUS_DOWN = 120.0
# Places and radii of rods: the lateral ventricle's path from front to back, and its lower horn.
_VENTRICLES = (
    (
        ((13, 37, 7), 2.2), ((6, 22, 11), 3.8), ((9, 6, 20), 4.2), ((13, -14, 23), 4.5),
        ((21, -30, 17), 5.5), ((25, -40, 8), 5.5), ((22, -58, 5), 2.5),
    ),
    (((25, -40, 8), 5.5), ((31, -20, -12), 2.5), ((29, -2, -18), 2)),
)  # fmt: skip


class Tissue(IntEnum):
    """What a point of the head is made of."""

    AIR = 0
    SKIN = 1
    FAT = 2
    MUSCLE = 3
    CORTICAL_BONE = 4
    MARROW = 5
    CSF = 6
    GREY_MATTER = 7
    WHITE_MATTER = 8
    VITREOUS = 9
    LENS = 10
    DURA = 11
    OEDEMA = 12
    BLOOD = 13
    TUMOUR = 14
    CALCIFICATION = 15


@dataclass(frozen=True)
class Lesion:
    """An ellipsoid with a rim, of a stroke, a haemorrhage or a tumour.

    Attributes:
        centre, radii: (3,) mm.
        core, rim: Tissues; the rim is as thick as 40 % of the radii.
    """

    centre: tuple[float, ...]
    radii: tuple[float, ...]
    core: Tissue
    rim: Tissue


@dataclass(frozen=True)
class Head:
    """One case's anatomy.

    Attributes:
        scale: (3,) size of the case relative to the template.
        skull, fat, skin, muscle: Thickness in mm.
        egg: How much wider the back of the head is than its front.
        pia: Depth of the brain's surface below the skull in mm.
        sulcus_width, sulcus_depth: Half width at the surface and depth of the sulci in mm.
        cortex: Thickness of the grey matter in mm.
        ventricles: Size of the ventricles relative to the template.
        sinuses: Size of the frontal sinuses relative to the template.
        calcified: Whether the pineal gland and the choroid plexus are calcified.
        lesion: The lesion, or None.
        bend, thickness, folds, folia, fine: Noise that bends the whole head, varies thickness,
            places the sulci and the cerebellum's folia, and divides bone and soft tissue.
    """

    scale: np.ndarray
    skull: float
    fat: float
    skin: float
    muscle: float
    egg: float
    pia: float
    sulcus_width: float
    sulcus_depth: float
    cortex: float
    ventricles: float
    sinuses: float
    calcified: bool
    lesion: Lesion | None
    bend: tuple[Waves, ...]
    thickness: Waves
    folds: Waves
    folia: Waves
    fine: Waves


def make_head(rng: np.random.Generator) -> Head:
    """Draw a case.

    Args:
        rng: Source of everything that varies.

    Returns:
        The anatomy. About a quarter of the cases have a lesion.
    """
    age = rng.uniform()
    return Head(
        scale=rng.uniform(0.95, 1.05) * rng.uniform(0.95, 1.05, 3),
        skull=rng.uniform(5.0, 8.5),
        fat=rng.uniform(2.5, 6.0),
        skin=rng.uniform(1.6, 2.4),
        muscle=rng.uniform(6.0, 12.0),
        egg=rng.uniform(0.0, 0.08),
        pia=0.8 + 1.6 * age + rng.uniform(0, 0.5),
        sulcus_width=0.35 + 0.75 * age + rng.uniform(0, 0.2),
        sulcus_depth=rng.uniform(13, 19),
        cortex=rng.uniform(2.6, 3.3),
        ventricles=0.7 + 0.6 * age + rng.uniform(0, 0.25),
        sinuses=rng.uniform(0.6, 1.2),
        calcified=bool(rng.uniform() < 0.4),
        lesion=_make_lesion(rng) if rng.uniform() < 0.25 else None,
        bend=tuple(make_waves(rng, 70, 140, 16) for _ in range(3)),
        thickness=make_waves(rng, 50, 100, 16),
        folds=make_waves(rng, 17, 28, 64),
        folia=make_waves(rng, 6, 9, 48),
        fine=make_waves(rng, 10, 18, 48),
    )


def draw_tissues(head: Head, plane: Plane) -> np.ndarray:
    """Cut a head with a plane.

    Args:
        head: The case.
        plane: Pixel grid in mm of the case, before the case's scale.

    Returns:
        (H, W) uint8 of `Tissue` values.
    """
    points = plane.points() / head.scale[:, None, None].astype("float32")
    points += 1.6 * np.stack([waves.evaluate(plane) for waves in head.bend])
    space = _Space(head, plane, points)
    labels = np.full(points.shape[1:], Tissue.AIR, "uint8")
    _paint_shell(labels, space)
    brain = (space.depth > 0) & (space.base > 0)
    _paint_brain(labels, space, brain)
    _paint_deep_structures(labels, space, brain)
    if space.z.min() < 0:
        _paint_skull_base(labels, space)
    if space.z.min() < -8:
        _paint_face(labels, space)
    return labels


class _Space:
    """The coordinates of a cut, and the distances that several tissues share."""

    def __init__(self, head: Head, plane: Plane, points: np.ndarray) -> None:
        self.head, self.plane = head, plane
        self.x, self.y, self.z = points
        self.side = np.abs(self.x)  # most structures come in pairs
        self.shell = self._distance_to_cavity()
        self.depth = -self.shell
        # Positive in the cavity, negative in the face and the sphenoid bone below it.
        orbits = self.ellipsoid((29, 62, -33), (23, 34, 19))
        ethmoid = self.ellipsoid((0, 60, -35), (16, 38, 13))
        sphenoid = self.ellipsoid((0, 18, -37), (17, 16, 13))
        self.base = join(orbits, ethmoid, sphenoid)
        self.variation = head.thickness.evaluate(plane)
        self.skull = head.skull * (1 + 0.15 * self.variation) + bump(self.x, 0, 16) * (
            0.5 + 2.5 * step(self.y, -60, -78) * step(self.z, 0, -25)
        )
        temple = step(self.side, 26, 46) * bump(self.y, 24, 26) * step(self.z, 28, -12)
        neck = 0.8 * step(self.y, -30, -75) * step(self.z, -16, -36)
        self.muscle = head.muscle * temple + 0.9 * head.muscle * neck
        fat = head.fat * (1 - 0.25 * self.variation)
        self.surface = self.skull + self.muscle + fat + head.skin

    def _distance_to_cavity(self) -> np.ndarray:
        """Signed distance to the inside of the skull in mm, positive outside."""
        width, length, height = CAVITY_RADII
        radius = np.where(self.z > 0, height, CAVITY_RADIUS_DOWN)
        x = self.x / (1 - self.head.egg * self.y / length)
        return ellipsoid((x, self.y, self.z), (0, 0, 0), (width, length, radius))

    def ellipsoid(self, centre, radii) -> np.ndarray:
        """Signed distance to an ellipsoid, one on each side where its centre is off the middle."""
        x = self.side if centre[0] else self.x
        return ellipsoid((x, self.y, self.z), centre, radii)

    def capsule(self, start, end, start_radius, end_radius) -> np.ndarray:
        """Signed distance to a rod with round ends and a linearly varying radius."""
        x = self.side if start[0] or end[0] else self.x
        start = np.asarray(start, "float32")
        axis = np.asarray(end, "float32") - start
        offset = (x - start[0], self.y - start[1], self.z - start[2])
        share = sum(o * a for o, a in zip(offset, axis, strict=True)) / (axis @ axis)
        share = np.clip(share, 0, 1)
        squared = sum((o - share * a) ** 2 for o, a in zip(offset, axis, strict=True))
        return np.sqrt(squared) - (start_radius + share * (end_radius - start_radius))


def _paint_shell(labels: np.ndarray, space: _Space) -> None:
    """Scalp, muscles and skull; what lies within starts as CSF."""
    head, shell = space.head, space.shell
    labels[shell < space.surface] = Tissue.SKIN
    labels[shell < space.surface - head.skin] = Tissue.FAT
    labels[shell < space.skull + space.muscle] = Tissue.MUSCLE
    labels[shell < space.skull] = Tissue.CORTICAL_BONE
    tables = 1.9 + 0.3 * space.variation
    labels[(shell > tables) & (shell < space.skull - tables)] = Tissue.MARROW
    labels[shell < 0] = Tissue.CSF


def _paint_brain(labels: np.ndarray, space: _Space, brain: np.ndarray) -> None:
    """Cortex folded by sulci and fissures, white matter inside, the falx between."""
    head, side, y, z = space.head, space.side, space.y, space.z
    pia = join(space.depth - head.pia, space.base - 0.8)
    # The callosum and what lies below it joins the hemispheres.
    joined = -ellipsoid((0 * y, y, z), (0, -4, -4), (1, 42, 32))
    fissure = np.hypot(side, np.maximum(0, joined))
    depth = join(pia, fissure)
    floor = head.sulcus_depth * (1 + 0.25 * space.variation)
    sulcus = np.hypot(head.folds.distance_to_zero(space.plane), np.maximum(0, depth - floor))
    sulcus -= head.sulcus_width * np.clip(1.2 - depth / floor, 0.2, 1.2)
    sylvian = join(
        space.ellipsoid((52, 14, 1), (17, 2.2 + head.sulcus_width, 11)),
        space.ellipsoid((40, 4, 2), (1.4 + head.sulcus_width, 17, 12)),
    )
    surface = join(pia, fissure - 0.7 - 0.4 * head.sulcus_width, sulcus, sylvian)
    labels[brain & (surface > 0)] = Tissue.GREY_MATTER
    labels[brain & (surface > head.cortex)] = Tissue.WHITE_MATTER
    falx = brain & (side < 0.7) & (joined < -6) & ((z > 8) | (np.abs(y) > 48))
    labels[falx] = Tissue.DURA


def _paint_deep_structures(labels: np.ndarray, space: _Space, brain: np.ndarray) -> None:
    """Nuclei, cerebellum, brain stem, lesion, ventricles and cisterns."""
    head = space.head
    nuclei = join(
        space.ellipsoid((11, -10, 6), (9, 15, 9)),
        space.ellipsoid((14, 24, 10), (5, 9, 10)),
        space.ellipsoid((27, 6, 4), (5, 17, 10)),
    )
    labels[brain & (nuclei < 0)] = Tissue.GREY_MATTER
    if space.z.min() < 5:
        _paint_hindbrain(labels, space, brain)
    if head.lesion is not None:
        _paint_lesion(labels, space, head.lesion)
    size = head.ventricles
    rods = [
        space.capsule(start, end, first * size**0.7, last * size**0.7)
        for line in _VENTRICLES
        for (start, first), (end, last) in zip(line, line[1:], strict=False)
    ]
    cavity = join(*rods, space.ellipsoid((0, -2, 1), (1.2 + 1.3 * size, 14, 11)))
    septum = (space.side < 0.8) & (space.y > 0) & (space.z > 4)
    labels[brain & (cavity < 0) & ~septum] = Tissue.CSF
    if head.calcified:
        pineal = space.ellipsoid((0, -26, 4), (2.5, 2.5, 3))
        plexus = space.ellipsoid((23, -38, 10), (2.2, 3.5, 3))
        labels[brain & (join(pineal, plexus) < 0)] = Tissue.CALCIFICATION


def _paint_hindbrain(labels: np.ndarray, space: _Space, brain: np.ndarray) -> None:
    """Cerebellum below the tentorium, brain stem, and the cisterns around them."""
    head, gap = space.head, 0.6 + 0.4 * space.head.pia
    cisterns = join(
        space.ellipsoid((0, 7, -17), (10, 9, 8)), space.ellipsoid((0, -30, -3), (11, 3.5, 6))
    )
    pons = space.ellipsoid((0, -13, -30), (18, 14, 15))
    midbrain = space.capsule((6, -16, -8), (2, -24, -52), 8, 8)
    peduncles = space.capsule((6, -13, -24), (15, -6, 0), 6, 6)
    stem = join(pons, midbrain, peduncles)
    cerebellum = np.maximum(
        space.ellipsoid((0, -50, -38), (50, 31, 27)), 0.6 * head.pia - space.depth
    )
    labels[brain & ((cerebellum < gap) | (cisterns < 0))] = Tissue.CSF
    labels[brain & (stem < gap) & (space.z < -6)] = Tissue.CSF
    folia = head.folia.distance_to_zero(space.plane)
    inside = brain & (cerebellum < 0)
    labels[inside] = Tissue.GREY_MATTER
    labels[inside & (folia < 0.2) & (cerebellum > -7)] = Tissue.CSF
    core = join(
        space.ellipsoid((19, -46, -34), (17, 13, 9)), space.ellipsoid((0, -40, -32), (12, 8, 8))
    )
    labels[inside & ((core < 0) | ((cerebellum < -4) & (folia > 1.1)))] = Tissue.WHITE_MATTER
    labels[brain & (stem < 0)] = Tissue.WHITE_MATTER
    fourth = space.ellipsoid((0, -36, -30), (3 + 3 * head.ventricles, 4.5, 9))
    labels[brain & (fourth < 0)] = Tissue.CSF


def _paint_lesion(labels: np.ndarray, space: _Space, lesion: Lesion) -> None:
    """A ragged core with a rim, within the brain only."""
    points = (space.x, space.y, space.z)
    distance = ellipsoid(points, lesion.centre, lesion.radii)
    distance += 0.15 * min(lesion.radii) * space.head.fine.evaluate(space.plane)
    parenchyma = np.isin(labels, (Tissue.GREY_MATTER, Tissue.WHITE_MATTER))
    labels[parenchyma & (distance < 0.4 * min(lesion.radii))] = lesion.rim
    labels[parenchyma & (distance < 0)] = lesion.core


def _paint_skull_base(labels: np.ndarray, space: _Space) -> None:
    """Orbital roofs, sphenoid and petrous bones with their air cells."""
    head = space.head
    labels[(space.base < 0) & (space.shell < 0)] = Tissue.MUSCLE
    labels[(space.base < 0) & (space.base > -3) & (space.shell < 0)] = Tissue.CORTICAL_BONE
    body = (space.base < 0) & (space.side < 15) & (space.y < 36) & (space.shell < 0)
    labels[body] = Tissue.MARROW
    labels[body & (space.base > -2)] = Tissue.CORTICAL_BONE
    petrous = space.capsule((62, -26, -38), (13, -2, -36), 12, 5)
    wing = space.capsule((60, 26, -28), (14, 30, -24), 5, 4)
    clivus = space.capsule((0, 0, -30), (0, -10, -52), 6, 6)
    labels[(join(petrous, wing, clivus) < 0) & (space.shell < 1)] = Tissue.CORTICAL_BONE
    septa = head.fine.distance_to_zero(space.plane)
    mastoid = space.ellipsoid((60, -28, -38), (13, 14, 13))
    labels[(mastoid < 0) & (space.shell < 3) & (septa > 0.8)] = Tissue.AIR
    canal = space.capsule((82, -18, -36), (58, -18, -36), 3, 3)
    labels[canal < 0] = Tissue.AIR


def _paint_face(labels: np.ndarray, space: _Space) -> None:
    """Air sinuses, nose, ears and orbits."""
    head, fine = space.head, space.head.fine.distance_to_zero(space.plane)
    within = space.shell < space.surface - head.skin
    size = head.sinuses
    frontal = space.ellipsoid((9, 84, -8), (10 * size, 4 * size + 1, 12 * size))
    labels[(frontal < 1.5) & within] = Tissue.CORTICAL_BONE
    labels[(frontal < 0) & (space.side > 0.8) & within] = Tissue.AIR
    nose = space.ellipsoid((0, 98, -43), (10, 17, 20))
    labels[(nose < 0) & ~(space.shell < space.surface)] = Tissue.SKIN
    labels[(nose < -3) & (space.side > 1) & (space.shell > space.skull)] = Tissue.FAT
    bones = space.capsule((4, 86, -24), (5, 99, -40), 1.8, 1.5)
    labels[bones < 0] = Tissue.CORTICAL_BONE
    ear = space.ellipsoid((79, -20, -38), (3, 14, 20)) + 0.8 * space.variation
    labels[(ear < 0) & ~(space.shell < space.surface)] = Tissue.SKIN
    _paint_orbits(labels, space, within)
    air = join(
        space.ellipsoid((0, 54, -34), (12, 30, 14)), space.ellipsoid((0, 22, -36), (14, 11, 9))
    )
    labels[(air < 0.9) & within] = Tissue.CORTICAL_BONE
    walls = (fine < 0.45) | (space.side < 0.7)
    labels[(air < 0) & ~walls & within] = Tissue.AIR
    labels[(air < 0) & walls & (space.variation > 0.3) & within] = Tissue.SKIN  # mucosa


def _paint_orbits(labels: np.ndarray, space: _Space, within: np.ndarray) -> None:
    """Bony cone filled with fat; eyeball with its lens, optic nerve and muscles."""
    apex, eye, front = (14, 28, -30), (31, 63, -31), (33, 80, -31)
    cone = join(space.capsule(apex, eye, 4, 16), space.capsule(eye, front, 16, 15))
    labels[(cone < 2.4) & (space.shell < space.skull)] = Tissue.CORTICAL_BONE
    labels[(cone < 0) & within] = Tissue.FAT
    nerve = space.capsule(apex, (31, 54, -31), 1.8, 2.0)
    medial = space.capsule((15, 30, -30), (20, 60, -31), 1.2, 1.6)
    lateral = space.capsule((18, 28, -30), (42, 58, -31), 1.2, 1.6)
    labels[join(nerve, medial, lateral) < 0] = Tissue.MUSCLE
    globe = space.ellipsoid(eye, (12.5, 12.5, 12.5))
    labels[globe < 0] = Tissue.MUSCLE
    labels[globe < -1.3] = Tissue.VITREOUS
    labels[space.ellipsoid((31, 71, -31), (4.8, 2.4, 4.8)) < 0] = Tissue.LENS


def _make_lesion(rng: np.random.Generator) -> Lesion:
    """Draw a lesion somewhere in the hemispheres."""
    side = rng.choice([-1, 1])
    centre = (side * rng.uniform(18, 45), rng.uniform(-50, 45), rng.uniform(-5, 45))
    radii = tuple(rng.uniform(7, 17, 3))
    core = (Tissue.OEDEMA, Tissue.BLOOD, Tissue.TUMOUR)[rng.integers(3)]
    return Lesion(tuple(map(float, centre)), radii, core, Tissue.OEDEMA)
