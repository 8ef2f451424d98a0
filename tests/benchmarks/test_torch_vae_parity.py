"""One step of System A in Keras and in PyTorch, from the same weights: the same numbers."""

import dataclasses

import numpy as np
import pytest
from keras import ops

from keras_vaegan.config.data import AugmentationConfig
from keras_vaegan.systems.cyclegan import trainer as cyclegan
from keras_vaegan.systems.registry import build_trainer, get_preset

pytestmark = pytest.mark.slow

NAMES = ("g_target", "g_source", "d_source", "d_target")
SHAPE = (2, 2, 32, 32, 3)  # source and target, two images each
LOSS_TOLERANCE = 5e-6  # relative
UPDATE_TOLERANCE = 1e-3  # of the learning rate


@pytest.fixture(scope="module")
def rival(load_benchmark):
    """The module with the PyTorch rendition."""
    pytest.importorskip("torch", reason="PyTorch is not installed")
    return load_benchmark("torch_vae_cyclegan")


@pytest.fixture(scope="module")
def config():
    """The published losses, depth and order of updates on narrow networks.

    A large epsilon makes Adam's first step nearly proportional to the gradient: see
    `test_torch_parity.py`. The KL weight is not yet risen, but large enough to be seen.
    """
    preset = get_preset("vae_cyclegan")
    filters = (4, 8, 16, 16, 24)
    return dataclasses.replace(
        preset,
        generator=dataclasses.replace(
            preset.generator, filters=filters, groups=4, latent_channels=6
        ),
        discriminator=dataclasses.replace(preset.discriminator, filters=filters[:4], groups=4),
        data=dataclasses.replace(preset.data, image_size=32),
        augmentation=AugmentationConfig(mode="none"),
        losses=dataclasses.replace(preset.losses, kl_weight=1.0, kl_warmup_steps=4),
        optimizer=dataclasses.replace(preset.optimizer, epsilon=1e-2),
        batch_size=2,
        pool_size=0,
        precision="float32",
    )


@pytest.fixture(scope="module")
def images():
    """Source and target images, NHWC in [-1, 1]."""
    return np.random.default_rng(0).uniform(-1, 1, SHAPE).astype("float32")


@pytest.fixture(scope="module")
def sides(rival, config):
    """Both sides with the same weights, none of them 0: (Keras, PyTorch, weights)."""
    import torch

    keras_side, torch_side = build_trainer(config), rival.TorchVAECycleGAN(config, merged=True)
    torch_side.draw = torch.ones
    rng, before = np.random.default_rng(0), {}
    for name in NAMES:
        model, net = getattr(keras_side, name), torch_side.nets[name]
        for variable in model.trainable_variables:
            variable.assign_add(rng.normal(0, 0.05, variable.shape))
        rival.copy_weights(model, net)
        if name in torch_side.averages:
            getattr(keras_side, f"{name}_ema").set_weights(model.get_weights())
            torch_side.averages[name].load_state_dict(net.state_dict())
        before[name] = [np.array(ours) for ours, _ in rival.list_pairs(model, net)]
        assert len(before[name]) == len(model.weights)
    return keras_side, torch_side, before


@pytest.fixture(scope="module")
def outputs(sides, rival, images):
    """What both sides' networks give, and what both lose in a step with noise of ones."""
    keras_side, torch_side, _ = sides
    source, target = images
    theirs = {
        "translation": rival.to_keras(torch_side.translate(rival.to_torch(source))),
        "scores": [
            rival.to_keras(m) for (m,) in torch_side.score("d_target", rival.to_torch(target))
        ],
    }
    ours = {
        "translation": np.array(keras_side.g_target(source)),
        "scores": [np.array(m) for m in keras_side.d_target(target)],
    }
    keras_side.compile(run_eagerly=True)  # the same operations, without a minute of compiling
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cyclegan, "draw_normal", lambda like, *_: ops.ones_like(like))
        ours["losses"] = keras_side.train_on_batch((source, target), return_dict=True)
    theirs["losses"] = torch_side.step(rival.to_torch(source), rival.to_torch(target))
    return ours, theirs


def test_the_networks_agree(outputs):
    ours, theirs = outputs
    np.testing.assert_allclose(ours["translation"], theirs["translation"], atol=2e-5)
    assert len(ours["scores"]) == len(theirs["scores"]) == 4
    for our_map, their_map in zip(ours["scores"], theirs["scores"], strict=True):
        np.testing.assert_allclose(our_map, their_map, atol=2e-5)


def test_the_step_has_the_same_losses(outputs):
    ours, theirs = (side["losses"] for side in outputs)
    assert set(ours) == set(theirs) and len(theirs) == 8
    for name, value in theirs.items():
        assert float(ours[name]) == pytest.approx(value, rel=LOSS_TOLERANCE), name


@pytest.mark.parametrize("name", NAMES)
def test_the_step_leaves_the_same_weights(sides, outputs, rival, config, name):
    keras_side, torch_side, before = sides
    pairs = rival.list_pairs(getattr(keras_side, name), torch_side.nets[name])
    limit, largest = UPDATE_TOLERANCE * config.optimizer.learning_rate, 0.0
    for (ours, theirs), old in zip(pairs, before[name], strict=True):
        ours, old = rival.convert(np.array(ours)), rival.convert(old)
        largest = max(largest, np.abs(ours - old).max())
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-6, atol=limit)
    assert largest > 0.05 * config.optimizer.learning_rate  # the step was a step


def test_the_averaged_weights_agree(sides, outputs, rival, config):
    keras_side, torch_side, _ = sides
    limit = UPDATE_TOLERANCE * config.optimizer.learning_rate
    for ours, theirs in rival.list_pairs(keras_side.g_target_ema, torch_side.averages["g_target"]):
        ours = rival.convert(np.array(ours))
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-6, atol=limit)


def test_each_heads_gradient_is_clipped_on_its_own(rival):
    """Two losses of gradient norms 5 and 0.5 add up to 1 and 0.5; untouched weights get none."""
    import torch

    first, second = (torch.zeros(2, requires_grad=True) for _ in range(2))
    losses = [first @ torch.tensor([3.0, 4.0]), first[0] * 0.5]
    rival.add_clipped_gradients(losses, [first, second])
    assert first.grad.tolist() == pytest.approx([0.6 + 0.5, 0.8])
    assert second.grad is None
