"""Tiny configs of every trainer, and batches for them: for tests in processes of their own."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np

from keras_vaegan.config.data import DataConfig, ModalityDataConfig
from keras_vaegan.config.networks import (
    DiscriminatorConfig,
    ModalityUNetConfig,
    PatchDiscriminatorConfig,
    ResnetGeneratorConfig,
    RRDBNetConfig,
    VAEUNetConfig,
)
from keras_vaegan.config.run import OptimizerConfig
from keras_vaegan.systems.cyclegan.config import CycleGANConfig, LossConfig
from keras_vaegan.systems.modality.config import ModalityConfig
from keras_vaegan.systems.super_resolution.config import SuperResolutionConfig

SIZE = 32
_LOSSES = LossConfig(ssim_weight=1.0, background_weight=1.0, cycle_noise=0.02)
_RUN = {"batch_size": 4, "steps": 4, "validate_every": 2, "precision": "float32"}

VAE = CycleGANConfig(
    generator=VAEUNetConfig(
        filters=(8, 16),
        kernel_sizes=(3, 3),
        num_residual_blocks=(0, 0),
        skip_levels=1,
        groups=4,
        latent_channels=4,
    ),
    discriminator=DiscriminatorConfig(filters=(8, 16), num_heads=2, trunk_depth=1, groups=4),
    data=DataConfig(image_size=SIZE, channels=1, validation_images=4),
    losses=_LOSSES,
    # An epsilon that keeps noise at rest from being blown up.
    optimizer=OptimizerConfig(
        learning_rate=1e-3, decay=6e-8, beta_1=0.5, epsilon=1e-4, ema_decay=0.999
    ),
    pool_size=8,
    **_RUN,
)
RESNET = dataclasses.replace(
    VAE,
    batch_size=2,
    generator=ResnetGeneratorConfig(filters=(8, 16), num_residual_blocks=1),
    discriminator=PatchDiscriminatorConfig(filters=(8, 16)),
    data=dataclasses.replace(VAE.data, surroundings="black"),
    losses=dataclasses.replace(
        _LOSSES,
        discriminator_gradients="joint",
        identity_weight=0.5,
        structure_weight=1.0,
        source_negatives=0.5,
        lecam_weight=0.1,
        view_probability=0.5,
    ),
)
RRDBNET = SuperResolutionConfig(
    generator=RRDBNetConfig(channels=1, num_features=8, num_blocks=1, growth_channels=4),
    discriminator=DiscriminatorConfig(filters=(8, 8), num_heads=2, trunk_depth=1, groups=0),
    patch_size=8,
    pixel_steps=2,
    optimizer=OptimizerConfig(
        learning_rate=1e-3, halving_steps=200_000, epsilon=1e-8, ema_decay=0.999
    ),
    validation_images=2,
    **_RUN,
)
MODALITY = ModalityConfig(
    generator=ModalityUNetConfig(image_size=SIZE, filters=(8, 8), latent_channels=4),
    data=ModalityDataConfig(image_size=SIZE),
    optimizer=OptimizerConfig(learning_rate=1e-3, epsilon=1e-4),
    **_RUN,
)
COMPARED = (2, 0, 1)  # seeds: in some batches rounding pushes a value over a ReLU's kink
AGREEMENT = 1e-4  # of weights after a few steps of 1e-3 from batches without one
WITH_ADAM = ("resnet", "modality")  # whose Adam is compared too: one of each kind of trainer
TINY = {"vae": VAE, "resnet": RESNET, "rrdbnet": RRDBNET, "modality": MODALITY}


def shrink(config, levels: int | None = None):
    """A preset with a few features a level and 32-pixel images, otherwise as it is.

    Args:
        config: The preset.
        levels: How many levels its networks keep at most; all of them without.
    """

    def narrow(part, **fields):
        filters = (8,) * len(part.filters[:levels])
        if hasattr(part, "groups"):
            fields["groups"] = min(part.groups, 4)
        if hasattr(part, "num_heads"):
            fields["num_heads"] = min(part.num_heads, len(filters))
        if hasattr(part, "kernel_sizes"):
            fields["kernel_sizes"] = part.kernel_sizes[: len(filters)]
            fields["skip_levels"] = min(part.skip_levels, len(filters) - 1)
        sized = dataclasses.replace(part, image_size=part.stride * 16)
        return dataclasses.replace(sized, filters=filters, **fields)

    shared = {"batch_size": 2, "precision": "float32"}
    if isinstance(config, SuperResolutionConfig):
        generator = dataclasses.replace(
            config.generator, num_features=8, num_blocks=1, growth_channels=4
        )
        return dataclasses.replace(
            config,
            generator=generator,
            discriminator=narrow(config.discriminator),
            patch_size=SIZE // generator.scale,
            **shared,
        )
    data = dataclasses.replace(config.data, image_size=SIZE)
    if isinstance(config, ModalityConfig):
        return dataclasses.replace(config, generator=narrow(config.generator), data=data, **shared)
    blocks = config.generator.num_residual_blocks
    if isinstance(blocks, int):
        blocks = min(blocks, 2)
    else:  # the deepest levels have some
        blocks = tuple(min(n, 1) for n in blocks[-len(config.generator.filters[:levels]) :])
    return dataclasses.replace(
        config,
        generator=narrow(config.generator, num_residual_blocks=blocks),
        discriminator=narrow(config.discriminator),
        data=data,
        pool_size=min(config.pool_size, 8),
        **shared,
    )


def make_batch(config, seed: int) -> tuple[np.ndarray, ...]:
    """One global batch, as the trainer of the config takes it."""
    rng = np.random.default_rng(seed)
    count = config.batch_size
    if isinstance(config, CycleGANConfig):
        shape = (2, count, SIZE, SIZE, config.data.channels)
        pair = rng.uniform(-1, 1, shape).astype("float32")
        return pair[0], np.abs(pair[1]) * 2 - 1
    if isinstance(config, ModalityConfig):
        shape = (count, SIZE, SIZE, config.generator.channels)
        target = rng.uniform(0, 1, (*shape[:3], 1)).astype("float32")
        return rng.uniform(0, 1, shape).astype("float32"), target, np.ones_like(target)
    scale = config.generator.scale
    side = config.patch_size * scale
    high = rng.uniform(0, 1, (count, side, side, config.generator.channels)).astype("float32")
    return high[:, ::scale, ::scale].copy(), high


def use_plain_gradients(trainer) -> None:
    """Compile for steps of the gradient times 1: Adam blows up rounding where a gradient is 0."""
    count = 2 if hasattr(trainer, "g_optimizer") else 1
    trainer.compile(*[keras.optimizers.SGD(1.0) for _ in range(count)])
    trainer.reset_step()


class Blank:
    """In place of a canvas: drawing takes longer than training, and nobody looks at it."""

    def __init__(self, figure) -> None:
        self.pixels = np.zeros((1, 1, 4), "uint8")

    def draw(self) -> None:
        pass

    def buffer_rgba(self) -> np.ndarray:
        return self.pixels


def run_graphs_as_traced() -> None:
    """Leave out TensorFlow's graph optimiser, which takes longer than the few steps that it speeds.

    What runs in a process of its own has it: the commands of the notebooks, for one.
    """
    import tensorflow as tf

    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def read_state(trainer) -> dict[str, np.ndarray]:
    """Every variable that a resume needs, as float64."""
    return {name: np.array(v, "float64") for name, v in trainer.state_variables().items()}


def compare(first: dict, second: dict) -> float:
    """Largest absolute difference of the weights of two states: slots and image pools aside."""
    return max(float(np.abs(change).max()) for _, change in list_weights(first, second))


def compare_roughly(first: dict, second: dict) -> float:
    """The same, of the root mean square over each variable.

    A sum in another order may push one value over the kink of a ReLU or an L1, and Adam makes the
    single weight that follows move by a share of a whole step: ResNets on one device, begun from
    weights 1e-7 apart, end 1.1e-3 apart at most after three steps of 1e-3, but 1.3e-4 by this
    measure. Losses that are not shared out give 3.5e-4, other noise 1.5e-3.
    """
    return max(float(np.sqrt(np.mean(change**2))) for _, change in list_weights(first, second))


def put_back(trainer, state: dict[str, np.ndarray]) -> None:
    """Give a trainer's variables the values of a state, those of its optimisers aside."""
    for name, variable in trainer.state_variables().items():
        if "optimizer" not in name:
            variable.assign(state[name].astype(variable.dtype))


def list_weights(first: dict, second: dict) -> list[tuple[str, np.ndarray]]:
    """Name and difference of every weight of two states."""
    assert set(first) == set(second)
    names = [name for name in first if "optimizer" not in name and "pool" not in name]
    return [(name, first[name] - second[name]) for name in names]
