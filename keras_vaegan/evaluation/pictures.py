"""Pictures for people: grids of samples, and figures as arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

TILE_INCHES = 2.6
DPI = 100


def draw_sample_grid(rows: Sequence[Sequence[np.ndarray]], titles: Sequence[str]) -> np.ndarray:
    """Draw images in rows under column titles.

    Args:
        rows: Rows of images, each (H, W) or (H, W, C) in [0, 1]; gray is shown gray, on the
            same black-to-white scale everywhere.
        titles: One title a column.

    Returns:
        (height, width, 3) uint8.
    """
    figure = Figure(
        figsize=(TILE_INCHES * len(titles), TILE_INCHES * len(rows) + 0.3), dpi=DPI,
        facecolor="white", layout="constrained",
    )  # fmt: skip
    axes = figure.subplots(len(rows), len(titles), squeeze=False)
    for row, images in zip(axes, rows, strict=True):
        for axis, image in zip(row, images, strict=True):
            shown = np.clip(np.asarray(image, "float32"), 0, 1)
            shown = shown[..., 0] if shown.ndim == 3 and shown.shape[-1] == 1 else shown
            axis.imshow(shown, cmap="gray", vmin=0, vmax=1)
            axis.set_axis_off()
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=9)
    return render_figure(figure)


def render_figure(figure: Figure) -> np.ndarray:
    """Figure -> (H, W, 3) uint8."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
