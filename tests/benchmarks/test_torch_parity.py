"""One step of System C in Keras and in PyTorch, from the same weights: the same numbers."""

import dataclasses

import numpy as np
import pytest

from keras_vaegan.config.data import AugmentationConfig
from keras_vaegan.config.networks import PatchDiscriminatorConfig, ResnetGeneratorConfig
from keras_vaegan.systems.registry import build_trainer, get_preset

NAMES = ("g_target", "g_source", "d_source", "d_target")
LOSS_TOLERANCE = 2e-6  # relative
UPDATE_TOLERANCE = 1e-3  # of the learning rate; measured: 3e-4, the weights' own rounding


@pytest.fixture(scope="module")
def rival(load_benchmark):
    """The module with the PyTorch rendition."""
    pytest.importorskip("torch", reason="PyTorch is not installed")
    return load_benchmark("torch_resnet_cyclegan")


@pytest.fixture(scope="module")
def config():
    """The published losses and order of updates on narrow networks, without random parts.

    A large epsilon makes Adam's first step nearly proportional to the gradient; the usual one
    would blow rounding noise up to whole steps (of biases before a normalisation, for one, whose
    true gradient is 0).
    """
    preset = get_preset("resnet_cyclegan")
    return dataclasses.replace(
        preset,
        generator=ResnetGeneratorConfig(filters=(4, 8, 16), num_residual_blocks=2),
        discriminator=PatchDiscriminatorConfig(filters=(4, 8, 16)),
        data=dataclasses.replace(preset.data, image_size=32),
        augmentation=AugmentationConfig(mode="none"),
        optimizer=dataclasses.replace(preset.optimizer, epsilon=1e-2),
        batch_size=2,
        precision="float32",
    )


@pytest.fixture(scope="module")
def step(rival, config):
    """Both sides after one step: (Keras trainer, PyTorch trainer, losses of both, old weights)."""
    keras_side = build_trainer(config)
    keras_side.compile(run_eagerly=True)  # the same operations, without a minute of compiling
    torch_side = rival.TorchCycleGAN(config)
    before = {}
    rng = np.random.default_rng(0)
    for name in NAMES:
        model = getattr(keras_side, name)
        for variable in model.trainable_variables:
            variable.assign_add(rng.normal(0, 0.05, variable.shape))
        rival.copy_weights(model, torch_side.nets[name])
        before[name] = [
            np.array(ours) for ours, _ in rival.list_pairs(model, torch_side.nets[name])
        ]
    source, target = rng.uniform(-1, 1, (2, 2, 32, 32, 1)).astype("float32")
    translation = np.array(keras_side.g_target(source))
    their_translation = rival.to_keras(torch_side.translate(rival.to_torch(source)))
    np.testing.assert_allclose(translation, their_translation, atol=2e-5)
    ours = keras_side.train_on_batch((source, target), return_dict=True)
    theirs = torch_side.step(rival.to_torch(source), rival.to_torch(target))
    return keras_side, torch_side, ours, theirs, before


def test_the_step_has_the_same_losses(step):
    _, _, ours, theirs, _ = step
    assert set(ours) == set(theirs) and len(theirs) == 10
    for name, value in theirs.items():
        assert float(ours[name]) == pytest.approx(value, rel=LOSS_TOLERANCE), name


@pytest.mark.parametrize("name", NAMES)
def test_the_step_leaves_the_same_weights(step, rival, config, name):
    keras_side, torch_side, _, _, before = step
    pairs = rival.list_pairs(getattr(keras_side, name), torch_side.nets[name])
    largest = 0.0
    for (ours, theirs), old in zip(pairs, before[name], strict=True):
        is_trained, theirs = theirs.requires_grad, theirs.detach().numpy()
        ours = rival.convert(np.array(ours))
        if is_trained:
            largest = max(largest, np.abs(ours - rival.convert(old)).max())
        limit = UPDATE_TOLERANCE * config.optimizer.learning_rate
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=limit)
    assert largest > 0.05 * config.optimizer.learning_rate  # the step was a step


def test_merged_calls_change_nothing(rival, config):
    """The rival's two ways to call its networks give the same losses."""
    import torch

    losses = []
    rng = np.random.default_rng(1)
    source, target = map(rival.to_torch, rng.uniform(-1, 1, (2, 2, 32, 32, 1)).astype("float32"))
    for merged in (False, True):
        torch.manual_seed(0)
        losses.append(rival.TorchCycleGAN(config, merged=merged).step(source, target))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
