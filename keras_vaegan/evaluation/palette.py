"""Colours of what is plotted: one a name wherever it appears, in print, in light and in dark.

Darkened and lightened from Okabe and Ito's set, which colour-blind readers tell apart, until each
has a contrast of 3:1 with its background.
"""

from __future__ import annotations

from collections.abc import Iterable

LIGHT = ("#0072b2", "#cc5500", "#00805f", "#a8528a", "#8a6d00", "#5b5b66")
DARK = ("#62bbee", "#ff9c4f", "#3ccfa4", "#e3a0c8", "#dcc650", "#b4b4be")
NAMES = {  # of series, as they are shown
    "source": "MRI", "target": "CT", "ct": "CT", "mri": "MRI",
    "t1": "T1", "t1ce": "T1ce", "t2": "T2", "flair": "FLAIR",
}  # fmt: skip
_PLACES = {
    "": 5,
    "MRI": 0,
    "CT": 1,
    "network": 1,
    "bicubic": 0,
    "T1": 0,
    "T1ce": 2,
    "T2": 3,
    "FLAIR": 1,
}


def name_series(name: str) -> str:
    """A series' name as it is shown: "target" is CT, "source" is MRI."""
    return NAMES.get(name.lower(), name)


def place_colours(names: Iterable[str]) -> dict[str, int]:
    """Places in `LIGHT` and `DARK` of series: known names have theirs, others take free ones.

    A series without a name is gray.
    """
    places: dict[str, int] = {}
    names = list(dict.fromkeys(names))
    for name in (*(n for n in names if name_series(n) in _PLACES), *names):
        if name not in places:
            wanted = _PLACES.get(name_series(name))
            free = [place for place in range(len(LIGHT)) if place not in places.values()]
            if wanted is None or wanted not in free:
                wanted = free[0] if free else len(places) % len(LIGHT)
            places[name] = wanted
    return {name: places[name] for name in names}
