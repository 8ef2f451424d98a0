"""The contact sheet of an audit: what a person judges by eye."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.figure import Figure

from keras_vaegan.data.folders import read_integers
from keras_vaegan.data.image import find_limits, image_to_unit
from keras_vaegan.evaluation.audit import Audit
from keras_vaegan.evaluation.pictures import render_figure

TILE = 150  # pixels
CAPTION = 34
COLUMNS = 10
DPI = 100
MOST_PAIRS = 30
MOST = 20  # of what is shown one by one

Tile = tuple[str, str]  # file, caption


def draw_contact_sheet(audit: Audit) -> np.ndarray:
    """Draw near duplicates and leaks side by side, then suspects, odd, blank and marked images.

    Of near duplicates the most alike pairs are shown, each image once.

    Args:
        audit: What was found.

    Returns:
        (height, width, 3) uint8; a line of text where nothing was found.
    """
    sections = _list_sections(audit)
    rows = [row for title, tiles in sections for row in (title, *_cut_rows(tiles))]
    heights = [CAPTION if isinstance(row, str) else TILE + CAPTION for row in rows]
    canvas = np.ones((max(sum(heights), CAPTION), COLUMNS * TILE), "float32")
    figure = Figure(figsize=(canvas.shape[1] / DPI, canvas.shape[0] / DPI), dpi=DPI)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set_axis_off()
    if not rows:
        axis.text(8, CAPTION / 2, f"nothing found in {audit.root}", fontsize=9, va="center")
    top = 0
    for row, height in zip(rows, heights, strict=True):
        if isinstance(row, str):
            axis.text(8, top + CAPTION / 2, row, fontsize=9, va="center", weight="bold")
        else:
            for place, (file, caption) in enumerate(row):
                left = place * TILE
                canvas[top : top + TILE, left + 2 : left + TILE - 2] = _read_tile(audit, file)
                axis.text(left + 4, top + TILE + 2, caption, fontsize=5.5, va="top")
        top += height
    axis.imshow(canvas, cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
    return render_figure(figure)


def _list_sections(audit: Audit) -> list[tuple[str, list[Tile]]]:
    """Titles with their tiles, those without any left out."""
    near = _choose_pairs(audit.near_duplicates)
    leaks = [leak for leak in audit.leaks if not leak["identical"]][: MOST_PAIRS // 2]
    suspects = audit.wrong_modality["suspects"][:MOST]
    sections = [
        (
            f"Near duplicates: {len(near)} of {len(audit.near_duplicates)} pairs",
            _make_pair_tiles(near, "first", "second"),
        ),
        (
            f"Test images that nearly equal a training image: {len(leaks)} of {len(audit.leaks)} "
            "leaks (the others are the same bytes, or alike)",
            _make_pair_tiles(leaks, "test", "train"),
        ),
        (
            "Perhaps of the other modality: probability",
            [(s["file"], f"{s['file']}\n{s['probability']:.2f}") for s in suspects],
        ),
        (
            "Odd sizes",
            [(o["file"], f"{o['file']}\n{o['size']}") for o in audit.odd_sizes[:MOST]],
        ),
        ("Blank", [(file, file) for file in audit.blank[:MOST]]),
        (
            "Burnt-in text: marks",
            [(t["file"], f"{t['file']}\n{t['letters']}") for t in audit.text[:MOST]],
        ),
    ]
    return [(title, tiles) for title, tiles in sections if tiles]


def _choose_pairs(pairs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The most alike pairs, each image in one of them."""
    shown: set[str] = set()
    chosen: list[dict[str, Any]] = []
    for pair in pairs:
        files = {pair["first"], pair["second"]}
        if not files & shown and len(chosen) < MOST_PAIRS:
            chosen.append(pair)
            shown |= files
    return chosen


def _make_pair_tiles(pairs: Sequence[dict[str, Any]], one: str, other: str) -> list[Tile]:
    """Two tiles a pair, the correlation under the first."""
    tiles = []
    for pair in pairs:
        joint = "mirrors" if pair["mirrored"] else "with"
        tiles.append((pair[one], f"{pair[one]}\n{pair['correlation']:.4f} {joint}"))
        tiles.append((pair[other], pair[other]))
    return tiles


def _cut_rows(tiles: list[Tile]) -> list[list[Tile]]:
    """Rows of at most COLUMNS tiles."""
    return [tiles[i : i + COLUMNS] for i in range(0, len(tiles), COLUMNS)]


def _read_tile(audit: Audit, file: str) -> np.ndarray:
    """A file as (TILE, TILE - 4) in [0, 1], the aspect kept."""
    image = read_integers(Path(audit.root) / file)
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    unit = image_to_unit(image, find_limits(image))
    share = min(TILE / unit.shape[0], (TILE - 4) / unit.shape[1])
    height, width = (max(1, int(side * share)) for side in unit.shape)
    tile = np.full((TILE, TILE - 4), 0.3, "float32")
    top, left = (TILE - height) // 2, (TILE - 4 - width) // 2
    small = cv2.resize(unit, (width, height), interpolation=cv2.INTER_AREA)
    tile[top : top + height, left : left + width] = small
    return tile
