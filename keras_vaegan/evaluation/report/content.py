"""What a report says, before it is a page: systems fill these, `page` draws them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_vaegan.evaluation.confidence import bootstrap_difference


@dataclass(frozen=True)
class Tile:
    """A headline figure.

    Attributes:
        label: What was measured, such as "CT: error in the head".
        value: The figure with its unit, as it is shown.
        detail: What it is to be read beside, such as its interval or a baseline.
        published: The published figure of the same quantity; "" where there is none.
        tone: "good", "bad", or "" where nobody can say.
    """

    label: str
    value: str
    detail: str = ""
    published: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Table:
    """Figures in rows; the first cell of a row is its name."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True)
class Distribution:
    """How the images (or cases) spread around a mean.

    Attributes:
        title: What is spread, with its unit.
        series: Values by group, such as {"ct": [...], "mri": [...]}.
        note: How to read it.
    """

    title: str
    series: Mapping[str, Sequence[float]]
    note: str = ""


@dataclass(frozen=True, eq=False)
class Example:
    """One image with what was made of it.

    Attributes:
        rank: "best", "median" or "worst".
        caption: Its name and score.
        pictures: By title, such as "input", "translation", "truth"; (H, W[, C]) in [0, 1]. The
            slider goes between any two of them, at first between the last two.
        error: (H, W) absolute error in [0, 1] of `error_of`, or None.
        deviation: (H, W) predicted deviation in [0, 1] of the picture "translation", or None.
        error_of: What the error is, such as "|translation - truth|".
    """

    rank: str
    caption: str
    pictures: Mapping[str, np.ndarray]
    error: np.ndarray | None = None
    deviation: np.ndarray | None = None
    error_of: str = ""


@dataclass(frozen=True)
class Examples:
    """Best, median and worst images by one score."""

    title: str
    examples: Sequence[Example]
    note: str = ""


@dataclass(frozen=True, eq=False)
class ReportPart:
    """What a system tells of one contrast, or of one folder's images, before it is laid out.

    Attributes:
        name: Such as "flair" or "testA".
        rows: One dict a case or image, as per_image.csv has them.
        shown: By rank, the pictures of one of them by name, each (H, W[, C]).
        rows_shown: By rank, its row.
    """

    name: str
    rows: Sequence[dict]
    shown: Mapping[str, Mapping[str, np.ndarray]]
    rows_shown: Mapping[str, Mapping]


@dataclass(frozen=True)
class Curves:
    """Quantities by training step.

    Attributes:
        title: Such as "Validation".
        panels: {panel: {series: [(step, value), ...]}}; a lone series may be called "".
        note: How to read them.
        units: Unit of a panel's values, such as "dB"; a panel that it lacks has none.
    """

    title: str
    panels: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]]
    note: str = ""
    units: Mapping[str, str] = field(default_factory=dict)


Section = Table | Distribution | Examples | Curves


@dataclass(frozen=True)
class Content:
    """A whole report.

    Attributes:
        title: Such as "CycleGAN on 150 CT and 150 MRI images".
        facts: Such as {"protocol": "unit", "commit": "abc1234"}, in the order of reading.
        tiles: Headline figures, the truest first.
        alarms: Warnings, a line each.
        sections: In the order of reading: paired truth first where it exists.
        missing: What the report lacks and why, a line each.
        config: The resolved configuration as JSON-ready values, or None.
    """

    title: str
    facts: Mapping[str, str]
    tiles: Sequence[Tile] = ()
    alarms: Sequence[str] = ()
    sections: Sequence[Section] = ()
    missing: Sequence[str] = ()
    config: Mapping | None = None


def make_gain_tile(
    label: str,
    values: Sequence[float],
    rival: tuple[str, Sequence[float]],
    form: str,
    unit: str = "",
    published: str = "",
) -> Tile:
    """The mean of a measure, of which more is better, beside a rival's on the same images.

    Args:
        label: What was measured.
        values: One an image, or case.
        rival: The rival's name and its values.
        form: How a value is written, such as "{:.2f}".
        unit: Such as " dB".
        published: As `Tile`'s.
    """
    name, others = rival
    change = bootstrap_difference(others, values)
    signed = form.replace(":", ":+")
    gain = change["difference"]
    detail = f"{name} {form.format(np.mean(others))}{unit}; gain {signed.format(gain)}{unit}"
    if change["interval"]:
        detail += ", 95 % interval " + " to ".join(signed.format(end) for end in change["interval"])
    tone = ("good" if gain > 0 else "bad") if change["differs"] else ""
    return Tile(label, form.format(np.mean(values)) + unit, detail, published, tone)


def format_mean(part: Mapping[str, Any], form: str) -> list[str]:
    """Two cells: a mean, and its interval or a dash."""
    ends = [form.format(end) for end in part["interval"] or ()]
    return [form.format(part["mean"]), " to ".join(ends) or "-"]


def choose_examples(scores: Sequence[float | None]) -> dict[str, int]:
    """Choose what to show of many images.

    Args:
        scores: One an image, the higher the better; None and NaN are left out.

    Returns:
        The index of the "best", "median" and "worst" of three images or more; of two the best
        and the worst, of one its index under "".
    """
    known = [i for i, score in enumerate(scores) if score is not None and score == score]
    order = sorted(known, key=lambda i: -float(scores[i] or 0.0))
    if len(order) < 2:
        return {"": order[0]} if order else {}
    middle = {"median": order[len(order) // 2]} if len(order) > 2 else {}
    return {"best": order[0], **middle, "worst": order[-1]}
