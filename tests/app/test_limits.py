"""What the page refuses before it works on it, and how it says so."""

from __future__ import annotations

import gzip
import os
import zipfile

import nibabel
import numpy as np
import pytest

from keras_vaegan.app import limits
from keras_vaegan.app.limits import (
    check_image_size,
    check_nifti_size,
    check_upload,
    check_voxels,
    unpack_zip,
)
from keras_vaegan.errors import InputError


def write_zip(path, files, **options):
    """A zip of contents by name."""
    options.setdefault("compress_type", zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, **options)
    return path


def test_uploads_are_limited(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"12345")
    check_upload(path)
    monkeypatch.setattr(limits, "UPLOAD_BYTES", 4)
    with pytest.raises(InputError, match=r"a\.png has 1 MB: expected at most 0 MB"):
        check_upload(path)
    with pytest.raises(InputError, match="did not arrive whole"):
        check_upload(tmp_path / "gone.png")


def test_images_and_volumes_are_limited():
    check_image_size("a.png", np.empty((4096, 16)))
    with pytest.raises(InputError, match=r"a\.png has 16x4097 pixels: expected at most 4096"):
        check_image_size("a.png", np.empty((4097, 16)))
    check_voxels("a.nii", (512, 512, 512))
    for shape in ((512, 512, 513), (1025, 16, 16)):
        with pytest.raises(InputError, match=r"a\.nii has .* voxels: expected at most"):
            check_voxels("a.nii", shape)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Header, nibabel.Nifti2Header])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_the_header_of_a_nifti_file_tells_its_size(tmp_path, kind, suffix):
    header = kind()
    header.set_data_shape((2000, 2000, 2000))
    path = tmp_path / f"a{suffix}"
    content = header.binaryblock + bytes(200)
    path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    with pytest.raises(InputError, match="2000x2000x2000 voxels"):
        check_nifti_size(path)


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b\x08", b"words", bytes(1000)])
def test_a_header_that_is_none_is_left_to_the_reader(tmp_path, content):
    path = tmp_path / "a.nii.gz"
    path.write_bytes(content)
    check_nifti_size(path)


def test_a_zip_is_unpacked_flat(tmp_path):
    files = {"a/b/1.dcm": b"1", "c/1.dcm": b"2", "DICOMDIR": b"", "__MACOSX/1.dcm": b"",
             "a/.hidden": b"", "empty/": b""}  # fmt: skip
    unpack_zip(write_zip(tmp_path / "a.zip", files), tmp_path / "out")
    found = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert found == {"0000-1.dcm": b"1", "0001-1.dcm": b"2"}


@pytest.mark.parametrize("name", ["../a.dcm", "a/../../b.dcm", "/etc/a.dcm", "..\\a.dcm", "c:/a"])
def test_a_zip_that_leads_out_is_refused(tmp_path, name):
    path = write_zip(tmp_path / "a.zip", {"good.dcm": b"", name: b""})
    with pytest.raises(InputError, match="leads out of its folder"):
        unpack_zip(path, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]


def test_zip_bombs_are_refused(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "a.zip", {"1.dcm": bytes(2**20), "2.dcm": bytes(2**20)})
    assert path.stat().st_size < 5000
    monkeypatch.setattr(limits, "ZIP_BYTES", 2**20)
    with pytest.raises(InputError, match="unpacks to"):
        unpack_zip(path, tmp_path / "out")
    monkeypatch.setattr(limits, "ZIP_FILES", 1)
    with pytest.raises(InputError, match="too many files"):
        unpack_zip(path, tmp_path / "out")
    monkeypatch.setattr(limits, "ZIP_LIST_BYTES", 10)
    with pytest.raises(InputError, match="too many files"):
        unpack_zip(path, tmp_path / "out")


def test_a_zip_that_lies_about_its_sizes_gives_no_more(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"1.dcm": bytes(2**20)})
    content = path.read_bytes()
    path.write_bytes(content.replace((2**20).to_bytes(4, "little"), (9).to_bytes(4, "little")))
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack_zip(path, tmp_path / "out")


def test_locked_rare_and_damaged_zips_are_refused(tmp_path):
    rare = write_zip(tmp_path / "rare.zip", {"1.dcm": b"1"}, compress_type=zipfile.ZIP_BZIP2)
    whole = write_zip(tmp_path / "whole.zip", {"1.dcm": os.urandom(2000)})
    content = whole.read_bytes()
    locked = bytearray(content)
    locked[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "locked.zip").write_bytes(locked)
    (tmp_path / "cut.zip").write_bytes(content[:500])
    (tmp_path / "flipped.zip").write_bytes(content[:99] + b"\0\0\0\0" + content[103:])
    for path, text in (
        (rare, "password or a rare compression"),
        (tmp_path / "locked.zip", "password or a rare compression"),
        (tmp_path / "cut.zip", "cannot be unpacked"),
        (tmp_path / "flipped.zip", "cannot be unpacked"),
    ):
        with pytest.raises(InputError, match=text):
            unpack_zip(path, tmp_path / path.stem)
