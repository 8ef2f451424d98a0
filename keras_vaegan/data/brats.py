"""BraTS cases: a folder of contrasts, told by the words in their file names."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np

from keras_vaegan.config.data import ModalityDataConfig
from keras_vaegan.config.networks import MODALITIES
from keras_vaegan.data.intensity import IntensityRange
from keras_vaegan.data.nifti import SUFFIXES, list_nifti_files, read_nifti
from keras_vaegan.data.normalization import normalize_volumes
from keras_vaegan.data.volume import Volume, measure_grid_distance, to_canonical
from keras_vaegan.errors import InputError

GRID_TOLERANCE_MM = 0.1
SEARCH_DEPTH = 3
_WORDS = {
    "t1": {"t1", "t1n", "t1w"},
    "t1ce": {"t1ce", "t1c", "t1gd", "t1post"},
    "t2": {"t2", "t2w"},
    "flair": {"flair", "t2f", "fla"},
}
_AGENT_WORDS = {"ce", "gd", "gad", "post", "contrast"}
_SEGMENTATION_WORDS = {"seg", "segmentation", "label", "labels"}
_LABEL_WORDS = {*_SEGMENTATION_WORDS, "mask"}


@dataclass(frozen=True)
class Scan:
    """One contrast of a case, on the case's canonical grid.

    Attributes:
        path: Its file.
        stored: Its affine and, as values, an empty view of the stored shape.
        header: Its file's header.
        unit: (X, Y, Z) float32 in [0, 1], axes right, front, up; 0 outside the brain.
        range: What 0 and 1 stand for.
    """

    path: Path
    stored: Volume
    header: nibabel.Nifti1Header
    unit: np.ndarray
    range: IntensityRange


@dataclass(frozen=True)
class Case:
    """A patient's contrasts on one grid.

    Attributes:
        name: The folder's name.
        brain: (X, Y, Z) bool: what is foreground in every input.
        scans: The contrasts that were read.
    """

    name: str
    brain: np.ndarray
    scans: dict[str, Scan]


def identify_modality(name: str) -> str | None:
    """Tell a contrast by the words of a file name, never by parts of words.

    "t1" is no word of "case_t1ce.nii.gz". "t2_flair" is FLAIR, "t1_gd" is T1 with contrast agent.

    Returns:
        One of `MODALITIES`, or None for other files, among them segmentations.

    Raises:
        InputError: words of two contrasts.
    """
    words = _read_words(Path(name))
    if words & _LABEL_WORDS:
        return None
    found = [modality for modality, known in _WORDS.items() if words & known]
    if found == ["t2", "flair"]:
        found = ["flair"]
    if found == ["t1"] and words & _AGENT_WORDS:
        found = ["t1ce"]
    if len(found) > 1:
        raise InputError(f"{name} names {' and '.join(found)}: expected one contrast; rename it")
    return found[0] if found else None


def find_scans(folder: str | Path) -> dict[str, Path]:
    """Find the file of each contrast in a case folder.

    Raises:
        InputError: no such folder, or two files of one contrast.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: expected a case, with a NIfTI file a contrast")
    found: dict[str, Path] = {}
    for path in list_nifti_files(folder):
        modality = identify_modality(path.name)
        if modality in found:
            raise InputError(
                f"{folder} holds two candidates for {modality}, {found[modality].name} and "
                f"{path.name}: expected one; move the other away"
            )
        if modality:
            found[modality] = path
    return found


def find_cases(data: str | Path) -> list[Path]:
    """Find the case folders in a folder, or take it as a case itself.

    Args:
        data: A case, or a folder up to three levels above cases.

    Returns:
        Case folders by name, names unique.

    Raises:
        InputError: no case there, or two of one name.
    """
    data = Path(data)
    if not data.is_dir():
        raise InputError(f"--data {data} is no folder: expected case folders with NIfTI files")
    level = [data]
    for _ in range(SEARCH_DEPTH + 1):
        found = [folder for folder in level if find_scans(folder)]
        if found:
            break
        level = [
            child
            for folder in level
            for child in folder.iterdir()
            if child.is_dir() and not child.name.startswith(".")
        ]
    names = [folder.resolve().name for folder in found]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{data} holds two cases named {name}: expected one; rename one")
    if not found:
        raise InputError(
            f"no case in {data}: expected folders with NIfTI files named after "
            f"{', '.join(MODALITIES)}; see datasets/README.md"
        )
    return sorted(found, key=lambda folder: folder.resolve().name)


