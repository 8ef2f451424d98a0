"""`audit` as it is called: text, files, refusals."""

import json
import shutil

import pytest

from keras_vaegan.commands.audit import FIRST, main
from keras_vaegan.data.image import read_image
from keras_vaegan.phantom.rendering import PhantomSet, write_phantom_folders


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Phantom heads, more of them leaking than are printed."""
    folder = tmp_path_factory.mktemp("set")
    write_phantom_folders(folder, PhantomSet(count=8, size=64))
    for index in range(FIRST + 2):
        shutil.copy(folder / f"trainB/mri000{index}.jpg", folder / f"testB/again{index}.jpg")
    return folder


def test_text_json_and_picture(folder, tmp_path, capsys):
    assert main(["--data", str(folder), "--out", str(tmp_path / "new")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == str(folder)
    assert "  trainA: 8 images, 1 sizes, most often 64x64 (8)" in lines
    start = lines.index("groups of identical files: 7")
    assert lines[start + 1] == "  trainB/mri0000.jpg = testB/again0.jpg"
    assert lines[start + FIRST + 1] == "  ... and 2 more"
    leaks = next(line for line in lines if line.startswith("test images that leak"))
    assert leaks.endswith(": 7")
    assert "unreadable files: 0" in lines and "blank images: 0" in lines
    found = json.loads((tmp_path / "new/audit.json").read_text())
    assert len(found["leaks"]) == 7 and found["missing"] == []
    assert read_image(tmp_path / "new/audit.png").ndim == 3


def test_without_out_nothing_is_written(folder, tmp_path, monkeypatch, capsys):
    shutil.copytree(folder / "testA", tmp_path / "set/testA")
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert main(["--data", "set"]) == 0
    assert sorted(tmp_path.rglob("*")) == before
    text = capsys.readouterr().out
    assert "missing or without images: trainA, trainB, testB" in text
    assert "other modality: not looked for, 8 CT and 0 MRI images" in text
    assert "wrote" not in text


def test_refusals(expect_refusal, folder, tmp_path):
    assert "is no folder" in expect_refusal(main, "--data", tmp_path / "absent")
    assert "no image set in" in expect_refusal(main, "--data", tmp_path)
    (tmp_path / "trainB").mkdir()
    assert "no images in trainB" in expect_refusal(main, "--data", tmp_path)
    file = tmp_path / "file"
    file.write_text("")
    line = expect_refusal(main, "--data", folder, "--out", file)
    assert "is a file: expected a folder" in line
