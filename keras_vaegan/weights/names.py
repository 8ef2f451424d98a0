"""The published names of the weight files, and which file a path means.

Files are found without any system, so a new system's names are written here, and its `System`
takes them; `SINGLE_FILES` lists those whose network needs no direction.
"""

from __future__ import annotations

from pathlib import Path

from keras_vaegan.errors import InputError

CONFIG_ATTRIBUTE = "keras_vaegan_config"  # of a weight file: the record that it carries
CYCLEGAN_FILES = {
    "g_target": "g_target_weights.h5",
    "g_source": "g_source_weights.h5",
    "d_source": "d_source_weights.h5",
    "d_target": "d_target_weights.h5",
}
GENERATOR_FILES = {"mri2ct": CYCLEGAN_FILES["g_target"], "ct2mri": CYCLEGAN_FILES["g_source"]}
RRDBNET_FILE = "rrdbnet_weights.h5"
MODALITY_FILE = "modality_unet_weights.h5"
SINGLE_FILES = (RRDBNET_FILE, MODALITY_FILE)  # networks that a run has one of: no direction


def find_weight_file(
    path: str | Path, direction: str | None = None, name: str | None = None
) -> Path:
    """The weight file that a path means.

    Args:
        path: Weight file (the other arguments are then ignored), run folder, or folder of
            published names. In a run folder `best/` comes first.
        direction: "mri2ct" or "ct2mri", for a folder of CycleGAN generators.
        name: The published name that is wanted of a folder; by default that of the direction, or
            the only network there.

    Raises:
        InputError: nothing there, a run without weights yet, several networks to choose from, or
            generators without a direction.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(
            f"{path} does not exist: expected a weight file (.h5) or a run folder; check "
            "--weights, or let `keras-vaegan weights` write those that ship"
        )
    if not path.is_dir():
        return path
    _check_finished(path)
    if name is None and direction is None:
        name = _find_single_name(path)
    if name is None:
        if direction not in GENERATOR_FILES:
            raise InputError(
                f"direction {direction!r} for the folder {path}: expected "
                f"{' or '.join(GENERATOR_FILES)}; add --direction"
            )
        name = GENERATOR_FILES[direction]
    found = find_in_folder(path, name)
    if found is None:
        raise InputError(
            f"no {name} in {path}: expected a run folder or a weight file; check --weights"
        )
    return found


def find_in_folder(folder: Path, name: str) -> Path | None:
    """A weight file of a folder, or None; in a run folder, the one in `best/` comes first."""
    files = (folder / "best" / name, folder / name)
    return next((file for file in files if file.is_file()), None)


def _check_finished(path: Path) -> None:
    """Refuse a run that has saved no weights yet."""
    has_weights = any(path.glob("*_weights.h5")) or any(path.glob("best/*_weights.h5"))
    if (path / "config.json").is_file() and not has_weights:
        raise InputError(
            f"{path} is an unfinished run without weights: expected them after its first "
            "validation; let `train` get there, or continue it with --resume"
        )


def _find_single_name(path: Path) -> str | None:
    """The only network of a folder without generators; refuses to choose among several."""
    found = [name for name in SINGLE_FILES if find_in_folder(path, name)]
    generators = any(find_in_folder(path, name) for name in GENERATOR_FILES.values())
    if len(found) + generators > 1:
        raise InputError(
            f"{path} holds several networks: expected --direction for a generator, or the path of "
            f"one file, such as {find_in_folder(path, found[0])}"
        )
    return found[0] if found else None
