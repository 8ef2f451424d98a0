"""The CycleGAN step of Systems A and C: who is updated, by what, and with which state."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from keras_vaegan.config.data import AugmentationConfig
from keras_vaegan.config.run import OptimizerConfig
from keras_vaegan.errors import InputError
from keras_vaegan.interop.keras_h5.load import load_generator
from keras_vaegan.kernels.random import draw_standard_normal
from keras_vaegan.models.layers import SpectralConv2D
from keras_vaegan.systems.cyclegan.trainer import VIEW_STREAMS, CycleGAN
from keras_vaegan.systems.registry import build_trainer, find_system
from keras_vaegan.training.state import load_run_state, save_run_state
from keras_vaegan.weights.names import CYCLEGAN_FILES

FAMILIES = ("vae", "resnet")
STREAMS = ("noise", "latent", *VIEW_STREAMS)
SEEDS = {name: tf.constant([0, 1 + 2 * index]) for index, name in enumerate(STREAMS)}
TERMS = {
    "vae": {"adversarial", "background", "cycle", "kl", "ssim"},
    "resnet": {"adversarial", "background", "cycle", "identity", "ssim", "structure"},
}


def values(variables):
    return [np.array(v) for v in variables]


def has_moved(before, after):
    return any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def change_losses(config, **changes):
    return dataclasses.replace(config, losses=dataclasses.replace(config.losses, **changes))


def build_eager(config):
    """A trainer whose step is not compiled: a few seconds instead of half a minute."""
    trainer = build_trainer(config)
    trainer.compile(run_eagerly=True)
    return trainer


# -- the whole step --------------------------------------------------------------------------------


def fit(trainer, count, tiny, seed=0, **options):
    """Train on `count` samples, System A on batches of unknown size. Returns the history.

    All tests call `fit` alike, so that a family's step is traced once.
    """
    config = dataclasses.replace(trainer.config, batch_size=count, pool_size=0)
    samples = tf.data.Dataset.from_tensor_slices(tiny.make_batch(config, seed))
    is_static = hasattr(trainer.config.generator, "convs_per_block")
    stream = samples.batch(trainer.config.batch_size, drop_remainder=is_static)
    return trainer.fit(stream, shuffle=False, verbose=0, **options).history


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_one_step_moves_every_network_and_counts(compiled_trainer, tiny, family):
    trainer = compiled_trainer(family)
    networks = {
        name: getattr(trainer, name) for name in (*CYCLEGAN_FILES, "g_target_ema", "g_source_ema")
    }
    before = {name: values(model.trainable_variables) for name, model in networks.items()}
    logs = fit(trainer, trainer.config.batch_size, tiny)
    assert int(trainer.trained_steps.numpy()) == 1
    for name, model in networks.items():
        assert has_moved(before[name], values(model.trainable_variables)), name
    terms = TERMS[family] | {"discriminator"}
    assert set(logs) == {f"{term}_{domain}" for term in terms for domain in ("source", "target")}
    assert all(np.isfinite(value) for value in logs.values())


@pytest.mark.slow
def test_a_ragged_last_batch_is_trained_like_any_other(compiled_trainer, tiny):
    """The step does not rely on a static batch size."""
    trainer = compiled_trainer("vae")
    assert np.isfinite(list(fit(trainer, 6, tiny).values())).all()
    assert int(trainer.trained_steps.numpy()) == 2


@pytest.mark.slow
def test_a_tiny_problem_is_learnt(compiled_trainer, tiny):
    """Cycle loss on one fixed batch falls by a third in a few steps."""
    cycle = fit(compiled_trainer("vae"), 4, tiny, seed=5, epochs=70)["cycle_target"]
    assert cycle[-1] < 0.67 * cycle[0]


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_restored_state_goes_on_bit_for_bit(compiled_trainer, tiny, tmp_path, family):
    """Weights, optimisers, averages, pools, vectors, noise and counters all come back."""
    trainer = compiled_trainer(family)
    fit(trainer, 4, tiny)
    save_run_state(trainer, tmp_path, {"step": 1})
    outcomes = []
    for _ in range(2):
        assert load_run_state(trainer, tmp_path) == {"step": 1}
        fit(trainer, 8, tiny, seed=1)
        state = {name: np.array(v) for name, v in trainer.state_variables().items()}
        outcomes.append(state | {"rate": np.array(trainer.g_optimizer.learning_rate)})
    for name, value in outcomes[0].items():
        np.testing.assert_array_equal(value, outcomes[1][name], err_msg=name)
    assert outcomes[0]["rate"] < trainer.config.optimizer.learning_rate
    assert any("vector_u" in name for name in outcomes[0]) == (family == "resnet")


# -- its parts -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def make_eager(tiny):
    """Trainers that are not compiled, by family: for looking inside the step."""
    trainers = {}

    def make(family):
        if family not in trainers:
            trainers[family] = build_eager(tiny.TINY[family])
        return trainers[family]

    return make


@pytest.fixture
def eager(make_eager):
    """System A's; a test may change its config."""
    trainer = make_eager("vae")
    config = trainer.config
    yield trainer
    trainer.config = config


