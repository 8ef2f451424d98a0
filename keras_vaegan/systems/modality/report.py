"""What the report of a contrast synthesis says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from keras_vaegan.data.image import image_to_unit
from keras_vaegan.evaluation.palette import name_series
from keras_vaegan.evaluation.report.content import (
    Content,
    Distribution,
    Example,
    Examples,
    ReportPart,
    Table,
    Tile,
    format_mean,
    make_gain_tile,
)

FORMS = {"psnr": "{:.2f}", "ssim": "{:.3f}", "mae": "{:.4f}"}
COLUMNS = ("", "PSNR [dB]", "95 % interval", "SSIM", "95 % interval", "MAE", "95 % interval")
# The best published figures of a contrast from another one on BraTS; no other cases are the same.
PUBLISHED = {
    ("flair", "psnr"): "27.98 dB (SelfRDB, T2 to FLAIR, other cases)",
    ("flair", "ssim"): "0.900 (SelfRDB, T2 to FLAIR, other cases)",
}
_UNITS = {"psnr": " dB", "ssim": ""}


def describe_synthesis(metrics: Mapping, parts: Sequence[ReportPart]) -> Content:
    """Turn an evaluation of synthetic contrasts into a report.

    Args:
        metrics: As metrics.json holds them: "n_cases", "brain" and "whole".
        parts: One a contrast of `metrics["brain"]`; it shows slices of cases: the inputs,
            "synthetic" and "real", each (H, W) uint8.
    """
    count = metrics["n_cases"]
    cases = f"{count} case{'s' if count != 1 else ''}"
    names = ", ".join(name_series(part.name) for part in parts)
    tiles = [_make_tile(part, measure) for part in parts for measure in _UNITS]
    tables = [
        Table(
            "Synthetic contrasts against the real ones, in the brain", COLUMNS,
            _list_rows(metrics["brain"]),
            "Means over cases on the [0, 1] scale, and how far chance alone may move them. A "
            "linear fit knows the real contrast, for the synthesis as for the copy: it serves "
            "the comparison of those two alone.",
        ),
        Table(
            "Synthetic contrasts against the real ones, in the whole volume", COLUMNS,
            _list_rows(metrics["whole"]),
        ),
    ]  # fmt: skip
    series = {name_series(p.name): [row["brain_psnr"] for row in p.rows] for p in parts}
    spread = Distribution("PSNR in the brain of each case [dB]", series)
    examples = [_make_examples(part) for part in parts]
    facts = {"Cases": str(count), "Contrasts": names}
    title = f"Synthetic {names} of {cases}"
    return Content(title, facts, tiles, (), [tables[0], spread, *examples, tables[1]])


def _make_tile(part: ReportPart, measure: str) -> Tile:
    """The mean in the brain, beside the best copy of an input in the same cases."""
    form, unit = FORMS[measure], _UNITS[measure]
    made, copy = (
        [row[f"{prefix}brain_{measure}"] for row in part.rows] for prefix in ("", "copy_")
    )
    return make_gain_tile(
        f"{name_series(part.name)}: {measure.upper()} in the brain", made,
        ("best copy of an input", copy), form, unit, PUBLISHED.get((part.name, measure), ""),
    )  # fmt: skip


def _list_rows(targets: Mapping[str, Mapping]) -> list[list[str]]:
    """Three rows a contrast: as generated, after a linear fit, and the best copy of an input."""
    rows = []
    for target, figures in targets.items():
        kinds = {
            "": figures,
            ", after a linear fit": figures["fitted"],
            ", best copy of an input": figures["copy"],
        }
        for kind, part in kinds.items():
            cells = [f"{name_series(target)}{kind}"]
            for measure, form in FORMS.items():
                cells += format_mean(part[measure], form)
            rows.append(cells)
    return rows


def _make_examples(part: ReportPart) -> Examples:
    """Slices through the best, median and worst case."""
    name = name_series(part.name)
    shown = []
    for rank, slices in part.shown.items():
        units = {title: image_to_unit(picture) for title, picture in slices.items()}
        error = np.abs(units["synthetic"] - units["real"])
        pictures = {
            f"{title} {name}" if title in ("synthetic", "real") else name_series(title): picture
            for title, picture in units.items()
        }
        row = part.rows_shown[rank]
        caption = f"{row['case']}: {row['brain_psnr']:.2f} dB / {row['brain_ssim']:.3f}"
        caption += (
            f", best copy ({name_series(row['copy_source'])}) {row['copy_brain_psnr']:.2f} dB"
        )
        shown.append(Example(rank, caption, pictures, error, error_of="|synthetic - real|"))
    return Examples(
        f"{name}: best, median and worst case by PSNR", shown,
        "The axial slice with the most brain, front up.",
    )  # fmt: skip
