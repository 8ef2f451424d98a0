"""Exact resume: every bit of every variable, two generations, refusals."""

import os
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from keras_vaegan.errors import InputError
from keras_vaegan.training.state import load_run_state, save_run_state

DTYPES = ("float32", "float16", "bfloat16", "int64", "uint32", "bool")
EXTRA = {"epoch": 3, "step": np.int64(1500), "best_score": float("-inf"), "history": [{"a": 0.1}]}


class FakeTrainer:
    """A model, its optimizer, and one variable of every dtype."""

    def __init__(self, units=3, seed=0):
        rng = np.random.default_rng(seed)
        image = keras.Input((4,), name="image")
        x = keras.layers.Dense(units, name="dense")(image)
        self.model = keras.Model(image, keras.layers.Dropout(0.5, seed=7, name="dropout")(x))
        self.optimizer = keras.optimizers.Adam(0.1, name="adam")
        self.optimizer.build(self.model.trainable_variables)
        self.loose = {
            name: keras.Variable(rng.integers(0, 2, (5, 2)) * rng.uniform(1, 9), dtype=name)
            for name in DTYPES
        }
        self.loose["scalar"] = keras.Variable(rng.uniform(), dtype="bfloat16")

    def state_variables(self):
        owners = {"model": self.model, "optimizer": self.optimizer}
        variables = {
            f"{owner}/{index:04d}/{variable.name}": variable
            for owner, value in owners.items()
            for index, variable in enumerate(value.variables)
        }
        return {**variables, **self.loose}

    def step(self):
        """One update that depends on weights, moments, the iteration and the seed."""
        output = keras.ops.convert_to_numpy(self.model(np.ones((2, 4)), training=True))
        gradients = [v * float(output.mean()) + 1.0 for v in self.model.trainable_variables]
        self.optimizer.apply(gradients, self.model.trainable_variables)


def snapshot(trainer):
    return {
        name: keras.ops.convert_to_numpy(variable).tobytes()
        for name, variable in trainer.state_variables().items()
    }


def test_every_bit_and_the_extra_facts_return(tmp_path):
    trainer, other = FakeTrainer(seed=0), FakeTrainer(seed=1)
    trainer.step()
    save_run_state(trainer, tmp_path / "state", EXTRA)
    assert snapshot(other) != snapshot(trainer)
    assert load_run_state(other, tmp_path / "state") == EXTRA
    assert snapshot(other) == snapshot(trainer)


def test_extra_may_be_long(tmp_path):
    extra = {"history": [{"loss": index / 3} for index in range(10_000)]}
    save_run_state(FakeTrainer(), tmp_path, extra)
    assert load_run_state(FakeTrainer(), tmp_path) == extra


def test_resume_equals_an_uninterrupted_run(tmp_path):
    trainer, resumed = FakeTrainer(), FakeTrainer(seed=1)
    trainer.step()
    save_run_state(trainer, tmp_path, {})
    load_run_state(resumed, tmp_path)
    for _ in range(3):
        trainer.step()
        resumed.step()
    assert snapshot(resumed) == snapshot(trainer)


def save_three_times(folder):
    trainer = FakeTrainer()
    for step in (1, 2, 3):
        trainer.step()
        save_run_state(trainer, folder, {"step": step})


def test_two_generations_are_kept(tmp_path):
    save_three_times(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["state.h5", "state.previous.h5"]
    assert load_run_state(FakeTrainer(), tmp_path) == {"step": 3}
    (tmp_path / "state.h5").unlink()
    assert load_run_state(FakeTrainer(), tmp_path) == {"step": 2}


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_state_falls_back_to_the_previous(tmp_path, share):
    save_three_times(tmp_path)
    content = (tmp_path / "state.h5").read_bytes()
    (tmp_path / "state.h5").write_bytes(content[: int(share * len(content))])
    with pytest.warns(UserWarning, match="resuming from state.previous.h5"):
        assert load_run_state(FakeTrainer(), tmp_path) == {"step": 2}
    (tmp_path / "state.previous.h5").write_text("not a state")
    with (
        pytest.warns(UserWarning, match="resuming"),
        pytest.raises(InputError, match="cannot read .*state.previous.h5"),
    ):
        load_run_state(FakeTrainer(), tmp_path)


def test_another_trainer_is_refused_and_unchanged(tmp_path):
    save_run_state(FakeTrainer(), tmp_path, {})
    wider, more, less, cast = (FakeTrainer(units=u) for u in (4, 3, 3, 3))
    more.loose["extra"] = keras.Variable(0.0)
    del less.loose["scalar"]
    cast.loose["float16"] = keras.Variable(np.ones((5, 2)), dtype="float32")
    for trainer, text in (
        (wider, "dense|kernel"), (more, "'extra' is in the trainer alone"),
        (less, "'scalar' is in the state alone"), (cast, "'float16' has .*expected .'float32'"),
    ):  # fmt: skip
        before = snapshot(trainer)
        with pytest.raises(InputError, match=text) as caught:
            load_run_state(trainer, tmp_path)
        assert "\n" not in str(caught.value)
        assert snapshot(trainer) == before


def test_nothing_to_resume(tmp_path):
    with pytest.raises(InputError, match="no state.h5 in"):
        load_run_state(FakeTrainer(), tmp_path / "state")


def test_a_failed_save_keeps_both_generations(tmp_path):
    save_three_times(tmp_path)
    trainer = FakeTrainer()
    trainer.loose["float32"] = None
    with pytest.raises(TypeError):
        save_run_state(trainer, tmp_path, {})
    assert sorted(os.listdir(tmp_path)) == ["state.h5", "state.previous.h5"]
    assert load_run_state(FakeTrainer(), tmp_path) == {"step": 3}


def test_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        save_run_state(FakeTrainer(), tmp_path / "file" / "state", {})


@pytest.mark.parametrize("dtypes", [("int32", "int64"), ("int64", "int32"), ("int64", "uint32")])
def test_a_counter_may_have_another_width(tmp_path, dtypes):
    """Keras's backends count steps and seeds in types of their own."""
    counters = [
        keras.Variable(start, dtype=dtype) for start, dtype in zip((70_000, 0), dtypes, strict=True)
    ]
    trainers = [SimpleNamespace(state_variables=lambda c=c: {"counter": c}) for c in counters]
    save_run_state(trainers[0], tmp_path, {})
    load_run_state(trainers[1], tmp_path)
    assert int(counters[1].numpy()) == 70_000
