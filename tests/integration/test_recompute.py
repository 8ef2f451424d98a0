"""Gradient checkpointing changes memory and time, not the update."""

import dataclasses

import keras
import pytest

from keras_vaegan.systems.registry import build_trainer


@pytest.mark.slow
@pytest.mark.parametrize("family", ["vae", "resnet"])
def test_recomputing_gives_the_same_update(tiny, family):
    states = []
    for recompute in (False, True):
        config = dataclasses.replace(tiny.TINY[family], recompute=recompute, batch_size=2)
        trainer = build_trainer(config)
        optimizers = [keras.optimizers.SGD(1e-2) for _ in range(2)]
        trainer.compile(*optimizers, run_eagerly=True)
        before = tiny.read_state(trainer)
        trainer.train_on_batch(tiny.make_batch(config, 0))
        states.append(tiny.read_state(trainer))
    assert tiny.compare(states[0], before) > 1e-3
    assert tiny.compare(*states) <= 1e-6
