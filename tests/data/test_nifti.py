"""NIfTI files: whole or refused; headers kept."""

import gzip

import nibabel
import numpy as np
import pytest

from keras_vaegan.data.nifti import list_nifti_files, read_nifti, write_nifti
from keras_vaegan.data.volume import Volume
from keras_vaegan.errors import InputError

AFFINE = np.array([[-1.0, 0, 0, 3], [0, -1, 0, 239], [0, 0, 2, -5], [0, 0, 0, 1]])
VALUES = np.arange(60, dtype="int16").reshape(3, 4, 5)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("dtype", ["int16", "uint8", "float32"])
def test_a_volume_comes_back(tmp_path, name, dtype):
    write_nifti(tmp_path / name, Volume(VALUES.astype(dtype), AFFINE))
    volume, header = read_nifti(tmp_path / name)
    np.testing.assert_array_equal(volume.values, VALUES)
    np.testing.assert_array_equal(volume.affine, AFFINE)
    assert volume.values.dtype == header.get_data_dtype() == dtype
    assert header.get_xyzt_units()[0] == "mm"
    assert volume.unit == "arbitrary"


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("endian", ["<", ">"])
def test_a_template_header_stays_as_it_is(tmp_path, kind, endian):
    image = kind(VALUES, AFFINE)
    header = image.header.as_byteswapped(endian)
    header["descrip"] = b"a scanner"
    header.set_xyzt_units("mm", "sec")
    header.set_sform(AFFINE, 2)
    header.set_qform(AFFINE, 3)
    header.set_slope_inter(0.5, -3)
    kind(VALUES, None, header).to_filename(tmp_path / "in.nii")
    volume, header = read_nifti(tmp_path / "in.nii")
    write_nifti(tmp_path / "out.nii", volume, header)
    first, second = (nibabel.load(tmp_path / name) for name in ("in.nii", "out.nii"))
    assert type(second) is kind
    for field in first.header:
        np.testing.assert_array_equal(first.header[field], second.header[field], err_msg=field)
    np.testing.assert_array_equal(second.dataobj, first.dataobj)
    np.testing.assert_array_equal(second.affine, AFFINE)


def test_values_are_rounded_and_clipped_into_the_templates_dtype(tmp_path):
    write_nifti(tmp_path / "t.nii", Volume(VALUES.astype("uint8"), AFFINE))
    _, header = read_nifti(tmp_path / "t.nii")
    values = np.linspace(-10, 300, 60).reshape(3, 4, 5)
    write_nifti(tmp_path / "o.nii", Volume(values, AFFINE), header)
    volume, _ = read_nifti(tmp_path / "o.nii")
    np.testing.assert_array_equal(volume.values, np.clip(np.round(values), 0, 255))


def write_hostile(folder, name):
    """A damaged or unfit file, and a word of what is said about it."""
    path = folder / "x.nii.gz"
    nan = VALUES.astype("float32")
    nan[1, 2, 3] = np.nan
    whole = nibabel.Nifti1Image(VALUES, AFFINE)
    if name == "4-D":
        nibabel.Nifti1Image(np.zeros((3, 4, 5, 2), "int16"), AFFINE).to_filename(path)
    elif name == "4-D of one":
        nibabel.Nifti1Image(np.zeros((3, 4, 5, 1), "int16"), AFFINE).to_filename(path)
    elif name == "2-D":
        nibabel.Nifti1Image(np.zeros((3, 4), "int16"), AFFINE).to_filename(path)
    elif name == "NaN":
        nibabel.Nifti1Image(nan, AFFINE).to_filename(path)
    elif name == "complex":
        nibabel.Nifti1Image(np.zeros((3, 4, 5), "complex64"), AFFINE).to_filename(path)
    elif name == "no affine":
        header = whole.header.copy()
        header.set_sform(np.diag([0, 0, 0, 1.0]), 1)
        nibabel.Nifti1Image(VALUES, None, header).to_filename(path)
    elif name == "empty":
        path.write_bytes(b"")
    elif name == "text":
        path.write_text("hello " * 100)
    elif name == "absent":
        path = folder / "absent.nii"
    else:
        content = gzip.compress(whole.to_bytes())
        if name == "cut data":
            content = gzip.compress(whole.to_bytes()[:-10])
        elif name == "cut header":
            content = whole.to_bytes()[:300]
        elif name == "damaged":
            content = content[:-20] + bytes(12) + content[-8:]
        elif name == "wrong checksum":
            content = content[:-8] + bytes(8)
        elif name == "odd type":
            raw = bytearray(whole.to_bytes())
            raw[70:72] = b"\x39\x30"
            content = bytes(raw)
        else:
            content = content[: len(content) // 2]
        path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("4-D", "4-D"), ("4-D of one", "4-D"), ("2-D", "2-D"), ("NaN", "1 NaN"),
        ("complex", "complex64"), ("no affine", "affine"), ("empty", "0 bytes"),
        ("text", "no NIfTI"), ("absent", "cannot read"), ("cut gzip", "truncated"),
        ("damaged", "damaged"), ("wrong checksum", "damaged"), ("cut data", "bytes"),
        ("cut header", "no NIfTI"), ("odd type", "x.nii.gz"),
    ],
)  # fmt: skip
def test_hostile_files_are_refused_in_one_line(tmp_path, name, word):
    path = write_hostile(tmp_path, name)
    with pytest.raises(InputError, match=word) as caught:
        read_nifti(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_suffixes_and_unwritable_places_are_refused(tmp_path):
    with pytest.raises(InputError, match="ending in"):
        write_nifti(tmp_path / "a.png", Volume(VALUES, AFFINE))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        write_nifti(tmp_path / "file" / "a.nii", Volume(VALUES, AFFINE))


def test_hidden_and_foreign_files_are_not_listed(tmp_path):
    for name in ("b.nii", "a.NII.GZ", "._b.nii", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in list_nifti_files(tmp_path)] == ["a.NII.GZ", "b.nii"]


def test_nibabels_remarks_stay_off_the_terminal(tmp_path, caplog):
    header = nibabel.Nifti1Header()
    header.set_data_shape((2, 2, 2))
    header.set_data_dtype("int16")
    header["pixdim"][1], header["vox_offset"], header["magic"] = -1, 352, b"n+1"
    path = tmp_path / "x.nii"
    path.write_bytes(header.binaryblock + bytes(4 + 16))
    volume, _ = read_nifti(path)
    assert volume.values.shape == (2, 2, 2) and not caplog.records
    nibabel.Nifti1Image.from_filename(path)
    assert caplog.records  # elsewhere nibabel still tells
