"""Drawn heads stored in any order of axes, and DICOM series of them."""

from __future__ import annotations

import itertools

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage

from keras_vaegan.data.volume import Volume

ORIENTATIONS = list(
    itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3))
)
FEW = [((0, 1, 2), (1, 1, 1)), ((0, 1, 2), (-1, -1, 1)), ((1, 2, 0), (-1, -1, -1)),
       ((2, 0, 1), (1, -1, 1))]  # fmt: skip
PERSON = "Doe^Jane"


def store(values, order=(0, 1, 2), signs=(1, 1, 1), spacing=(1, 1, 1), origin=(-20, -25, -10)):
    """A volume of values (right, front, up), its axes stored in this order and direction."""
    affine = np.diag([0.0, 0, 0, 1])
    affine[:3, 3] = origin
    for axis, (along, sign) in enumerate(zip(order, signs, strict=True)):
        affine[along, axis] = sign * spacing[along]
        if sign < 0:
            affine[along, 3] += spacing[along] * (values.shape[along] - 1)
    flip = tuple(slice(None, None, sign) for sign in signs)
    return Volume(values.transpose(order)[flip], affine)


def draw_head(shape=(32, 32, 16), radius=0.75, seed=0):
    """(right, front, up) in [0, 1]: a bright shell around gray tissue; the outer slices blank."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, side) for side in shape), indexing="ij")
    distance = np.sqrt((x / radius) ** 2 + (y / radius) ** 2 + (z / 0.9) ** 2)
    tissue = 0.5 + 0.15 * x + 0.1 * y + np.random.default_rng(seed).normal(0, 0.02, shape)
    return np.where(distance < 0.85, tissue, 0.95) * (distance < 1)


def build_series(values, axes=(1, 0, 0, 0, 1, 0), step=2.0, modality="CT", series="1.2.3.4"):
    """Datasets, one a slice, of whole values (slices, rows, columns) along the slices' normal."""
    axes = np.array(axes, float).reshape(2, 3)
    return [
        _build_slice(i + 1, rows, -20 + i * step * np.cross(*axes), axes, modality, series)
        for i, rows in enumerate(values)
    ]


def _build_slice(number, values, position, axes, modality, series):
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID = CTImageStorage if modality == "CT" else MRImageStorage
    image.SOPInstanceUID = f"{series}.{number}"
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.PatientName, image.PatientID = PERSON, "ID7654"
    image.Modality, image.SeriesNumber, image.InstanceNumber = modality, 3, number
    image.SeriesInstanceUID, image.StudyInstanceUID = series, "1.2.3"
    image.FrameOfReferenceUID = "1.2.9"
    image.ImagePositionPatient = [float(p) for p in position]
    image.ImageOrientationPatient = [float(a) for a in axes.ravel()]
    image.PixelSpacing, image.SliceThickness = [0.5, 0.75], 2.0
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Rows, image.Columns = values.shape
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
    image.RescaleSlope, image.RescaleIntercept = 1, -1024 if modality == "CT" else 0
    image.PixelData = (values - image.RescaleIntercept).astype("<u2").tobytes()
    return image


def write_series_files(folder, images):
    """Write datasets into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for image in images:
        name = f"{image.SeriesInstanceUID}-{image.InstanceNumber}.dcm"
        image.save_as(folder / name, enforce_file_format=True)
    return folder
