"""A derived DICOM series, written beside its source's headers."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid
from pydicom.valuerep import format_number_as_ds

from keras_vaegan import __version__
from keras_vaegan.data.dicom_file import quiet_pydicom, read_numbers
from keras_vaegan.data.dicom_geometry import build_affine, read_slice
from keras_vaegan.data.volume import Volume, measure_grid_distance
from keras_vaegan.files import atomic_folder, check_new_folder

_STORAGE_CLASSES = {"CT": CTImageStorage, "MR": MRImageStorage}
_AIR = -1024

# What a derived image takes over: nothing private, and nothing that this list does not name.
_REQUIRED = (  # of a patient and a study; empty where the source has none
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "StudyID", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
_PERSONAL = (
    *_REQUIRED, "IssuerOfPatientID", "PatientAge", "PatientSize", "PatientWeight",
    "StudyDescription", "InstitutionName", "PatientIdentityRemoved", "DeidentificationMethod",
)  # fmt: skip
_SPATIAL = (
    "BodyPartExamined", "PatientPosition", "ImageOrientationPatient", "ImagePositionPatient",
    "PixelSpacing", "SliceThickness", "SpacingBetweenSlices", "SliceLocation",
    "PositionReferenceIndicator", "LossyImageCompression", "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)  # fmt: skip
# Tags that an image of the kind must have, though a derived one knows no value.
_EMPTY: dict[str, dict[str, str | None]] = {
    "CT": {"KVP": None, "AcquisitionNumber": None},
    "MR": {
        "ScanningSequence": "RM", "SequenceVariant": "NONE", "ScanOptions": "",
        "MRAcquisitionType": "", "EchoTime": None, "RepetitionTime": None, "EchoTrainLength": None,
    },
}  # fmt: skip


class _Storage(NamedTuple):
    """How values are stored: value = stored x slope + intercept."""

    dtype: str
    slope: float
    intercept: float


def write_series(
    folder: str | Path,
    volume: Volume,
    headers: Sequence[Dataset],
    *,
    modality: str,
    description: str,
    derivation: str,
    anonymize: bool = False,
    window: tuple[float, float] | None = None,
    scale: int = 1,
    fine: bool = False,
    number: int = 0,
) -> None:
    """Write a derived series, one file a slice, whole or not at all.

    CT is stored in whole Hounsfield units: unsigned from -1024, or signed from 0 where values lie
    below. MR is stored as it is where all values are whole numbers, else in 65,535 steps of its
    range, 0 staying 0. UIDs follow from the source's and the arguments: the same every time.

    Args:
        folder: New, or empty.
        volume: On the source's grid; with `scale` its affine keeps the image's outer corners.
        headers: The source's, in the order of Z, of `read_series`.
        modality: "CT" or "MR".
        description: Name of the series, of 64 characters at most.
        derivation: How the images were made.
        anonymize: Leave out who and when, and start a new study; the frame of reference stays.
        window: (level, width) to show; from the 1st to the 99th percentile where not given.
        scale: Rows and columns of the volume for each of the source's.
        fine: Store CT as MR is, in fractions of a unit.
        number: Added to the series' number, which is the source's and 1000.

    Raises:
        InputError: the folder holds something or cannot be written, or the source lacks geometry.
        ValueError: another modality, values that are not finite, or another grid than the source's.
    """
    check_new_folder(folder)
    if modality not in _STORAGE_CLASSES:
        raise ValueError(f"modality is {modality!r}: expected CT or MR")
    if not np.isfinite(volume.values).all():
        raise ValueError("the volume holds NaN or infinite values: expected finite ones")
    with quiet_pydicom():
        _check_grid(volume, headers, scale)
        storage = _choose_storage(volume.values, "MR" if fine else modality)
        shared = Dataset()
        shared.SpecificCharacterSet = "ISO_IR 192"
        _add_patient_and_study(shared, headers[0], anonymize)
        _add_series(shared, headers[0], modality, description, derivation, (scale, anonymize))
        shared.SeriesNumber += number
        _add_storage(shared, volume, storage, window)
        with atomic_folder(folder) as temporary:
            for index, header in enumerate(headers):
                image = copy.deepcopy(shared)
                _add_place(image, header, index + 1, scale, anonymize)
                _add_pixels(image, volume.values[:, :, index].T, storage)
                image.save_as(temporary / f"{index + 1:04d}.dcm", enforce_file_format=True)


def _check_grid(volume: Volume, headers: Sequence[Dataset], scale: int) -> None:
    """Refuse a volume of another shape or place than the source's, `scale` times as fine."""
    slices = [read_slice(Path(str(header.get("filename", ""))), header) for header in headers]
    rows, columns = (int(slices[0].header[keyword].value) for keyword in ("Rows", "Columns"))
    expected = (columns * scale, rows * scale, len(slices))
    if volume.values.shape != expected:
        raise ValueError(f"the volume is {volume.values.shape}: expected {expected}")
    affine = build_affine(slices)
    affine[:3, 3] -= affine[:3, :2].sum(1) * (1 - 1 / scale) / 2  # corners of the grid stay
    affine[:3, :2] /= scale
    distance = measure_grid_distance(volume, Volume(volume.values, affine))
    if distance > 0.05:
        raise ValueError(f"the volume lies {distance:.2f} mm off the source's grid")


