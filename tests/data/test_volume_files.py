"""Volumes of users: found, read, and written on their own grid."""

import itertools

import nibabel
import numpy as np
import pydicom
import pytest

from keras_vaegan.data.image import write_image
from keras_vaegan.data.nifti import write_nifti
from keras_vaegan.data.volume import Volume
from keras_vaegan.data.volume_files import (
    Derivation,
    find_volumes,
    plan_output,
    read_volume,
    write_like,
)
from keras_vaegan.errors import InputError

VALUES = np.random.default_rng(0).integers(-900, 3000, (18, 20, 6)).astype("int16")
CT = Derivation("CT", "synthetic CT", "Made by a network")
MR = Derivation("MR", "synthetic MRI", "Made by a network")
OBLIQUE = (0.8, 0.6, 0, -0.36, 0.48, 0.8)
TILTED = (0.96, 0.28, 0, -0.28, 0.96, 0)
SAGITTAL = (0, 1, 0, 0, 0, -1)


def turn(affine, degrees=25):
    turned = np.eye(4)
    turned[:3, :3] = nibabel.eulerangles.euler2mat(*np.radians([degrees, -10, degrees]))
    return turned @ affine


def list_corners(affine, shape):
    """The outer corners of a grid, in mm."""
    corners = np.array(list(itertools.product(*((-0.5, side - 0.5) for side in shape), [1])))
    return corners @ affine.T


def write_source(path, kind=nibabel.Nifti1Image, dtype="int16", order=None, affine=None):
    values = VALUES.astype(dtype)
    image = kind(values, np.diag([-1.0, -1.5, 3, 1]) if affine is None else affine)
    image.header["descrip"] = b"Jane Doe, scanner 7"
    image.header.set_xyzt_units("mm", "sec")
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"Jane Doe"))
    image.to_filename(path)
    return path


# -- finding and placing -----------------------------------------------------------------------


def test_volumes_are_told_from_images(tmp_path, volumes):
    write_image(tmp_path / "images" / "a.png", np.zeros((20, 20), "uint8"))
    names = ("b.nii", "a.NII.GZ", ".hidden.nii", "c.txt")
    (tmp_path / "nifti").mkdir()
    for name in names:
        (tmp_path / "nifti" / name).write_bytes(b"")
    series = volumes.write_series_files(tmp_path / "dicom", volumes.build_series(VALUES.T))
    (tmp_path / "empty").mkdir()
    assert find_volumes(tmp_path / "nifti") == [
        tmp_path / "nifti" / n for n in ("a.NII.GZ", "b.nii")
    ]
    assert find_volumes(tmp_path / "nifti" / "b.nii") == [tmp_path / "nifti" / "b.nii"]
    assert find_volumes(series) == [series]
    for name in ("images", "images/a.png", "empty", "absent", "absent.nii.gz", "nifti/c.txt"):
        assert find_volumes(tmp_path / name) is None
    write_image(series / "view.png", np.zeros((20, 20), "uint8"))
    assert find_volumes(series) is None


def test_outputs_have_their_place(tmp_path):
    source, scan = tmp_path / "a.nii.gz", tmp_path / "scan"
    source.touch()
    scan.mkdir()
    (tmp_path / "old.d").mkdir()
    for given, several, expected in (
        ("b.nii", False, "b.nii"),
        ("out", False, "out/a.nii.gz"),
        ("out", True, "out/a.nii.gz"),
        ("old.d", False, "old.d/a.nii.gz"),
    ):
        assert plan_output(source, tmp_path / given, several) == tmp_path / expected
    for given in ("out", "out.v2", "b.nii.gz", "old.d"):
        assert plan_output(scan, tmp_path / given, False) == tmp_path / given


@pytest.mark.parametrize(
    ("source", "output", "word"),
    [
        ("a.nii", "a.png", "expected a name ending in .nii.gz or .nii"),
        ("a.nii", "a.dcm", "expected a name ending in .nii.gz or .nii"),
        ("a.nii", "a.nii", "is the input itself"),
        ("a.nii", ".", "is the input itself"),
        ("scan", "b.png", "expected a folder for a DICOM series"),
        ("scan", "b.gz", "expected a folder for a DICOM series"),
        ("scan", "b.dcm", "expected a folder for a DICOM series"),
        ("scan", "scan", "is the input itself"),
        ("scan", ".", "not empty"),
        ("scan", "file", "is a file"),
    ],
)
def test_places_for_no_volume_are_refused(tmp_path, source, output, word):
    (tmp_path / "scan").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "a.nii").touch()
    with pytest.raises(InputError, match=word):
        plan_output(tmp_path / source, tmp_path / output, False)


