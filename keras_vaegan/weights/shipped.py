"""The weights that ship: inside the package of a wheel, beside the package in a checkout."""

from __future__ import annotations

import shutil
from pathlib import Path

from keras_vaegan.errors import InputError
from keras_vaegan.files import atomic_folder

PACKAGE = Path(__file__).resolve().parents[1]
PLACES = (PACKAGE / "pretrained", PACKAGE.parent / "weights")
SUFFIXES = (".h5", ".json")


def find_shipped_weights() -> Path:
    """The folder of the weights that ship, laid out as `weights/` of a checkout.

    Raises:
        InputError: the package was installed without them.
    """
    for place in PLACES:
        if (place / "manifest.json").is_file():
            return place
    raise InputError(
        "this installation holds no weights: expected those of the wheel or of a checkout; "
        "install keras_vaegan from either"
    )


def copy_shipped_weights(folder: str | Path) -> int:
    """Copy the weights that ship, with their manifests and domain statistics.

    Args:
        folder: New folder.

    Returns:
        The number of weight files.

    Raises:
        InputError: the package has none, or the folder cannot be written or holds something.
    """
    source = find_shipped_weights()
    files = [path for path in sorted(source.rglob("*")) if path.suffix in SUFFIXES]
    with atomic_folder(folder) as staging:
        for path in files:
            target = staging / path.relative_to(source)
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, target)
    return sum(path.suffix == ".h5" for path in files)
