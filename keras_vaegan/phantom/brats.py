"""Four MRI contrasts of phantom heads as skull-stripped NIfTI cases, laid out like BraTS."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
from pydantic import Field

from keras_vaegan.config.base import Positive, Seed, frozen_config
from keras_vaegan.config.networks import MODALITIES
from keras_vaegan.data.nifti import write_nifti
from keras_vaegan.data.volume import Volume
from keras_vaegan.files import check_new_folder, staged_entries
from keras_vaegan.phantom.heads import Head, Lesion, Tissue, draw_tissues, make_head
from keras_vaegan.phantom.shapes import Plane, Waves, make_waves

GRID_MM = (240, 240, 155)
CENTRE_MM = (120.0, 121.0, 68.0)  # the phantom's origin, from the right front lower corner
FINE_FACTOR = 2
BRAIN_HALF_MM = (82, 100)
BRAIN_HEIGHTS_MM = (-62.0, 84.0)
TUMOUR_SHARE = 0.7
NAMES = {"t1": "t1n", "t1ce": "t1c", "t2": "t2w", "flair": "t2f"}  # as BraTS 2023 has them

# T1 and T2 in ms, proton density, and the contrast agent taken up, of each tissue of the brain.
_RELAXATION = {
    Tissue.CSF: (4000, 1200, 1.00, 0.00),
    Tissue.GREY_MATTER: (1200, 100, 0.84, 0.03),
    Tissue.WHITE_MATTER: (600, 78, 0.72, 0.02),
    Tissue.DURA: (900, 60, 0.60, 1.00),
    Tissue.OEDEMA: (1450, 170, 0.90, 0.04),
    Tissue.BLOOD: (600, 70, 0.80, 0.10),
    Tissue.TUMOUR: (1900, 210, 0.92, 0.05),
    Tissue.CALCIFICATION: (700, 40, 0.25, 0.60),
}
_RIM_AGENT = 1.0  # taken up by a tumour's rim, where the barrier to the blood is broken
_RIM_MM = 3.5
_CLOSING_MM = 6.0
_SHORTENING_MS = 420.0  # T1 of a tissue that is full of contrast agent


@frozen_config
class BratsPhantomSet:
    """What `write_phantom_cases` is asked for.

    Attributes:
        count: Cases.
        size: Voxels along the first two axes, which span 240 mm; the third has 155/240 of it.
        seed: Seed of everything.
    """

    count: Positive = 20
    size: Annotated[int, Field(ge=16, le=240)] = 240
    seed: Seed = 0


def write_phantom_cases(out: str | Path, settings: BratsPhantomSet, processes: int = 1) -> int:
    """Write a folder a case, with a NIfTI file a contrast (int16, LPS, 1 mm at full size).

    Files do not change when `count` grows.

    Args:
        out: Folder to write into; it must be absent or empty.
        settings: What to write.
        processes: Cases drawn at a time.

    Returns:
        Cases written.

    Raises:
        InputError: the folder holds files, or the place cannot be written to.
    """
    out = Path(out)
    check_new_folder(out)
    with staged_entries(out) as staging:
        write = partial(_write_case, staging, settings)
        if processes > 1:
            with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
                list(pool.map(write, range(settings.count)))
        else:
            for index in range(settings.count):
                write(index)
    return settings.count


def render_case(seed: int, case: int, size: int = 240) -> dict[str, Volume]:
    """Render one head's brain in the four contrasts.

    The contrasts follow from T1, T2, proton density and contrast agent by the spin-echo and
    inversion-recovery equations, so that none is a function of another: fluid and oedema are
    both bright in T2, and only oedema in FLAIR.

    Args:
        seed, case: Identify the head; whole numbers from 0.
        size: Voxels along the first two axes.

    Returns:
        A volume a contrast: (size, size, 155 * size / 240) int16 in LPS, 0 outside the brain.

    Reference: Bernstein et al. 2004, "Handbook of MRI Pulse Sequences", for the equations.
    """
    rng = np.random.default_rng([seed, case, 7])
    head = _with_tumour(make_head(np.random.default_rng([seed, case])), rng)
    spacing = GRID_MM[0] / size
    shape = (size, size, max(1, round(GRID_MM[2] * size / GRID_MM[0])))
    pose = _Pose(rng, head, shape, spacing)
    scanner = _Scanner(rng)
    volumes = {name: np.zeros(shape, "float32") for name in MODALITIES}
    for level, plane in pose.cut():
        tissues = draw_tissues(head, plane)
        brain = _find_brain(tissues, plane, spacing)
        if brain.any():
            for name, picture in scanner.expose(tissues, plane, brain, spacing).items():
                volumes[name][pose.rows, pose.columns, level] = picture
    affine = np.diag([-spacing, -spacing, spacing, 1.0])
    affine[:2, 3] = (0, GRID_MM[1] - 1)
    gains = rng.uniform(300, 3000, len(MODALITIES))
    return {
        name: Volume(_to_int16(gain * volumes[name]), affine)
        for name, gain in zip(MODALITIES, gains, strict=True)
    }


class _Pose:
    """Where the slices of a case lie in the head: registered to an atlas, nearly.

    `rows` and `columns` are those of a volume that the slices cover.
    """

    def __init__(self, rng, head: Head, shape, spacing: float) -> None:
        spin, nod = np.radians(rng.normal(0, 1.5, 2))
        centre = np.array(CENTRE_MM) + rng.uniform(-2, 2, 3)
        turn = np.array(
            [[np.cos(spin), -np.sin(spin), 0], [np.sin(spin), np.cos(spin), 0], [0, 0, 1.0]]
        )
        lean = np.array(
            [[1.0, 0, 0], [0, np.cos(nod), -np.sin(nod)], [0, np.sin(nod), np.cos(nod)]]
        )
        self.left, self.back, self.up = (turn @ lean @ np.diag([-1.0, -1.0, 1.0])).T
        self.heights = (np.arange(shape[2]) + 0.5) * spacing - centre[2]
        self.limits = head.scale[2] * np.array(BRAIN_HEIGHTS_MM)
        starts = np.maximum(0, np.round((centre[:2] - BRAIN_HALF_MM) / spacing)).astype(int)
        ends = np.minimum(shape[:2], np.round((centre[:2] + BRAIN_HALF_MM) / spacing)).astype(int)
        self.rows, self.columns = map(slice, starts, ends)
        self.fine = [
            (np.arange(start * FINE_FACTOR, end * FINE_FACTOR) + 0.5) / FINE_FACTOR * spacing - c
            for start, end, c in zip(starts, ends, centre, strict=False)
        ]

    def cut(self) -> Iterator[tuple[int, Plane]]:
        """Every slice that may hold brain: its number, and its plane on the fine grid."""
        for level, height in enumerate(self.heights):
            if self.limits[0] < height < self.limits[1]:
                yield level, Plane(self.up * height, self.left, self.back, *self.fine)


class _Scanner:
    """One case's sequences: timing, tissue variation, coil sensitivity and noise."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.jitter = {tissue: rng.normal(1, 0.02, 3) for tissue in _RELAXATION}
        self.variation = [make_waves(rng, 25, 60, 24) for _ in range(2)]
        self.sensitivity = {name: make_waves(rng, 220, 400, 8) for name in MODALITIES}
        self.timing = {
            "t1": (rng.uniform(500, 650), rng.uniform(10, 16)),
            "t2": (rng.uniform(4000, 6000), rng.uniform(85, 105)),
            "flair": (rng.uniform(8500, 10000), rng.uniform(100, 125)),
        }
        self.noise = rng.uniform(0.008, 0.016)

    def expose(self, tissues, plane: Plane, brain, spacing: float) -> dict[str, np.ndarray]:
        """Pictures of a slice in the four contrasts: float32, white matter in T1 near 0.5."""
        t1, t2, density, agent = self._measure(tissues, plane, spacing)
        with_agent = 1 / (1 / t1 + agent / _SHORTENING_MS)
        (tr1, te1), (tr2, te2), (tr3, te3) = (self.timing[k] for k in ("t1", "t2", "flair"))
        nulled = tr3 - te3
        inversion = 4000 * (np.log(2) - np.log1p(np.exp(-nulled / 4000)))  # nulls fluid
        signals = {
            "t1": density * (1 - np.exp(-tr1 / t1)) * np.exp(-te1 / t2),
            "t1ce": density * (1 - np.exp(-tr1 / with_agent)) * np.exp(-te1 / t2),
            "t2": density * (1 - np.exp(-tr2 / t1)) * np.exp(-te2 / t2),
            "flair": np.abs(density * (1 - 2 * np.exp(-inversion / t1) + np.exp(-nulled / t1)))
            * np.exp(-te3 / t2),
        }
        return {name: self._take(name, s, plane, brain) for name, s in signals.items()}

    def _measure(self, tissues, plane: Plane, spacing: float):
        """Maps of T1, T2, density and agent on the fine grid."""
        table = np.ones((len(Tissue), 4), "float32")
        for tissue, values in _RELAXATION.items():
            table[tissue] = values
            table[tissue, :3] *= self.jitter[tissue]
        maps = list(np.moveaxis(table[tissues], -1, 0))
        soft = tissues != Tissue.CSF
        for index, waves in enumerate(self.variation):
            maps[index] = maps[index] * (1 + 0.04 * soft * waves.evaluate(plane))
        tumour = (tissues == Tissue.TUMOUR).astype("uint8")
        if tumour.any():
            rim = (tumour > 0) & (cv2.erode(tumour, _make_disc(_RIM_MM, spacing)) == 0)
            maps[3] = np.where(rim, _RIM_AGENT, maps[3])
            maps[0] = np.where(rim, 0.75 * maps[0], maps[0])
            maps[1] = np.where(rim, 0.6 * maps[1], maps[1])
        return maps

    def _take(self, name: str, signal, plane: Plane, brain) -> np.ndarray:
        """Blur, coil, average to voxels, noise; 0 outside the brain and above 0 inside."""
        signal = cv2.GaussianBlur(signal.astype("float32"), (0, 0), 0.45 * FINE_FACTOR)
        signal *= np.exp(0.04 * _coarse(self.sensitivity[name], plane))
        picture = cv2.resize(signal, brain.shape[::-1], interpolation=cv2.INTER_AREA)
        sigma = self.noise * (0.35 if name == "flair" else 0.5)
        noise = self.rng.normal(size=(2, *picture.shape)) * sigma
        return np.where(brain, np.maximum(np.hypot(picture + noise[0], noise[1]), 0.004), 0)


