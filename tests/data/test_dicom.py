"""DICOM series: whole or refused; written so that others read them."""

import warnings

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEGLossless,
    MRImageStorage,
)

from keras_vaegan.data import dicom_output, dicom_series
from keras_vaegan.data.dicom_file import ELEMENT_BYTES
from keras_vaegan.data.dicom_output import write_series
from keras_vaegan.data.dicom_series import is_dicom_folder, read_series
from keras_vaegan.data.volume import Volume
from keras_vaegan.errors import InputError

STORED = np.random.default_rng(0).integers(0, 3000, (4, 5, 6))  # slices, rows, columns
AXIAL = (1, 0, 0, 0, 1, 0)
SAGITTAL = (0, 1, 0, 0, 0, -1)
OBLIQUE = (0.8, 0.6, 0, -0.36, 0.48, 0.8)
SPACING = (0.5, 0.75)  # between rows, between columns
ORIGIN = (-12.0, 7.5, 30.25)
PERSON = "Doe^Jane"
WORDS = {"description": "Synthetic CT", "derivation": "Synthetic: made by a network from MRI"}


def build_slice(number, stored, position, axes=AXIAL, modality="CT", series="1.2.3.4"):
    """One slice's dataset, signed 16-bit, CT rescaled by 1 and -1024."""
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID = CTImageStorage if modality == "CT" else MRImageStorage
    image.SOPInstanceUID = f"{series}.{number}"
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.SpecificCharacterSet = "ISO_IR 100"
    image.PatientName, image.PatientID, image.PatientBirthDate = PERSON, "ID7654", "19700102"
    image.InstitutionName, image.AccessionNumber = "Hôpital", "ACC99"
    image.ReferringPhysicianName, image.StudyDate = "Müller^Hans", "20200203"
    image.StudyDescription, image.OperatorsName = "Head of Jane", "Smith"
    image.Modality, image.SeriesNumber, image.InstanceNumber = modality, 3, number
    image.SeriesDescription = f"series {series}"
    image.SeriesInstanceUID, image.StudyInstanceUID = series, "1.2.3"
    image.FrameOfReferenceUID = "1.2.9"
    image.ImagePositionPatient = [round(float(p), 6) for p in position]
    image.ImageOrientationPatient = list(axes)
    image.PixelSpacing, image.SliceThickness = list(SPACING), 2.0
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Rows, image.Columns = stored.shape
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.RescaleSlope, image.RescaleIntercept = 1, -1024 if modality == "CT" else 0
    block = image.private_block(0x0019, "SECRET MAKER", create=True)
    block.add_new(0x01, "LO", "private words")
    image.PixelData = stored.astype("<u2").tobytes()
    return image


def build_series(axes=AXIAL, step=2.0, shear=0.0, **options):
    """Datasets of a stack along its normal, moved by `shear` mm a slice along the columns."""
    row, column = np.reshape(axes, (2, 3)).astype(float)
    offset = step * np.cross(row, column) + shear * column
    return [
        build_slice(i + 1, stored, np.array(ORIGIN) + i * offset, axes, **options)
        for i, stored in enumerate(STORED)
    ]


