"""Zips as scanners and desktops write them: the series is found, or a line says why not."""

from __future__ import annotations

import shutil
import zipfile

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    BasicTextSRStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    MediaStorageDirectoryStorage,
    SecondaryCaptureImageStorage,
)

from keras_vaegan.app.sources import read_source
from keras_vaegan.errors import InputError

HEAD = "DICOM/PAT0/STU0/SER0"
PLACE = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")


class Disc:
    """A folder as a scanner fills it, and its zip."""

    def __init__(self, folder, volumes):
        self.folder, self.volumes = folder / "disc", volumes
        head = volumes.draw_head((36, 40, 8))
        self.slices = np.where(head > 0, head * 80, -1000).astype("int16").T[:, ::-1]

    def add_series(self, place=HEAD, count=8, uid="1.2.3.4", first=0, **options):
        """Slices IM0, IM1, ... without a suffix."""
        images = self.volumes.build_series(self.slices[:count], series=uid, **options)
        self.add_images(place, images, first)

    def add_images(self, place, images, first=0):
        """Write these datasets as further files of a folder."""
        (self.folder / place).mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(images, first):
            image.save_as(self.folder / place / f"IM{number}", enforce_file_format=True)

    def add_object(self, place, storage, uid="1.2.99"):
        """A DICOM object that is no image, at a path."""
        one = Dataset()
        one.SOPClassUID, one.SOPInstanceUID, one.SeriesInstanceUID = storage, "1.9", uid
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        (self.folder / place).parent.mkdir(parents=True, exist_ok=True)
        one.save_as(self.folder / place, enforce_file_format=True)

    def add_pictures(self, place, count, storage=SecondaryCaptureImageStorage, **fields):
        """Images that lie nowhere in space, such as a dose report in colour."""
        images = self.volumes.build_series(np.repeat(self.slices[:1], count, 0), series="1.2.8")
        for image in images:
            image.SOPClassUID = storage
            for name in PLACE:
                delattr(image, name)
            for name, value in fields.items():
                setattr(image, name, value)
        self.add_images(place, images)

    def add_bytes(self, place, content):
        """Any file."""
        (self.folder / place).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / place).write_bytes(content)

    def read(self):
        """What the page takes of it."""
        path = self.folder.parent / "upload" / "disc.zip"
        path.parent.mkdir()
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(self.folder.rglob("*")):
                archive.write(file, file.relative_to(self.folder))
        shutil.rmtree(self.folder)
        return read_source(path)


@pytest.fixture
def disc(tmp_path, volumes):
    """An empty disc."""
    return Disc(tmp_path, volumes)


def test_a_scanners_disc_gives_its_longest_series(disc):
    disc.add_series()
    disc.add_series("DICOM/PAT0/STU0/SER1", count=1, uid="1.2.7", axes=(1, 0, 0, 0, 0, -1))
    disc.add_object("DICOMDIR", MediaStorageDirectoryStorage)
    disc.add_object("DICOM/PAT0/STU0/SER2/IM0", BasicTextSRStorage)
    disc.add_object("DICOM/PAT0/STU0/SER3/IM0", GrayscaleSoftcopyPresentationStateStorage)
    for place in ("__MACOSX/DICOM/PAT0/STU0/SER0/._IM0", "DICOM/.DS_Store", "README.TXT"):
        disc.add_bytes(place, b"\0\5\x16\7 something else")
    source = disc.read()
    assert source.chosen == "1.2.3.4" and source.notes == ()
    assert source.stored.volume.values.shape == (36, 40, 8)
    assert {uid: series.label for uid, series in source.series.items()} == {
        "1.2.3.4": "CT · no name · 8 slices", "1.2.7": "CT · no name · 1 slice",
    }  # fmt: skip


def test_pictures_are_no_slices_however_many(disc):
    disc.add_series()
    disc.add_pictures("DICOM/PAT0/STU0/SER1", 20)
    source = disc.read()
    assert source.chosen == "1.2.3.4" and source.series["1.2.8"].shape[2] == 20


def test_a_longer_series_that_cannot_be_used_is_told_of(disc):
    disc.add_series()
    disc.add_series("DICOM/PAT0/STU0/SER1", uid="1.2.8")
    disc.add_series("DICOM/PAT0/STU0/SER1", uid="1.2.8", first=8)
    source = disc.read()
    assert source.chosen == "1.2.3.4"
    assert source.notes == (
        "Not taken: CT · no name · 16 slices: disc (unpacked) has two slices at one position "
        "(0008-IM0 and 0022-IM8): expected one volume; move the second echo, phase or copy away",
    )


def test_any_name_is_one_line(disc):
    disc.add_series()
    file = disc.folder / HEAD / "IM0"
    file.rename(file.with_name("a\nb<b>" + "\N{GRINNING FACE}" * 55))
    disc.add_series(count=1, axes=(1, 0, 0, 0, 0, -1), first=0)
    with pytest.raises(InputError, match="differs from") as caught:
        disc.read()
    assert "\n" not in str(caught.value) and "<b>" not in str(caught.value)


REFUSED = {
    "a report alone": (
        lambda disc: disc.add_object("IM0", BasicTextSRStorage),
        "no DICOM file with an image in",
    ),
    "many frames in one file": (
        lambda disc: disc.add_pictures("A", 1, EnhancedCTImageStorage, NumberOfFrames=8),
        "holds 8 frames: expected one a file",
    ),
    "a zip inside": (
        lambda disc: disc.add_bytes("inner.zip", b"PK\x03\x04" + bytes(300)),
        "no DICOM file with an image in",
    ),
    "a scout in the series": (
        lambda disc: (
            disc.add_series(),
            disc.add_series(count=1, axes=(1, 0, 0, 0, 0, -1), first=50),
        ),
        "differs from .* in ImageOrientationPatient",
    ),
    "a slice that is cut": (
        lambda disc: (disc.add_series(), disc.add_bytes(f"{HEAD}/1.dcm", b"")),
        "1.dcm is empty or holds no DICOM",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_series_is_a_line(disc, kind):
    build, text = REFUSED[kind]
    build(disc)
    with pytest.raises(InputError, match=text) as caught:
        disc.read()
    assert "\n" not in str(caught.value)
