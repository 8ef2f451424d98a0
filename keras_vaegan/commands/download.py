"""Fetch the Kaggle CT and MRI set into the data folder, through kagglehub."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from keras_vaegan.commands.shell import CommandOptions, run
from keras_vaegan.errors import InputError, first_line
from keras_vaegan.files import atomic_folder

HANDLE = "darren2020/ct-to-mri-cgan"
FOLDER_NAME = "ct-to-mri-cgan"
DOMAIN_FOLDERS = ("trainA", "trainB", "testA", "testB")


@dataclass(frozen=True, kw_only=True)
class DownloadOptions(CommandOptions):
    """Options of `download`."""

    out: Path = Path("datasets")
    """Folder to place `ct-to-mri-cgan` in."""


DEFAULTS = DownloadOptions()


def download(options: DownloadOptions = DEFAULTS) -> Path:
    """Fetch the Kaggle CT and MRI set (needs `pip install 'keras_vaegan[kaggle]'`).

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
    with atomic_folder(destination) as staging:
        shutil.copytree(source, staging, copy_function=_link_or_copy, dirs_exist_ok=True)
    print(f"downloaded: {destination}")
    return destination


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
            f"cannot download {handle}: {first_line(error).rstrip('.')}; check the network and "
            "the Kaggle credentials (~/.kaggle/kaggle.json)"
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


main = partial(run, download, prog="python -m keras_vaegan.download")
