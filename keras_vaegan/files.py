"""Files that are either whole or not there."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keras_vaegan.errors import InputError


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, and move it there once the block has succeeded.

    The file is flushed to disk before the rename, so that a crash, a full disk or an exception
    leaves the previous file untouched and no half-written one behind.

    Args:
        path: Final path. Its folder is created if absent. The temporary path keeps its suffix.

    Yields:
        The temporary path to write to.

    Raises:
        InputError: the folder cannot be written to, or the disk is full.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(
            prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent
        )
        os.close(descriptor)
        temporary = Path(name)
        yield temporary
        _flush(temporary)
        temporary.chmod(0o666 & ~_current_umask())
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        raise InputError(
            f"cannot write {path}: {reason}; choose a writable folder with free space"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Give a temporary folder beside `path`, and move it there once the block has succeeded.

    Args:
        path: Final folder: new, or empty.

    Yields:
        The temporary folder to write into.

    Raises:
        InputError: `path` is a file or holds something, or cannot be written.
    """
    path = Path(path)
    check_new_folder(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        yield temporary
        temporary.chmod(0o777 & ~_current_umask())
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"cannot write {path}: {reason}; choose a writable folder with free space"
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def staged_entries(folder: str | Path) -> Iterator[Path]:
    """Give a temporary folder inside `folder`, and move its entries out once the block succeeded.

    Args:
        folder: Created if absent; may hold other things.

    Yields:
        The temporary folder to write into.

    Raises:
        InputError: the folder cannot be written to.
    """
    folder = Path(folder)
    temporary = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
        yield temporary
        for entry in sorted(temporary.iterdir()):
            os.replace(entry, folder / entry.name)
    except OSError as error:
        raise InputError(
            f"cannot write {folder}: {error.strerror or error}; choose a writable folder with "
            "free space by --out"
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def check_new_folder(path: str | Path) -> None:
    """Refuse an output folder that is a file, or holds something already.

    Raises:
        InputError: it does.
    """
    path = Path(path)
    if path.is_dir() and any(path.iterdir()):
        raise InputError(f"{path} exists and is not empty: expected a new folder; choose another")
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file: expected a new folder; choose another")


def _flush(path: Path) -> None:
    """Force a file's content to disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _current_umask() -> int:
    """Read the process's umask."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
