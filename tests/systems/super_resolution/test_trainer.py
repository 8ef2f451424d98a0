"""The super-resolution step in both stages, its rates, its state, and a whole run."""

import dataclasses
import json
import signal

import numpy as np
import pytest
import tensorflow as tf

from keras_vaegan.commands import evaluate, train
from keras_vaegan.config.networks import DiscriminatorConfig, RRDBNetConfig
from keras_vaegan.data.image import read_image, write_image
from keras_vaegan.errors import InputError
from keras_vaegan.systems.registry import PRESETS, build_trainer
from keras_vaegan.systems.super_resolution.trainer import SuperResolution
from keras_vaegan.training.state import load_run_state, save_run_state

COARSE = DiscriminatorConfig(filters=(8, 8, 8, 8), groups=0)


def make_batch(seed=0):
    rng = np.random.default_rng(seed)
    high = np.repeat(np.repeat(rng.uniform(0, 1, (4, 8, 8, 1)), 4, 1), 4, 2).astype("float32")
    return high[:, ::4, ::4], high


def values(model):
    return [np.array(v) for v in model.trainable_variables]


def has_moved(before, model):
    return any(not np.array_equal(a, b) for a, b in zip(before, values(model), strict=True))


@pytest.fixture
def trainer(compiled_trainer):
    """One compiled step of the first stage, shared by the tests that only take more steps."""
    return compiled_trainer("rrdbnet")


@pytest.fixture
def eager(tiny):
    """A trainer that is not compiled, in its second stage."""
    trainer = build_trainer(tiny.RRDBNET)
    trainer.compile(run_eagerly=True)
    trainer.set_stage("adversarial")
    return trainer


def test_the_first_stage_learns_and_leaves_the_discriminator_alone(trainer):
    discriminator = values(trainer.discriminator)
    losses = [float(trainer.train_on_batch(make_batch())) for _ in range(30)]
    assert losses[-1] < 0.9 * losses[0]  # running means, of one batch
    assert not has_moved(discriminator, trainer.discriminator)
    assert int(trainer.trained_steps.numpy()) == 30
    assert has_moved(values(trainer.generator), trainer.generator_ema)


def test_the_second_stage_moves_both(eager):
    networks = (eager.generator, eager.discriminator, eager.generator_ema)
    before = [values(network) for network in networks]
    logs = eager.train_on_batch(make_batch(), return_dict=True)
    assert set(logs) == {"pixel", "adversarial", "features", "discriminator"}
    assert all(np.isfinite(float(value)) for value in logs.values())
    for held, network in zip(before, networks, strict=True):
        assert has_moved(held, network)


def test_the_feature_term_is_no_training_of_the_discriminator(eager):
    low, high = (tf.constant(part) for part in make_batch())
    held, moving = values(eager.discriminator), values(eager.generator)
    variables = eager.generator.trainable_variables
    with tf.GradientTape() as tape:
        loss, (generated, _) = eager._compute_loss(low, high)
    eager.g_optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
    assert not has_moved(held, eager.discriminator) and has_moved(moving, eager.generator)
    moving = values(eager.generator)
    eager._update_discriminator(high, generated)
    assert has_moved(held, eager.discriminator) and not has_moved(moving, eager.generator)


def test_the_second_stage_weighs_its_terms(eager):
    loss, (_, terms) = eager._compute_loss(*make_batch())
    config = eager.config
    expected = (
        config.pixel_weight * terms["pixel"].value
        + config.adversarial_weight * terms["adversarial"].value
        + config.feature_weight * terms["features"].value
    )
    assert float(loss) == pytest.approx(float(expected), rel=1e-6)


def test_call_and_test_step_use_the_averages(eager):
    low, high = make_batch()
    eager.train_on_batch((low, high))
    np.testing.assert_array_equal(eager(low), eager.generator_ema(low))
    scores = eager.evaluate(low, high, verbose=0, return_dict=True)
    enlarged = np.clip(np.array(eager.generator_ema(low)), 0, 1)
    expected = float(np.mean(tf.image.psnr(enlarged, high, 1.0)))
    assert scores["psnr"] == pytest.approx(expected, 1e-4)


def test_rates_begin_anew_with_the_second_stage(tiny):
    rates = dataclasses.replace(tiny.RRDBNET.optimizer, learning_rate=8e-3, halving_steps=4)
    config = dataclasses.replace(
        tiny.RRDBNET, optimizer=rates, adversarial_learning_rate=4e-3, pixel_steps=10
    )
    trainer = SuperResolution(config)
    trainer.compile()
    expected = {0: 8e-3, 4: 4e-3, 8: 2e-3, 10: 4e-3, 13: 4e-3, 14: 2e-3}
    for step, rate in expected.items():
        trainer.g_optimizer.iterations.assign(step)
        assert float(trainer.g_optimizer.learning_rate) == pytest.approx(rate)
    trainer.d_optimizer.iterations.assign(4)
    assert float(trainer.d_optimizer.learning_rate) == pytest.approx(2e-3)


