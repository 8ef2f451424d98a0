"""The CycleGAN step with System C's networks, its schedule and its validation."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from keras_vaegan.commands import evaluate, train
from keras_vaegan.config.base import resize_config
from keras_vaegan.config.networks import PatchDiscriminatorConfig, ResnetGeneratorConfig
from keras_vaegan.config.run import OptimizerConfig
from keras_vaegan.errors import InputError
from keras_vaegan.interop.keras_h5.load import load_generator
from keras_vaegan.models.layers import SpectralConv2D
from keras_vaegan.phantom.rendering import PhantomSet, write_phantom_folders
from keras_vaegan.systems.cyclegan.data import summarise
from keras_vaegan.systems.cyclegan.trainer import CycleGAN
from keras_vaegan.systems.registry import get_preset
from keras_vaegan.training.schedules import make_schedule
from keras_vaegan.training.state import load_run_state, save_run_state

SIZE = 32
PUBLISHED = resize_config(get_preset("resnet_cyclegan"), SIZE)
TINY = dataclasses.replace(
    PUBLISHED,
    generator=ResnetGeneratorConfig(image_size=SIZE, filters=(4, 8), num_residual_blocks=1),
    discriminator=PatchDiscriminatorConfig(image_size=SIZE, filters=(4, 8, 16)),
    optimizer=dataclasses.replace(
        PUBLISHED.optimizer, learning_rate=1e-3, cosine_epochs=4, ema_decay=0.9
    ),
    batch_size=2,
    epoch_steps=3,
    precision="float32",
)


def make_batch(seed=0):
    source, target = np.random.default_rng(seed).uniform(-1, 1, (2, 2, SIZE, SIZE, 1))
    return source.astype("float32"), target.astype("float32")


@pytest.fixture(scope="module")
def trainer():
    """An uncompiled trainer: the step is looked into, and compiling takes longer than all of it."""
    model = CycleGAN(TINY)
    model.compile(run_eagerly=True)
    return model


def test_step_reports_the_published_terms(trainer):
    logs = trainer.train_on_batch(make_batch(), return_dict=True)
    terms = ("adversarial", "cycle", "ssim", "identity", "discriminator")
    assert set(logs) == {f"{t}_{domain}" for t in terms for domain in ("source", "target")}
    assert all(np.isfinite(value) for value in logs.values())


def test_a_step_takes_one_power_iteration(trainer):
    """Four calls of a discriminator's networks in the step, one move of its vector."""
    layers = [
        layer
        for judge in (trainer.d_source, trainer.d_target)
        for layer in judge.layers
        if isinstance(layer, SpectralConv2D)
    ]
    before = [(np.array(x.kernel), np.array(x.vector_u)) for x in layers]
    trainer.train_on_batch(make_batch(1))
    assert len(layers) == 6
    for layer, (kernel, u) in zip(layers, before, strict=True):
        matrix = kernel.reshape(-1, kernel.shape[-1])
        v = matrix @ u
        wanted = matrix.T @ (v / np.linalg.norm(v))
        wanted /= np.linalg.norm(wanted)
        np.testing.assert_allclose(np.array(layer.vector_u), wanted, atol=1e-5)
        assert np.abs(wanted - u).max() > 1e-6


def test_every_network_moves(trainer):
    names = ("g_target", "g_source", "d_source", "d_target", "g_target_ema")
    before = {name: np.array(getattr(trainer, name).trainable_variables[0]) for name in names}
    trainer.train_on_batch(make_batch(2))
    for name, value in before.items():
        assert not np.array_equal(value, getattr(trainer, name).trainable_variables[0]), name


def test_augmentation_is_in_place(trainer):
    image = tf.constant(make_batch()[0])
    changed = trainer._augment(image, tf.constant([1, 2]))
    assert changed.shape == image.shape
    assert np.abs(np.array(changed - image)).max() > 0.1


def test_no_decay_means_the_current_weights():
    config = dataclasses.replace(TINY, optimizer=dataclasses.replace(TINY.optimizer, ema_decay=0.0))
    model = CycleGAN(config)
    model.compile(run_eagerly=True)
    model.g_target.trainable_variables[0].assign_add(np.ones((7, 7, 1, 4)))
    model._update_averages()
    for ours, mean in zip(
        model.g_target.trainable_variables, model.g_target_ema.trainable_variables, strict=True
    ):
        np.testing.assert_array_equal(np.array(ours), np.array(mean))


def test_the_rate_follows_the_cosine_in_passes():
    rates = OptimizerConfig(learning_rate=2e-4, decay=0.0, cosine_epochs=50)
    schedule = make_schedule(rates, 2e-4, epoch_steps=109)
    for epoch in (0, 1, 10, 25, 49, 50, 59):
        expected = 1e-4 * (1 + math.cos(math.pi * epoch / 50))
        for step in (109 * epoch, 109 * epoch + 108):
            assert float(schedule(step)) == pytest.approx(expected, rel=1e-4, abs=1e-10)
    constant = make_schedule(OptimizerConfig(decay=0.5), 2e-4, 10)
    assert float(constant(2)) == pytest.approx(1e-4)
    assert type(schedule).from_config(schedule.get_config())(500) == schedule(500)


