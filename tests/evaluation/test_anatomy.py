"""Heads and tissues, on drawn CT slices whose regions are known."""

import numpy as np
import pytest

from keras_vaegan.evaluation.anatomy import TISSUES, find_head, find_tissues, measure_depth

SIDE = 128
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE] - SIDE / 2
RADIUS = np.hypot(ROWS, COLUMNS)
SKULL, BRAIN, VENTRICLE = (r > RADIUS for r in (52, 45, 12))


def draw_ct(brain=0.4, fluid=0.2, seed=0):
    """A ring of bone around brain with a ventricle, with noise, a headrest and a caption."""
    ct = np.zeros((SIDE, SIDE))
    ct[SKULL], ct[BRAIN], ct[VENTRICLE] = 1.0, brain, fluid
    ct[ct > 0] += np.random.default_rng(seed).normal(0, 0.01, (ct > 0).sum())
    ct[SIDE - 4 : SIDE - 2, 20:108] = 1.0  # headrest
    ct[4:8, 2:20] = 0.8  # caption
    return np.clip(ct, 0, 1)[None, ..., None].astype("float32")


def share(found, expected):
    """Intersection over union."""
    return (found & expected).sum() / (found | expected).sum()


def test_the_head_is_the_largest_thing_with_its_holes_filled():
    assert share(find_head(draw_ct())[0], SKULL) > 0.98
    hollow = draw_ct()
    hollow[0, VENTRICLE] = 0
    assert share(find_head(hollow)[0], SKULL) > 0.98


def test_a_black_image_has_no_head_and_no_tissue():
    black = np.zeros((1, SIDE, SIDE, 1))
    head = find_head(black)
    assert not head.any()
    tissues = find_tissues(black, head)
    assert tissues["air"].all() and not any(tissues[n].any() for n in ("bone", "brain", "fluid"))


@pytest.mark.parametrize(("brain", "fluid"), [(0.4, 0.2), (0.75, 0.45), (0.27, 0.15)])
def test_tissues_are_found_in_any_window(brain, fluid):
    ct = draw_ct(brain, fluid)
    tissues = find_tissues(ct, find_head(ct))
    assert tuple(tissues) == TISSUES
    assert share(tissues["bone"][0], SKULL & ~BRAIN) > 0.95
    assert share(tissues["fluid"][0], VENTRICLE) > 0.9
    assert share(tissues["brain"][0], BRAIN & ~VENTRICLE) > 0.85  # less the skull's margin
    assert share(tissues["air"][0], ~SKULL) > 0.98
    assert not (tissues["brain"] & tissues["fluid"]).any()


def test_without_a_closed_skull_there_is_bone_alone():
    ct = draw_ct()
    ct[0, :60] = 0
    tissues = find_tissues(ct, find_head(ct))
    assert tissues["bone"].any() and not tissues["brain"].any() and not tissues["fluid"].any()


def test_depth_rises_from_the_surface():
    depth = measure_depth(SKULL[None])[0]
    assert depth.max() == 1 and not depth[~SKULL].any()
    assert depth[64, 64] > depth[64, 40] > depth[64, 20] > 0
