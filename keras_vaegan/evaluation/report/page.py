"""A report as one page without any other file: `render_page`, and the files beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from keras_vaegan.evaluation.palette import DARK, LIGHT, name_series, place_colours
from keras_vaegan.evaluation.report.charts import draw_curves, draw_distribution
from keras_vaegan.evaluation.report.content import (
    Content,
    Curves,
    Distribution,
    Examples,
    Section,
    Table,
)
from keras_vaegan.evaluation.report.embed import embed_maps, embed_pictures, find_top
from keras_vaegan.files import atomic_path, write_csv, write_json

_FOLDER = Path(__file__).parent


def write_report(folder: str | Path, metrics: dict, rows: Sequence[dict], content: Content) -> None:
    """Write metrics.json, per_image.csv and a self-contained report.html.

    Args:
        folder: Created if absent.
        metrics: JSON-ready figures.
        rows: One dict an image, all with the same keys.
        content: What the page says.

    Raises:
        InputError: the folder cannot be written to.
    """
    write_json(Path(folder) / "metrics.json", metrics)
    write_csv(Path(folder) / "per_image.csv", rows)
    with atomic_path(Path(folder) / "report.html") as temporary:
        temporary.write_text(render_page(content), encoding="utf-8")


def render_page(content: Content) -> str:
    """A report as HTML that loads nothing else, follows light and dark, and needs no script.

    Args:
        content: Parts that are empty are left out, or said to be missing.
    """
    config = content.config
    return _load_template().render(
        content=content,
        sections=[_lay_out(section) for section in content.sections],
        config=None if config is None else json.dumps(config, indent=2, ensure_ascii=False),
        colours=list(enumerate(zip(LIGHT, DARK, strict=True))),
        style=_read("report.css"),
        script=_read("report.js"),
    )


def _lay_out(section: Section) -> dict[str, Any]:
    """A section as the template takes it: its kind, and what has to be drawn."""
    laid = {"kind": type(section).__name__.lower(), "title": section.title, "note": section.note}
    if isinstance(section, Table):
        return laid | {"columns": section.columns, "rows": section.rows}
    if isinstance(section, Distribution):
        return laid | {"chart": draw_distribution(section.title, section.series)}
    if isinstance(section, Examples):
        return laid | {"examples": _lay_out_examples(section)}
    return laid | {"panels": _lay_out_panels(section)}


def _lay_out_examples(section: Examples) -> list[dict[str, Any]]:
    """Examples with their pictures; error maps of one section share a scale."""
    error_top = find_top([example.error for example in section.examples])
    deviation_top = find_top([example.deviation for example in section.examples])
    return [
        {
            "rank": example.rank,
            "caption": example.caption,
            "pictures": embed_pictures(example),
            "maps": embed_maps(example, error_top, deviation_top),
        }
        for example in section.examples
    ]


def _lay_out_panels(section: Curves) -> list[dict[str, Any]]:
    """Panels with their legends."""
    return [
        {
            "title": title,
            "unit": section.units.get(title, ""),
            "legend": [(name_series(n), c) for n, c in place_colours(series).items() if n],
            "chart": draw_curves(title, series),
        }
        for title, series in section.panels.items()
    ]


@cache
def _load_template() -> Template:
    """The page's template, which escapes whatever it is given."""
    loader = FileSystemLoader(_FOLDER)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("report.html.j2")


def _read(name: str) -> Markup:
    """A file of this folder, to be put into the page as it is."""
    return Markup((_FOLDER / name).read_text(encoding="utf-8"))
