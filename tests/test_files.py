"""Atomic files: whole or not there, whatever fails."""

from __future__ import annotations

import errno
import json
import os
import stat
import tempfile
from pathlib import Path

import pytest

from keras_vaegan.errors import InputError
from keras_vaegan.files import atomic_folder, atomic_path, write_csv, write_json


def names(folder: Path) -> list[str]:
    """Every name in a folder, hidden ones too."""
    return sorted(os.listdir(folder))


def refuse(code: int):
    """Make a function that fails as the operating system would."""

    def fail(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    return fail


def test_writes_a_new_file_and_its_folder(tmp_path):
    path = tmp_path / "a" / "b" / "x.json"
    with atomic_path(path) as temporary:
        assert temporary.name == path.name
        assert temporary.parent.parent == path.parent
        assert not path.exists()
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert names(path.parent) == ["x.json"]


def test_replaces_an_old_file_only_at_the_end(tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(b"old")
    with atomic_path(str(path)) as temporary:
        temporary.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


def test_permissions_follow_the_umask(tmp_path):
    umask = os.umask(0o027)
    try:
        with atomic_path(tmp_path / "x") as temporary:
            temporary.write_text("x")
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, InputError])
def test_a_failure_inside_keeps_the_old_file(tmp_path, error):
    path = tmp_path / "x.h5"
    path.write_text("old")
    with pytest.raises(error), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise error("stop")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["x.h5"]


def test_a_full_disk_while_writing(tmp_path):
    path = tmp_path / "x.h5"
    path.write_text("old")
    with pytest.raises(InputError, match=r"x\.h5: No space left on device; choose") as caught:  # noqa: SIM117
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            refuse(errno.ENOSPC)()
    assert "\n" not in str(caught.value)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["x.h5"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_at_the_end(tmp_path, monkeypatch, call):
    path = tmp_path / "x.h5"
    path.write_text("old")
    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse(errno.ENOSPC))
        with pytest.raises(InputError, match="No space left"), atomic_path(path) as temporary:
            temporary.write_text("new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["x.h5"]


def test_a_read_only_folder(tmp_path, monkeypatch):
    path = tmp_path / "x.h5"
    path.write_text("old")
    with monkeypatch.context() as patch:  # simulated: root may write anywhere
        patch.setattr(tempfile, "mkdtemp", refuse(errno.EROFS))
        with pytest.raises(InputError, match="Read-only file system"), atomic_path(path):
            raise AssertionError("the block must not run")
    assert path.read_text() == "old"


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(InputError, match="cannot write"), atomic_path(tmp_path / "runs" / "x"):
        raise AssertionError("the block must not run")
    assert (tmp_path / "runs").read_text() == "a file"


def test_a_folder_is_new_or_empty(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("empty", "a/new"):
        with atomic_folder(tmp_path / name) as temporary:
            (temporary / "x").write_text("1")
            assert names(tmp_path / name) == [] if name == "empty" else True
        assert names(tmp_path / name) == ["x"]
        mode = stat.S_IMODE((tmp_path / name).stat().st_mode)
        assert mode == 0o777 & ~read_umask()
    assert names(tmp_path) == ["a", "empty"] and names(tmp_path / "a") == ["new"]
    with pytest.raises(InputError, match="not empty"), atomic_folder(tmp_path / "empty"):
        raise AssertionError("the block must not run")
    with pytest.raises(InputError, match="is a file"), atomic_folder(tmp_path / "empty" / "x"):
        raise AssertionError("the block must not run")


def read_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_a_failing_folder_leaves_nothing(tmp_path, error):
    expected = InputError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected), atomic_folder(tmp_path / "out") as temporary:
        (temporary / "half").write_text("")
        raise error
    assert names(tmp_path) == []


def test_tables_hold_every_name_and_json_no_nan(tmp_path):
    write_csv(tmp_path / "a.csv", [{"x": 1}, {"x": 2, "y": "a,b"}])
    assert (tmp_path / "a.csv").read_text().splitlines() == ["x,y", "1,", '2,"a,b"']
    write_json(tmp_path / "a.json", {"x": [1, None]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": [1, None]}
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "b.json", {"x": float("nan")})
    assert names(tmp_path) == ["a.csv", "a.json"]