def test_a_restored_state_goes_on_bit_for_bit(trainer, tiny, tmp_path):
    trainer.train_on_batch(make_batch())
    save_run_state(trainer, tmp_path, {"step": 3})
    outcomes = []
    for _ in range(2):
        assert load_run_state(trainer, tmp_path) == {"step": 3}
        trainer.train_on_batch(make_batch(1))
        outcomes.append({name: np.array(v) for name, v in trainer.state_variables().items()})
    for name, value in outcomes[0].items():
        np.testing.assert_array_equal(value, outcomes[1][name], err_msg=name)
    load_run_state(trainer, tmp_path)
    other = build_trainer(dataclasses.replace(tiny.RRDBNET, seed=5))
    load_run_state(other, tmp_path)
    for name, variable in other.state_variables().items():
        np.testing.assert_array_equal(variable, trainer.state_variables()[name], err_msg=name)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"patch_size": 9, "discriminator": COARSE}, "image_size=36: expected a multiple of the"),
        ({"patch_size": 4}, "patch_size=4: expected at least 8"),
        ({"steps": 0}, "steps=0: expected at least 1"),
        ({"adversarial_learning_rate": 0}, "adversarial_learning_rate=0: expected above 0"),
        ({"generator": RRDBNetConfig(channels=4)}, "channels=4: expected 1 or 3"),
        ({"generator": RRDBNetConfig(channels=1, output_channels=3)}, "output_channels=3"),
        ({"generator": RRDBNetConfig(channels=1, scale=1), "patch_size": 34}, "multiple of 4"),
    ],
    ids=str,
)
def test_bad_configs_are_refused(tiny, change, word):
    with pytest.raises(InputError, match=word):
        dataclasses.replace(tiny.RRDBNET, **change)


def signalled_between_the_stages(trainer, stage, set_stage=SuperResolution.set_stage):
    """`set_stage`, with SIGTERM where the second stage begins."""
    if stage == "adversarial":
        signal.raise_signal(signal.SIGTERM)
    set_stage(trainer, stage)


@pytest.mark.slow
def test_a_run_trains_both_stages_resumes_and_is_evaluated(
    tmp_path, monkeypatch, capsys, tiny, eager_steps
):
    config = dataclasses.replace(tiny.RRDBNET, pixel_steps=4)
    monkeypatch.setitem(PRESETS, "tiny_rrdbnet", lambda: config)
    rng = np.random.default_rng(0)
    for name in ("trainA", "testA"):
        for index in range(8):
            image = rng.integers(0, 256, (12, 10)).astype("uint8").repeat(4, 0).repeat(4, 1)
            write_image(tmp_path / "set" / name / f"{index}.png", image)
    run = tmp_path / "run"
    common = ["--preset", "tiny_rrdbnet", "--data", str(tmp_path / "set"), "--out", str(run)]
    handler = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patched:
        patched.setattr(SuperResolution, "set_stage", signalled_between_the_stages)
        assert train.main([*common, "--steps", "6"]) == 128 + signal.SIGTERM
    assert "at step 5" in capsys.readouterr().out and signal.getsignal(signal.SIGTERM) is handler
    assert train.main([*common, "--steps", "6", "--resume"]) == 0
    expected = {"config.json", "data.json", "best", "state", "logs", "samples"}
    written = {path.name for path in run.iterdir() if not path.name.startswith(".")}
    assert written == {*expected, "rrdbnet_weights.h5"}
    history = (run / "logs" / "history.csv").read_text().splitlines()
    steps = [int(line.split(",")[1]) for line in history[1:]]
    assert steps[-1] == 6 and 4 in steps  # a validation at the end of the first stage
    assert "adversarial" in history[0] and "val_psnr_bicubic" in history[0]
    assert (run / "logs" / "history.png").exists()
    capsys.readouterr()
    assert (
        evaluate.main(
            ["--weights", str(run), "--data", str(tmp_path / "set"), "--out", str(tmp_path / "e")]
        )
        == 0
    )
    assert "bicubic" in capsys.readouterr().out
    metrics = json.loads((tmp_path / "e" / "metrics.json").read_text())
    assert metrics["enlargement"]["testA"]["n"] == 8 and metrics["scale"] == 4
    assert json.loads((run / "metrics.json").read_text()) == metrics
    assert len((tmp_path / "e" / "per_image.csv").read_text().splitlines()) == 9
    page = (tmp_path / "e" / "report.html").read_text()
    assert "Enlargement of testA" in page and page.count('class="example"') == 3
    assert metrics["enlargement"]["testA"]["network"]["psnr"]["interval"]
    assert read_image(tmp_path / "e" / "testA.png").std() > 10
