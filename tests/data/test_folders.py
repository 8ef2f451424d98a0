"""Finding image sets, and choosing files evenly."""

from __future__ import annotations

import pytest

from keras_vaegan.data.folders import find_image_root, hold_back, spread
from keras_vaegan.errors import InputError


def test_find_image_root_accepts_the_folder_and_its_parents(tmp_path):
    root = tmp_path / "kaggle" / "Dataset" / "images"
    for name in ("trainA", "trainB", "testA"):
        (root / name).mkdir(parents=True)
    for given in (root, root.parent, root.parent.parent, tmp_path, str(root)):
        assert find_image_root(given) == root


def test_find_image_root_refuses_nothing_and_several(tmp_path):
    with pytest.raises(InputError, match="no image set"):
        find_image_root(tmp_path)
    with pytest.raises(InputError, match="absent"):
        find_image_root(tmp_path / "absent")
    (tmp_path / "one" / "trainA").mkdir(parents=True)
    (tmp_path / "two" / "trainA").mkdir(parents=True)
    with pytest.raises(InputError, match="several"):
        find_image_root(tmp_path)


def test_spread_takes_both_ends_and_no_item_twice():
    assert spread("abcdefghij", 4) == ["a", "d", "g", "j"]
    assert spread(range(5), 5) == spread(range(5), 9) == spread(range(5), None) == [*range(5)]
    assert spread([], 3) == [] and spread("ab", 1) == ["a"]
    with pytest.raises(InputError, match="limit 0"):
        spread("ab", 0)


@pytest.mark.parametrize(("total", "count", "held"), [(9, 2, [0, 8]), (3, 2, []), (40, 0, [])])
def test_held_back_items_are_at_most_a_quarter(total, count, held):
    kept, validation = hold_back(total, count)
    assert validation == held
    assert sorted(kept + validation) == list(range(total))