def test_small_volumes_and_a_series_of_a_file_are_refused(tmp_path, volumes):
    path = write_source(tmp_path / "a.nii")
    with pytest.raises(InputError, match="--series 1.2 with the file .*a.nii"):
        read_volume(path, "1.2")
    for shape in ((15, 40, 10), (40, 10, 15), (3, 15, 15)):
        write_nifti(path, Volume(np.ones(shape, "int16"), np.eye(4)))
        with pytest.raises(InputError, match="expected planes of at least 16"):
            read_volume(path)
    small = volumes.write_series_files(tmp_path / "dicom", volumes.build_series(VALUES.T[:, :15]))
    assert read_volume(path := write_source(path)).volume.values.shape == VALUES.shape
    with pytest.raises(InputError, match="18x15x6 voxels"):
        read_volume(small)


# -- NIfTI -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("dtype", ["int16", "float32", "scaled", "uint8"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_a_nifti_file_comes_back(tmp_path, name, dtype, kind):
    affine = turn(np.diag([-0.9, -1.1, 3, 1]))
    if dtype == "scaled":
        image = kind(VALUES, affine)
        image.header.set_slope_inter(0.5, -3)
        image.to_filename(tmp_path / name)
    else:
        write_source(tmp_path / name, kind, dtype, affine=affine)
    source = read_volume(tmp_path / name)
    values = source.volume.values
    np.testing.assert_allclose(
        values, VALUES * 0.5 - 3 if dtype == "scaled" else VALUES.astype(dtype)
    )
    write_like(tmp_path / "out" / name, values.astype("float32"), source, MR)
    again = read_volume(tmp_path / "out" / name)
    np.testing.assert_array_equal(again.volume.values, values)
    np.testing.assert_array_equal(again.volume.affine, source.volume.affine)
    assert type(again.nifti) is type(source.nifti)
    assert again.nifti.get_data_dtype() == "float32"
    assert again.nifti["descrip"].item() == b"synthetic MRI"
    assert again.nifti.get_zooms() == source.nifti.get_zooms()
    for field in ("qform_code", "sform_code", "xyzt_units", "pixdim"):
        np.testing.assert_array_equal(again.nifti[field], source.nifti[field])
    assert len(again.nifti.extensions) == len(source.nifti.extensions)


def test_every_order_of_axes_comes_back(tmp_path, volumes):
    for order, signs in volumes.ORIENTATIONS:
        stored = volumes.store(VALUES, order, signs, (0.5, 0.75, 3))
        write_nifti(tmp_path / "a.nii", Volume(stored.values, turn(stored.affine)))
        source = read_volume(tmp_path / "a.nii")
        write_like(tmp_path / "b.nii", source.volume.values, source, CT)
        again = read_volume(tmp_path / "b.nii").volume
        np.testing.assert_array_equal(again.values, stored.values)
        np.testing.assert_array_equal(again.affine, source.volume.affine)
        codes = [nibabel.aff2axcodes(v.affine) for v in (again, stored)]
        assert codes[0] == codes[1]


@pytest.mark.parametrize("codes", [(1, 1), (1, 0), (0, 2), (0, 0)])
def test_super_resolution_keeps_the_corners(tmp_path, volumes, codes):
    made = Derivation("MR", "super-resolution 2x", "Enlarged", scale=2)
    for order, signs in volumes.FEW if any(codes) else volumes.FEW[:1]:
        stored = volumes.store(VALUES, order, signs, (0.5, 0.75, 3))
        image = nibabel.Nifti1Image(stored.values, turn(stored.affine) if any(codes) else None)
        if not any(codes):
            image.header.set_zooms((0.5, 0.75, 3))
        image.header.set_qform(image.affine, codes[0])
        image.header.set_sform(image.affine, codes[1])
        image.to_filename(tmp_path / "a.nii")
        source = read_volume(tmp_path / "a.nii")
        fine = volumes.store(VALUES.repeat(2, 0).repeat(2, 1), order, signs).values
        write_like(tmp_path / "b.nii.gz", fine, source, made)
        again = read_volume(tmp_path / "b.nii.gz")
        np.testing.assert_array_equal(again.volume.values, fine)
        corners = [list_corners(v.affine, v.values.shape) for v in (again.volume, source.volume)]
        np.testing.assert_allclose(*corners, atol=1e-4)
        expected = sorted(source.nifti.get_zooms() * np.where(np.array(order) == 2, 1, 0.5))
        np.testing.assert_allclose(sorted(again.nifti.get_zooms()), expected, rtol=1e-5)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_an_anonymous_nifti_file_names_nobody(tmp_path, kind):
    source = read_volume(write_source(tmp_path / "a.nii", kind))
    source.nifti["aux_file"] = source.nifti["intent_name"] = b"Jane Doe"
    if kind is nibabel.Nifti1Image:
        source.nifti["db_name"] = b"Jane Doe"
    for anonymize in (False, True):
        made = Derivation("CT", "synthetic CT", "Made", anonymize=anonymize)
        write_like(tmp_path / "b.nii", VALUES, source, made)
        assert (b"Jane" in (tmp_path / "b.nii").read_bytes()) is not anonymize
    np.testing.assert_array_equal(read_volume(tmp_path / "b.nii").volume.values, VALUES)


