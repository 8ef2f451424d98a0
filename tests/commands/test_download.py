"""The download command, with a stand-in for kagglehub: nothing here touches the network."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import types
from pathlib import Path

import pytest

from keras_vaegan.commands import download

FOLDERS = ("trainA", "trainB", "testA", "testB")


@pytest.fixture
def cache(tmp_path) -> Path:
    """A folder as kagglehub leaves it in its cache."""
    root = tmp_path / "cache" / "versions" / "1"
    for name in FOLDERS:
        folder = root / "Dataset" / "images" / name
        folder.mkdir(parents=True)
        (folder / "0.png").write_bytes(name.encode())
    return root


@pytest.fixture
def kaggle(monkeypatch, cache):
    """A kagglehub that serves `cache`, and records what it was asked for."""
    asked = []

    def dataset_download(handle: str) -> str:
        asked.append(handle)
        return str(cache)

    module = types.SimpleNamespace(dataset_download=dataset_download, asked=asked)
    monkeypatch.setitem(sys.modules, "kagglehub", module)
    return module


def refused(capsys, *argv: str) -> str:
    """Run the command, which must fail with status 2 and one line; return the line."""
    with pytest.raises(SystemExit) as stop:
        download.main(list(argv))
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


def content(root: Path) -> dict[str, bytes]:
    """Every file below a folder, by its relative path."""
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_places_the_whole_set(tmp_path, cache, kaggle, capsys):
    out = tmp_path / "datasets"
    assert download.main(["--out", str(out)]) == 0
    assert kaggle.asked == ["darren2020/ct-to-mri-cgan"]
    assert os.listdir(out) == ["ct-to-mri-cgan"]
    assert content(out / "ct-to-mri-cgan") == content(cache)
    assert len(content(cache)) == 4
    assert str(out / "ct-to-mri-cgan") in capsys.readouterr().out


def test_a_second_download_asks_for_nothing(tmp_path, kaggle, capsys):
    for _ in range(2):
        assert download.main(["--out", str(tmp_path / "d")]) == 0
    assert len(kaggle.asked) == 1
    assert "already there" in capsys.readouterr().out


def test_copies_where_the_file_system_cannot_link(tmp_path, cache, kaggle, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", fail)
    download.main(["--out", str(tmp_path / "d")])
    assert content(tmp_path / "d" / "ct-to-mri-cgan") == content(cache)


def test_kagglehub_absent(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    line = refused(capsys, "--out", str(tmp_path / "d"))
    assert "kagglehub is not installed" in line
    assert "pip install keras_vaegan[kaggle]" in line
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("Network is unreachable\n(retries: 5)"),
        RuntimeError("401 Client Error.\n\nUnauthorized"),
        ValueError(),
    ],
)
def test_network_or_credentials_fail(tmp_path, monkeypatch, kaggle, capsys, error):
    def fail(handle: str) -> str:
        raise error

    monkeypatch.setattr(kaggle, "dataset_download", fail)
    line = refused(capsys, "--out", str(tmp_path / "d"))
    assert "darren2020/ct-to-mri-cgan" in line
    assert (str(error).splitlines() or [type(error).__name__])[0].rstrip(".") in line
    assert "credentials" in line
    assert not (tmp_path / "d").exists()


def test_a_full_disk_leaves_nothing_behind(tmp_path, kaggle, monkeypatch, capsys):
    def fail(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", fail)
    monkeypatch.setattr(shutil, "copy2", fail)
    assert "No space left" in refused(capsys, "--out", str(tmp_path / "d"))
    assert os.listdir(tmp_path / "d") == []


def test_out_is_a_file(tmp_path, kaggle, capsys):
    (tmp_path / "d").write_text("a file")
    assert "cannot write" in refused(capsys, "--out", str(tmp_path / "d"))


def test_an_incomplete_folder_in_the_way_is_kept_and_named(tmp_path, kaggle, capsys):
    (tmp_path / "d" / "ct-to-mri-cgan" / "trainA").mkdir(parents=True)
    line = refused(capsys, "--out", str(tmp_path / "d"))
    assert "has no trainB, testA, testB" in line
    assert kaggle.asked == []
    assert (tmp_path / "d" / "ct-to-mri-cgan" / "trainA").is_dir()


def test_a_changed_set_is_refused(tmp_path, cache, kaggle, capsys):
    shutil.rmtree(cache / "Dataset" / "images" / "testB")
    assert "has no testB" in refused(capsys, "--out", str(tmp_path / "d"))
    assert not (tmp_path / "d").exists()