def _coarse(waves: Waves, plane: Plane) -> np.ndarray:
    """Slow noise, evaluated on every eighth pixel and interpolated."""
    sparse = dataclasses.replace(plane, rows=plane.rows[::8], columns=plane.columns[::8])
    size = (len(plane.columns), len(plane.rows))
    return cv2.resize(waves.evaluate(sparse), size, interpolation=cv2.INTER_LINEAR)


def _with_tumour(head: Head, rng: np.random.Generator) -> Head:
    """Give most heads a tumour in its oedema; the others keep the lesion they have, or none."""
    if rng.uniform() > TUMOUR_SHARE:
        return head
    centre = (rng.choice([-1, 1]) * rng.uniform(18, 42), rng.uniform(-45, 40), rng.uniform(0, 40))
    radii = tuple(map(float, rng.uniform(9, 19, 3)))
    lesion = Lesion(tuple(map(float, centre)), radii, Tissue.TUMOUR, Tissue.OEDEMA)
    return dataclasses.replace(head, lesion=lesion)


def _find_brain(tissues: np.ndarray, plane: Plane, spacing: float) -> np.ndarray:
    """Strip the skull: what a closing of the parenchyma holds, on the voxel grid."""
    parenchyma = (
        Tissue.GREY_MATTER, Tissue.WHITE_MATTER, Tissue.OEDEMA, Tissue.BLOOD, Tissue.TUMOUR,
        Tissue.CALCIFICATION,
    )  # fmt: skip
    solid = np.isin(tissues, parenchyma).astype("uint8")
    closed = cv2.morphologyEx(solid, cv2.MORPH_CLOSE, _make_disc(_CLOSING_MM, spacing))
    contours, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(closed, contours, -1, 1, cv2.FILLED)
    closed = closed & np.isin(tissues, (*parenchyma, Tissue.CSF, Tissue.DURA)).astype("uint8")
    size = (len(plane.columns) // FINE_FACTOR, len(plane.rows) // FINE_FACTOR)
    return cv2.resize(closed.astype("float32"), size, interpolation=cv2.INTER_AREA) >= 0.5


def _make_disc(radius_mm: float, spacing: float) -> np.ndarray:
    """A disc of the fine grid, for morphology."""
    side = 2 * round(radius_mm * FINE_FACTOR / spacing) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))


def _to_int16(values: np.ndarray) -> np.ndarray:
    """Round to int16; what is above 0 stays above 0."""
    rounded = np.clip(np.round(values), 0, 32767)
    return np.where(values > 0, np.maximum(rounded, 1), 0).astype("int16")


def _write_case(folder: Path, settings: BratsPhantomSet, index: int) -> None:
    """Write case `index`."""
    name = f"phantom-{index:05d}"
    for modality, volume in render_case(settings.seed, index, settings.size).items():
        write_nifti(folder / name / f"{name}-{NAMES[modality]}.nii.gz", volume)
