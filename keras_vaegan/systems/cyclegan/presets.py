"""The presets of Systems A and C; the docstring of each is its record."""

from __future__ import annotations

from typing import Any

from keras_vaegan.config.data import AugmentationConfig, DataConfig
from keras_vaegan.config.networks import (
    DiscriminatorConfig,
    PatchDiscriminatorConfig,
    ResnetGeneratorConfig,
    VAEUNetConfig,
)
from keras_vaegan.config.run import OptimizerConfig
from keras_vaegan.systems.cyclegan.config import CycleGANConfig, LossConfig


def vae_cyclegan() -> CycleGANConfig:
    """System A as published: 256x256x3, batch 4 (8 with the copies), 50,000 steps, rate 1e-4.

    Its losses alone: least squares, cycle L1 x10, KL; no cycle noise, background or anchor term.

    Command: `python -m keras_vaegan.train --preset vae_cyclegan --data DIR --out RUN`.
    Metric: not measured (a full run needs a GPU).
    """
    return CycleGANConfig(losses=LossConfig(cycle_noise=0.0))


def vae_cyclegan_small() -> CycleGANConfig:
    """System A sized for a CPU or a free Colab GPU: 256x256x1, heads aligned.

    Command: `python -m keras_vaegan.train --preset vae_cyclegan_small --image-size 128 --data DIR
    --out RUN128 --minutes 42`, then `--init-from RUN128 --steps 1600 --cosine-steps 1600` without
    `--image-size`, into another folder.
    Time: 2,993 steps at 128x128 with surroundings kept (commit 2f30967), 1,796 more without
    (6c2869d), 1,600 at 256x256 (e708510): 82 minutes on one CPU core (AMD EPYC, bfloat16).
    Metric: step 1,500 of the 1,600, which validated best and ships in `weights/`: 89 real pairs,
    error in the head CT 0.235, MRI 0.198 (the better baseline 0.388 and 0.241), fluid white as bone
    2 %; 150 CT and 66 MRI test images, realism gap CT 0.14, MRI 0.28, cycle CT 22.97 dB / 0.863,
    MRI 19.24 dB / 0.696 (evaluated at 5220e6e).
    """
    return CycleGANConfig(
        generator=VAEUNetConfig(
            filters=(16, 32, 64, 96, 128),
            kernel_sizes=(3, 3, 3, 3, 3),
            num_residual_blocks=(0, 1, 1, 2, 1),
            skip_levels=3,
            groups=8,
            latent_channels=32,
        ),
        discriminator=DiscriminatorConfig(filters=(48, 96, 192, 256), trunk_depth=1, groups=0),
        data=DataConfig(channels=1, align="head", surroundings="black"),
        augmentation=AugmentationConfig(mode="in_place"),
        losses=LossConfig(adversarial_weight=8.0, **_SMALL_LOSSES),
        optimizer=OptimizerConfig(
            learning_rate=3e-4,
            discriminator_learning_rate=1e-3,
            decay=6e-8,
            beta_1=0.5,
            ema_decay=0.999,
        ),
        batch_size=1,
        steps=20_000,
        validate_every=500,
    )


def resnet_cyclegan() -> CycleGANConfig:
    """System C as published: 256x256x1, batch 16, 60 epochs, rate 2e-4 on a cosine of 50 epochs.

    Its 1,744 pairs are 109 steps a pass.

    Its losses alone: least squares, cycle L1 x10, identity L1 x0.5, 1 - SSIM x1 on both cycles;
    no image pool, no averaged weights, no cycle noise, background or anchor term. The best weights
    are those of the best cycle SSIM, validated every 5 epochs. "mixed_float16" is the mixed
    precision of the T4 GPUs it was trained on: give `--precision auto` on other hardware.

    Command: `python -m keras_vaegan.train --preset resnet_cyclegan --data DIR --out RUN`.
    Metric: not measured (a full run needs a GPU).
    """
    return CycleGANConfig(
        generator=ResnetGeneratorConfig(),
        discriminator=PatchDiscriminatorConfig(),
        data=DataConfig(channels=1),
        augmentation=_SYSTEM_C_AUGMENTATION,
        losses=LossConfig(
            identity_weight=0.5, ssim_weight=1.0, cycle_noise=0.0, discriminator_gradients="joint"
        ),
        optimizer=OptimizerConfig(learning_rate=2e-4, beta_1=0.5, cosine_steps=50 * 109),
        batch_size=16,
        steps=60 * 109,
        validate_every=5 * 109,
        best_by="ssim",
        pool_size=0,
        precision="mixed_float16",
    )


