"""What the report of a super-resolution network says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from keras_vaegan.evaluation.report.content import (
    Content,
    Distribution,
    Example,
    Examples,
    ReportPart,
    Section,
    Table,
    Tile,
    format_mean,
    make_gain_tile,
)

KINDS = ("network", "bicubic")
MEASURES = {"psnr": ("PSNR", "{:.2f}", " dB"), "ssim": ("SSIM", "{:.4f}", "")}
_MODALITIES = {"testA": "CT", "testB": "MRI"}


def describe_enlargements(metrics: Mapping, parts: Sequence[ReportPart]) -> Content:
    """Turn an evaluation of enlargements into a report.

    Args:
        metrics: As metrics.json holds them: "scale", "downsample" and the "enlargement" of each
            folder.
        parts: One a folder of `metrics["enlargement"]`; it shows "low", "bicubic", "network" and
            "truth", each (H, W, C) in [0, 1].
    """
    scale, figures = metrics["scale"], metrics["enlargement"]
    counts = ", ".join(f"{part['n']} {_name(folder)}" for folder, part in figures.items())
    tiles, sections = [], []
    for part in parts:
        tiles += [_make_tile(part, measure) for measure in MEASURES]
        sections += _make_sections(part, figures[part.name], metrics)
    facts = {"Images": counts, "Scale": f"x{scale}", "Shrunk by": f"{metrics['downsample']}"}
    names = " and ".join(f"{p['n']} {_MODALITIES.get(f, f)}" for f, p in figures.items())
    return Content(f"Super-resolution x{scale} of {names} images", facts, tiles, (), sections)


def _make_tile(part: ReportPart, measure: str) -> Tile:
    """The network's mean, beside the bicubic one on the same images."""
    title, form, unit = MEASURES[measure]
    network, bicubic = ([row[f"{kind}_{measure}"] for row in part.rows] for kind in KINDS)
    label = f"{_name(part.name)}: {title}"
    return make_gain_tile(label, network, ("bicubic", bicubic), form, unit)


def _make_sections(part: ReportPart, figures: Mapping, metrics: Mapping) -> list[Section]:
    """A folder's table, the spread of its images, and three of them."""
    columns = ["", "PSNR [dB]", "95 % interval", "SSIM", "95 % interval"]
    rows = [[kind, *_format_means(figures[kind])] for kind in KINDS]
    note = (
        f"Each image shrunk {metrics['scale']} times ({metrics['downsample']}, rounded to its bit "
        "depth) and enlarged again; means over images, and how far chance alone may move them."
    )
    name, folder = _name(part.name), part.name
    title = f"Enlargement of {folder}, x{metrics['scale']}: {figures['n']} images"
    series = {kind: [row[f"{kind}_psnr"] for row in part.rows] for kind in KINDS}
    ranks = {rank: _make_example(rank, part) for rank in part.shown}
    return [
        Table(title, columns, rows, note),
        Distribution(f"{name}: PSNR of each image [dB]", series),
        Examples(
            f"{name}: best, median and worst by PSNR", list(ranks.values()),
            "The part of each image with the most contrast. Low resolution is shown in its own "
            "pixels.",
        ),
    ]  # fmt: skip


def _make_example(rank: str, part: ReportPart) -> Example:
    """One image: its enlargements, and the network's error."""
    pictures, row = part.shown[rank], part.rows_shown[rank]
    caption = (
        f"{row['name']}: {row['network_psnr']:.2f} dB / {row['network_ssim']:.3f}, bicubic "
        f"{row['bicubic_psnr']:.2f} dB / {row['bicubic_ssim']:.3f}"
    )
    named = {"low resolution": pictures["low"]}
    named |= {name: pictures[name] for name in ("bicubic", "network", "truth")}
    error = np.abs(pictures["network"] - pictures["truth"]).mean(axis=-1)
    return Example(rank, caption, named, error, error_of="|network - truth|")


def _format_means(figures: Mapping) -> list[str]:
    """A mean and its interval for every measure."""
    return [c for m, (_, form, _) in MEASURES.items() for c in format_mean(figures[m], form)]


def _name(folder: str) -> str:
    """A folder's name, with its modality where the image set says it."""
    return f"{_MODALITIES[folder]} ({folder})" if folder in _MODALITIES else folder