def read_case(
    folder: str | Path,
    inputs: Sequence[str],
    target: str | None = None,
    config: ModalityDataConfig | None = None,
) -> Case:
    """Read a case's contrasts, check that they share a grid, find the brain and normalise.

    Volumes that are stored in different axis orders are compared after `to_canonical`.

    Args:
        folder: Case folder.
        inputs: Contrasts that must be there; they alone tell the brain.
        target: One more contrast that must be there, or None to leave it unread.
        config: How intensities become [0, 1]; the default config's way where not given.

    Raises:
        InputError: a missing, unreadable, empty, differently shaped or placed (by more than
            0.1 mm) volume, told by name.
    """
    folder, config = Path(folder), config or ModalityDataConfig()
    wanted = [*inputs, target] if target else list(inputs)
    paths = _find_wanted(folder, wanted)
    read = {modality: read_nifti(paths[modality]) for modality in wanted}
    volumes = {modality: to_canonical(volume) for modality, (volume, _) in read.items()}
    _check_grid(volumes, paths)
    arrays = {m: np.ascontiguousarray(v.values, "float32") for m, v in volumes.items()}
    brain, ranges, units = normalize_volumes(arrays, inputs, config, _make_check(folder, paths))
    scans = {}
    for modality, (stored, header) in read.items():
        scans[modality] = Scan(
            paths[modality],
            Volume(np.broadcast_to(np.int8(0), stored.values.shape), stored.affine, stored.unit),
            header,
            np.asarray(units[modality]),
            _to_numbers(ranges[modality]),
        )
    return Case(folder.resolve().name, np.asarray(brain), scans)


def find_segmentation(folder: str | Path) -> Path | None:
    """The file of a case's segmentation, told by the words of its name; None where there is none.

    Raises:
        InputError: there are two.
    """
    files = list_nifti_files(Path(folder))
    found = [path for path in files if _read_words(path) & _SEGMENTATION_WORDS]
    if len(found) > 1:
        raise InputError(
            f"{folder} holds two segmentations, {found[0].name} and {found[1].name}: expected one; "
            "move the other away"
        )
    return found[0] if found else None


def read_tumour(folder: str | Path, case: Case) -> np.ndarray | None:
    """Where a case's segmentation has a label: (X, Y, Z) bool on the case's grid, within its brain.

    Returns:
        None where no segmentation lies beside the scans.

    Raises:
        InputError: two segmentations, or one that is unreadable or on another grid.
    """
    path = find_segmentation(folder)
    if path is None:
        return None
    volume = to_canonical(read_nifti(path)[0])
    first = next(iter(case.scans.values()))
    grid = to_canonical(first.stored)
    _check_grid({"scan": grid, "labels": volume}, {"scan": first.path, "labels": path})
    return case.brain & (np.asarray(volume.values) > 0)


def _find_wanted(folder: Path, wanted: list[str]) -> dict[str, Path]:
    """The case's files, after those that are wanted were found among them."""
    paths = find_scans(folder)
    missing = [modality for modality in wanted if modality not in paths]
    if missing:
        raise InputError(
            f"{folder} lacks {' and '.join(missing)}: expected {', '.join(wanted)}, found "
            f"{', '.join(sorted(paths)) or 'none'}; add the file"
        )
    return paths


def _check_grid(volumes: dict[str, Volume], paths: dict[str, Path]) -> None:
    """Refuse volumes of other shape or place than the first."""
    (first, reference), *others = volumes.items()
    for modality, volume in others:
        received, expected = volume.values.shape, reference.values.shape
        if received != expected:
            raise InputError(
                f"{paths[modality]} is {'x'.join(map(str, received))}: expected "
                f"{'x'.join(map(str, expected))} as {paths[first].name}; register and resample it"
            )
        distance = measure_grid_distance(reference, volume)
        if distance > GRID_TOLERANCE_MM:
            raise InputError(
                f"{paths[modality]} lies up to {distance:.3g} mm off {paths[first].name}: expected "
                f"one grid within {GRID_TOLERANCE_MM} mm; register and resample it"
            )


def _read_words(path: Path) -> set[str]:
    """The words of a file's name, in lower case, without its suffix."""
    stem = path.name.lower()
    for suffix in SUFFIXES:
        stem = stem.removesuffix(suffix)
    return set(re.split(r"[^a-z0-9]+", stem))


def _to_numbers(kept: IntensityRange) -> IntensityRange:
    """A range of tensors -> the same of plain numbers."""
    parts = {item.name: getattr(kept, item.name) for item in dataclasses.fields(kept)}
    return dataclasses.replace(kept, **{name: np.asarray(p).tolist() for name, p in parts.items()})


def _make_check(folder: Path, paths: dict[str, Path]):
    """`normalize_volumes`'s check, which puts the file's name before what it refuses."""

    def check(condition, name: str, message: str, received, result):
        if not condition:
            raise InputError(f"{paths.get(name, folder)}: {message} {float(received):g}")
        return result

    return check
