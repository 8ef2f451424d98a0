"""Fetch the Kaggle CT and MRI set into the data folder, through kagglehub."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from keras_vaegan import cli
from keras_vaegan.errors import InputError

HANDLE = "darren2020/ct-to-mri-cgan"
FOLDER_NAME = "ct-to-mri-cgan"
DOMAIN_FOLDERS = ("trainA", "trainB", "testA", "testB")


@dataclass(frozen=True)
class DownloadOptions:
    """Fetch the Kaggle CT and MRI set (needs `pip install 'keras_vaegan[kaggle]'`).

    Attributes:
        out: Folder to place `ct-to-mri-cgan` in.
    """

    out: Path = Path("datasets")


def main(argv: list[str] | None = None) -> int:
    """Run the command. Returns the exit status."""
    return cli.run(download, argv, prog="python -m keras_vaegan.download")


def download(options: DownloadOptions) -> Path:
    """Download the set, or find it where it already lies.

    Args:
        options: Where to put it.

    Returns:
        The data set's folder, ready for `train --data`.

    Raises:
        InputError: kagglehub is absent, the download fails, or the folder cannot be written.
    """
    destination = options.out / FOLDER_NAME
    if destination.exists():
        _check_layout(destination, "move it away and run download again")
        print(f"already there: {destination}")
        return destination
    source = _fetch(HANDLE)
    _check_layout(source, "the set on Kaggle has changed; arrange it as in datasets/README.md")
    place_folder(source, destination)
    print(f"downloaded: {destination}")
    return destination


def place_folder(source: Path, destination: Path) -> None:
    """Put a copy of a folder in place, whole or not at all; files are hard-linked if they can be.

    Args:
        source: Folder to copy. It stays as it is.
        destination: New folder; it must not exist yet.

    Raises:
        InputError: the destination cannot be written to.
    """
    temporary = None
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{destination.name}-", dir=destination.parent))
        temporary.chmod(0o755)
        shutil.copytree(source, temporary, copy_function=_link_or_copy, dirs_exist_ok=True)
        temporary.rename(destination)
    except OSError as error:
        raise InputError(
            f"cannot write {destination}: {_first_line(error)}; choose a writable folder with free "
            "space by --out"
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _fetch(handle: str) -> Path:
    """Download a data set into kagglehub's cache."""
    try:
        import kagglehub
    except ImportError as error:
        raise InputError(
            f"cannot download {handle}: the package kagglehub is not installed; "
            "run `pip install keras_vaegan[kaggle]`"
        ) from error
    try:
        return Path(kagglehub.dataset_download(handle))
    except Exception as error:  # kagglehub, its HTTP client and its archives each have their own
        raise InputError(
            f"cannot download {handle}: {_first_line(error)}; check the network and the Kaggle "
            "credentials (~/.kaggle/kaggle.json)"
        ) from error


def _check_layout(folder: Path, advice: str) -> None:
    """Refuse a folder that does not hold the four image folders."""
    missing = [name for name in DOMAIN_FOLDERS if next(folder.rglob(name), None) is None]
    if missing:
        raise InputError(
            f"{folder} has no {', '.join(missing)}: expected {', '.join(DOMAIN_FOLDERS)}; {advice}"
        )


def _link_or_copy(source: str, destination: str) -> str:
    """Hard-link a file, or copy it where the file system cannot link."""
    try:
        os.link(os.path.realpath(source), destination)
    except OSError:
        shutil.copy2(source, destination)
    return destination


def _first_line(error: BaseException) -> str:
    """Say an exception in one line."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


if __name__ == "__main__":
    raise SystemExit(main())
