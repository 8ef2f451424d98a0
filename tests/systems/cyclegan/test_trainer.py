"""The CycleGAN step: who is updated, by what, and with which state."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from keras_vaegan.config.data import DataConfig
from keras_vaegan.config.networks import DiscriminatorConfig, VAEUNetConfig
from keras_vaegan.config.run import OptimizerConfig
from keras_vaegan.systems.cyclegan.config import CycleGANConfig, LossConfig
from keras_vaegan.systems.cyclegan.trainer import CycleGAN
from keras_vaegan.systems.registry import build_trainer
from keras_vaegan.training.state import load_run_state, save_run_state
from keras_vaegan.weights.names import CYCLEGAN_FILES

SIZE = 32
TINY = CycleGANConfig(
    generator=VAEUNetConfig(
        image_size=SIZE,
        channels=1,
        filters=(8, 16),
        kernel_sizes=(3, 3),
        num_residual_blocks=(0, 1),
        skip_levels=1,
        groups=4,
        latent_channels=4,
    ),
    discriminator=DiscriminatorConfig(
        image_size=SIZE, channels=1, filters=(8, 8, 16, 16), trunk_depth=1, groups=4
    ),
    data=DataConfig(image_size=SIZE, channels=1),
    losses=LossConfig(
        identity_weight=1.0,
        ssim_weight=1.0,
        background_weight=2.0,
        anchor_weight=5.0,
        kl_warmup_steps=10,
    ),
    optimizer=OptimizerConfig(learning_rate=1e-3),
    batch_size=2,
    pool_size=4,
    precision="float32",
)


def make_batch(seed=0, count=2):
    rng = np.random.default_rng(seed)
    shape = (2, count, SIZE, SIZE, 1)
    source, target = rng.uniform(-1, 1, shape).astype("float32")
    return source, np.abs(target) * 2 - 1


def values(variables):
    return [np.array(v) for v in variables]


def has_moved(before, after):
    return any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.fixture(scope="module")
def trainer():
    """One compiled step shared by the tests that only take more steps."""
    model = build_trainer(TINY)
    model.train_on_batch(make_batch())
    return model


def test_one_step_moves_every_network_and_counts(trainer):
    networks = {
        name: getattr(trainer, name) for name in (*CYCLEGAN_FILES, "g_target_ema", "g_source_ema")
    }
    before = {name: values(model.trainable_variables) for name, model in networks.items()}
    steps = int(trainer.trained_steps.numpy())
    trainer.train_on_batch(make_batch(1))
    assert int(trainer.trained_steps.numpy()) == steps + 1
    for name, model in networks.items():
        assert has_moved(before[name], values(model.trainable_variables)), name


def test_step_reports_every_term_as_a_finite_number(trainer):
    logs = trainer.train_on_batch(make_batch(2), return_dict=True)
    expected = {
        f"{term}_{domain}"
        for term in (
            "adversarial",
            "anchor",
            "background",
            "cycle",
            "ssim",
            "identity",
            "kl",
            "discriminator",
        )
        for domain in ("source", "target")
    }
    assert set(logs) == expected
    assert all(np.isfinite(value) for value in logs.values())


def test_fit_and_evaluate_work_as_in_any_model(trainer):
    dataset = tf.data.Dataset.from_tensors(make_batch(3)).repeat()
    history = trainer.fit(dataset, epochs=2, steps_per_epoch=2, shuffle=False, verbose=0)
    assert len(history.history["cycle_source"]) == 2
    logs = trainer.evaluate(dataset, steps=1, verbose=0, return_dict=True)
    assert {"cycle_psnr_source", "cycle_ssim_target"} <= set(logs)
    assert trainer.predict(make_batch()[0], verbose=0).shape == (2, SIZE, SIZE, 1)


@pytest.fixture(scope="module")
def eager():
    """An uncompiled trainer, for looking inside the step."""
    model = CycleGAN(TINY)
    model.compile(run_eagerly=True)
    return model


def test_generator_update_leaves_the_discriminators_alone(eager):
    judges = eager.d_source.trainable_variables + eager.d_target.trainable_variables
    before, mine = values(judges), values(eager.g_target.trainable_variables)
    source, target = map(tf.constant, make_batch())
    eager._update_generators(source, target, eager._step_seeds())
    assert not has_moved(before, values(judges))
    assert has_moved(mine, values(eager.g_target.trainable_variables))


def test_discriminator_update_leaves_the_generators_alone(eager):
    generators = eager.g_target.trainable_variables + eager.g_source.trainable_variables
    before = values(generators)
    source, target = map(tf.constant, make_batch())
    judges = values(eager._discriminator_weights)
    gradients = []
    for judge, name in ((eager.d_source, "source"), (eager.d_target, "target")):
        gradients += eager._judge(judge, name, source, target)[0]
    eager.d_optimizer.apply(gradients, eager._discriminator_weights)
    assert has_moved(judges, values(eager._discriminator_weights))
    assert not has_moved(before, values(generators))


def flatten(gradients):
    return np.concatenate([np.ravel(g) for g in gradients])


def test_independent_gradients_are_the_sum_of_clipped_head_gradients(eager):
    source, target = map(tf.constant, make_batch())
    judge, limit = eager.d_source, 0.05
    eager.config = dataclasses.replace(
        TINY, losses=dataclasses.replace(TINY.losses, head_clip_norm=limit)
    )
    ours, _ = eager._judge(judge, "source", source, target)
    eager.config = TINY
    weights = [v.value for v in judge.trainable_variables]
    total = 0
    for head in range(4):
        with tf.GradientTape() as tape:
            real, fake = judge(source)[head], judge(target)[head]
            loss = 0.5 * (tf.reduce_mean((real - 1) ** 2) + tf.reduce_mean(fake**2))
        gradient = flatten(tape.gradient(loss, weights, unconnected_gradients="zero"))
        norm = np.linalg.norm(gradient)
        total = total + gradient * min(1, limit / norm)
    np.testing.assert_allclose(flatten(ours), total, atol=1e-5)


def test_joint_gradients_are_the_plain_sum(eager):
    source, target = map(tf.constant, make_batch())
    gradients = {}
    for kind in ("joint", "independent"):
        losses = dataclasses.replace(TINY.losses, discriminator_gradients=kind, head_clip_norm=1e6)
        eager.config = dataclasses.replace(TINY, losses=losses)
        gradients[kind] = flatten(eager._judge(eager.d_target, "target", target, source)[0])
    eager.config = TINY
    np.testing.assert_allclose(gradients["joint"], gradients["independent"], atol=1e-5)


def test_total_is_the_weighted_sum_with_its_ramps(eager):
    names = ("adversarial", "anchor", "background", "cycle", "ssim", "identity", "kl")
    losses = {f"{name}_target": tf.constant(1.0) for name in names}
    eager.trained_steps.assign(4)
    assert float(eager._weigh(losses)) == pytest.approx(5.0 + 2.0 + 0.01 * 5 / 10)
    eager.trained_steps.assign(225)  # half of the second half
    expected = 0.5 * (1 + 10.0 + 1.0 + 1.0) + 0.5 * 5.0 + 2.0 + 0.01
    assert float(eager._weigh(losses)) == pytest.approx(expected)
    eager.trained_steps.assign(10**6)
    assert float(eager._weigh(losses)) == pytest.approx(15.01)


def test_cycle_noise_has_the_stated_size(eager):
    image = tf.zeros((1, 256, 256, 1))
    noisy = eager._hide_nothing(image, tf.constant([1, 2])).numpy()
    assert noisy.std() == pytest.approx(0.04, rel=0.02)  # 0.02 of [0, 1] in [-1, 1]


def test_averaged_weights_follow_the_stated_decay():
    model = CycleGAN(TINY)
    model.compile()
    weight, mean = model.g_target.trainable_variables[0], model.g_target_ema.trainable_variables[0]
    start = np.array(mean)
    weight.assign(start + 1)
    model.trained_steps.assign(0)
    model._update_averages()
    np.testing.assert_allclose(np.array(mean), start + 0.9, rtol=1e-5)
    model.trained_steps.assign(10**7)
    model._update_averages()
    np.testing.assert_allclose(np.array(mean), start + 0.9 + 0.1 * 0.001, rtol=1e-5)


def test_learning_rate_decays_per_step():
    config = dataclasses.replace(TINY, optimizer=OptimizerConfig(learning_rate=1e-4, decay=0.5))
    model = CycleGAN(config)
    model.compile()
    model.g_optimizer.iterations.assign(2)
    assert float(model.g_optimizer.learning_rate) == pytest.approx(1e-4 / 2)


def test_weight_decay_is_selectable():
    config = dataclasses.replace(TINY, optimizer=OptimizerConfig(weight_decay=6e-8))
    model = CycleGAN(config)
    model.compile()
    assert model.g_optimizer.weight_decay == 6e-8


def test_state_names_are_unique_and_cover_everything(trainer):
    state = trainer.state_variables()
    held = {id(v) for v in state.values()}
    owners = (trainer.g_target, trainer.d_source, trainer.pool_target, trainer.g_optimizer)
    assert all(id(v) in held for owner in owners for v in owner.variables)
    assert len(held) == len(state)


def test_bfloat16_trains_with_float32_losses():
    model = build_trainer(dataclasses.replace(TINY, precision="mixed_bfloat16"))
    model.compile(run_eagerly=True)
    logs = model.train_on_batch(make_batch(), return_dict=True)
    assert all(np.isfinite(value) for value in logs.values())
    assert model.g_target.get_layer("z_mean").compute_dtype == "float32"
    assert model.g_target.get_layer("down_1_conv").compute_dtype == "bfloat16"
    assert {v.dtype for v in model.g_target.trainable_variables} == {"float32"}


def test_a_tiny_problem_is_learnt(trainer):
    """Cycle loss on one fixed, repetitive batch falls by a third in a few steps."""
    batch = tuple(np.tile(x[:, :16, :16], (1, 2, 2, 1)) for x in make_batch(5))
    trainer.reset_metrics()
    first = trainer.train_on_batch(batch, return_dict=True)["cycle_target"]
    for _ in range(80):
        trainer.reset_metrics()
        last = trainer.train_on_batch(batch, return_dict=True)["cycle_target"]
    assert last < 0.67 * first


def test_a_restored_state_goes_on_bit_for_bit(trainer, tmp_path):
    """Weights, optimisers, averages, pools, noise and counters all come back."""
    batches = [make_batch(seed) for seed in range(2)]
    trainer.train_on_batch(batches[0])
    save_run_state(trainer, tmp_path, {"step": 1})
    outcomes = []
    for _ in range(2):
        assert load_run_state(trainer, tmp_path) == {"step": 1}
        for batch in batches:
            trainer.train_on_batch(batch)
        outcomes.append({name: np.array(v) for name, v in trainer.state_variables().items()})
    for name, value in outcomes[0].items():
        np.testing.assert_array_equal(value, outcomes[1][name], err_msg=name)


def test_a_ragged_last_batch_is_trained_like_any_other(eager):
    """The step does not rely on a static batch size."""
    dataset = tf.data.Dataset.from_tensor_slices(make_batch(7, 3)).batch(2)
    history = eager.fit(dataset, shuffle=False, verbose=0).history
    assert np.isfinite(list(history.values())).all()


@pytest.mark.parametrize(("anchor", "expected"), [("negative", 0.2), ("copy", 0.8)])
def test_the_anchor_and_the_air(eager, anchor, expected):
    """A head of 0.8 on black: where a translation is at no cost."""
    unit = np.zeros((1, SIZE, SIZE, 1), "float32")
    unit[:, 8:24, 8:24] = 0.8
    start = np.where(unit > 0, expected, 0).astype("float32")
    eager.config = dataclasses.replace(TINY, losses=dataclasses.replace(TINY.losses, anchor=anchor))
    losses = eager._start_losses("target", tf.constant(2 * unit - 1), tf.constant(2 * start - 1))
    eager.config = TINY
    assert float(losses["anchor_target"]) == pytest.approx(0, abs=1e-6)
    assert float(losses["background_target"]) == pytest.approx(0, abs=1e-6)
    glow = tf.zeros((1, SIZE, SIZE, 1))  # mid gray everywhere
    losses = eager._start_losses("target", tf.constant(2 * unit - 1), glow)
    assert float(losses["background_target"]) == pytest.approx(0.5 * (1 - 0.25), rel=1e-5)
    off = 0.5 * (1 - 0.25) + abs(0.5 - expected) * 0.25
    assert float(losses["anchor_target"]) == pytest.approx(off, rel=1e-5)
