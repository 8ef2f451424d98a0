"""The rate on a plateau, and what ends a training."""

import signal
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from keras_vaegan.training.callbacks import PlateauRate, StepsDone, StopOnSignalOrLimit

SCORES = (1.0, 2.0, 1.5, 1.9, 2.0, 2.5, 2.4, 2.4, 2.4, 2.4, 2.4, 2.4)
SHARES = (1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125)


def make_plateau(rate=3e-3, scaled=False, past=None):
    """A callback of patience 3 on a model that is an optimiser alone."""
    optimizer = keras.optimizers.Adam(rate)
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    callback = PlateauRate(3, otherwise="l1")
    callback.past = past or {}
    callback.set_model(SimpleNamespace(optimizer=optimizer))
    callback.on_train_begin()
    return callback, optimizer


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("name", ["val_score", "l1"])
def test_the_rate_halves_after_three_validations_without_a_better_one(name, scaled):
    """By the score, or where there is none by the falling loss; under loss scaling too."""
    callback, optimizer = make_plateau(scaled=scaled)
    rates = []
    for epoch, score in enumerate(SCORES):
        logs = (
            {"val_score": score, "l1": 0.0} if name == "val_score" else {"l1": np.array([-score])}
        )
        callback.on_epoch_end(epoch, logs)
        rates.append(float(optimizer.learning_rate))
    assert rates == pytest.approx([3e-3 * share for share in SHARES])


def test_the_wait_goes_on_after_a_resume():
    callback, _ = make_plateau()
    for epoch, score in enumerate(SCORES[:4]):
        callback.on_epoch_end(epoch, {"val_score": score, "l1": 0.0})
    assert callback.past == {"plateau_best": 2.0, "plateau_wait": 2}
    resumed, optimizer = make_plateau(past=callback.past)
    resumed.on_epoch_end(4, {"val_score": 2.0, "l1": 0.0})
    assert float(optimizer.learning_rate) == pytest.approx(1.5e-3)


def start(limit, done=0):
    """Put a limit on a model that has done some steps; return the model."""
    model = SimpleNamespace(
        trained_steps=keras.ops.convert_to_tensor(done),
        agree_to_stop=lambda requested: requested,
        stop_training=False,
    )
    limit.set_model(model)
    limit.on_train_begin()
    return model


def test_a_step_limit_counts_from_the_steps_done():
    limit = StopOnSignalOrLimit(steps=7)
    model = start(limit, done=5)
    limit.on_train_batch_end(0)
    assert not model.stop_training
    limit.on_train_batch_end(1)
    assert model.stop_training and not limit.is_over


def test_a_time_limit_ends_the_whole_training(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("keras_vaegan.training.callbacks.time.monotonic", lambda: clock[0])
    limit = StopOnSignalOrLimit(steps=100, minutes=2)
    start(limit)
    clock[0] += 90
    model = start(limit)  # a later stage: the time goes on
    limit.on_train_batch_end(0)
    assert not limit.is_over and not model.stop_training
    clock[0] += 31
    limit.on_train_batch_end(1)
    assert limit.is_over and model.stop_training


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_training_after_the_step(number):
    before = signal.getsignal(number)
    with StopOnSignalOrLimit(steps=100) as limit:
        model = start(limit)
        signal.raise_signal(number)
        assert not model.stop_training
        assert signal.getsignal(number) is before  # a second one acts as usual
        limit.on_train_batch_end(0)
        assert model.stop_training and limit.is_over and limit.received == number
    assert signal.getsignal(number) is before


def test_the_line_of_an_epoch_that_ends_early_tells_the_steps_done(capsys):
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)

    def end(batch, logs):
        model.stop_training = len(seen) == 13 or seen.append(batch)

    seen = []
    batches = ((np.ones((2, 3), "float32"), np.ones((2, 1), "float32")) for _ in range(20))
    ending = keras.callbacks.LambdaCallback(on_train_batch_end=end)
    model.fit(
        batches, epochs=2, steps_per_epoch=10, shuffle=False, verbose=2,
        callbacks=[ending, StepsDone()],
    )  # fmt: skip
    lines = [line.split()[0] for line in capsys.readouterr().out.splitlines() if "/step" in line]
    assert lines == ["10/10", "4/4"]