# -- DICOM -------------------------------------------------------------------------------------


@pytest.mark.parametrize("axes", [(1, 0, 0, 0, 1, 0), SAGITTAL, OBLIQUE])
@pytest.mark.parametrize("name", ["out", "out.nii.gz"])
def test_a_series_comes_back_as_either_kind(tmp_path, volumes, axes, name):
    folder = volumes.write_series_files(tmp_path / "in", volumes.build_series(VALUES.T, axes))
    source = read_volume(folder)
    np.testing.assert_array_equal(source.volume.values, VALUES)
    write_like(tmp_path / name, source.volume.values, source, CT)
    again = read_volume(tmp_path / name)
    np.testing.assert_array_equal(again.volume.values, VALUES)
    np.testing.assert_allclose(again.volume.affine, source.volume.affine, atol=1e-4)
    if name == "out":
        header = again.dicom[0]
        assert header.SeriesDescription == "synthetic CT" and header.PatientName == volumes.PERSON
        assert header.Modality == "CT" and header.DerivationDescription == "Made by a network"
    else:
        assert again.nifti["descrip"].item() == b"synthetic CT"
        assert again.nifti.get_xyzt_units()[0] == "mm"
        assert int(again.nifti["qform_code"]) == int(again.nifti["sform_code"]) == 1


def test_a_series_is_enlarged_and_made_anonymous(tmp_path, volumes):
    images = volumes.build_series(VALUES.T, TILTED)
    source = read_volume(volumes.write_series_files(tmp_path / "in", images))
    made = Derivation("CT", "super-resolution 2x", "Enlarged", scale=2, anonymize=True)
    fine = VALUES.repeat(2, 0).repeat(2, 1)
    for name in ("out", "out.nii"):
        write_like(tmp_path / name, fine, source, made)
        again = read_volume(tmp_path / name).volume
        np.testing.assert_array_equal(again.values, fine)
        corners = [list_corners(v.affine, v.values.shape) for v in (again, source.volume)]
        np.testing.assert_allclose(*corners, atol=1e-4)
    for path in (*(tmp_path / "out").iterdir(), tmp_path / "out.nii"):
        assert b"Doe" not in path.read_bytes() and b"ID7654" not in path.read_bytes()
    assert pydicom.dcmread(tmp_path / "out" / "0001.dcm").PatientIdentityRemoved == "YES"


# -- real files --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["out", "out.nii.gz"])
def test_a_real_series_comes_back(tmp_path, real_data, name):
    source = read_volume(real_data / "dicom" / "ct_head")
    assert source.notes == ("gantry tilted by 18.5 degrees",)
    write_like(tmp_path / name, source.volume.values, source, CT)
    again = read_volume(tmp_path / name).volume
    np.testing.assert_allclose(again.affine, source.volume.affine, atol=1e-4)
    np.testing.assert_array_equal(again.values, source.volume.values)


def test_a_real_nifti_file_comes_back(tmp_path, real_data):
    case = real_data / "brats" / "Brats18_2013_21_1" / "Brats18_2013_21_1_t1.nii.gz"
    source = read_volume(case)
    write_like(tmp_path / "out.nii", source.volume.values, source, MR)
    again = read_volume(tmp_path / "out.nii").volume
    np.testing.assert_array_equal(again.affine, source.volume.affine)
    np.testing.assert_array_equal(again.values, source.volume.values)
    assert nibabel.aff2axcodes(again.affine) == nibabel.aff2axcodes(source.volume.affine)


def test_a_sheared_series_has_no_wrong_rigid_place(tmp_path, real_data):
    """A tilted gantry's affine is no rotation: the sform tells it, the qform says it cannot."""
    folder = real_data / "dicom" / "ct_head"
    source = read_volume(folder)
    write_like(tmp_path / "ct.nii.gz", source.volume.values.astype("int16"), source, CT)
    image = nibabel.load(tmp_path / "ct.nii.gz")
    assert image.header["qform_code"] == 0 and image.header["sform_code"] == 1
    np.testing.assert_allclose(image.affine, source.volume.affine, atol=1e-3)


def test_a_file_without_orientation_is_told(tmp_path):
    image = nibabel.Nifti1Image(VALUES, None)
    image.header.set_zooms((1, 1, 1))
    image.to_filename(tmp_path / "a.nii")
    (note,) = read_volume(tmp_path / "a.nii").notes
    assert "no orientation" in note
