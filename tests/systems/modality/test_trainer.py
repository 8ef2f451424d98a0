"""The step of System B: losses, schedule, state; and the deal of cases."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from keras_vaegan.config.data import ModalityDataConfig
from keras_vaegan.config.networks import ModalityUNetConfig
from keras_vaegan.errors import InputError
from keras_vaegan.systems.modality.config import ModalityConfig, ModalityLossConfig
from keras_vaegan.systems.modality.data import read_split, split_cases
from keras_vaegan.systems.modality.trainer import ModalitySynthesis, compute_brain_figures
from keras_vaegan.systems.registry import build_trainer
from keras_vaegan.training.state import load_run_state, save_run_state

SIZE = 16
TINY = ModalityConfig(
    model=ModalityUNetConfig(image_size=SIZE, filters=(4, 6), latent_channels=5),
    data=ModalityDataConfig(image_size=SIZE),
    losses=ModalityLossConfig(mse_weight=0.5),
    learning_rate=3e-3,
    steps=100,
    batch_size=2,
    precision="float32",
)


def make_batch(seed=0, config=TINY):
    rng = np.random.default_rng(seed)
    brain = np.zeros((2, SIZE, SIZE, 1), "float32")
    brain[:, 3:12, 4:13] = 1
    inputs = rng.uniform(0.1, 1, (2, SIZE, SIZE, config.model.channels)).astype("float32") * brain
    return inputs, inputs.mean(axis=-1, keepdims=True), brain


@pytest.fixture(scope="module")
def trainer():
    """One compiled step shared by the tests that only take more steps."""
    model = build_trainer(TINY)
    model.train_on_batch(*make_batch())
    return model


def test_a_step_moves_the_network_and_reports_every_term(trainer):
    before = [np.array(v) for v in trainer.network.weights]
    steps = int(trainer.trained_steps.numpy())
    logs = trainer.train_on_batch(*make_batch(1), return_dict=True)
    assert set(logs) == {"l1", "mse", "kl", "brain_psnr", "brain_mae"}
    assert all(np.isfinite(value) for value in logs.values())
    assert int(trainer.trained_steps.numpy()) == steps + 1
    after = [np.array(v) for v in trainer.network.weights]
    assert all(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_the_brain_is_found_where_it_is_not_given(trainer):
    inputs, target, brain = make_batch(2)
    given = trainer.test_on_batch(inputs, target, brain, return_dict=True)
    trainer.reset_metrics()
    found = trainer.test_on_batch(inputs, target, return_dict=True)
    trainer.reset_metrics()
    assert given["brain_mae"] == pytest.approx(found["brain_mae"], rel=1e-5)
    trainer.train_on_batch((inputs, target))


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


def test_kl_is_summed_over_the_latent_and_averaged_over_the_batch(trainer):
    mean = np.array([[1.0, 0, 0, 0, 0], [0, 2.0, 0, 0, 0]], "float32")
    latents = (tf.constant(mean), tf.zeros((2, 5)))
    image = tf.zeros((2, SIZE, SIZE, 1))
    losses = trainer._compute_losses(image, image, latents)
    assert float(losses["kl"]) == pytest.approx((0.5 * 1 + 0.5 * 4) / 2)
    doubled = tuple(tf.concat([latent, latent], 0) for latent in latents)
    again = trainer._compute_losses(image, image, doubled)
    assert float(again["kl"]) == pytest.approx(float(losses["kl"]))


def test_the_kl_weight_warms_up_over_half_of_the_run(trainer):
    losses = {"l1": tf.constant(2.0), "mse": tf.constant(4.0), "kl": tf.constant(1000.0)}
    before = int(trainer.trained_steps.numpy())
    for step, share in ((0, 1 / 50), (24, 0.5), (49, 1.0), (99, 1.0)):
        trainer.trained_steps.assign(step)
        assert float(trainer._weigh(losses)) == pytest.approx(2 + 0.5 * 4 + 1e-4 * 1000 * share)
    trainer.trained_steps.assign(before)


def test_the_rate_halves_on_a_plateau():
    model = ModalitySynthesis(TINY)
    model.compile()
    rates = []
    for score in (1.0, 2.0, 1.5, 1.9, 2.0, 2.5, 2.4, 2.4, 2.4, 2.4, 2.4, 2.4):
        model.note_score(score)
        rates.append(float(model.optimizer.learning_rate))
    expected = [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]
    assert rates == pytest.approx([3e-3 * share for share in expected])


def test_a_restored_state_goes_on_bit_for_bit(trainer, tmp_path):
    """Weights, statistics, optimiser, rate, plateau, noise and counters all come back."""
    batches = [make_batch(seed) for seed in range(2)]
    trainer.note_score(3.0)
    trainer.note_score(2.0)
    save_run_state(trainer, tmp_path, {"step": 1})
    outcomes = []
    for _ in range(2):
        assert load_run_state(trainer, tmp_path) == {"step": 1}
        for batch in batches:
            trainer.train_on_batch(*batch)
            trainer.note_score(1.0)
        outcomes.append({name: np.array(v) for name, v in trainer.state_variables().items()})
    for name, value in outcomes[0].items():
        np.testing.assert_array_equal(value, outcomes[1][name], err_msg=name)
    fresh = build_trainer(TINY)
    load_run_state(fresh, tmp_path)
    held = {id(v) for v in trainer.state_variables().values()}
    owned = [*trainer.network.variables, *trainer.optimizer.variables]
    assert all(id(v) in held for v in owned) and len(held) == len(trainer.state_variables())
    assert float(fresh.plateau_best.numpy()) == 3.0


def test_a_tiny_problem_is_learnt(trainer):
    batch = make_batch(5)
    trainer.reset_metrics()
    first = trainer.train_on_batch(*batch, return_dict=True)["l1"]
    for _ in range(120):
        trainer.reset_metrics()
        last = trainer.train_on_batch(*batch, return_dict=True)["l1"]
    assert last < 0.5 * first


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_low_precision_trains_with_float32_losses(precision):
    config = dataclasses.replace(
        TINY, precision=precision, model=dataclasses.replace(TINY.model, target="any")
    )
    model = build_trainer(config)
    model.compile(run_eagerly=True)
    logs = model.train_on_batch(*make_batch(0, config), return_dict=True)
    assert all(np.isfinite(value) for value in logs.values())
    assert model.network.get_layer("z_mean").compute_dtype == "float32"
    model.note_score(1.0)
    for _ in range(3):
        model.note_score(0.0)
    assert float(model.optimizer.learning_rate) == pytest.approx(1.5e-3)


@pytest.mark.parametrize("count", [1, 2, 3, 10, 60])
def test_cases_are_dealt_once_and_reproducibly(count):
    names = [f"case{index}" for index in range(count)]
    split = split_cases(names, TINY)
    assert sorted(sum(split.values(), [])) == sorted(names)
    assert split == split_cases(names[::-1], TINY)
    held = {1: 0, 2: 0, 3: 1, 10: 1, 60: 6}[count]
    assert len(split["validation"]) == len(split["test"]) == held
    if count > 3:
        assert split != split_cases(names, dataclasses.replace(TINY, seed=1))


def test_a_lost_split_or_case_is_refused(tmp_path):
    with pytest.raises(InputError, match="split.json"):
        read_split(tmp_path, {})
    (tmp_path / "split.json").write_text('{"train": ["a"], "validation": [], "test": []}')
    with pytest.raises(InputError, match="case a of"):
        read_split(tmp_path, {"b": tmp_path})
    assert read_split(tmp_path, {"a": tmp_path})["train"] == ["a"]