def write_files(folder, images, order=(2, 0, 3, 1)):
    """Write datasets under names in another order than theirs."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, image in enumerate(images):
        name = order[index] if index < len(order) else index
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some are unfit on purpose
            image.save_as(folder / f"im{name}", enforce_file_format=True)
    return folder


def expected_affine(axes, offset):
    """RAS+ affine by hand."""
    row, column = np.reshape(axes, (2, 3)).astype(float)
    columns = [row * SPACING[1], column * SPACING[0], offset, np.array(ORIGIN)]
    affine = np.vstack([np.stack(columns, 1), [0, 0, 0, 1]])
    affine[:2] *= -1
    return affine


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("axes", [AXIAL, SAGITTAL, OBLIQUE])
def test_a_series_is_read_and_comes_back(tmp_path, axes, modality):
    source = write_files(tmp_path / "in", build_series(axes, modality=modality))
    (source / "notes.txt").write_text("no slice")
    (source / ".hidden.dcm").write_text("no slice")
    (source / "folder").mkdir()
    series = read_series(source)
    shift = -1024 if modality == "CT" else 0
    normal = np.cross(*np.reshape(axes, (2, 3)))
    np.testing.assert_array_equal(series.volume.values, STORED.transpose(2, 1, 0) + shift)
    np.testing.assert_allclose(series.volume.affine, expected_affine(axes, 2 * normal), atol=1e-5)
    assert series.volume.values.dtype == "float32"
    assert series.volume.unit == ("hounsfield" if modality == "CT" else "arbitrary")
    assert series.notes == ()
    assert [header.InstanceNumber for header in series.headers] == [1, 2, 3, 4]
    assert not any("PixelData" in header for header in series.headers)

    out = tmp_path / "new" / "out"
    write_series(out, series.volume, series.headers, modality=modality, **WORDS)
    again = read_series(out)
    assert [path.name for path in sorted(out.iterdir())] == [f"000{i}.dcm" for i in (1, 2, 3, 4)]
    np.testing.assert_array_equal(again.volume.values, series.volume.values)
    np.testing.assert_allclose(again.volume.affine, series.volume.affine, atol=1e-4)
    assert again.volume.unit == series.volume.unit


def test_what_is_written(tmp_path):
    series = read_series(write_files(tmp_path / "in", build_series()))
    for name in ("a", "b"):
        write_series(
            tmp_path / name, series.volume, series.headers, modality="CT", window=(40, 80), **WORDS
        )
    image, twin = (pydicom.dcmread(tmp_path / name / "0002.dcm") for name in ("a", "b"))
    assert image == twin  # the same identity each time
    source = series.headers[1]
    for keyword in ("StudyInstanceUID", "PatientID", "AccessionNumber", "FrameOfReferenceUID"):
        assert image[keyword].value == source[keyword].value
    assert str(image.PatientName) == PERSON
    assert (image.InstitutionName, str(image.ReferringPhysicianName)) == ("Hôpital", "Müller^Hans")
    assert image.SOPInstanceUID == image.file_meta.MediaStorageSOPInstanceUID
    assert image.SOPInstanceUID != source.SOPInstanceUID
    assert image.SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert image.SeriesInstanceUID != source.SeriesInstanceUID
    assert image.ImageType == ["DERIVED", "SECONDARY", "AXIAL"]
    assert image.SeriesDescription == WORDS["description"]
    assert image.DerivationDescription == WORDS["derivation"]
    assert (image.SeriesNumber, image.InstanceNumber) == (1003, 2)
    assert (image.WindowCenter, image.WindowWidth) == (40, 80)
    assert (image.RescaleIntercept, image.PixelRepresentation) == (-1024, 0)
    assert image.BurnedInAnnotation == "NO" and image.SyntheticData == "YES"
    assert not any(element.tag.is_private for element in image) and "OperatorsName" not in image
    uids = {pydicom.dcmread(path).SOPInstanceUID for path in (tmp_path / "a").iterdir()}
    assert len(uids) == 4


@pytest.mark.parametrize(
    ("modality", "low", "high", "error", "signed"),
    [
        ("CT", -1000, 3000, 0.5, 0), ("CT", 0, 80, 0.5, 0), ("CT", -1500, 1800, 0.5, 1),
        ("MR", 0, 1, 1e-5, 0), ("MR", -2, 3, 1e-4, 1), ("MR", 0, 1e6, 8, 0),
    ],
)  # fmt: skip
def test_values_are_stored_finely(tmp_path, modality, low, high, error, signed):
    source = read_series(write_files(tmp_path / "in", build_series()))
    values = np.linspace(low, high, STORED.size, dtype="float32").reshape(6, 5, 4)
    volume = Volume(values, source.volume.affine)
    write_series(tmp_path / "out", volume, source.headers, modality=modality, **WORDS)
    back = read_series(tmp_path / "out").volume.values
    assert np.abs(back - values).max() <= error * 1.0001
    image = pydicom.dcmread(tmp_path / "out" / "0001.dcm")
    assert image.PixelRepresentation == signed
    assert low <= image.WindowCenter <= high
    assert (modality == "CT") == (image.RescaleSlope == 1)


@pytest.mark.parametrize("axes", [AXIAL, SAGITTAL, OBLIQUE])
def test_simpleitk_agrees(tmp_path, axes):
    sitk = pytest.importorskip("SimpleITK")
    source = read_series(write_files(tmp_path / "in", build_series(axes)))
    write_series(tmp_path / "out", source.volume, source.headers, modality="CT", **WORDS)
    assert_simpleitk_agrees(sitk, tmp_path / "out", source.volume)


def assert_simpleitk_agrees(sitk, folder, volume):
    """Size, place and values of a second reader."""
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    assert image.GetSize() == volume.values.shape
    columns = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    ras = np.diag([-1, -1, 1]) @ np.column_stack([columns, image.GetOrigin()])
    np.testing.assert_allclose(ras, volume.affine[:3], atol=1e-4)
    values = sitk.GetArrayFromImage(image).transpose(2, 1, 0)
    np.testing.assert_allclose(values, volume.values, atol=0.5)


def test_a_tilted_gantry_shears_the_affine(tmp_path):
    shear = 2 * np.tan(np.radians(15))
    images = build_series(shear=shear)
    series = read_series(write_files(tmp_path / "in", images))
    assert series.notes == ("slices sheared by 15.0 degrees",)
    np.testing.assert_allclose(series.volume.affine[:3, 2], [0, -shear, 2], atol=1e-5)
    for image, tilt in zip(images, ["-15", "x", "3", "4"], strict=True):
        image.GantryDetectorTilt = tilt if tilt != "x" else None
    series = read_series(write_files(tmp_path / "in", images))
    assert series.notes == ("gantry tilted by 15.0 degrees",)
    write_series(tmp_path / "out", series.volume, series.headers, modality="CT", **WORDS)
    again = read_series(tmp_path / "out")
    assert again.notes == series.notes
    np.testing.assert_allclose(again.volume.affine, series.volume.affine, atol=1e-4)


def test_an_unreadable_tag_that_is_not_needed_stays_out(tmp_path):
    source = write_files(tmp_path / "in", build_series())
    for path in source.iterdir():
        content = path.read_bytes()
        path.write_bytes(content.replace(b"DS\x04\x002.0 ", b"DS\x04\x00thin"))
    series = read_series(source)
    write_series(tmp_path / "out", series.volume, series.headers, modality="CT", **WORDS)
    assert pydicom.dcmread(tmp_path / "out" / "0001.dcm").SliceThickness is None


@pytest.mark.parametrize("last", [8.5, 6.1])
def test_uneven_spacing_is_noted(tmp_path, last):
    images = build_series()
    images[3].ImagePositionPatient[2] = ORIGIN[2] + last
    series = read_series(write_files(tmp_path / "in", images))
    (note,) = series.notes
    assert note.startswith(f"uneven spacing of slices, 2.00 to {last - 4:.2f} mm: ")
    assert series.volume.affine[2, 2] == pytest.approx(last / 3)


def test_slices_aside_are_noted(tmp_path):
    images = build_series()
    images[1].ImagePositionPatient[0] += 3
    series = read_series(write_files(tmp_path / "in", images))
    assert series.notes == ("slices displaced sideways by up to 3.00 mm",)


def test_positions_a_micron_off_are_even(tmp_path):
    images = build_series()
    images[3].ImagePositionPatient[2] += 0.001
    assert read_series(write_files(tmp_path / "in", images)).notes == ()


def test_a_file_without_preamble_is_read_when_named_dcm(tmp_path):
    for index, image in enumerate(build_series()):
        del image.file_meta
        image.save_as(tmp_path / f"{index}.dcm", implicit_vr=True, little_endian=True)
    assert is_dicom_folder(tmp_path)
    values = read_series(tmp_path).volume.values
    np.testing.assert_array_equal(values, STORED.transpose(2, 1, 0) - 1024)


def test_monochrome1_is_inverted_but_for_ct(tmp_path):
    for modality, expected in (("MR", 4095 - STORED), ("CT", STORED - 1024)):
        images = build_series(modality=modality)
        for image in images:
            image.PhotometricInterpretation = "MONOCHROME1"
        values = read_series(write_files(tmp_path / modality, images)).volume.values
        np.testing.assert_array_equal(values, expected.transpose(2, 1, 0))


def test_other_objects_are_passed_over(tmp_path):
    source = write_files(tmp_path / "in", build_series())
    report = build_series(series="1.2.5")[0]
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    del report.Rows, report.PixelData
    write_files(source, [report], order=(9,))
    (source / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    assert read_series(source).volume.values.shape == (6, 5, 4)


def test_dicom_is_told_by_content(tmp_path):
    assert not is_dicom_folder(tmp_path)
    assert not is_dicom_folder(tmp_path / "absent")
    (tmp_path / "a.dcm").write_text("words " * 100)
    (tmp_path / "b.dcm").write_bytes(b"")
    assert not is_dicom_folder(tmp_path)
    write_files(tmp_path / "sub", build_series())
    assert not is_dicom_folder(tmp_path)
    assert is_dicom_folder(tmp_path / "sub")


def test_several_series_are_listed_and_chosen(tmp_path):
    write_files(tmp_path, build_series())
    write_files(tmp_path, build_series(SAGITTAL, series="1.2.7")[:3], order=(7, 8, 9))
    listed = r"--series: 1.2.3.4 \(series 1.2.3.4, 4 slices\); 1.2.7 \(series 1.2.7, 3 slices\)"
    for uid, word in ((None, "holds 2 series"), ("1.9", "holds no series 1.9")):
        with pytest.raises(InputError, match=f"{word}.*{listed}") as caught:
            read_series(tmp_path, uid)
        assert "\n" not in str(caught.value)
    assert read_series(tmp_path, "1.2.7").volume.values.shape == (6, 5, 3)


def set_frames(images):
    for image in images:
        image.NumberOfFrames = 2


def drop_one(images):
    """Five slices without the third."""
    images[2].ImagePositionPatient[2] += 2
    images[3].ImagePositionPatient[2] += 2
    images[2].InstanceNumber, images[3].InstanceNumber = 4, 5


def drop_of_three(images):
    """Four slices without the second; one gap of two is wide."""
    del images[3], images[1]
    images.append(build_slice(4, STORED[3], np.array(ORIGIN) + [0, 0, 6]))


def set_tag(keyword, value, index=1):
    return lambda images: setattr(images[index], keyword, value)


def delete_tag(keyword):
    return lambda images: delattr(images[1], keyword)


def compress(syntax):
    def change(images):
        images[1].file_meta.TransferSyntaxUID = syntax
        images[1].PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xd9"])
        images[1]["PixelData"].is_undefined_length = True

    return change


def change_size(images):
    images[1].Rows, images[1].Columns = 6, 5


def set_floats(images):
    """Pixels of the rare float kind."""
    images[1].FloatPixelData = np.full(30, np.nan, "<f4").tobytes()
    images[1].BitsAllocated = 32
    del images[1].PixelData


def keep_one(images):
    del images[1:]


HOSTILE = {
    "colour": (set_tag("SamplesPerPixel", 3), "colour"),
    "palette": (set_tag("PhotometricInterpretation", "PALETTE COLOR"), "PALETTE COLOR"),
    "frames": (set_frames, "2 frames"),
    "no position": (delete_tag("ImagePositionPatient"), "lacks ImagePositionPatient"),
    "no orientation": (delete_tag("ImageOrientationPatient"), "lacks ImageOrientationPatient"),
    "no spacing": (delete_tag("PixelSpacing"), "lacks PixelSpacing"),
    "no rows": (delete_tag("Rows"), "lacks Rows"),
    "no uid": (delete_tag("SeriesInstanceUID"), "lacks SeriesInstanceUID"),
    "empty position": (set_tag("ImagePositionPatient", None), "lacks ImagePositionPatient"),
    "two coordinates": (set_tag("ImagePositionPatient", [1, 2]), "expected 3 finite numbers"),
    "NaN position": (set_tag("ImagePositionPatient", ["nan", "0", "0"]), "ImagePositionPatient"),
    "infinite spacing": (set_tag("PixelSpacing", ["inf", "1"]), "PixelSpacing inf, 1"),
    "zero spacing": (set_tag("PixelSpacing", [0, 1]), "not above 0"),
    "long axes": (set_tag("ImageOrientationPatient", [2, 0, 0, 0, 1, 0]), "perpendicular"),
    "size": (change_size, "in Rows and Columns"),
    "orientation": (
        set_tag("ImageOrientationPatient", [1, 0, 0, 0, 0.999995, 0.00316]),
        "in ImageOrientationPatient",
    ),
    "spacing": (set_tag("PixelSpacing", [0.5, 0.76]), "in PixelSpacing"),
    "one position": (set_tag("ImagePositionPatient", list(ORIGIN)), "two slices at one position"),
    "one slice": (keep_one, "1 slice"),
    "missing": (drop_one, "lacks slices between InstanceNumber 2 and 4"),
    "missing of three": (drop_of_three, "InstanceNumber 1 and 3"),
    "JPEG": (compress(JPEGLossless), "pylibjpeg-libjpeg"),
    "video": (compress("1.2.840.10008.1.2.4.100"), "MPEG2.*uncompressed DICOM first"),
    "NaN pixels": (set_floats, "NaN or infinite pixels"),
    "no pixels": (delete_tag("PixelData"), "cannot be decoded"),
    "cut pixels": (set_tag("PixelData", bytes(20)), "cannot be decoded"),
    "NaN slope": (set_tag("RescaleSlope", "nan"), "RescaleSlope nan"),
    "NaN intercept": (set_tag("RescaleIntercept", "nan"), "RescaleIntercept nan"),
    "no slope": (set_tag("RescaleSlope", 0), "RescaleSlope 0"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_series_are_refused_in_one_line(tmp_path, monkeypatch, name):
    change, word = HOSTILE[name]
    if name == "JPEG":  # whatever is installed here
        monkeypatch.setattr(pydicom.pixels.decoders.base.Decoder, "is_available", False)
    images = build_series()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        change(images)
    write_files(tmp_path, images)
    with pytest.raises(InputError, match=word) as caught:
        read_series(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_long_elements_that_no_slice_needs_are_left_out(tmp_path):
    expected = read_series(write_files(tmp_path / "short", build_series()))
    images = build_series()
    for image in images:
        image.add_new(0x00091010, "OB", bytes(ELEMENT_BYTES + 2))
    read = read_series(write_files(tmp_path / "long", images))
    assert all("PatientID" in header and 0x00091010 not in header for header in read.headers)
    np.testing.assert_array_equal(read.volume.values, expected.volume.values)


def test_a_deflated_series_is_read_like_a_plain_one(tmp_path):
    images = build_series()
    expected = read_series(write_files(tmp_path / "plain", images))
    for image in images:
        image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    read = read_series(write_files(tmp_path / "deflated", images))
    np.testing.assert_array_equal(read.volume.values, expected.volume.values)
    assert read.headers == expected.headers


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_deflated_slice_that_is_cut_is_refused(tmp_path, kept):
    images = build_series()
    for image in images:
        image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    cut = write_files(tmp_path, images) / "im1"
    cut.write_bytes(cut.read_bytes()[: int(cut.stat().st_size * kept)])
    with pytest.raises(InputError, match="im1") as caught:
        read_series(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_value_that_is_no_number_is_refused(tmp_path):
    write_files(tmp_path, build_series())
    content = (tmp_path / "im1").read_bytes()
    (tmp_path / "im1").write_bytes(content.replace(b"0.5\\0.75", b"half\\one"))
    with pytest.raises(InputError, match="unreadable PixelSpacing"):
        read_series(tmp_path)


def test_an_unknown_compression_is_refused(tmp_path):
    write_files(tmp_path, build_series())
    content = (tmp_path / "im1").read_bytes()
    (tmp_path / "im1").write_bytes(
        content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.55555.1.2.1\0")
    )
    with pytest.raises(InputError, match="1.2.840.55555.1.2.1.*convert it"):
        read_series(tmp_path)


def test_a_table_of_values_is_applied(tmp_path):
    images = build_series(modality="MR")
    for image in images:
        table = Dataset()
        table.LUTDescriptor = [4096, 0, 16]
        table.ModalityLUTType = "US"
        table.add_new("LUTData", "OW", (np.arange(4096) // 2).astype("<u2").tobytes())
        image.ModalityLUTSequence = [table]
        del image.RescaleSlope, image.RescaleIntercept
    values = read_series(write_files(tmp_path, images)).volume.values
    np.testing.assert_array_equal(values, STORED.transpose(2, 1, 0) // 2)


@pytest.mark.parametrize("kept", [140, 500, -20])
def test_a_truncated_file_is_refused(tmp_path, kept):
    write_files(tmp_path, build_series())
    content = (tmp_path / "im1").read_bytes()
    (tmp_path / "im1").write_bytes(content[:kept])
    with pytest.raises(InputError, match="im1|lacks"):
        read_series(tmp_path)


def test_folders_without_a_series_are_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_series(tmp_path / "absent")
    (tmp_path / "a.dcm").write_text("words")
    with pytest.raises(InputError, match="no DICOM file"):
        read_series(tmp_path)
    write_files(tmp_path, build_series())
    with pytest.raises(InputError, match="a.dcm is empty or holds no DICOM"):
        read_series(tmp_path)


def test_plugins_are_named():
    assert dicom_series._name_plugin("JPEG-LS Lossless Image Compression").endswith("libjpeg")
    assert dicom_series._name_plugin("High-Throughput JPEG 2000 Image Compression").endswith(
        "openjpeg"
    )
    assert dicom_series._name_plugin("RLE Lossless").endswith("rle")


def test_an_anonymous_series_names_nobody(tmp_path):
    series = read_series(write_files(tmp_path / "in", build_series()))
    write_series(
        tmp_path / "out", series.volume, series.headers, modality="MR", anonymize=True, **WORDS
    )
    personal = (
        "Doe", "Jane", "ID7654", "19700102", "pital", "ACC99", "ller^Hans", "20200203", "Smith",
        "SECRET", "private", "1.2.3.",
    )  # fmt: skip
    for path in (tmp_path / "out").iterdir():
        content = path.read_bytes()
        assert not [word for word in personal if word.encode() in content]
        image = pydicom.dcmread(path)
        assert image.PatientName == "ANONYMOUS" and image.PatientID == ""
        assert image.PatientIdentityRemoved == "YES" and image.DeidentificationMethod
        assert image.StudyInstanceUID != "1.2.3" and image.FrameOfReferenceUID == "1.2.9"
    again = read_series(tmp_path / "out")
    np.testing.assert_allclose(again.volume.affine, series.volume.affine, atol=1e-4)


def scaled(volume, scale):
    """The volume on a grid `scale` times as fine in plane, of equal corners."""
    values = volume.values.repeat(scale, 0).repeat(scale, 1)
    shrink = np.diag([1 / scale, 1 / scale, 1, 1])
    shrink[:2, 3] = (1 / scale - 1) / 2
    return Volume(values, volume.affine @ shrink, volume.unit)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("axes", [AXIAL, OBLIQUE])
def test_a_finer_grid_keeps_the_corners(tmp_path, axes, scale):
    series = read_series(write_files(tmp_path / "in", build_series(axes)))
    volume = scaled(series.volume, scale)
    write_series(tmp_path / "out", volume, series.headers, modality="CT", scale=scale, **WORDS)
    again = read_series(tmp_path / "out").volume
    np.testing.assert_array_equal(again.values, volume.values)
    for corner in np.ndindex(2, 2, 2):
        places = [
            (v.affine @ [*(np.array(corner) * v.values.shape - [0.5, 0.5, 0]), 1])
            for v in (series.volume, again)
        ]
        np.testing.assert_allclose(*places, atol=1e-4)


def test_nothing_is_written_on_failure(tmp_path, monkeypatch):
    series = read_series(write_files(tmp_path / "in", build_series()))
    volume, headers, out = series.volume, series.headers, tmp_path / "out"
    moved = Volume(volume.values, volume.affine + np.eye(4, k=3))
    broken = Volume(volume.values * np.nan, volume.affine)
    for wrong, word, options in (
        (volume, "modality", {"modality": "PT"}),
        (volume, "expected", {"scale": 2}),
        (Volume(volume.values[1:], volume.affine), "expected", {}),
        (moved, "off the source's grid", {}),
        (broken, "NaN", {}),
    ):
        with pytest.raises(ValueError, match=word):
            write_series(out, wrong, headers, **{"modality": "CT", **WORDS, **options})
    with pytest.raises(InputError, match="not empty"):
        write_series(tmp_path / "in", volume, headers, modality="CT", **WORDS)

    def fail(image, header, number, *rest):
        if number == 3:
            raise OSError(28, "No space left on device")
        return place(image, header, number, *rest)

    place = dicom_output._add_place
    monkeypatch.setattr(dicom_output, "_add_place", fail)
    with pytest.raises(InputError, match="No space left"):
        write_series(out, volume, headers, modality="CT", **WORDS)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_bare_source_is_enough(tmp_path):
    images = build_series()
    images[0].SliceLocation = 3
    bare = ("StudyInstanceUID", "FrameOfReferenceUID", "PatientName", "SeriesNumber",
            "InstanceNumber", "RescaleSlope", "RescaleIntercept", "SliceThickness")  # fmt: skip
    for image in images:
        for keyword in bare:
            delattr(image, keyword)
    series = read_series(write_files(tmp_path / "in", images))
    assert series.volume.values.min() >= 0
    write_series(tmp_path / "out", series.volume, series.headers, modality="CT", **WORDS)
    image = pydicom.dcmread(tmp_path / "out" / "0001.dcm")
    assert image.SliceThickness is None and image.SliceLocation == 3
    assert "SliceLocation" not in pydicom.dcmread(tmp_path / "out" / "0002.dcm")
    assert image.StudyInstanceUID and image.FrameOfReferenceUID and image.SeriesNumber == 1000
    assert read_series(tmp_path / "out").volume.values.shape == (6, 5, 4)


def test_a_real_head_comes_back(tmp_path, real_data):
    folder = real_data / "dicom" / "ct_head"
    if not folder.is_dir():
        pytest.skip(f"no DICOM series at {folder}")
    series = read_series(folder)
    assert is_dicom_folder(folder)
    assert series.volume.values.shape == (512, 512, 14)
    assert series.notes == ("gantry tilted by 18.5 degrees",)
    assert series.volume.unit == "hounsfield"
    write_series(tmp_path / "out", series.volume, series.headers, modality="CT", **WORDS)
    again = read_series(tmp_path / "out")
    np.testing.assert_allclose(again.volume.affine, series.volume.affine, atol=1e-4)
    np.testing.assert_array_equal(again.volume.values, series.volume.values)
    assert again.notes == series.notes
