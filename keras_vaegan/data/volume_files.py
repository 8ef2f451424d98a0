"""Volumes as users have them, NIfTI files and DICOM series folders: read, and written alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from keras_vaegan.data.image import SUFFIXES as IMAGE_SUFFIXES
from keras_vaegan.data.image import select_images
from keras_vaegan.data.nifti import SUFFIXES, list_nifti_files, read_nifti, write_nifti
from keras_vaegan.data.volume import Volume
from keras_vaegan.errors import InputError

SMALLEST_SIDE = 16  # of a plane, in voxels
NO_FOLDER = (*IMAGE_SUFFIXES, ".dcm", ".gz")


@dataclass(frozen=True)
class StoredVolume:
    """A volume together with what a file like its own needs.

    Attributes:
        path: NIfTI file or folder of a DICOM series.
        volume: Its values and place.
        nifti: Header of a NIfTI file, or None.
        dicom: Headers of a series' slices, or None.
        notes: What a user should know of its geometry.
    """

    path: Path
    volume: Volume
    nifti: nibabel.Nifti1Header | None = None
    dicom: Sequence[Any] | None = None
    notes: tuple[str, ...] = ()

    @property
    def modality(self) -> str:
        """What a DICOM series calls itself, such as "CT" or "MR"; empty where nothing is told."""
        return str(self.dicom[0].get("Modality", "")) if self.dicom else ""


@dataclass(frozen=True)
class Derivation:
    """What a derived volume is, for its header.

    Attributes:
        modality: "CT" or "MR".
        title: In a few words, such as "synthetic CT".
        text: How it came about, one sentence.
        window: Level and width to show it by; None where unknown.
        scale: In-plane pixels for each of the source's.
        anonymize: Leave out what tells the patient and the study.
        fine: Keep fractions of the unit in DICOM too, where CT else is in whole numbers.
        number: Added to the derived series' number.
    """

    modality: str
    title: str
    text: str
    window: tuple[float, float] | None = None
    scale: int = 1
    anonymize: bool = False
    fine: bool = False
    number: int = 0


def is_nifti_name(path: Path) -> bool:
    """Whether a path is named as a NIfTI file is."""
    return path.name.lower().endswith(SUFFIXES)


def find_volumes(path: Path) -> list[Path] | None:
    """The volumes that a path means; None where it means images, or nothing.

    Args:
        path: NIfTI file, folder of NIfTI files, or folder of DICOM series. A folder of DICOM files
            that also holds PNG images or the like is one of images.
    """
    from keras_vaegan.data.dicom_series import is_dicom_folder

    if not path.is_dir():
        return [path] if is_nifti_name(path) and path.exists() else None
    files = list_nifti_files(path)
    if files or select_images(path.iterdir()):
        return files or None
    return [path] if is_dicom_folder(path) else None


def read_volume(path: Path, series: str | None = None) -> StoredVolume:
    """Read a NIfTI file or a DICOM series.

    Args:
        path: File, or folder of a series.
        series: SeriesInstanceUID, for a folder of several.

    Raises:
        InputError: it cannot be read whole, or is smaller than 16 voxels in its largest planes.
    """
    from keras_vaegan.data.dicom_series import read_series

    if path.is_dir():
        read = read_series(path, series)
        stored = StoredVolume(path, read.volume, dicom=read.headers, notes=read.notes)
    else:
        if series is not None:
            raise InputError(
                f"--series {series} with the file {path}: expected it with a DICOM folder; drop it"
            )
        volume, header = read_nifti(path)
        told = int(header["qform_code"]) or int(header["sform_code"])
        notes = () if told else ("it tells no orientation: axes are taken as left, front, up",)
        stored = StoredVolume(path, volume, nifti=header, notes=notes)
    shape = stored.volume.values.shape
    if min(sorted(shape)[1:]) < SMALLEST_SIDE:
        raise InputError(
            f"{path} has {'x'.join(map(str, shape))} voxels: expected planes of at least "
            f"{SMALLEST_SIDE}; use a larger one"
        )
    return stored


def plan_output(source: Path, output: Path, is_folder: bool) -> Path:
    """Where a volume made from one goes.

    Args:
        source: NIfTI file or folder of a DICOM series.
        output: As the user gave it: a NIfTI name, a folder for a series or for a NIfTI file.
        is_folder: Whether `output` holds the results of several files.

    Raises:
        InputError: an output that has no place for a volume, or the input itself.
    """
    target = output
    if not source.is_dir() and not is_nifti_name(output):
        if output.suffix and not output.is_dir():
            raise InputError(
                f"--output {output}: expected a name ending in {' or '.join(SUFFIXES)}, or a "
                "folder, as --input is a NIfTI file, which tells no patient; rename it"
            )
        target = output / source.name
    elif is_folder:
        target = output / source.name
    elif source.is_dir() and not is_nifti_name(output) and output.suffix.lower() in NO_FOLDER:
        raise InputError(
            f"--output {output}: expected a folder for a DICOM series, or a name ending in "
            f"{' or '.join(SUFFIXES)}; rename it"
        )
    if target.resolve() == source.resolve():
        raise InputError(f"--output {target} is the input itself: choose another name")
    if source.is_dir() and not is_nifti_name(target):
        from keras_vaegan.files import check_new_folder

        check_new_folder(target)
    return target


def write_like(path: Path, values: np.ndarray, source: StoredVolume, made: Derivation) -> None:
    """Write values on a volume's grid, as a NIfTI file or as a derived DICOM series.

    Args:
        path: NIfTI name, or new folder for a series.
        values: (X, Y, Z) in the source's stored order, `made.scale` times its in-plane voxels;
            float values whose dtype is kept in NIfTI files.
        source: What they were made from.
        made: What they are.

    Raises:
        InputError: the place cannot be written to.
    """
    affine = enlarge_affine(source.volume, made.scale)
    unit = "hounsfield" if made.modality == "CT" else "arbitrary"
    volume = Volume(values, affine, unit)
    if is_nifti_name(path):
        write_nifti(path, volume, _make_header(source, volume, made))
        return
    from keras_vaegan.data.dicom_output import write_series

    assert source.dicom is not None
    write_series(
        path,
        volume,
        source.dicom,
        modality=made.modality,
        description=made.title,
        derivation=made.text,
        anonymize=made.anonymize,
        window=made.window,
        scale=made.scale,
        fine=made.fine,
        number=made.number,
    )


def enlarge_affine(volume: Volume, scale: int) -> np.ndarray:
    """The affine of a volume with `scale` times the voxels in its axial plane; corners stay."""
    steps = np.ones(3)
    steps[find_plane_axes(volume)] = 1 / scale
    shift = np.eye(4)
    shift[:3, :3] = np.diag(steps)
    shift[:3, 3] = (steps - 1) / 2
    return volume.affine @ shift


def find_plane_axes(volume: Volume) -> list[int]:
    """The two stored axes of the axial plane: those that run least along the body."""
    along = nibabel.orientations.io_orientation(volume.affine)[:, 0]
    return [axis for axis in range(3) if along[axis] != 2]


def _make_header(source: StoredVolume, volume: Volume, made: Derivation) -> nibabel.Nifti1Header:
    """A NIfTI header for a derived volume, with the codes of its source's, if it has any."""
    if source.nifti is None:
        header = nibabel.Nifti1Header()
        header.set_xyzt_units("mm")
        codes = (1, 1)
    else:
        header = source.nifti.copy()
        codes = (int(header["qform_code"]), int(header["sform_code"]))
        if made.anonymize:
            for field in {"db_name", "aux_file", "intent_name"} & set(header.keys()):
                header[field] = b""
            header.extensions.clear()
    header.set_data_shape(volume.values.shape)
    header.set_data_dtype(volume.values.dtype)
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0
    header["descrip"] = made.title.encode()[:79]
    if source.nifti is None or made.scale > 1:
        header.set_sform(volume.affine, codes[1] or 1)
        header.set_qform(volume.affine, codes[0] or 1, strip_shears=True)
        if not np.allclose(header.get_qform(), volume.affine, atol=1e-3):  # a tilted gantry's shear
            header["qform_code"] = 0
    return header
