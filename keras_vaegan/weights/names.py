"""The published names of the weight files, and where a folder keeps them."""

from __future__ import annotations

from pathlib import Path

CYCLEGAN_FILES = {
    "g_target": "g_target_weights.h5",
    "g_source": "g_source_weights.h5",
    "d_source": "d_source_weights.h5",
    "d_target": "d_target_weights.h5",
}
GENERATOR_FILES = {"mri2ct": CYCLEGAN_FILES["g_target"], "ct2mri": CYCLEGAN_FILES["g_source"]}
RRDBNET_FILE = "rrdbnet_weights.h5"
MODALITY_FILE = "modality_unet_weights.h5"


def find_in_folder(folder: Path, name: str) -> Path | None:
    """A weight file of a folder, or None; in a run folder, the one in `best/` comes first."""
    files = (folder / "best" / name, folder / name)
    return next((file for file in files if file.is_file()), None)
