"""The run loop, with a system whose every step adds a known number to one weight."""

from __future__ import annotations

import csv
import json
import signal
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vaegan.config.run import RunConfig
from keras_vaegan.errors import InputError, TrainingDiverged
from keras_vaegan.systems.system import System, Validation
from keras_vaegan.training.callbacks import CHECKED_EVERY, PlateauRate
from keras_vaegan.training.data_record import RECORD_FILE, describe_files, keep_data_record
from keras_vaegan.training.run import train_run
from keras_vaegan.training.run_folder import is_run, read_run_config
from keras_vaegan.training.run_lock import hold_run_folder
from keras_vaegan.training.trainer import Trainer, build_compiled


class Sum(Trainer):
    """Adds up what it is given: 0, 1, 2, ..., a number a step."""

    def __init__(self, config) -> None:
        super().__init__(config, "sum")
        self.total = self.add_weight(shape=(), initializer="zeros", name="total")
        self.stages = []

    def compile(self, **kwargs) -> None:
        optimizer = keras.optimizers.SGD(0.5)
        optimizer.build([self.total])
        super().compile(optimizer, **kwargs)

    def set_stage(self, name: str) -> None:
        self.stages.append(name)

    def update(self, data) -> dict:
        self.total.assign_add(keras.ops.mean(data))
        return {"total": self.total + 0.0}

    def state_parts(self) -> dict:
        return {"sum": SimpleNamespace(variables=[self.total]), "optimizer": self.optimizer}

    def weight_files(self) -> dict:
        network = SimpleNamespace(get_weights=lambda: [self.total.numpy()])
        return {"total.txt": ([network], None)}

    def save_weight_files(self, folder) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "total.txt").write_text(f"{float(self.total.numpy()):g}")

    def load_weight_files(self, folder) -> None:
        self.total.assign(float((folder / "total.txt").read_text()))


class Numbers:
    """The numbers as a run's data."""

    one_pass, description = 3, "numbers"

    def __init__(self, scores=(), plateau=None) -> None:
        self.scores, self.plateau = iter(scores), plateau
        self.sources = {"numbers": {"files": 9, "digest": "a"}}
        self.broken: dict[int, float] = {}
        self.on_validation = lambda trainer: None

    def complete(self, config):
        return config

    def read_batch(self, step: int) -> tuple[np.ndarray]:
        return (np.full((2,), self.broken.get(step, step), "float32"),)

    def validate(self, trainer) -> Validation:
        self.on_validation(trainer)
        score = next(self.scores, None)
        picture = np.zeros((8, 8, 3), "uint8")
        return Validation() if score is None else Validation({"val_score": score}, picture)

    def write_records(self, out: Path, resume: bool) -> None:
        (out / "numbers.txt").write_text("from 0")


class SumSystem(System):
    """What `train_run` asks of a system."""

    def __init__(self, data: Numbers | None = None, stages=None) -> None:
        self.data, self.stages = data or Numbers(), stages
        self.trainer = None

    def load_data(self, config, data, out, resume):
        return self.data

    def build_trainer(self, config):
        self.trainer = build_compiled(Sum, config)
        return self.trainer

    def list_stages(self, config):
        return self.stages or super().list_stages(config)


def make_config(**fields) -> RunConfig:
    return RunConfig(**{"batch_size": 2, "steps": 5, "validate_every": 2, **fields})


def run(out, system=None, config=None, **options):
    return train_run(system or SumSystem(), config or make_config(), Path("data"), out, **options)


def read_history(out) -> list[dict]:
    with (out / "logs" / "history.csv").open() as file:
        return list(csv.DictReader(file))


def list_steps(out) -> list[int]:
    return [int(row["step"]) for row in read_history(out)]


def test_a_run_folder_holds_the_run(tmp_path, capsys):
    """Best is the second validation; the last one follows fewer steps."""
    assert run(tmp_path, SumSystem(Numbers([1.0, 3.0, 2.0]))) is None
    assert is_run(tmp_path) and read_run_config(tmp_path) == make_config()
    assert (tmp_path / "total.txt").read_text() == "10"  # 0 + 1 + 2 + 3 + 4
    assert (tmp_path / "best" / "total.txt").read_text() == "6"
    assert (tmp_path / "numbers.txt").exists() and (tmp_path / "logs" / "history.png").exists()
    names = [path.name for path in sorted((tmp_path / "samples").iterdir())]
    assert names == [f"step_00000{step}.png" for step in (2, 4, 5)]
    rows = read_history(tmp_path)
    assert [row["step"] for row in rows] == ["2", "4", "5"]
    assert [float(row["val_score"]) for row in rows] == [1, 3, 2]
    assert [float(row["total"]) for row in rows] == [0.5, 4.5, 10]  # means over an epoch
    output = capsys.readouterr().out
    assert "training on numbers, batches of 2, steps 0 to 5" in output
    assert "saved" in output and "at step 5" in output