def resnet_cyclegan_small() -> CycleGANConfig:
    """System C narrowed for a CPU: 256x256x1, heads aligned, batch 1.

    A quarter of the generator's width and 6 of its 9 blocks; half of the discriminator's width,
    without instance normalisation, with which it learns too slowly at batch 1 to tell generated
    from real; no identity passes (a third of the step); bfloat16 where the CPU has it. It adds
    System A's guards against a cycle that only copies: the drawn start, cycle noise, black air,
    dark fluid, gray brain, inputs as negatives, a heavier adversarial loss, and `best/` by realism.

    Command: `python -m keras_vaegan.train --preset resnet_cyclegan_small --image-size 128 --data
    DIR --out RUN128 --minutes 45`, then `--init-from RUN128 --steps 3600 --cosine-steps 3600`
    without `--image-size`, into another folder.
    Time: 8,860 steps at 128x128 with surroundings kept (commit 2f30967), 2,444 more without, 1,011
    of 3,600 at 256x256 (6c2869d): 58 minutes on one CPU core (AMD EPYC, bfloat16). The other 2,589
    validated worse.
    Metric: step 1,011, which validated best and ships in `weights/resnet/`: 89 real pairs, error in
    the head CT 0.236, MRI 0.180 (the better baseline 0.388 and 0.241), fluid white as bone 2 %; 150
    CT and 66 MRI test images, realism gap CT 0.17, MRI 0.21, cycle CT 25.71 dB / 0.893, MRI 20.65
    dB / 0.729 (evaluated at 5220e6e).
    """
    return CycleGANConfig(
        generator=ResnetGeneratorConfig(filters=(16, 32, 64), num_residual_blocks=6),
        discriminator=PatchDiscriminatorConfig(filters=(32, 64, 128, 256), instance_norm=False),
        data=DataConfig(channels=1, align="head", surroundings="black"),
        augmentation=_SYSTEM_C_AUGMENTATION,
        losses=LossConfig(adversarial_weight=5.0, discriminator_gradients="joint", **_SMALL_LOSSES),
        optimizer=OptimizerConfig(
            learning_rate=4e-4,
            discriminator_learning_rate=1.5e-3,
            decay=2e-4,
            beta_1=0.5,
            ema_decay=0.999,
        ),
        batch_size=1,
        steps=9_000,
        validate_every=500,
        pool_size=0,
    )


# Both small presets: what keeps a cycle of few steps from the easy ways out (docs/design.md).
_SMALL_LOSSES: dict[str, Any] = {
    "cycle_weight": 3.0,
    "ssim_weight": 1.0,
    "cycle_noise": 0.03,
    "background_weight": 5.0,
    "anchor": "tissue",
    "anchor_weight": 20.0,
    "anchor_steps": 2000,
    "tissue_weight": 30.0,
    "brain_weight": 30.0,
    "source_negatives": 0.5,
}

_SYSTEM_C_AUGMENTATION = AugmentationConfig(
    mode="in_place",
    flip=0.5,
    rotation_degrees=15.0,
    zoom=0.1,
    translation=0.0,
    intensity=0.0,
    separate_warps=True,
)


def demo() -> CycleGANConfig:
    """A 64x64 CycleGAN for the built-in phantom: minutes on 2 cores.

    Mirroring is its only augmentation: turning and scaling resample, which blurs a little. An
    earlier recipe, 900 steps of 4 samples and their turned and scaled copies on wider networks,
    took 4.1 times as long for errors of 0.0512 and 0.0545.

    Command: `make demo`. Time: phantom, training and evaluation 3 minutes 14 seconds on 2 CPU
    cores (AMD EPYC held to AVX2, float32; commit 9669367).
    Metric: error against truth 0.0517 (MRI -> CT) and 0.0547 (CT -> MRI), not translating 0.1464;
    the same run.
    """
    return CycleGANConfig(
        generator=VAEUNetConfig(
            filters=(16, 32, 64),
            kernel_sizes=(3, 3, 3),
            num_residual_blocks=(0, 1, 2),
            skip_levels=2,
            groups=8,
            latent_channels=16,
        ),
        discriminator=DiscriminatorConfig(filters=(16, 32, 64, 64), trunk_depth=1, groups=0),
        data=DataConfig(image_size=64, channels=1, validation_images=16),
        augmentation=AugmentationConfig(
            mode="in_place", rotation_degrees=0.0, zoom=0.0, translation=0.0, intensity=0.0
        ),
        losses=LossConfig(
            adversarial_weight=2.0,
            ssim_weight=1.0,
            kl_warmup_steps=200,
            background_weight=5.0,
            anchor_weight=20.0,
            anchor_steps=200,
        ),
        optimizer=OptimizerConfig(
            learning_rate=8e-4,
            discriminator_learning_rate=1.2e-3,
            decay=6e-8,
            beta_1=0.5,
            ema_decay=0.996,
        ),
        batch_size=4,
        steps=660,
        validate_every=300,
    )
