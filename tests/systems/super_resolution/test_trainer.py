"""The super-resolution step in both stages, its rates, its state, and a whole run."""

import dataclasses
import json
import signal

import numpy as np
import pytest
import tensorflow as tf

from keras_vaegan.commands import evaluate, train
from keras_vaegan.config.base import config_from_dict, config_to_dict
from keras_vaegan.config.networks import DiscriminatorConfig, RRDBNetConfig
from keras_vaegan.data.image import read_image, write_image
from keras_vaegan.errors import InputError
from keras_vaegan.interop.keras_h5.load import load_network
from keras_vaegan.losses.adversarial import relativistic_losses
from keras_vaegan.systems.registry import PRESETS, build_trainer, get_preset
from keras_vaegan.systems.super_resolution.config import SuperResolutionConfig
from keras_vaegan.systems.super_resolution.trainer import SuperResolution
from keras_vaegan.training.schedules import StagedRate
from keras_vaegan.training.state import load_run_state, save_run_state

TINY = SuperResolutionConfig(
    network=RRDBNetConfig(channels=1, num_features=8, num_blocks=1, growth_channels=4),
    discriminator=DiscriminatorConfig(
        image_size=32, channels=1, filters=(8, 8), num_heads=2, trunk_depth=1, groups=0
    ),
    patch_size=8,
    batch_size=2,
    steps=6,
    pixel_steps=4,
    steps_per_epoch=2,
    validation_images=2,
    learning_rate=1e-3,
    precision="float32",
)


def make_batch(seed=0):
    rng = np.random.default_rng(seed)
    high = np.repeat(np.repeat(rng.uniform(0, 1, (2, 8, 8, 1)), 4, 1), 4, 2).astype("float32")
    return high[:, ::4, ::4], high


def values(model):
    return [np.array(v) for v in model.trainable_variables]


def has_moved(before, model):
    return any(not np.array_equal(a, b) for a, b in zip(before, values(model), strict=True))


@pytest.fixture(scope="module")
def trainer():
    return build_trainer(TINY)


def test_the_first_stage_learns_and_leaves_the_discriminator_alone(trainer):
    judge = values(trainer.discriminator)
    losses = [float(trainer.train_on_batch(make_batch())) for _ in range(30)]
    assert losses[-1] < 0.9 * losses[0]  # running means, of one batch
    assert not has_moved(judge, trainer.discriminator)
    assert int(trainer.trained_steps.numpy()) == 30
    assert has_moved(values(trainer.network), trainer.network_ema)


def test_the_second_stage_moves_both_and_the_feature_term_is_no_training_of_the_judge(trainer):
    trainer.set_stage("adversarial")
    network, judge = values(trainer.network), values(trainer.discriminator)
    logs = trainer.train_on_batch(make_batch(), return_dict=True)
    assert {"pixel", "adversarial", "features", "discriminator"} <= set(logs)
    assert all(np.isfinite(float(value)) for value in logs.values())
    assert has_moved(network, trainer.network) and has_moved(judge, trainer.discriminator)
    trainer.set_stage("pixel")


def test_call_and_test_step_use_the_averages(trainer):
    low, high = make_batch()
    np.testing.assert_array_equal(trainer(low), trainer.network_ema(low))
    scores = trainer.evaluate(low, high, verbose=0, return_dict=True)
    made = np.clip(np.array(trainer.network_ema(low)), 0, 1)
    assert scores["psnr"] == pytest.approx(float(np.mean(tf.image.psnr(made, high, 1.0))), 1e-4)


def test_relativistic_losses_have_their_closed_form():
    real = np.array([[1.0, 3.0]], "float32").reshape(1, 1, 2, 1)
    fake = np.array([[0.0, -1.0]], "float32").reshape(1, 1, 2, 1)

    def soft(x):
        return np.log1p(np.exp(np.asarray(x)))

    ahead, behind = np.array([1.0, 3.0]) + 0.5, np.array([0.0, -1.0]) - 2.0
    generator = 0.5 * (soft(ahead).mean() + soft(-behind).mean())
    judge = 0.5 * (soft(-ahead).mean() + soft(behind).mean())
    for heads in (1, 2):
        answer = relativistic_losses([real] * heads, [fake] * heads)
        np.testing.assert_allclose([float(x) for x in answer], [generator, judge], rtol=1e-5)


