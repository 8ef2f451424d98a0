"""What a person looks at: sample grids, loss plots, and the report of an evaluation."""

from __future__ import annotations

import base64
import csv
import html
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from keras_vaegan.data.image import write_image
from keras_vaegan.files import atomic_path, write_csv, write_json

TILE_INCHES = 2.6
DPI = 100
MEASURES = {"psnr": "PSNR [dB]", "ssim": "SSIM", "mae": "error", "kl": "KL", "l1": "L1"}
NOT_PLOTTED = ("epoch", "step", "minutes")
# A log's name may end in a domain, a contrast or a method; those share a panel.
SERIES = ("source", "target", "ct", "mri", "network", "bicubic", "t1", "t1ce", "t2", "flair")
TITLES = {  # of the panels whose name does not explain itself
    "cycle": "cycle L1", "ssim": "1 - SSIM of the cycle", "identity": "identity L1",
    "anchor": "L1 to the starting point", "background": "L1 of air to black",
    "kl": "KL per latent element", "pixel": "L1", "features": "L1 of discriminator features",
    "l1": "L1 of the slice", "mse": "squared error of the slice",
}  # fmt: skip
# Sections of the report that hold the same figures of a reconstruction.
_COMPARISONS = {
    "cycle": "Cycle: input against its reconstruction",
    "cycle_enhanced": "Original against the high-resolution reconstruction",
    "honest_cycle": "Honest cycle: the translation stored as 8 bit with noise in between",
    "translation": "Translation: error against the true counterpart",
    "translation_in_head": "The same inside the head alone",
    "brain": "Synthetic contrasts against the real ones, in the brain; [0, 1] scale",
    "whole": "The same in the whole volume",
}
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { border-bottom: 1px solid #ddd; padding: .3rem .8rem; text-align: right; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; }
.note { color: #666; }
.alarm { border-left: 4px solid #b00020; padding-left: .8rem; }
"""


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
    return _render(figure)


def draw_history(history_csv: str | Path, path: str | Path) -> None:
    """Plot every quantity of a history.csv against the step, a panel each.

    Args:
        history_csv: Written by training; missing cells are left out.
        path: PNG to write.

    Raises:
        InputError: `path` cannot be written to.
    """
    with Path(history_csv).open(newline="") as file:
        rows = list(csv.DictReader(file))
    panels = group_by_panel(rows[0] if rows else {})
    columns = min(4, max(1, len(panels)))
    lines = max(1, -(-len(panels) // columns))
    figure = Figure(figsize=(3.6 * columns, 2.5 * lines), dpi=DPI, layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    for axis, (title, names) in zip(axes, panels.items(), strict=False):
        for name in names:
            points = [(float(r["step"]), float(r[name])) for r in rows if r.get(name)]
            label = name.rsplit("_", 1)[-1]
            axis.plot(*zip(*points, strict=True), marker=".", markersize=3, label=label)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("step", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
        if len(axis.lines) > 1:
            axis.legend(fontsize=7)
    write_image(path, _render(figure))


def write_report(
    folder: str | Path, metrics: dict, rows: Sequence[dict], pictures: dict[str, np.ndarray]
) -> None:
    """Write metrics.json, per_image.csv and a self-contained report.html.

    Args:
        folder: Created if absent.
        metrics: JSON-ready figures.
        rows: One dict an image, all with the same keys.
        pictures: Caption -> (H, W, 3) uint8.

    Raises:
        InputError: the folder cannot be written to.
    """
    write_json(Path(folder) / "metrics.json", metrics)
    write_csv(Path(folder) / "per_image.csv", rows)
    with atomic_path(Path(folder) / "report.html") as temporary:
        temporary.write_text(_format_page(metrics, pictures))


def group_by_panel(row: dict) -> dict[str, list[str]]:
    """Names of logs by the title of the panel that shows them, whatever is logged."""
    panels: dict[str, list[str]] = {}
    for name in row:
        if name not in NOT_PLOTTED:
            stem, _, last = name.rpartition("_")
            stem = stem if last in SERIES else name
            words = stem.replace("val_", "validation ").replace("_", " ").split()
            title = TITLES.get(stem, " ".join(MEASURES.get(word, word) for word in words))
            panels.setdefault(title, []).append(name)
    return panels


def _render(figure: Figure) -> np.ndarray:
    """Figure -> (H, W, 3) uint8."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _format_page(metrics: dict, pictures: dict[str, np.ndarray]) -> str:
    """The report as one HTML page."""
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>Evaluation</title>",
        f"<style>{_STYLE}</style><h1>Evaluation</h1>",
        "<p class='note'>Research use only; not for diagnosis. Protocol "
        f"{_text(metrics.get('protocol'))}, commit {_text(metrics.get('commit'))}"
        f"{_format_counts(metrics)}.</p>",
    ]
    for alarm in metrics.get("alarms") or []:
        parts.append(
            f"<p class='alarm'>Generated {_text(alarm['domain'].upper())} {_text(alarm['text'])} "
            f"{alarm['value']:.2f} (limit {alarm['limit']:g}).</p>"
        )
    for key, title in _COMPARISONS.items():
        if metrics.get(key):
            columns = ("psnr", "ssim", "mae", "bce", "auc_roc", "f1")
            parts.append(f"<h2>{title}</h2>" + _format_table(metrics[key], columns))
    for domain, table in (metrics.get("tissues") or {}).items():
        parts.append(
            f"<h2>Mean intensity of each tissue: generated {_text(domain.upper())}</h2>"
            "<p class='note'>Tissues by thresholds on the true CT; white: share of the tissue made "
            "brighter than 0.6.</p>" + _format_table(table, ("truth", "made", "white", "pixels"))
        )
    if metrics.get("realism"):
        parts.append(
            "<h2>Realism of the translations</h2><p class='note'>C2ST: 0.5 is perfect. Gap: 0 is "
            "real, 1 is no better than not translating.</p>"
            + _format_table(metrics["realism"], ("c2st_auc", "untranslated_auc", "gap", "copy"))
        )
    for folder, figures in (metrics.get("enlargement") or {}).items():
        kinds = {name: figures[name] for name in ("network", "bicubic")}
        title = f"Enlargement of {_text(folder)}, x{metrics['scale']}: {figures['n']} images"
        parts.append(f"<h2>{title}</h2>" + _format_table(kinds, ("psnr", "ssim")))
    for caption, image in pictures.items():
        _, content = cv2.imencode(".png", image[..., ::-1])
        data = base64.b64encode(content.tobytes()).decode()
        parts.append(
            f"<h2>{_text(caption)}</h2><img alt='{_text(caption)}' "
            f"src='data:image/png;base64,{data}'>"
        )
    return "\n".join([*parts, "</html>\n"])


def _format_counts(metrics: dict) -> str:
    """How many images of each modality, or cases, were compared, where it is told."""
    if "n_cases" in metrics:
        return f", {metrics['n_cases']} cases"
    if "n_ct" not in metrics:
        return ""
    return f", {metrics['n_ct']} CT and {metrics['n_mri']} MRI images"


def _format_table(domains: dict, columns: Sequence[str]) -> str:
    """A row a domain (and a baseline of it), a column a figure."""
    rows = []
    for domain, values in domains.items():
        rows.append((domain, values))
        for baseline in ("identity", "histogram_matching", "fitted", "copy"):
            if isinstance(values.get(baseline), dict):
                rows.append((f"{domain}, {baseline.replace('_', ' ')}", values[baseline]))
    head = "".join(f"<th>{_text(c)}</th>" for c in ("", *columns))
    body = "".join(
        f"<tr><td>{_text(name)}</td>"
        + "".join(f"<td>{_format_value(values.get(c))}</td>" for c in columns)
        + "</tr>"
        for name, values in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _format_value(value) -> str:
    """A number, a mean with its deviation, or a group of numbers."""
    if value is None:
        return "-"
    if isinstance(value, dict):
        if set(value) == {"mean", "std"}:
            return f"{value['mean']:.4g} ± {value['std']:.2g}"
        return ", ".join(f"{_text(k)} {_format_value(v)}" for k, v in value.items())
    return f"{value:.4g}"


def _text(value) -> str:
    """Escaped text."""
    return html.escape(str(value))