@pytest.fixture
def batch(tiny):
    """(source, target) tensors."""
    return tuple(map(tf.constant, tiny.make_batch(tiny.VAE, 0)))


@pytest.mark.parametrize("family", FAMILIES)
def test_generator_update_leaves_the_discriminators_alone(make_eager, batch, family):
    trainer = make_eager(family)
    before = values(trainer.discriminator_variables), values(trainer.generator_variables)
    with tf.GradientTape() as tape:
        loss = trainer._compute_generator_loss(*batch, SEEDS)[0]
    variables = trainer.generator_variables
    gradients = tape.gradient(loss, [v.value for v in variables])
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    trainer.g_optimizer.apply(gradients, variables)
    assert not has_moved(before[0], values(trainer.discriminator_variables))
    assert has_moved(before[1], values(trainer.generator_variables))


@pytest.mark.parametrize("family", FAMILIES)
def test_discriminator_update_leaves_the_generators_alone(make_eager, batch, family):
    trainer = make_eager(family)
    before = values(trainer.generator_variables), values(trainer.discriminator_variables)
    gradients = compare(trainer, "source", batch)[0] + compare(trainer, "target", batch)[0]
    trainer.d_optimizer.apply(gradients, trainer.discriminator_variables)
    assert not has_moved(before[0], values(trainer.generator_variables))
    assert has_moved(before[1], values(trainer.discriminator_variables))


def compare(trainer, domain, batch):
    """(gradients, loss) of a discriminator that sees (real, fake)."""
    return trainer._compare_with_real(domain, *batch, batch[1] - 0.5, SEEDS)


def flatten(gradients):
    return np.concatenate([np.ravel(g) for g in gradients])


def test_independent_gradients_are_the_sum_of_clipped_head_gradients(eager, batch, monkeypatch):
    """By a tape over each head alone, the discriminator called on real and fake apart."""
    limit, discriminator = 0.05, eager.d_source
    monkeypatch.setattr("keras_vaegan.systems.cyclegan.trainer.HEAD_CLIP_NORM", limit)
    ours, loss = compare(eager, "source", batch)
    weights = [v.value for v in discriminator.trainable_variables]
    total, losses = 0, []
    for head in range(len(discriminator.outputs)):
        with tf.GradientTape() as tape:
            real, fake = (discriminator(images)[head] for images in batch)
            losses.append(0.5 * (tf.reduce_mean((real - 1) ** 2) + tf.reduce_mean(fake**2)))
        gradient = flatten(tape.gradient(losses[-1], weights, unconnected_gradients="zero"))
        total = total + gradient * min(1, limit / np.linalg.norm(gradient))
    np.testing.assert_allclose(flatten(ours), total, atol=1e-5)
    assert float(loss) == pytest.approx(np.mean(losses), rel=1e-5)


def test_joint_gradients_are_the_plain_sum(eager, batch, monkeypatch):
    monkeypatch.setattr("keras_vaegan.systems.cyclegan.trainer.HEAD_CLIP_NORM", 1e6)
    gradients = []
    for kind in ("joint", "independent"):
        eager.config = change_losses(eager.config, discriminator_gradients=kind)
        gradients.append(flatten(compare(eager, "target", batch)[0]))
    np.testing.assert_allclose(gradients[0], gradients[1], atol=1e-5)


