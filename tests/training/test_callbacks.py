"""Stopping a run: after the current step, at a limit or a signal."""

from __future__ import annotations

import signal

from keras_vaegan.training.callbacks import StopOnSignalOrLimit


def test_signals_and_limits_stop_after_the_step():
    class Model:
        stop_training = False
        agree_to_stop = staticmethod(bool)
        trained_steps = 3

    handler = signal.getsignal(signal.SIGINT)
    with StopOnSignalOrLimit(steps=6) as stop:
        stop.set_model(Model())
        stop.on_train_begin()
        for batch, expected in enumerate((False, False, True)):
            stop.on_train_batch_end(batch)
            assert stop.model.stop_training is expected
        stop.model.stop_training = False
        stop.steps = 100
        signal.raise_signal(signal.SIGINT)
        stop.on_train_batch_end(3)
        assert stop.model.stop_training and stop.received == signal.SIGINT
    assert signal.getsignal(signal.SIGINT) is handler
