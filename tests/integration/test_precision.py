"""Mixed precision trains as float32 does, and a resumed run keeps its loss scale."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_vaegan.phantom.rendering import PhantomSet, write_phantom_folders
from keras_vaegan.systems.registry import build_trainer, find_system
from keras_vaegan.training.backend import make_stream
from keras_vaegan.training.state import load_run_state, save_run_state

BAND = 0.02  # of a loss's float32 value, over ten steps
SHARED = ("cycle_source", "cycle_target", "ssim_source", "ssim_target")


@pytest.mark.slow
def test_bfloat16_training_follows_float32(tiny, tmp_path):
    write_phantom_folders(tmp_path / "images", PhantomSet(count=12, size=32))
    curves = {}
    for precision in ("float32", "mixed_bfloat16"):
        config = dataclasses.replace(tiny.VAE, precision=precision, steps=20, batch_size=2)
        samples = find_system(config).load_data(config, tmp_path / "images", tmp_path, False)
        trainer = build_trainer(config)
        stream = make_stream(samples.read_batch, 0)
        curves[precision] = trainer.fit(
            stream, epochs=2, steps_per_epoch=10, shuffle=False, verbose=0
        ).history
    for name in SHARED:
        plain, mixed = (np.array(curve[name]) for curve in curves.values())
        band = np.abs(mixed / plain - 1).max()
        print(f"{name}: {plain[0]:.4f} -> {plain[-1]:.4f}, bfloat16 within {band:.1%}")
        assert band <= BAND
    start, *_, end = curves["float32"]["cycle_target"]
    assert end < 0.9 * start  # the curves say something


@pytest.mark.slow
@pytest.mark.parametrize("family", ["resnet", "rrdbnet", "modality"])
def test_float16_scales_the_loss_of_every_optimiser(tiny, family, tmp_path):
    config = dataclasses.replace(tiny.TINY[family], precision="mixed_float16")
    trainer = build_trainer(config)
    trainer.compile(run_eagerly=True)
    names = [name for name in ("g_optimizer", "d_optimizer") if hasattr(trainer, name)]
    optimizers = [getattr(trainer, name) for name in names or ["optimizer"]]
    assert all(isinstance(one, keras.optimizers.LossScaleOptimizer) for one in optimizers)
    before = tiny.read_state(trainer)
    for seed in range(2):
        logs = trainer.train_on_batch(tiny.make_batch(config, seed), return_dict=True)
    assert all(np.isfinite(value) for value in logs.values())
    after = tiny.read_state(trainer)
    assert all(np.isfinite(values).all() for values in after.values())
    changed = {key for key in after if np.any(after[key] != before[key])}
    assert any(key.startswith(("g_target/", "network/")) for key in changed)
    optimizers[0].dynamic_scale.assign(512.0)
    save_run_state(trainer, tmp_path, {})
    resumed = build_trainer(config)
    load_run_state(resumed, tmp_path)
    states = tiny.read_state(resumed), tiny.read_state(trainer)
    assert all(np.array_equal(states[0][name], values) for name, values in states[1].items())
    optimizer = getattr(resumed, names[0] if names else "optimizer")
    assert float(optimizer.dynamic_scale.numpy()) == 512.0
