"""Inputs to try the page with: heads that are drawn, of nobody."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_vaegan.data.image import write_image
from keras_vaegan.data.nifti import write_nifti
from keras_vaegan.data.volume import Volume
from keras_vaegan.phantom.heads import HIGHEST_Z, LOWEST_Z
from keras_vaegan.phantom.rendering import cut_head, render_ct, render_mri

EXAMPLES = {  # label: file, domain
    "MRI slice": ("phantom_mri.png", "mri"),
    "CT slice": ("phantom_ct.png", "ct"),
    "MRI volume": ("phantom_mri.nii.gz", "mri"),
}
SEED, CASE, LEVEL = 20, 6, 0.55
SIDE = 256
VOLUME_SIDE, SLICES = 128, 16


def write_example(label: str, folder: Path) -> Path:
    """Draw an example and write it.

    Args:
        label: One of `EXAMPLES`.
        folder: Where to.

    Returns:
        The file.
    """
    name, domain = EXAMPLES[label]
    path = folder / name
    if path.name.endswith(".nii.gz"):
        write_nifti(path, draw_volume())
        return path
    cut = cut_head(SEED, CASE, LEVEL, (SIDE, SIDE))
    noise = np.random.default_rng(SEED)
    picture = render_ct(cut, noise) if domain == "ct" else render_mri(cut, "t1", noise)
    write_image(path, picture)
    return path


def draw_volume() -> Volume:
    """A T1-weighted head as slices from the eyes to the vertex, int16."""
    cuts = [
        cut_head(SEED, CASE, level, (VOLUME_SIDE, VOLUME_SIDE))
        for level in np.linspace(0, 1, SLICES)
    ]
    pictures = [render_mri(cut, "t1", np.random.default_rng(SEED)) for cut in cuts]
    values = np.flip(np.stack(pictures), (1, 2)).transpose(2, 1, 0).astype("int16")
    thickness = (HIGHEST_Z - LOWEST_Z) / (SLICES - 1)
    spacing = np.array([cuts[0].spacing_mm, cuts[0].spacing_mm, thickness])
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -spacing * (np.array(values.shape) - 1) / 2
    return Volume(values, affine)
