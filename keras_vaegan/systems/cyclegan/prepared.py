"""A training set in one file, decoded and aligned, to train on again or on another machine.

The file is NumPy's `.npz`: `trainA` (CT) and `trainB` (MRI), (N, S, S, C) uint8 or uint16; their
`names_trainA`, `names_trainB`; and `data`, the JSON text of the `DataConfig` that made them.
"""

from __future__ import annotations

import dataclasses
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from keras_vaegan.config.base import config_from_dict, config_to_json
from keras_vaegan.config.data import DataConfig
from keras_vaegan.data.folders import TRAIN_FOLDERS, find_image_root
from keras_vaegan.data.image import list_images
from keras_vaegan.errors import InputError, first_line
from keras_vaegan.files import atomic_path
from keras_vaegan.systems.cyclegan.images import load_images

SUFFIX = ".npz"
FREE_FIELDS = ("validation_images", "value_range")  # of the data config: the file serves any


def write_prepared(data: Path, out: Path, config: DataConfig) -> dict[str, int]:
    """Decode, align and resize the training images of a folder once.

    Args:
        data: Folder that holds trainA and trainB, or a parent of it.
        out: File to write, ending in .npz.
        config: Size, channels and placement.

    Returns:
        Images by folder.

    Raises:
        InputError: unusable images, or a file that cannot be written.
    """
    root = find_image_root(data)
    arrays: dict[str, Any] = {"data": np.array(config_to_json(config))}
    for folder in TRAIN_FOLDERS:
        images, names = load_images(list_images(root / folder), config)
        arrays |= {folder: images, f"names_{folder}": np.array(names)}
    with atomic_path(out) as temporary:
        np.savez_compressed(temporary, **arrays)
    return {folder: len(arrays[folder]) for folder in TRAIN_FOLDERS}


def read_prepared(path: Path, config: DataConfig) -> dict[str, np.ndarray]:
    """The images of a file of `write_prepared`, by folder.

    Args:
        path: The file.
        config: What a run expects of them.

    Raises:
        InputError: it is damaged or no such file, or was prepared otherwise.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            saved = config_from_dict(json.loads(str(file["data"])))
            images = {folder: file[folder] for folder in TRAIN_FOLDERS}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, InputError) as error:
        raise InputError(
            f"cannot read {path} ({first_line(error)}): expected a file of `python -m "
            "keras_vaegan.prepare`; prepare it anew"
        ) from error
    _check_data(path, saved, config)
    shape = (config.image_size, config.image_size, config.channels)
    for folder, array in images.items():
        if array.shape[1:] != shape or array.dtype not in ("uint8", "uint16") or not len(array):
            raise InputError(
                f"{path}: {folder} is {array.shape} {array.dtype}: expected (N, "
                f"{', '.join(map(str, shape))}) uint8 or uint16; prepare it anew"
            )
    return images


def _check_data(path: Path, saved: object, config: DataConfig) -> None:
    """Refuse images that were prepared otherwise than the run asks for."""
    for field in dataclasses.fields(config):
        received, expected = getattr(saved, field.name, None), getattr(config, field.name)
        if field.name not in FREE_FIELDS and received != expected:
            flag = f"--{field.name.replace('_', '-')}"
            raise InputError(
                f"{path} was prepared with {field.name} {received}: expected {expected}, the "
                f"run's; prepare it anew with {flag} {expected}, or train with {flag} {received}"
            )
