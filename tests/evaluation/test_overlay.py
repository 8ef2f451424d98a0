"""The picture of a deviation over its translation."""

import numpy as np
import pytest

from keras_vaegan.evaluation.overlay import DPI, SIDE_INCHES, draw_uncertainty

SIDE = 40
BAR = 310  # the colour bar's left edge, with one panel


def make_panel(aspect=1.0, top=0.3):
    """A gray ramp whose deviation is `top` in its lower right quarter, else 0."""
    deviation = np.zeros((SIDE, SIDE))
    deviation[SIDE // 2 :, SIDE // 2 :] = top
    return np.tile(np.linspace(0, 1, SIDE), (SIDE, 1)), deviation, aspect


def find_colour(picture):
    """How far from gray every pixel is."""
    return np.ptp(picture.astype(int), axis=-1)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("aspect", [0.4, 1.0, 3.0])
def test_a_picture_has_a_column_a_panel(count, aspect):
    picture = draw_uncertainty([make_panel(aspect)] * count, "HU")
    width = round((SIDE_INCHES * count + 0.8) * DPI)
    assert picture.shape == (round(2 * SIDE_INCHES * DPI), width, 3)
    assert picture.dtype == "uint8" and picture.std() > 10


def test_colour_is_where_the_deviation_is():
    colour = find_colour(draw_uncertainty([make_panel()], "of 1"))
    upper, lower = np.split(colour[:, :BAR], 2)
    assert upper.max() <= 2
    rows, columns = np.nonzero(lower > 30)
    assert len(rows) > 2000
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert height == pytest.approx(width, abs=3) and len(rows) > 0.95 * height * width
    assert rows.min() > 0.4 * lower.shape[0] and columns.min() > 0.4 * lower.shape[1]


def test_no_deviation_leaves_the_picture_gray():
    picture = draw_uncertainty([make_panel(top=0.0)], "HU")
    assert find_colour(picture)[:, :BAR].max() <= 2


@pytest.mark.parametrize("kind", ["uint8", "uint16", "int16", "float32"])
def test_a_blank_translation_of_any_type_is_drawn(kind):
    deviation = np.full((SIDE, SIDE), 0.1, "float32")
    assert draw_uncertainty([(np.zeros((SIDE, SIDE), kind), deviation, 1.0)], "HU").std() > 0


def test_the_translation_is_shown_within_its_limits():
    picture = np.full((32, 32), -1000.0)
    picture[8:24, 8:16], picture[8:24, 16:24] = 30, 50
    drawn = [
        draw_uncertainty([(picture, np.zeros((32, 32)), 1.0)], "HU", limits).std()
        for limits in ((0.0, 80.0), (-1000.0, 80.0))
    ]
    gray = draw_uncertainty([(picture, np.zeros((32, 32)), 1.0)], "HU", (0.0, 80.0))
    levels = gray[..., 0].astype(int).ravel()
    assert all(np.abs(levels - 255 * value / 80).min() <= 1 for value in (30, 50))
    assert drawn[0] != drawn[1]