def test_a_run_may_start_from_anothers_weights(tmp_path):
    """A resume goes on from its own."""
    run(tmp_path / "first")
    out = tmp_path / "second"
    run(out, config=make_config(steps=2), init_from=tmp_path / "first")
    assert (out / "total.txt").read_text() == "11"  # 10 + 0 + 1
    run(out, config=make_config(steps=3), resume=True, init_from=tmp_path / "first")
    assert (out / "total.txt").read_text() == "13"


def test_an_epoch_is_a_pass_unless_the_config_says_otherwise(tmp_path):
    run(tmp_path, config=make_config(validate_every=0), epochs=2)
    assert list_steps(tmp_path) == [3, 6]
    assert read_run_config(tmp_path).steps == 6


def test_several_steps_a_call_divide_the_run_that_is_asked_for(tmp_path):
    """Not the one of the config, where the passes are given."""
    run(tmp_path, config=make_config(steps=5, validate_every=0), epochs=2, steps_per_call=3)
    assert list_steps(tmp_path) == [3, 6]
    with pytest.raises(InputError, match="--steps-per-call 2: expected a divisor of 3, 6"):
        run(tmp_path / "b", config=make_config(validate_every=0), epochs=2, steps_per_call=2)


def test_without_validation_the_last_weights_alone_are_kept(tmp_path):
    run(tmp_path)
    assert not (tmp_path / "best").exists() and not (tmp_path / "samples").exists()


def test_a_run_cut_between_two_validations_goes_on_with_the_same_ones(tmp_path):
    """Of both stages, the second of which begins between two multiples of the step count."""
    stages = [("", 5), ("second", 11)]
    run(tmp_path / "whole", SumSystem(stages=stages), make_config(steps=11))
    assert list_steps(tmp_path / "whole") == [2, 4, 5, 7, 9, 11]
    for end in (3, 8, 11):
        cut = [(name, min(step, end)) for name, step in stages]
        run(tmp_path / "cut", SumSystem(stages=cut), make_config(steps=end), resume=end > 3)
    assert list_steps(tmp_path / "cut") == [2, 3, 4, 5, 7, 8, 9, 11]
    totals = [(tmp_path / name / "total.txt").read_text() for name in ("whole", "cut")]
    assert totals[0] == totals[1] == str(sum(range(11)))  # every batch once


def test_a_resumed_run_goes_on_where_it_was(tmp_path, capsys):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run(whole, SumSystem(Numbers([1.0, 3.0, 2.0])))
    run(cut, SumSystem(Numbers([1.0, 3.0])), make_config(steps=4))
    run(cut, SumSystem(Numbers([2.0])), resume=True)
    for name in ("total.txt", "best/total.txt"):
        assert (cut / name).read_text() == (whole / name).read_text()
    kept = ("epoch", "step", "total", "val_score")
    first, second = ([[row[k] for k in kept] for row in read_history(x)] for x in (whole, cut))
    assert first == second
    capsys.readouterr()
    run(cut, resume=True)
    assert "already at step 5 of 5" in capsys.readouterr().out


def test_stages_follow_each_other(tmp_path):
    system = SumSystem(stages=[("empty", 0), ("first", 3), ("second", 5)])
    run(tmp_path, system)
    assert system.trainer.stages == ["first", "second"]
    assert list_steps(tmp_path) == [2, 3, 5]
    assert (tmp_path / "total.txt").read_text() == "10"
    longer = SumSystem(stages=[("first", 3), ("second", 7)])
    run(tmp_path, longer, make_config(steps=7), resume=True)
    assert longer.trainer.stages == ["second"] and list_steps(tmp_path)[-1] == 7


def test_a_signal_saves_and_is_given_back(tmp_path):
    """One that comes in a validation ends the next epoch after its first step."""
    data = Numbers([1.0, 2.0])
    data.on_validation = lambda trainer: (
        signal.raise_signal(signal.SIGTERM) if int(trainer.trained_steps.numpy()) == 2 else None
    )
    system = SumSystem(data, stages=[("first", 5), ("second", 9)])
    assert run(tmp_path, system, make_config(steps=9)) == signal.SIGTERM
    assert system.trainer.stages == ["first"] and list_steps(tmp_path) == [2, 3]
    assert run(tmp_path, SumSystem(), make_config(steps=4), resume=True) is None
    assert (tmp_path / "total.txt").read_text() == "6"


