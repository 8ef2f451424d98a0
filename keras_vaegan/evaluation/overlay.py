"""How sure a translation is, as a picture: the translation, and its deviation over it."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np

SIDE_INCHES, DPI = 3.2, 100
TOP_PERCENTILE = 99.5
HEAT, OPACITY = "inferno", 0.85  # colours, and how opaque the highest deviation is


def draw_uncertainty(
    panels: Sequence[tuple[np.ndarray, np.ndarray, float]],
    unit: str,
    limits: tuple[float, float] | None = None,
) -> np.ndarray:
    """Draw translations above their deviations, which one colour bar explains.

    Args:
        panels: Of (translation (H, W), deviation (H, W) in `unit`, height of a pixel in its
            widths), one a column.
        unit: Of the deviation, such as "HU".
        limits: Values of the translations that are black and white; by default their percentiles.

    Returns:
        (H, W, 3) uint8.
    """
    from matplotlib.figure import Figure

    from keras_vaegan.evaluation.pictures import render_figure

    size = (SIDE_INCHES * len(panels) + 0.8, 2 * SIDE_INCHES)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained", facecolor="black")
    axes = figure.subplots(2, len(panels), squeeze=False)
    top = max(float(np.percentile(deviation, TOP_PERCENTILE)) for _, deviation, _ in panels)
    top = top or 1.0
    heat = matplotlib.colormaps[HEAT]
    drawn = None
    for column, (picture, deviation, aspect) in enumerate(panels):
        low, high = limits or np.percentile(picture, (0.5, 99.5))
        for row in range(2):
            ax = axes[row, column]
            ax.set_axis_off()
            ax.imshow(picture, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), aspect=aspect)
        share = np.clip(deviation / top, 0, 1)
        drawn = axes[1, column].imshow(
            deviation, cmap=heat, vmin=0, vmax=top, alpha=OPACITY * np.sqrt(share), aspect=aspect
        )
    if drawn is not None:
        bar = figure.colorbar(drawn, ax=axes[1, :].tolist(), fraction=0.05)
        bar.set_label(f"standard deviation, {unit}", color="white")
        bar.ax.tick_params(colors="white")
        if bar.solids is not None:
            bar.solids.set_alpha(1)
    return render_figure(figure)
