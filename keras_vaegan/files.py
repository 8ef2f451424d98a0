"""Files that are either whole or not there."""

from __future__ import annotations

import csv
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keras_vaegan.errors import InputError


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path near `path`, and move it there once the block has succeeded.

    The file is flushed to disk before the rename, so that a crash, a full disk or an exception
    leaves the previous file untouched and no half-written one behind.

    Args:
        path: Final path. Its folder is created if absent. The temporary path keeps its name.

    Yields:
        The path to write to; nothing is there yet.

    Raises:
        InputError: the folder cannot be written to, or the disk is full.
    """
    path = Path(path)
    with _staging_folder(path.parent, path) as staging:
        temporary = staging / path.name
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Give a temporary folder near `path`, and move it there once the block has succeeded.

    Args:
        path: Final folder: new, or empty.

    Yields:
        The temporary folder to write into.

    Raises:
        InputError: `path` is a file or holds something, or cannot be written.
    """
    path = Path(path)
    check_new_folder(path)
    with _staging_folder(path.parent, path) as staging:
        temporary = staging / path.name
        temporary.mkdir()
        yield temporary
        os.replace(temporary, path)


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
    with _staging_folder(folder, folder) as staging:
        yield staging
        for entry in sorted(staging.iterdir()):
            os.replace(entry, folder / entry.name)


def write_json(path: str | Path, data: Any) -> None:
    """Write indented JSON, whole or not at all; NaN is refused.

    Raises:
        InputError: the place cannot be written to.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(data, indent=2, allow_nan=False) + "\n")


def write_csv(path: str | Path, rows: Sequence[dict]) -> None:
    """Write rows under the names that occur in any of them; absent values stay blank.

    Raises:
        InputError: the place cannot be written to.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


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


@contextmanager
def _staging_folder(parent: Path, result: Path) -> Iterator[Path]:
    """Give a hidden folder in `parent` for as long as the block runs; errors name `result`."""
    temporary = None
    try:
        parent.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.mkdtemp(prefix=".new-", dir=parent)
        yield Path(temporary)
    except OSError as error:
        reason = error.strerror or (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"cannot write {result}: {reason}; choose a writable folder with free space"
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