def _choose_storage(values: np.ndarray, modality: str) -> _Storage:
    """Type, slope and intercept for a volume."""
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    if modality == "CT":
        return _Storage("<u2", 1.0, _AIR) if low >= _AIR else _Storage("<i2", 1.0, 0)
    dtype = "<u2" if low == 0 else "<i2"
    limits = np.iinfo(dtype)
    if limits.min <= low and high <= limits.max and (values == np.round(values)).all():
        return _Storage(dtype, 1.0, 0)
    slope = max(high / limits.max, low / limits.min if low else 0.0)
    return _Storage(dtype, float(format_number_as_ds(slope)), 0)


def _copy(image: Dataset, header: Dataset, keywords: Sequence[str]) -> None:
    """Take tags over; those that cannot be read stay out."""
    for keyword in keywords:
        try:
            value = header.get(keyword)
            if value is not None:
                is_name = keyword.endswith("Name")  # decoded: pydicom keeps the source's bytes
                setattr(image, keyword, str(value) if is_name else value)
        except Exception:  # bytes that are no value of the tag's type
            continue


def _add_patient_and_study(image: Dataset, header: Dataset, anonymize: bool) -> None:
    """Who and when, or nobody in a study of its own."""
    study = str(header.get("StudyInstanceUID") or header.get("SeriesInstanceUID") or "")
    for keyword in _REQUIRED:
        setattr(image, keyword, "")
    if anonymize:
        image.PatientName = "ANONYMOUS"
        image.PatientIdentityRemoved = "YES"
        image.DeidentificationMethod = "keras-vaegan: only geometry was taken over"
        study = generate_uid(entropy_srcs=[study, "anonymous"])
    else:
        _copy(image, header, _PERSONAL)
    image.StudyInstanceUID = study or generate_uid(entropy_srcs=["study"])


def _add_series(
    image: Dataset,
    header: Dataset,
    modality: str,
    description: str,
    derivation: str,
    options: tuple[object, ...],
) -> None:
    """What all slices of the new series share."""
    source = str(header.get("SeriesInstanceUID") or "")
    made = [source, modality, derivation, *map(str, options)]
    number = read_numbers("source", header, "SeriesNumber", (0,))[0]
    image.SeriesInstanceUID = generate_uid(entropy_srcs=[*made, "series"])
    image.FrameOfReferenceUID = header.get("FrameOfReferenceUID") or generate_uid(
        entropy_srcs=[source, "frame"]
    )
    image.SOPClassUID = _STORAGE_CLASSES[modality]
    image.Modality = modality
    image.SeriesNumber = int(number) + 1000
    image.SeriesDescription = description[:64]
    image.DerivationDescription = derivation[:1024]
    image.ImageType = ["DERIVED", "SECONDARY", "AXIAL" if modality == "CT" else "OTHER"]
    image.SyntheticData = "YES"
    image.BurnedInAnnotation = "NO"
    image.Manufacturer = image.ManufacturerModelName = "keras-vaegan"
    image.SoftwareVersions = __version__
    image.RescaleType = "HU" if modality == "CT" else "US"
    for keyword, value in _EMPTY[modality].items():
        setattr(image, keyword, value)


def _add_storage(
    image: Dataset, volume: Volume, storage: _Storage, window: tuple[float, float] | None
) -> None:
    """How the pixels are stored and shown."""
    if window is None:
        low, high = (float(v) for v in np.percentile(volume.values, (1, 99)))
        window = (low + high) / 2, max(high - low, 1.0)
    image.WindowCenter, image.WindowWidth = (format_number_as_ds(float(v)) for v in window)
    image.Columns, image.Rows = volume.values.shape[:2]
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit = 15
    image.PixelRepresentation = int(storage.dtype == "<i2")
    image.RescaleSlope = format_number_as_ds(storage.slope)
    image.RescaleIntercept = format_number_as_ds(float(storage.intercept))


def _add_place(image: Dataset, header: Dataset, number: int, scale: int, anonymize: bool) -> None:
    """A slice's number, identity and place; with a scale its outer corners stay."""
    image.SliceThickness = None
    image.PositionReferenceIndicator = ""
    _copy(image, header, _SPATIAL)
    source = str(header.get("SOPInstanceUID") or number)
    image.SOPInstanceUID = generate_uid(entropy_srcs=[image.SeriesInstanceUID, source, str(number)])
    image.InstanceNumber = number
    if image.Modality == "CT":
        _copy(image, header, ("GantryDetectorTilt",))
    if "SOPInstanceUID" in header and "SOPClassUID" in header and not anonymize:
        reference = Dataset()
        reference.ReferencedSOPClassUID = header.SOPClassUID
        reference.ReferencedSOPInstanceUID = header.SOPInstanceUID
        image.SourceImageSequence = [reference]
    if scale > 1:
        one = read_slice(Path(), header)
        shift = (one.spacing[::-1] @ one.axes) * (1 - 1 / scale) / 2
        image.ImagePositionPatient = [format_number_as_ds(float(p)) for p in one.position - shift]
        image.PixelSpacing = [format_number_as_ds(float(s)) for s in one.spacing / scale]


def _add_pixels(image: Dataset, values: np.ndarray, storage: _Storage) -> None:
    """One slice (rows, columns), rounded and clipped into its type, and the file's own tags."""
    limits = np.iinfo(storage.dtype)
    stored = np.round((values.astype("float64") - storage.intercept) / storage.slope)
    stored = np.clip(stored, limits.min, limits.max).astype(storage.dtype)
    image.add_new("PixelData", "OW", stored.tobytes())
    image.file_meta = FileMetaDataset()
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
