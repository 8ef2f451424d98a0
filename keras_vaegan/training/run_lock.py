"""One training at a time in a run folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from keras_vaegan.errors import InputError

LOCK_FILE = ".lock"


@contextmanager
def hold_run_folder(folder: Path) -> Iterator[None]:
    """Keep other trainings out of a folder for as long as the block runs, however it ends.

    A folder that was created for the block, and left empty by it, is removed.

    Args:
        folder: Run folder; created if absent.

    Raises:
        InputError: another training holds it, or it cannot be written to.
    """
    path = folder / LOCK_FILE
    lock, is_new = FileLock(path), not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(
            f"another training runs in {folder}: expected one at a time; wait for its end, or "
            "choose another --out"
        ) from None
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror}; choose a writable folder"
        ) from error
    try:
        yield
    finally:
        lock.release()
        if {entry.name for entry in folder.iterdir()} <= {LOCK_FILE}:
            path.unlink(missing_ok=True)
            if is_new:
                folder.rmdir()