@pytest.mark.parametrize("kind", ["joint", "independent"])
def test_inputs_as_negatives_add_their_share_of_the_loss(eager, batch, monkeypatch, kind):
    """By a tape over the discriminator of each part alone."""
    monkeypatch.setattr("keras_vaegan.systems.cyclegan.trainer.HEAD_CLIP_NORM", 1e6)
    eager.config = change_losses(eager.config, source_negatives=0.5, discriminator_gradients=kind)
    gradients, loss = compare(eager, "target", batch)
    with tf.GradientTape() as tape:
        real, fake, negative = (eager.d_target(x) for x in (*batch, batch[1] - 0.5))
        squares = [
            sum(tf.reduce_mean((m - wanted) ** 2) for m in maps)
            for maps, wanted in ((real, 1), (fake, 0), (negative, 0))
        ]
        total = 0.5 * (squares[0] + squares[1] + 0.5 * squares[2])
    weights = [v.value for v in eager.d_target.trainable_variables]
    np.testing.assert_allclose(
        flatten(gradients), flatten(tape.gradient(total, weights)), atol=1e-5
    )
    assert float(loss) == pytest.approx(float(squares[0] + squares[1]) / 4, rel=1e-5)


def test_lecam_pulls_and_remembers_the_answers(tiny, batch):
    """The levels follow the answers by 1 % a step, and belong to the state."""
    trainer = build_eager(change_losses(tiny.VAE, lecam_weight=0.3))
    levels = trainer.answer_levels["target"]
    plain, _ = compare(trainer, "target", batch)
    real, fake = (trainer.d_target(x) for x in batch)
    means = [[float(tf.reduce_mean(m)) for m in maps] for maps in (real, fake)]
    np.testing.assert_allclose(np.array(levels.levels), 0.01 * np.array(means), rtol=1e-4)
    levels.levels.assign([[5.0, 5.0], [-5.0, -5.0]])
    pulled, _ = compare(trainer, "target", batch)
    assert np.abs(flatten(plain) - flatten(pulled)).max() > 1e-3
    assert "answers_target/0000/levels" in trainer.state_variables()


@pytest.fixture
def seen(eager, monkeypatch):
    """What the discriminator of CT is shown, call by call, while all views change."""
    shown = []
    eager.config = change_losses(eager.config, view_probability=1.0)

    def answer(images, training):
        shown.append(np.array(images))
        return [images]

    network, eager.d_target = eager.d_target, answer
    yield shown
    eager.d_target = network


def test_the_discriminators_see_views_of_all_they_judge(eager, batch, seen):
    """The same for real and generated as for what trains a generator, each drawn for itself."""
    eager._judge("target", SEEDS["judge_target"], batch[0])
    eager._judge("target", SEEDS["compare_target"], *batch)
    assert [len(x) for x in seen] == [4, 8]
    for images in seen:
        holes = (images == -1).mean(axis=(1, 2, 3))
        assert (holes > 0.1).all() and len(set(holes)) > 2
    assert not np.array_equal(seen[0], seen[1][:4])


