"""What a report says of two runs that were evaluated on the same images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras_vaegan.evaluation.palette import name_series
from keras_vaegan.evaluation.report.content import Content, Table

VERDICTS = {"first": "{first} is better", "second": "{second} is better", "": "they differ"}


def tabulate_headlines(first: Content, second: Content, names: tuple[str, str]) -> Table:
    """The headline figures of both runs, a row each."""
    others = {tile.label: tile.value for tile in second.tiles}
    rows = [[tile.label, tile.value, others.get(tile.label, "-")] for tile in first.tiles]
    return Table("Both runs: headline figures", ["", *names], rows)


def tabulate_differences(found: Sequence[Mapping[str, Any]], names: tuple[str, str]) -> Table:
    """The differences of `compare_rows`, with a verdict each."""
    rows = [
        [
            name_measure(part),
            f"{part['first']:.4g}",
            f"{part['second']:.4g}",
            _format_difference(part),
            give_verdict(part, names),
        ]
        for part in found
    ]
    note = (
        "Means over the same images, and the 95 % interval of the second less the first, by paired "
        "bootstrap over images, or over cases where the names tell them. Each line stands for "
        "itself: of twenty measures that do not differ, one may seem to."
    )
    columns = ["", *names, "difference (95 % interval)", "verdict"]
    return Table("Both runs: differences, image by image", columns, rows, note)


def name_measure(part: Mapping[str, Any]) -> str:
    """A measure with the images that it is of, such as "MRI images: cycle psnr"."""
    measure = part["measure"].replace("_", " ")
    return f"{name_series(part['group'])} images: {measure}" if part["group"] else measure


def give_verdict(part: Mapping[str, Any], names: tuple[str, str]) -> str:
    """One measure's verdict in words."""
    if not part["differs"]:
        return "no difference shown" if part["interval"] else "too few to tell"
    return VERDICTS[part["better"]].format(first=names[0], second=names[1])


def _format_difference(part: Mapping[str, Any]) -> str:
    """The difference with its interval."""
    if part["difference"] is None:
        return "-"
    sure = part["interval"] and f" ({part['interval'][0]:+.3g} to {part['interval'][1]:+.3g})"
    return f"{part['difference']:+.3g}{sure or ''}"
