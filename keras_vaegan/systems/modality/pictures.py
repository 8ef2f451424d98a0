"""Pictures of a synthetic volume beside its inputs and the real one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_vaegan.data.image import unit_to_image
from keras_vaegan.evaluation.pictures import draw_sample_grid
from keras_vaegan.systems.modality.figures import find_brain_window

ERROR_GAIN = 4


def draw_case(
    real: np.ndarray,
    synthetic: np.ndarray,
    inputs: dict[str, np.ndarray],
    brain: np.ndarray,
    rows: int,
) -> list[list[np.ndarray]]:
    """Pictures of axial slices through a brain, front up.

    Args:
        real, synthetic, inputs, brain: As `evaluate_synthesis`.
        rows: Slices, spread evenly between the brain's first and last.

    Returns:
        A row a slice: the inputs, synthetic, real, and the error times `ERROR_GAIN`.
    """
    levels = np.flatnonzero(brain.any(axis=(0, 1)))
    chosen = levels[np.linspace(0, len(levels) - 1, rows + 2).astype(int)[1:-1]]
    lines = []
    for level in chosen:
        error = np.where(brain, np.abs(real - synthetic), 0)[..., level]
        pictures = [volume[..., level] for volume in (*inputs.values(), synthetic, real)]
        lines.append([np.rot90(p) for p in (*pictures, np.clip(ERROR_GAIN * error, 0, 1))])
    return lines


def cut_slice(volumes: dict[str, np.ndarray], brain: np.ndarray) -> dict[str, np.ndarray]:
    """The axial slice with the most brain, front up, cut to the brain with a margin.

    Args:
        volumes: By name, each (X, Y, Z) in [0, 1].
        brain: (X, Y, Z) bool.

    Returns:
        The same names: (H, W) uint8.
    """
    level = int(brain.sum(axis=(0, 1)).argmax())
    rows, columns = find_brain_window(brain)
    return {
        name: unit_to_image(np.rot90(volume[rows, columns, level]), "uint8")
        for name, volume in volumes.items()
    }


def draw_synthesis_grid(lines: list, inputs: Sequence[str], target: str) -> np.ndarray:
    """Draw rows of `draw_case` under their titles: (H, W, 3) uint8."""
    titles = [*inputs, f"synthetic {target}", f"real {target}", f"{ERROR_GAIN} x |error|"]
    return draw_sample_grid(lines, titles)
