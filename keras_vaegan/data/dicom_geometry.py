"""Where the slices of a DICOM series lie: their order, gaps, tilt and affine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydicom.dataset import Dataset

from keras_vaegan.data.dicom_file import read_numbers
from keras_vaegan.errors import InputError

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_MONOCHROME = ("MONOCHROME1", "MONOCHROME2")


class Slice(NamedTuple):
    """One file's header and place: position (3,), row and column directions (2, 3), spacing."""

    path: Path
    header: Dataset
    position: np.ndarray
    axes: np.ndarray
    spacing: np.ndarray


def read_slice(path: Path, header: Dataset) -> Slice:
    """A header with its place in space; colour, many frames and unusable geometry are refused."""
    photometric = str(header.get("PhotometricInterpretation") or "none")
    samples, frames = (
        read_numbers(path, header, keyword, (1,))[0]
        for keyword in ("SamplesPerPixel", "NumberOfFrames")
    )
    if samples != 1 or photometric not in _MONOCHROME:
        raise InputError(
            f"{path} is colour or unknown ({samples:g} samples, {photometric}): expected "
            f"{' or '.join(_MONOCHROME)}; choose another series"
        )
    if frames > 1:
        raise InputError(
            f"{path} holds {frames:g} frames: expected one a file; split it into single frames"
        )
    read_numbers(path, header, "Rows")
    read_numbers(path, header, "Columns")
    position = read_numbers(path, header, "ImagePositionPatient", count=3)
    axes = read_numbers(path, header, "ImageOrientationPatient", count=6).reshape(2, 3)
    spacing = read_numbers(path, header, "PixelSpacing", count=2)
    if np.abs(axes @ axes.T - np.eye(2)).max() > 0.01 or spacing.min() <= 0:
        raise InputError(
            f"{path} has axes that are not of length 1 and perpendicular, or a PixelSpacing not "
            "above 0: expected usable geometry; repair its header"
        )
    return Slice(path, header, position, axes, spacing)


def sort_slices(folder: Path, headers: list[tuple[Path, Dataset]]) -> list[Slice]:
    """Slices along their normal, each checked by itself and against the first.

    Raises:
        InputError: colour, many frames, missing or differing geometry, or a single slice.
    """
    slices = [read_slice(path, header) for path, header in headers]
    for one in slices:
        _check_alike(slices[0], one)
    if len(slices) < 2:
        raise InputError(f"{folder} holds 1 slice of the series: expected 2 or more; add them")
    normal = _find_normal(slices[0])
    return sorted(slices, key=lambda one: float(one.position @ normal))


def check_gaps(folder: Path, slices: list[Slice]) -> list[str]:
    """Refuse doubled and missing slices; note a tilt and uneven gaps.

    Args:
        folder: Where they are from, to name it.
        slices: In the order of `sort_slices`.

    Returns:
        A line for each thing that a user should know.

    Raises:
        InputError: two slices at one place, or a missing one.
    """
    normal = _find_normal(slices[0])
    positions = np.array([one.position for one in slices])
    gaps = np.diff(positions @ normal)
    closest = int(gaps.argmin())
    if gaps[closest] < 0.01:
        names = " and ".join(one.path.name for one in slices[closest : closest + 2])
        raise InputError(
            f"{folder} has two slices at one position ({names}): expected one volume; move the "
            "second echo, phase or copy away"
        )
    _check_numbering(folder, slices, gaps)
    notes = []
    step = (positions[-1] - positions[0]) / len(gaps)
    tilt = float(np.degrees(np.arccos(min(1.0, step @ normal / np.linalg.norm(step)))))
    if tilt > 0.5:
        told = _read_tilt(slices[0].header)
        cause = "gantry tilted" if abs(abs(told) - tilt) < 0.5 else "slices sheared"
        notes.append(f"{cause} by {tilt:.1f} degrees")
    if gaps.max() - gaps.min() > max(0.01, 0.01 * float(np.median(gaps))):
        notes.append(
            f"uneven spacing of slices, {gaps.min():.2f} to {gaps.max():.2f} mm: right in DICOM, "
            "in a NIfTI file slices lie at the mean spacing"
        )
    line = np.outer((positions - positions[0]) @ normal, step / (step @ normal))
    aside = np.linalg.norm(positions - positions[0] - line, axis=1).max()
    if aside > 0.1:
        notes.append(f"slices displaced sideways by up to {aside:.2f} mm")
    return notes


def build_affine(slices: Sequence[Slice]) -> np.ndarray:
    """RAS+ affine of (column, row, slice); the third axis runs from the first to the last slice."""
    first, last = slices[0], slices[-1]
    affine = np.eye(4)
    affine[:3, 0] = first.axes[0] * first.spacing[1]
    affine[:3, 1] = first.axes[1] * first.spacing[0]
    affine[:3, 2] = (last.position - first.position) / max(1, len(slices) - 1)
    affine[:3, 3] = first.position
    return LPS_TO_RAS @ affine


def _check_alike(first: Slice, other: Slice) -> None:
    """Refuse a slice of another size, direction or spacing."""
    differing = [k for k in ("Rows", "Columns") if first.header[k].value != other.header[k].value]
    if np.abs(first.axes - other.axes).max() > 1e-3:
        differing.append("ImageOrientationPatient")
    if np.abs(first.spacing - other.spacing).max() > 1e-4:
        differing.append("PixelSpacing")
    if differing:
        raise InputError(
            f"{other.path} differs from {first.path.name} in {' and '.join(differing)}: expected "
            "one stack of equal slices; move other images away"
        )


def _find_normal(one: Slice) -> np.ndarray:
    """The unit vector across a slice."""
    normal = np.cross(one.axes[0], one.axes[1])
    return normal / np.linalg.norm(normal)


def _read_tilt(header: Dataset) -> float:
    """GantryDetectorTilt in degrees, 0 where it is absent or unusable."""
    try:
        return float(read_numbers("", header, "GantryDetectorTilt", (0,))[0])
    except InputError:
        return 0.0


def _check_numbering(folder: Path, slices: list[Slice], gaps: np.ndarray) -> None:
    """Refuse a wide gap where InstanceNumber jumps too; medians are the lower of two."""
    numbers = [read_numbers(one.path, one.header, "InstanceNumber", (0,))[0] for one in slices]
    jumps = np.abs(np.diff(numbers))
    gap, jump = (np.quantile(steps, 0.5, method="lower") for steps in (gaps, jumps))
    missing = np.flatnonzero((gaps >= 1.5 * gap) & (jumps > jump))
    if len(missing):
        at = missing[0]
        raise InputError(
            f"{folder} lacks slices between InstanceNumber {numbers[at]:g} and {numbers[at + 1]:g}"
            f" ({gaps[at]:.2f} mm apart, others {gap:.2f} mm): expected the whole series; add them"
        )
