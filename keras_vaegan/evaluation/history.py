"""A run's history.csv as curves: what was logged, in plain words, training before validation."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from keras_vaegan.data.image import write_image
from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.palette import LIGHT, name_series, place_colours
from keras_vaegan.evaluation.pictures import DPI, render_figure
from keras_vaegan.evaluation.report.content import Curves

NOT_PLOTTED = ("epoch", "step", "minutes")
# A log's name may end in a domain, a contrast or a method; those share a panel.
SERIES = ("source", "target", "ct", "mri", "network", "bicubic", "t1", "t1ce", "t2", "flair")
TRAINING, VALIDATION = "Training: losses", "Validation: held-back images"
TITLES = {  # of the logs whose names do not explain themselves
    "adversarial": "Generators' adversarial loss",
    "discriminator": "Discriminators' loss",
    "cycle": "Cycle: L1 to the input",
    "ssim": "Cycle: 1 - SSIM",
    "identity": "Identity: L1 to the input",
    "structure": "Structure lost in translation",
    "anchor": "L1 to the hand-drawn start",
    "background": "Brightness of air",
    "tissue": "Deviation from known tissue in CT",
    "brain": "Deviation from known tissue in MRI",
    "kl": "KL divergence per latent element",
    "pixel": "L1 of pixels",
    "features": "L1 of discriminator features",
    "l1": "L1 of the slice",
    "mse": "Squared error of the slice",
    "brain_psnr": "PSNR in the brain",
    "brain_mae": "Absolute error in the brain",
    "val_cycle_psnr": "Cycle PSNR",
    "val_cycle_ssim": "Cycle SSIM",
    "val_honest_cycle_psnr": "Honest cycle PSNR",
    "val_honest_cycle_ssim": "Honest cycle SSIM",
    "val_psnr": "PSNR",
    "val_ssim": "SSIM",
    "val_mae": "Absolute error",
    "val_gap_all": "Realism gap: all features",
    "val_gap_hog": "Realism gap: edges",
    "val_gap_histogram": "Realism gap: intensities",
    "val_gap_spectrum": "Realism gap: frequencies",
    "val_copy": "Similarity to a copy of the input",
    "val_edges": "Edges kept",
    "val_score": "Score that chooses best/",
    "val_alarms": "Alarms raised",
}
LAST = "Learning rate"
_WORDS = {"psnr": "PSNR", "ssim": "SSIM", "mae": "absolute error", "kl": "KL", "l1": "L1"}
_WIDE = 30.0  # largest over smallest value, from which a panel has a logarithmic axis
_FEW = 25  # points, up to which they are marked
_COLUMNS = 4
_PANEL_INCHES = (3.9, 2.9)


def read_curves(history_csv: str | Path) -> list[Curves]:
    """Read a run's history.

    Args:
        history_csv: Written by training; missing cells are left out.

    Returns:
        The training losses and the validations, each only where something was logged.

    Raises:
        InputError: it is no such file.
    """
    try:
        with Path(history_csv).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return make_curves(rows)
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise InputError(
            f"{history_csv} is no history of a run ({error}): expected the CSV that `train` writes"
        ) from error


def make_curves(rows: Sequence[Mapping[str, str]]) -> list[Curves]:
    """Rows of history.csv -> `Curves`, as `read_curves`."""
    parts: dict[str, dict] = {TRAINING: {}, VALIDATION: {}}
    units: dict[str, str] = {}
    panels = group_by_panel(rows[0] if rows else {})
    order = {title: place for place, title in enumerate(TITLES.values())}
    order[LAST] = len(order) + 1
    for title in sorted(panels, key=lambda title: order.get(title, len(TITLES))):
        names = panels[title]
        series = {}
        for name in names:
            points = [(float(row["step"]), float(row[name])) for row in rows if row.get(name)]
            points = [point for point in points if math.isfinite(point[1])]
            if points:
                series[_split(name)[1]] = points
        if series:
            part = VALIDATION if names[0].startswith("val_") else TRAINING
            parts[part][title] = series
            units[title] = "dB" if "PSNR" in title else ""
    return [
        Curves(title, drawn, units={panel: units[panel] for panel in drawn})
        for title, drawn in parts.items()
        if drawn
    ]


def group_by_panel(names: Iterable[str]) -> dict[str, list[str]]:
    """Names of logs by the title of the panel that shows them, whatever is logged."""
    panels: dict[str, list[str]] = {}
    for name in names:
        if name and name not in NOT_PLOTTED:
            panels.setdefault(_name_panel(_split(name)[0]), []).append(name)
    return panels


def is_wide(values: Sequence[float]) -> bool:
    """Whether values span so much that only a logarithmic axis shows them all."""
    return min(values) > 0 and max(values) > _WIDE * min(values)


def draw_history(history_csv: str | Path, path: str | Path) -> None:
    """Plot every quantity of a history.csv against the step, a panel each.

    Args:
        history_csv: Written by training; missing cells are left out.
        path: PNG to write.

    Raises:
        InputError: `history_csv` is none, or `path` cannot be written to.
    """
    curves = read_curves(history_csv)
    columns = min(_COLUMNS, max((len(part.panels) for part in curves), default=2))
    heights = [-(-len(part.panels) // columns) for part in curves] or [1]
    width, height = _PANEL_INCHES
    figure = Figure(
        figsize=(width * columns, height * sum(heights) + 0.5 * len(heights)), dpi=DPI,
        layout="constrained", facecolor="white",
    )  # fmt: skip
    blocks = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    if not curves:
        figure.suptitle("Nothing was logged yet", fontsize=15)
    for block, part, lines in zip(blocks, curves, heights, strict=False):
        block.suptitle(part.title, fontsize=15, fontweight="bold", x=0.005, ha="left")
        axes = block.subplots(lines, columns, squeeze=False).ravel()
        for axis in axes[len(part.panels) :]:
            axis.set_axis_off()
        for axis, (title, series) in zip(axes, part.panels.items(), strict=False):
            _draw_panel(axis, title, series, part.units[title])
    write_image(path, render_figure(figure))


def _draw_panel(axis, title: str, series: Mapping[str, Sequence], unit: str) -> None:
    """One quantity: its series in their colours, and axes with names."""
    places = place_colours(series)
    for name, points in series.items():
        axis.plot(
            *zip(*points, strict=True), color=LIGHT[places[name]], label=name, linewidth=1.8,
            marker="o" if len(points) <= _FEW else "", markersize=3.5,
        )  # fmt: skip
    axis.set_title(title, fontsize=12, loc="left")
    axis.set_xlabel("step", fontsize=10)
    axis.set_ylabel(unit, fontsize=10)
    if is_wide([value for points in series.values() for _, value in points]):
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.tick_params(labelsize=10, color="#999999")
    axis.grid(color="#e3e3e3", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color("#999999")
    if any(series):
        axis.legend(fontsize=10, frameon=False, handlelength=1.4)


def _split(name: str) -> tuple[str, str]:
    """A log's name -> (what its panel shows, name of its series or "")."""
    stem, _, last = name.rpartition("_")
    return (stem, name_series(last)) if stem and last in SERIES else (name, "")


def _name_panel(stem: str) -> str:
    """The title of the panel of a log, in plain words."""
    if stem in TITLES:
        return TITLES[stem]
    words = [_WORDS.get(word, word) for word in stem.removeprefix("val_").split("_")]
    text = " ".join(words)
    return text[:1].upper() + text[1:]
