"""Running means of what a step logs."""

import numpy as np
import pytest

from keras_vaegan.training.means import CAPACITY, RunningMeans


def test_means_by_name_of_whatever_comes():
    means = RunningMeans()
    means.update_state({"cycle": 1.0, "kl": 10.0})
    means.update_state({"cycle": 2.0, "kl": 20.0})
    means.update_state({"cycle": 6.0, "late": np.float16(4.0)})
    assert {name: float(value) for name, value in means.result().items()} == {
        "cycle": 3.0, "kl": 15.0, "late": 4.0,
    }  # fmt: skip


def test_a_reset_begins_anew_under_the_same_names():
    means = RunningMeans()
    means.update_state({"cycle": 1.0})
    means.reset_state()
    means.update_state({"cycle": 5.0})
    assert float(means.result()["cycle"]) == 5.0


def test_no_step_makes_a_variable():
    means = RunningMeans()
    before = list(means.variables)
    means.update_state({str(index): float(index) for index in range(CAPACITY)})
    assert means.variables == before
    assert float(means.result()[str(CAPACITY - 1)]) == CAPACITY - 1
    with pytest.raises(IndexError):
        means.update_state({"one too many": 1.0})
