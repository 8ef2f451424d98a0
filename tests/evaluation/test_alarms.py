"""Alarms: each is raised by a made failure and by it alone, none by a good translation."""

import numpy as np
import pytest
from scipy import ndimage

from keras_vaegan.evaluation.alarms import AlarmWatch

SIDE, COUNT = 64, 8


def make_heads(seed):
    """(MRI, CT): ellipses of random size with a rim, soft texture and a ventricle."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    mri, ct = np.zeros((2, COUNT, SIDE, SIDE))
    for i in range(COUNT):
        radius = np.hypot(rows / rng.uniform(0.8, 1.1), columns / rng.uniform(0.7, 1))
        texture = ndimage.gaussian_filter(rng.normal(0, 1, (SIDE, SIDE)), 2) * 0.3
        ventricle = np.hypot(rows - rng.uniform(-5, 5), columns - rng.uniform(-5, 5)) < 6
        brain, head = radius < 22, radius < 27
        mri[i][head], ct[i][head] = 0.2, 1.0
        mri[i][brain], ct[i][brain] = (0.5 + texture)[brain], (0.4 - 0.3 * texture)[brain]
        mri[i][ventricle], ct[i][ventricle] = 0.9, 0.2
    return np.clip(mri, 0, 1), np.clip(ct, 0, 1)


MRI, CT = make_heads(0)
_, REAL = make_heads(1)
HEADS = CT > 0.05


def find_alarms(made, starts=None, batch=COUNT):
    """Alarms of a set that comes in batches."""
    watch = AlarmWatch("ct")
    for first in range(0, COUNT, batch):
        part = slice(first, first + batch)
        watch.add(MRI[part], made[part], {k: v[part] for k, v in (starts or {}).items()})
        watch.add_real(REAL[part])
    return watch.find()


def kinds(made, starts=None):
    return [alarm.kind for alarm in find_alarms(made, starts)]


def test_the_truth_raises_none():
    assert kinds(CT, {"negative": np.where(HEADS, 1 - MRI, 0)}) == []


def test_a_copy_is_told():
    assert kinds(np.clip(MRI * 1.1, 0, 1)) == ["copy", "inverted"]


def test_the_start_is_told_by_its_name():
    start = np.where(HEADS, 1 - MRI, 0)
    made = np.clip(0.9 * start + 0.02, 0, 1)
    (alarm,) = find_alarms(made, {"negative": start, "copy": MRI})
    assert alarm.kind == "start" and "'negative'" in str(alarm) and alarm.value > alarm.limit


def test_an_inverted_contrast_is_told():
    assert kinds(np.where(HEADS, np.clip(1.05 - CT, 0, 1), 0)) == ["inverted"]


@pytest.mark.parametrize("made", [np.repeat(CT[:1], COUNT, axis=0), np.full_like(CT, 0.5)])
def test_one_answer_to_all_is_told(made):
    assert "monotony" in kinds(made)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_saturated_translations_are_told(value):
    made = CT.copy()
    made[(CT > 0.3) & (CT < 0.9)] = value
    assert "saturation" in kinds(made)


def test_an_alarm_is_one_line():
    (line, *_) = map(str, find_alarms(MRI))
    assert line.startswith("alarm: generated CT is nearly its input") and "\n" not in line


def test_batches_find_what_the_whole_set_finds():
    whole, parts = (find_alarms(MRI, batch=batch) for batch in (COUNT, 3))
    assert [alarm.kind for alarm in whole] == [alarm.kind for alarm in parts]
    np.testing.assert_allclose([a.value for a in whole], [a.value for a in parts], rtol=1e-9)