def test_a_time_limit_ends_a_run(tmp_path):
    run(tmp_path, minutes=1e-9)
    assert list_steps(tmp_path) == [1]


def test_a_plateau_lowers_the_rate_across_a_resume(tmp_path):
    def make_system(scores):
        return SumSystem(Numbers(scores, PlateauRate(2, otherwise="total")))

    every = {"validate_every": 1}
    run(tmp_path, make_system([5.0, 4.0]), make_config(steps=2, **every))
    run(tmp_path, make_system([4.0, 4.0, 4.0]), make_config(steps=5, **every), resume=True)
    rates = [float(row["learning_rate"]) for row in read_history(tmp_path)]
    assert rates == [0.5, 0.5, 0.5, 0.25, 0.25]  # of the steps before each validation


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_run_before_anything_is_saved(tmp_path, value):
    system = SumSystem()
    system.data.broken = {2: value}
    with pytest.raises(TrainingDiverged) as failure:
        run(tmp_path, system)
    assert "the loss total is not finite at step 3: expected finite" in str(failure.value)
    assert f"{tmp_path} keeps the weights and state of step 2" in str(failure.value)
    assert (tmp_path / "total.txt").read_text() == "1" and list_steps(tmp_path) == [2]
    run(tmp_path, resume=True)
    assert (tmp_path / "total.txt").read_text() == "10"


def test_a_diverged_run_is_found_within_some_steps(tmp_path):
    """Long before its validation; nothing has been saved."""
    system = SumSystem()
    system.data.broken = {2: float("nan")}
    with pytest.raises(TrainingDiverged, match="at step 3: .* nothing was saved yet; train anew"):
        run(tmp_path, system, make_config(steps=400, validate_every=200))
    assert int(system.trainer.trained_steps.numpy()) == CHECKED_EVERY
    assert not is_run(tmp_path)


def test_a_weight_that_is_not_finite_is_not_saved(tmp_path, monkeypatch):
    """The last step of an epoch may break the network after its own loss."""
    monkeypatch.setattr(Sum, "update", lambda self, data: (
        self.total.assign_add(float("nan")), {"total": 1.0 + 0 * keras.ops.mean(data)}
    )[1])  # fmt: skip
    with pytest.raises(TrainingDiverged, match="a weight of total.txt is not finite at step 2"):
        run(tmp_path)
    assert not (tmp_path / "total.txt").exists()


def test_two_trainings_do_not_share_a_folder(tmp_path):
    refusal = pytest.raises(InputError, match="another training runs in .*run: expected one")
    with hold_run_folder(tmp_path / "run"), refusal:
        run(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    run(tmp_path / "run", config=make_config(steps=2))
    run(tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "total.txt").read_text() == "10"


def test_a_resume_with_other_data_is_told(tmp_path, capsys):
    run(tmp_path, config=make_config(steps=2))
    for facts, told in (
        ({"files": 9, "digest": "a"}, False), ({"files": 9}, False),
        ({"files": 8, "digest": "b"}, True), ({"files": 9, "digest": "b"}, True),
    ):  # fmt: skip
        system = SumSystem()
        system.data.sources = {"numbers": facts}
        run(tmp_path, system, resume=True)
        line = f"warning: numbers is not what the run began with ({facts['files']} files, then 9)"
        assert (line in capsys.readouterr().err) == told


@pytest.mark.parametrize("text", ["", "[]", '{"numbers": 9}', '{"numbers": {}}', "[" * 10_000])
def test_a_record_of_the_data_that_is_none_is_written_anew(tmp_path, capsys, text):
    path = tmp_path / RECORD_FILE
    path.write_text(text)
    sources = {"numbers": {"files": 9, "digest": "a"}}
    keep_data_record(tmp_path, sources, resume=True)
    assert json.loads(path.read_text()) == sources and capsys.readouterr().err == ""


def test_files_are_described_by_names_and_sizes(tmp_path):
    for name, text in (("a", "1"), ("b", "22")):
        (tmp_path / name).write_text(text)
    paths = [tmp_path / "a", tmp_path / "b"]
    first = describe_files(paths)
    assert first["files"] == 2 and first == describe_files(paths[::-1])
    (tmp_path / "b").write_text("333")
    assert describe_files(paths)["digest"] != first["digest"]


def test_a_batch_that_replicas_cannot_share_is_refused_before_anything_is_built(
    tmp_path, monkeypatch
):
    three = SimpleNamespace(num_replicas_in_sync=3, cluster_resolver=None)
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: three)
    system = SumSystem()
    with pytest.raises(InputError, match="a global batch of 2 over 3 replicas"):
        run(tmp_path, system)
    assert system.trainer is None and not list(tmp_path.iterdir())