def test_rates_fall_within_each_stage():
    halving = StagedRate((8.0, 4.0), (10, 10), "halve", 4)
    assert [float(halving(s)) for s in (0, 3, 4, 8, 10, 13, 14)] == [8, 8, 4, 2, 4, 4, 2]
    cosine = StagedRate((8.0, 4.0), (10, 20), "cosine")
    expected = [8, 4, 4, 2, 0, 0]
    got = [float(cosine(s)) for s in (0, 5, 10, 20, 30, 40)]
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert StagedRate.from_config(cosine.get_config()).rates == (8.0, 4.0)


def test_state_comes_back_bit_for_bit(trainer, tmp_path):
    trainer.train_on_batch(make_batch())
    save_run_state(trainer, tmp_path, {"step": 3})
    other = build_trainer(dataclasses.replace(TINY, seed=5))
    assert load_run_state(other, tmp_path) == {"step": 3}
    trainer.train_on_batch(make_batch(1))
    other.train_on_batch(make_batch(1))
    for a, b in zip(trainer.network.variables, other.network.variables, strict=True):
        np.testing.assert_array_equal(np.array(a), np.array(b))


@pytest.mark.parametrize("name", [n for n in PRESETS if n.startswith("rrdbnet")])
def test_presets_survive_json(name):
    config = get_preset(name)
    assert config_from_dict(json.loads(json.dumps(config_to_dict(config)))) == config


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"patch_size": 9}, "discriminator"),
        ({"patch_size": 4}, "patch_size"),
        ({"steps": 0}, "steps"),
        ({"schedule": "flat"}, "halve, cosine"),
        ({"learning_rate": 0}, "above 0"),
        ({"ema_decay": 1.0}, "below 1"),
        ({"network": RRDBNetConfig(channels=4)}, "1 or 3"),
        ({"network": RRDBNetConfig(channels=1, output_channels=3)}, "output_channels"),
    ],
    ids=str,
)
def test_bad_configs_are_refused(change, word):
    with pytest.raises(InputError, match=word):
        dataclasses.replace(TINY, **change)


@pytest.mark.slow
def signalled_between_the_stages(trainer, stage, set_stage=SuperResolution.set_stage):
    """`set_stage`, with SIGTERM where the second stage begins."""
    if stage == "adversarial":
        signal.raise_signal(signal.SIGTERM)
    set_stage(trainer, stage)


def test_a_run_trains_both_stages_resumes_and_is_evaluated(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(PRESETS, "tiny_rrdbnet", lambda: TINY)
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
    expected = {"config.json", "best", "state", "logs", "samples", "rrdbnet_weights.h5"}
    assert {path.name for path in run.iterdir()} == expected
    history = (run / "logs" / "history.csv").read_text().splitlines()
    steps = [int(line.split(",")[1]) for line in history[1:]]
    assert steps[-1] == 6 and 4 in steps  # a validation at the end of the first stage
    assert "adversarial" in history[0] and "val_psnr_bicubic" in history[0]
    assert (run / "logs" / "history.png").exists()
    whole = tmp_path / "whole"
    train.main([*common[:-1], str(whole), "--steps", "6"])
    ours, theirs = (load_network(folder / "rrdbnet_weights.h5").model for folder in (run, whole))
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
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
    assert "Enlargement of testA" in (tmp_path / "e" / "report.html").read_text()
    assert read_image(tmp_path / "e" / "testA.png").std() > 10


def test_cyclegan_options_are_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        train.main(
            ["--preset", "rrdbnet_x4", "--data", ".", "--out", str(tmp_path / "run")]
            + ["--align", "head"]
        )
    assert stopped.value.code == 2
    assert "--align" in capsys.readouterr().err