def test_a_replica_sees_its_rows_of_the_global_batchs_views(eager, batch, seen, monkeypatch):
    """Of every part, real and generated, its images and their augmented copies."""
    assert eager.num_views == 2
    eager._judge("target", SEEDS["compare_target"], *batch)

    def take_second_half(draws, num_views):
        return tf.concat([part[len(part) // 2 :] for part in tf.split(draws, num_views)], 0)

    trainer = "keras_vaegan.systems.cyclegan.trainer"
    monkeypatch.setattr(f"{trainer}.find_own_rows", lambda x: (2, 4))
    monkeypatch.setattr(f"{trainer}.take_own_part", take_second_half)
    eager._judge("target", SEEDS["compare_target"], *(part[1::2] for part in batch))
    whole, own = seen
    np.testing.assert_array_equal(own, whole[[1, 3, 5, 7]])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_start_alone_takes_the_same_step_with_less_work(tiny, family):
    """What has no weight yet is not computed; all networks move as if it were."""
    config = change_losses(tiny.TINY[family], anchor_weight=5.0, anchor_steps=10, anchor="tissue")
    assert find_system(config).list_stages(config) == [("start", 4), ("", 4)]  # of 4 steps in all
    trainers = [build_eager(config) for _ in range(2)]
    trainers[1].set_stage("start")
    before = values(trainers[0].discriminator_variables)
    logs = [t.train_on_batch(tiny.make_batch(config, 0), return_dict=True) for t in trainers]
    assert "cycle_target" in logs[0] and "cycle_target" not in logs[1]
    assert set(logs[1]) < set(logs[0])
    for name in ("generator_variables", "discriminator_variables"):
        for one, other in zip(*(values(getattr(t, name)) for t in trainers), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)
    assert has_moved(before, values(trainers[1].discriminator_variables))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_starts_from_anothers_weights(make_eager, tiny, tmp_path, family):
    """At twice the image size, with the averages where the networks are."""
    trainer = make_eager(family)
    trainer.save_weight_files(tmp_path)
    data = dataclasses.replace(trainer.config.data, image_size=64)
    larger = CycleGAN(dataclasses.replace(trainer.config, data=data))
    larger.load_weight_files(tmp_path)
    pairs = (
        (trainer.g_target_ema, larger.g_target), (trainer.g_source_ema, larger.g_source_ema),
        (trainer.d_source, larger.d_source),
    )  # fmt: skip
    for old, new in pairs:
        for one, other in zip(values(old.variables), values(new.variables), strict=True):
            np.testing.assert_array_equal(one, other)
    (tmp_path / "d_source_weights.h5").unlink()
    with pytest.raises(InputError, match="no d_source_weights.h5"):
        larger.load_weight_files(tmp_path)


def test_a_step_takes_one_power_iteration(make_eager, tiny):
    """Four calls of a discriminator's networks in the step, one move of its vector."""
    trainer = make_eager("resnet")
    layers = [
        layer
        for discriminator in (trainer.d_source, trainer.d_target)
        for layer in discriminator.layers
        if isinstance(layer, SpectralConv2D)
    ]
    before = [(np.array(x.kernel), np.array(x.vector_u)) for x in layers]
    trainer.train_on_batch(tiny.make_batch(trainer.config, 1))
    assert len(layers) == 4
    for layer, (kernel, u) in zip(layers, before, strict=True):
        matrix = kernel.reshape(-1, kernel.shape[-1])
        v = matrix @ u
        wanted = matrix.T @ (v / np.linalg.norm(v))
        wanted /= np.linalg.norm(wanted)
        np.testing.assert_allclose(np.array(layer.vector_u), wanted, atol=1e-5)
        assert np.abs(wanted - u).max() > 1e-6


def test_translations_are_judged_without_surroundings(tiny, monkeypatch):
    """What the discriminators, the terms and the way back see is black far from the head."""
    data = dataclasses.replace(tiny.RESNET.data, surroundings="black")
    still = AugmentationConfig("none")
    trainer = build_eager(dataclasses.replace(tiny.RESNET, data=data, augmentation=still))
    head = np.full((2, 32, 32, 1), -1, "float32")
    head[:, 10:20, 12:22] = 0.5
    seen = []
    judge, collect, generate = trainer._judge, trainer._collect_terms, trainer._generate

    def watch_terms(passes):
        seen.extend(
            part for p in passes.values() for part in (p.fake, p.cycled) if part is not None
        )
        return collect(passes)

    def watch_judge(domain, seed, *parts):
        seen.append(parts[0 if len(parts) == 1 else 1])
        return judge(domain, seed, *parts)

    def watch_inputs(generator, images, *rest):
        if len(images) == len(head) and not np.array_equal(images, head):
            inputs.append(np.array(images))
        return generate(generator, images, *rest)

    inputs: list = []
    monkeypatch.setattr(trainer, "_judge", watch_judge)
    monkeypatch.setattr(trainer, "_collect_terms", watch_terms)
    monkeypatch.setattr(trainer, "_generate", watch_inputs)
    trainer.train_on_batch((head, head))
    trainer.set_stage("start")
    trainer.run_eagerly = True
    trainer.train_on_batch((head, head))
    assert len(seen) == 4 + 4 + 2 + 2  # judged, of the terms; in the start judged once, of terms
    for fake in map(np.array, seen):
        assert (fake[:, :6] == -1).all() and (fake[:, :, 28:] == -1).all()
        assert (fake[:, 12:18, 14:20] > -1).all()
    assert len(inputs) == 2 and all(np.abs(x[:, :6] + 1).max() < 0.2 for x in inputs)  # noise


def test_cycle_noise_has_the_stated_size(eager):
    image, seed = tf.zeros((1, 256, 256, 1)), tf.constant([1, 2])
    noisy = np.array(eager._add_cycle_noise(image, seed))
    assert noisy.std() == pytest.approx(0.04, rel=0.02)  # 0.02 of [0, 1] in [-1, 1]
    np.testing.assert_allclose(noisy, 0.04 * draw_standard_normal(image.shape, seed), rtol=1e-5)
    eager.config = change_losses(eager.config, cycle_noise=0.0)
    assert eager._add_cycle_noise(image, seed) is image


@pytest.mark.parametrize(("mode", "count"), [("none", 4), ("in_place", 4), ("copy", 8)])
def test_augmentation_adds_variants_or_takes_their_place(eager, batch, mode, count):
    augmentation = dataclasses.replace(eager.config.augmentation, mode=mode)
    eager.config = dataclasses.replace(eager.config, augmentation=augmentation)
    changed = np.array(eager._augment(batch[0], tf.constant([1, 2])))
    assert changed.shape == (count, *batch[0].shape[1:])
    same = np.array_equal(changed[:4], batch[0])
    assert same == (mode != "in_place")
    assert mode == "none" or np.abs(changed[-4:] - batch[0]).max() > 0.1


def test_evaluate_and_predict_work_as_in_any_model(eager, tiny):
    source, target = tiny.make_batch(eager.config, 3)
    logs = eager.evaluate(source, target, verbose=0, return_dict=True)
    figures = ("cycle", "cycle_psnr", "cycle_ssim")
    assert set(logs) == {f"{name}_{domain}" for name in figures for domain in ("source", "target")}
    generated = eager.predict(source, verbose=0)
    np.testing.assert_allclose(generated, np.array(eager.g_target_ema(source)), atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_weight_files_hold_the_networks(make_eager, tiny, tmp_path, family):
    trainer = make_eager(family)
    trainer.save_weight_files(tmp_path)
    image = tiny.make_batch(trainer.config, 5)[0]
    rebuilt = load_generator(tmp_path, "mri2ct")
    np.testing.assert_array_equal(np.array(rebuilt(image)), np.array(trainer(image)))
    with pytest.raises(InputError, match="holds a discriminator"):
        load_generator(tmp_path / "d_target_weights.h5")


@pytest.mark.parametrize("family", FAMILIES)
def test_state_names_are_unique_and_cover_everything(make_eager, family):
    trainer = make_eager(family)
    state = trainer.state_variables()
    held = {id(v) for v in state.values()}
    owners = (trainer.g_target, trainer.d_source, trainer.pool_target, trainer.g_optimizer)
    assert all(id(v) in held for owner in owners for v in owner.variables)
    assert len(held) == len(state)


# -- optimisers, averages, precision ---------------------------------------------------------------


def test_both_optimisers_follow_the_config(tiny):
    rates = OptimizerConfig(
        learning_rate=1e-4, discriminator_learning_rate=3e-4, decay=0.5, weight_decay=6e-8
    )
    trainer = CycleGAN(dataclasses.replace(tiny.VAE, optimizer=rates))
    trainer.compile()
    for optimizer, rate in ((trainer.g_optimizer, 1e-4), (trainer.d_optimizer, 3e-4)):
        optimizer.iterations.assign(2)
        assert float(optimizer.learning_rate) == pytest.approx(rate / 2)
        assert optimizer.weight_decay == 6e-8


@pytest.mark.parametrize(
    ("limit", "step", "expected"),
    [(0.999, 0, 0.1), (0.999, 10, 11 / 20), (0.999, 10**7, 0.999), (0.0, 5, None)],
)
def test_averaged_weights_follow_the_stated_decay(eager, limit, step, expected):
    rates = dataclasses.replace(eager.config.optimizer, ema_decay=limit)
    eager.config = dataclasses.replace(eager.config, optimizer=rates)
    before = int(eager.trained_steps.numpy())
    eager.trained_steps.assign(step)
    decay = eager.average_decay()
    eager.trained_steps.assign(before)
    assert decay is None if expected is None else float(decay) == pytest.approx(expected)


def test_bfloat16_trains_with_float32_losses(tiny):
    trainer = build_eager(dataclasses.replace(tiny.RESNET, precision="mixed_bfloat16"))
    logs = trainer.train_on_batch(tiny.make_batch(trainer.config, 0), return_dict=True)
    assert all(np.isfinite(value) for value in logs.values())
    assert trainer.g_target.get_layer("down_1_conv").compute_dtype == "bfloat16"
    assert trainer.g_target.get_layer("output_image").compute_dtype == "float32"
    assert {v.dtype for v in trainer.g_target.trainable_variables} == {"float32"}