def test_schedule_and_averages_resume_bit_for_bit(trainer, tmp_path):
    """The rate comes back with the optimiser's step, the averages and vectors as variables."""
    batches = [make_batch(seed) for seed in range(2)]
    save_run_state(trainer, tmp_path, {"step": 3})
    outcomes = []
    for _ in range(2):
        load_run_state(trainer, tmp_path)
        for batch in batches:
            trainer.train_on_batch(batch)
        state = {name: np.array(v) for name, v in trainer.state_variables().items()}
        outcomes.append((float(trainer.g_optimizer.learning_rate), state))
    assert outcomes[0][0] == outcomes[1][0] < TINY.optimizer.learning_rate
    for name, value in outcomes[0][1].items():
        np.testing.assert_array_equal(value, outcomes[1][1][name], err_msg=name)
    assert any("vector_u" in name for name in outcomes[0][1])


def test_a_fresh_trainer_takes_the_state_over(trainer, tmp_path):
    save_run_state(trainer, tmp_path, {"step": 3})
    other = CycleGAN(dataclasses.replace(TINY, seed=0))
    other.compile(run_eagerly=True)
    load_run_state(other, tmp_path)
    batch = make_batch(4)
    logs = [m.train_on_batch(batch, return_dict=True) for m in (trainer, other)]
    trainer.reset_metrics(), other.reset_metrics()
    logs = [m.train_on_batch(batch, return_dict=True) for m in (trainer, other)]
    assert {k: float(v) for k, v in logs[0].items()} == {k: float(v) for k, v in logs[1].items()}


def test_bfloat16_step_is_finite():
    from keras_vaegan.systems.registry import build_trainer

    model = build_trainer(dataclasses.replace(TINY, precision="mixed_bfloat16"))
    model.compile(run_eagerly=True)
    logs = model.train_on_batch(make_batch(), return_dict=True)
    assert all(np.isfinite(value) for value in logs.values())
    assert model.g_target.get_layer("down_1_conv").compute_dtype == "bfloat16"
    assert model.g_target.get_layer("output_image").compute_dtype == "float32"


def test_weight_files_hold_the_networks(trainer, tmp_path):
    trainer.save_weight_files(tmp_path)
    image = make_batch(5)[0]
    rebuilt = load_generator(tmp_path, "mri2ct")
    np.testing.assert_array_equal(np.array(rebuilt(image)), np.array(trainer(image)))
    with pytest.raises(InputError, match="holds a discriminator"):
        load_generator(tmp_path / "d_target_weights.h5")


def make_metrics(ssim, honest, gap):
    """The part of an evaluation that the score is made of."""
    both = ("ct", "mri")
    kinds = {"cycle": ssim, "honest_cycle": honest}
    metrics = {
        kind: {n: {"psnr": {"mean": 20.0}, "ssim": {"mean": value}} for n in both}
        for kind, value in kinds.items()
    }
    return metrics | {"realism": {n: {"gap": {"all": gap}, "copy": 0.1} for n in both}}


def test_best_by_chooses_the_score():
    copy, translation = make_metrics(0.99, 0.9, 1.0), make_metrics(0.8, 0.7, 0.2)
    assert summarise(copy, "ssim")["val_score"] == pytest.approx(0.99)
    assert summarise(translation, "ssim")["val_score"] == pytest.approx(0.8)
    assert summarise(copy)["val_score"] == pytest.approx(-0.1)
    assert summarise(translation)["val_score"] == pytest.approx(0.5)


@pytest.mark.slow
def test_the_commands_take_system_c(tmp_path, monkeypatch):
    """Train two passes, resume by one, evaluate: an epoch is a pass, validation every second."""
    from keras_vaegan import presets

    tiny = dataclasses.replace(TINY, epochs=2, validation_epochs=2, batch_size=3)
    tiny = dataclasses.replace(tiny, data=dataclasses.replace(tiny.data, validation_images=4))
    monkeypatch.setitem(presets.PRESETS, "resnet_cyclegan", lambda: tiny)
    data, run = tmp_path / "data", tmp_path / "run"
    write_phantom_folders(data, PhantomSet(count=12, size=SIZE))
    common = ["--preset", "resnet_cyclegan", "--data", str(data), "--out", str(run)]
    assert train.main(common) == 0
    rows = (run / "logs" / "history.csv").read_text().splitlines()
    assert len(rows) == 2 and rows[1].split(",")[1] == "6"  # 9 images, 3 a step, 2 passes
    assert train.main([*common, "--epochs", "4", "--resume"]) == 0
    rows = (run / "logs" / "history.csv").read_text().splitlines()
    assert [row.split(",")[1] for row in rows[1:]] == ["6", "12"]
    for options in (["--skip-levels", "2"],):
        with pytest.raises(SystemExit) as stop:
            train.main([*common, *options, "--out", str(tmp_path / "other")])
        assert stop.value.code == 2
    out = tmp_path / "evaluation"
    assert evaluate.main(["--weights", str(run), "--data", str(data), "--out", str(out)]) == 0
    assert (out / "metrics.json").exists() and (out / "grid.png").exists()
