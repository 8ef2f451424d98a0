"""The step of System B: losses, schedule, state; and the deal of cases."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from keras_vaegan.errors import InputError
from keras_vaegan.losses.weighted_sum import sum_terms
from keras_vaegan.systems.modality.config import ModalityLossConfig
from keras_vaegan.systems.modality.data import read_split, split_cases
from keras_vaegan.systems.modality.trainer import compute_brain_figures
from keras_vaegan.systems.registry import build_trainer
from keras_vaegan.training.state import load_run_state, save_run_state

SIDE = 32


def make_batch(seed=0, channels=3):
    """A brain in black; the target is the mean of the inputs."""
    rng = np.random.default_rng(seed)
    brain = np.zeros((4, SIDE, SIDE, 1), "float32")
    brain[:, 6:24, 8:26] = 1
    inputs = rng.uniform(0.1, 1, (4, SIDE, SIDE, channels)).astype("float32") * brain
    return inputs, inputs.mean(axis=-1, keepdims=True), brain


@pytest.fixture
def trainer(compiled_trainer):
    """One compiled step shared by the tests that only take more steps."""
    return compiled_trainer("modality")


@pytest.fixture
def eager(tiny):
    """A trainer that is not compiled, with every loss term."""
    losses = ModalityLossConfig(mse_weight=0.5)
    trainer = build_trainer(dataclasses.replace(tiny.MODALITY, losses=losses, steps=100))
    trainer.compile(run_eagerly=True)
    return trainer


def test_a_step_moves_the_network_and_reports_every_term(eager):
    before = [np.array(v) for v in eager.generator.weights]
    logs = eager.train_on_batch(make_batch(1), return_dict=True)
    assert set(logs) == {"l1", "mse", "kl", "brain_psnr", "brain_mae"}
    assert all(np.isfinite(value) for value in logs.values())
    assert int(eager.trained_steps.numpy()) == 1
    after = [np.array(v) for v in eager.generator.weights]
    assert all(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_the_brain_is_found_where_it_is_not_given(eager):
    inputs, target, brain = make_batch(2)
    given = eager.test_on_batch(inputs, target, brain, return_dict=True)
    eager.reset_metrics()
    found = eager.test_on_batch(inputs, target, return_dict=True)
    assert given["brain_mae"] == pytest.approx(found["brain_mae"], rel=1e-5)
    eager.train_on_batch((inputs, target))


def test_brain_figures_follow_their_formulas():
    image, target, brain = (tf.constant(part) for part in make_batch(3)[:1] + make_batch(4)[1:])
    image = image[..., :1]
    figures = compute_brain_figures(image, target, brain)
    error = (image - target).numpy()[brain.numpy() > 0]
    assert float(figures["brain_mae"]) == pytest.approx(np.abs(error).mean(), rel=1e-5)
    psnr = -10 * np.log10(np.mean(error**2))
    assert float(figures["brain_psnr"]) == pytest.approx(psnr, rel=1e-5)
    outside = compute_brain_figures(image + 5 * (1 - brain), target, brain)
    assert float(outside["brain_psnr"]) == pytest.approx(psnr, rel=1e-5)


def test_kl_is_summed_over_the_latent_and_averaged_over_the_batch(eager):
    mean = np.array([[1.0, 0, 0, 0], [0, 2.0, 0, 0]], "float32")
    image = tf.zeros((2, SIDE, SIDE, 1))
    for repeats in (1, 2):
        latents = tf.constant(np.tile(mean, (repeats, 1))), tf.zeros((2 * repeats, 4))
        terms = eager._make_terms(image, image + 0.5, latents)
        assert float(terms["kl"].value) == pytest.approx((0.5 * 1 + 0.5 * 4) / 2)
    assert float(terms["l1"].value) == 0.5 and float(terms["mse"].value) == 0.25


@pytest.mark.parametrize(("step", "share"), [(0, 1 / 50), (24, 0.5), (49, 1.0), (99, 1.0)])
def test_the_kl_weight_warms_up_over_half_of_the_run(eager, step, share):
    eager.trained_steps.assign(step)
    image, latents = tf.zeros((1, SIDE, SIDE, 1)), (tf.fill((1, 4), 10.0), tf.zeros((1, 4)))
    total = sum_terms(eager._make_terms(image, image + 2.0, latents))
    assert float(total) == pytest.approx(2 + 0.5 * 4 + 1e-4 * 200 * share)


def test_a_restored_state_goes_on_bit_for_bit(trainer, tiny, tmp_path):
    """Weights, statistics, optimiser, rate, noise and counters all come back."""
    batches = [make_batch(seed) for seed in range(2)]
    trainer.train_on_batch(batches[0])
    trainer.optimizer.learning_rate = 3e-4
    save_run_state(trainer, tmp_path, {"step": 1})
    outcomes = []
    for _ in range(2):
        trainer.optimizer.learning_rate = 1.0
        assert load_run_state(trainer, tmp_path) == {"step": 1}
        for batch in batches:
            trainer.train_on_batch(batch)
        outcomes.append({name: np.array(v) for name, v in trainer.state_variables().items()})
    for name, value in outcomes[0].items():
        np.testing.assert_array_equal(value, outcomes[1][name], err_msg=name)
    fresh = build_trainer(dataclasses.replace(tiny.MODALITY, seed=5))
    load_run_state(fresh, tmp_path)
    assert float(fresh.optimizer.learning_rate) == pytest.approx(3e-4)
    held = {id(v) for v in trainer.state_variables().values()}
    owned = [*trainer.generator.variables, *trainer.optimizer.variables]
    assert all(id(v) in held for v in owned) and len(held) == len(trainer.state_variables())


def test_a_tiny_problem_is_learnt(trainer):
    batch = make_batch(5)
    first = trainer.train_on_batch(batch, return_dict=True)["l1"]
    for _ in range(120):
        trainer.reset_metrics()
        last = trainer.train_on_batch(batch, return_dict=True)["l1"]
    assert last < 0.5 * first


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_low_precision_trains_with_float32_losses(tiny, precision):
    network = dataclasses.replace(tiny.MODALITY.generator, target="any")
    config = dataclasses.replace(tiny.MODALITY, precision=precision, generator=network)
    trainer = build_trainer(config)
    trainer.compile(run_eagerly=True)
    logs = trainer.train_on_batch(make_batch(0, network.channels), return_dict=True)
    assert all(np.isfinite(value) for value in logs.values())
    assert trainer.generator.get_layer("z_mean").compute_dtype == "float32"


@pytest.mark.parametrize("count", [1, 2, 3, 10, 60])
def test_cases_are_dealt_once_and_reproducibly(count, tiny):
    names = [f"case{index}" for index in range(count)]
    split = split_cases(names, tiny.MODALITY)
    assert sorted(sum(split.values(), [])) == sorted(names)
    assert split == split_cases(names[::-1], tiny.MODALITY)
    held = {1: 0, 2: 0, 3: 1, 10: 1, 60: 6}[count]
    assert len(split["validation"]) == len(split["test"]) == held
    if count > 3:
        assert split != split_cases(names, dataclasses.replace(tiny.MODALITY, seed=1))


def test_one_case_is_left_out(tiny):
    names = [f"case{index}" for index in range(6)]
    config = dataclasses.replace(
        tiny.MODALITY, data=dataclasses.replace(tiny.MODALITY.data, leave_out="case2")
    )
    split = split_cases(names, config)
    assert split["test"] == ["case2"] and len(split["validation"]) == 1 and len(split["train"]) == 4
    for few in (["case2"], ["case0", "case1"]):
        with pytest.raises(InputError, match="--leave-out case2"):
            split_cases(few, config)


def test_the_rate_falls_along_a_cosine(tiny):
    config = dataclasses.replace(tiny.MODALITY, rate="cosine", steps=10)
    rates = build_trainer(config).optimizer._learning_rate
    assert [float(rates(step)) for step in (0, 5, 10)] == pytest.approx([1e-3, 5e-4, 0], abs=1e-9)


def test_a_lost_split_or_case_is_refused(tmp_path):
    with pytest.raises(InputError, match="split.json"):
        read_split(tmp_path, {})
    (tmp_path / "split.json").write_text('{"train": ["a"], "validation": [], "test": []}')
    with pytest.raises(InputError, match="case a of"):
        read_split(tmp_path, {"b": tmp_path})
    assert read_split(tmp_path, {"a": tmp_path})["train"] == ["a"]
