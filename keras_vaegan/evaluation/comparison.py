"""Two runs on one test set: which differences are more than chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.confidence import bootstrap_difference
from keras_vaegan.evaluation.truth import tell_cases

GROUPS = ("domain", "target", "folder")
HIGHER = {"psnr", "ssim", "f1", "auc"}
LOWER = {"mae", "bce", "error"}

Row = Mapping[str, Any]


def compare_rows(
    first: Sequence[Row], second: Sequence[Row], keys: Sequence[str], seed: int = 0
) -> list[dict[str, Any]]:
    """Compare the tables of images of two runs, measure by measure, on the images of both.

    Args:
        first: One run's rows, as `evaluate` makes them or as `csv.DictReader` reads them.
        second: The other's; the order of rows does not matter.
        keys: Columns that tell which image a row is of, such as ("domain", "name").
        seed: Seed of the intervals.

    Returns:
        A dict a measure, which is every numeric column of both tables, in each group of rows of
        one "domain", "target" or "folder" (whichever the tables have first): {"group": "" without
        such a column, "measure", "first": mean over the images that both runs have a value of,
        "second", "difference": second - first, "interval": its 95 % interval by paired bootstrap
        ([low, high], or None with fewer than two images or cases), "differs": whether that leaves
        out 0, "better": "first" or "second" where they differ in a measure of known direction,
        else ""}. Whole cases are drawn where a column "case" or the names tell them.

    Raises:
        InputError: no rows, rows without one of the keys, or rows of images that the other run
            lacks.
    """
    pairs = _match(first, second, keys)
    column = next((name for name in GROUPS if name in pairs[0][0]), None)
    groups: dict[str, list[tuple[Row, Row]]] = {}
    for pair in pairs:
        groups.setdefault(str(pair[0][column]) if column else "", []).append(pair)
    return [
        {"group": group, "measure": name, **_compare(name, values, _find_own_cases(members), seed)}
        for group, members in groups.items()
        for name, values in _list_measures(members, keys).items()
    ]


def find_direction(measure: str) -> int:
    """1 where more of a measure is better, -1 where less is, 0 where its name does not tell."""
    words = set(measure.lower().split("_"))
    return bool(words & HIGHER) - bool(words & LOWER)


def _match(
    first: Sequence[Row], second: Sequence[Row], keys: Sequence[str]
) -> list[tuple[Row, Row]]:
    """Rows of one image side by side, in the first table's order."""
    tables = []
    for rows, which in ((first, "first"), (second, "second")):
        lacking = [key for key in keys if any(key not in row for row in rows)]
        if not rows or lacking:
            missing = f"no column {lacking[0]!r}" if rows else "no rows"
            raise InputError(
                f"the {which} run's table has {missing}: expected rows with {', '.join(keys)}; "
                "evaluate that run again"
            )
        tables.append({tuple(str(row[key]) for key in keys): row for row in rows})
    one, other = tables
    alone = [key for key in one if key not in other] + [key for key in other if key not in one]
    if alone:
        raise InputError(
            f"{len(alone)} images are in one run's table only, such as {' '.join(alone[0])}: "
            "expected one test set; evaluate both runs with the same --data and --limit"
        )
    return [(row, other[key]) for key, row in one.items()]


def _list_measures(
    pairs: Sequence[tuple[Row, Row]], keys: Sequence[str]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The columns that hold numbers, and nothing else but gaps, in both tables; NaN for gaps."""
    measures = {}
    for name in dict.fromkeys(name for row, _ in pairs for name in row if name not in keys):
        columns = [[_read_number(pair[side].get(name)) for pair in pairs] for side in (0, 1)]
        if None not in columns[0] + columns[1]:
            first, second = (np.array(column, "float64") for column in columns)
            if np.isfinite(first + second).any():
                measures[name] = (first, second)
    return measures


def _read_number(value: Any) -> float | None:
    """A cell's number, NaN where it is empty; None where it holds something else."""
    if value is None or value == "":
        return np.nan
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None


def _find_own_cases(pairs: Sequence[tuple[Row, Row]]) -> Sequence[str] | None:
    """The case of every row, where the tables tell it."""
    rows = [pair[0] for pair in pairs]
    if all("case" in row for row in rows):
        return [str(row["case"]) for row in rows]
    return tell_cases([str(row["name"]) for row in rows]) if "name" in rows[0] else None


def _compare(
    name: str, values: tuple[np.ndarray, np.ndarray], cases: Sequence[str] | None, seed: int
) -> dict[str, Any]:
    """What `compare_rows` tells of one measure."""
    both = np.isfinite(values[0] + values[1])
    found = bootstrap_difference(*values, cases, seed)
    gain = found["difference"] * find_direction(name) if found["differs"] else 0
    return {
        "first": float(values[0][both].mean()),
        "second": float(values[1][both].mean()),
        **found,
        "better": "second" if gain > 0 else "first" if gain < 0 else "",
    }
