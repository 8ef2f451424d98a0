"""The presets: one config each; its docstring is its record (command, hardware, time, metric)."""

from __future__ import annotations

from keras_vaegan.config import (
    AugmentationConfig,
    CycleGANConfig,
    DataConfig,
    DiscriminatorConfig,
    LossConfig,
    ModalityConfig,
    ModalityDataConfig,
    ModalityUNetConfig,
    OptimizerConfig,
    PatchDiscriminatorConfig,
    ResnetGeneratorConfig,
    RRDBNetConfig,
    SuperResolutionConfig,
    VAEUNetConfig,
)
from keras_vaegan.errors import InputError


def vae_cyclegan() -> CycleGANConfig:
    """System A as published: 256x256x3, batch 4 (8 with the copies), 50,000 steps, rate 1e-4.

    Its losses alone: least squares, cycle L1 x10, KL; no cycle noise, background or anchor term.

    Command: `python -m keras_vaegan.train --preset vae_cyclegan --data DIR --out RUN`.
    Metric: not measured (a full run needs a GPU).
    """
    return CycleGANConfig(losses=LossConfig(cycle_noise=0.0))


def vae_cyclegan_small() -> CycleGANConfig:
    """System A sized for a CPU or a free Colab GPU: 256x256x1, heads aligned.

    Command: `python -m keras_vaegan.train --preset vae_cyclegan_small --data DIR --out RUN`.
    The measured run had an adversarial weight of 3 up to step 1617 and of 8 from there; the whole
    at 8 is not measured. Time: step 2617 in 58 minutes on 2 CPU cores (AMD EPYC, AVX512-BF16).
    Metric: 150 + 150 real test images, realism gap CT 0.22, MRI 0.58, cycle CT 27.43 dB / 0.891,
    MRI 22.72 dB / 0.693 (commits de6e07e, then 9595ea8); with 3 alone, step 1617 in 35 minutes: gap
    0.38 and 0.69, cycle 29.04 dB / 0.913 and 24.41 dB / 0.729.
    """
    return CycleGANConfig(
        generator=VAEUNetConfig(
            channels=1,
            filters=(16, 32, 64, 96, 128),
            kernel_sizes=(3, 3, 3, 3, 3),
            num_residual_blocks=(0, 1, 1, 2, 1),
            skip_levels=3,
            groups=8,
            latent_channels=32,
        ),
        discriminator=DiscriminatorConfig(
            channels=1, filters=(48, 96, 192, 256), trunk_depth=1, groups=0
        ),
        data=DataConfig(channels=1, align="head"),
        losses=LossConfig(
            adversarial_weight=8.0,
            ssim_weight=1.0,
            background_weight=5.0,
            anchor="shell",
            anchor_weight=20.0,
            anchor_steps=400,
        ),
        optimizer=OptimizerConfig(
            learning_rate=3e-4, discriminator_learning_rate=1e-3, ema_decay=0.995
        ),
        batch_size=1,
        steps=20_000,
        steps_per_epoch=500,
    )


def resnet_cyclegan() -> CycleGANConfig:
    """System C as published: 256x256x1, batch 16, 60 epochs, rate 2e-4 on a cosine of 50 epochs.

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
            identity_weight=0.5,
            ssim_weight=1.0,
            cycle_noise=0.0,
            discriminator_gradients="joint",
        ),
        optimizer=OptimizerConfig(learning_rate=2e-4, decay=0.0, cosine_epochs=50, ema_decay=0.0),
        batch_size=16,
        epochs=60,
        steps=60 * 109,
        epoch_steps=109,
        validation_epochs=5,
        best_by="ssim",
        pool_size=0,
        precision="mixed_float16",
    )


def resnet_cyclegan_small() -> CycleGANConfig:
    """System C narrowed for a CPU: 256x256x1, heads aligned, batch 1.

    A quarter of the generator's width and 6 of its 9 blocks; half of the discriminator's width,
    without instance normalisation, with which it learns too slowly at batch 1 to tell made from
    real; no identity passes (a third of the step); bfloat16 where the CPU has it. It adds System
    A's guards against a cycle that only copies: the anchored start, cycle noise, black air, a
    heavier adversarial loss, and `best/` by realism.

    Command: `python -m keras_vaegan.train --preset resnet_cyclegan_small --data DIR --out RUN`.
    Time: step 4,000, its best, after 27 minutes on 2 CPU cores (AMD EPYC, AVX512-BF16).
    Metric: 150 + 150 real test images, realism gap CT 0.05, MRI 0.38, cycle CT 27.09 dB / 0.867,
    MRI 21.55 dB / 0.662 (commit 02cf3df).
    """
    return CycleGANConfig(
        generator=ResnetGeneratorConfig(filters=(16, 32, 64), num_residual_blocks=6),
        discriminator=PatchDiscriminatorConfig(filters=(32, 64, 128, 256), instance_norm=False),
        data=DataConfig(channels=1, align="head"),
        augmentation=_SYSTEM_C_AUGMENTATION,
        losses=LossConfig(
            adversarial_weight=5.0,
            ssim_weight=1.0,
            background_weight=5.0,
            anchor="shell",
            anchor_weight=20.0,
            anchor_steps=300,
            discriminator_gradients="joint",
        ),
        optimizer=OptimizerConfig(
            learning_rate=4e-4, discriminator_learning_rate=5e-4, decay=2e-4, ema_decay=0.999
        ),
        batch_size=1,
        steps=9_000,
        steps_per_epoch=500,
        pool_size=0,
    )


_SYSTEM_C_AUGMENTATION = AugmentationConfig(
    copies=0,
    in_place=True,
    flip=0.5,
    rotation_degrees=15.0,
    zoom=0.1,
    translation=0.0,
    intensity=0.0,
    warp_probability=0.5,
    separate_warps=True,
)


def demo() -> CycleGANConfig:
    """A 64x64 CycleGAN for the built-in phantom: minutes on 2 cores.

    Command: `make demo`, about seven minutes on 2 CPU cores with the installation.
    Metric: error against truth 0.0516 (MRI -> CT) and 0.0540 (CT -> MRI), not translating
    0.1464; commit 4aa6811.
    """
    return CycleGANConfig(
        generator=VAEUNetConfig(
            image_size=64,
            channels=1,
            filters=(16, 32, 64),
            kernel_sizes=(5, 3, 3),
            num_residual_blocks=(0, 1, 2),
            skip_levels=2,
            groups=8,
            latent_channels=16,
        ),
        discriminator=DiscriminatorConfig(
            image_size=64, channels=1, filters=(32, 64, 128, 128), trunk_depth=1, groups=0
        ),
        data=DataConfig(image_size=64, channels=1, validation_images=16),
        losses=LossConfig(
            adversarial_weight=2.0,
            ssim_weight=1.0,
            kl_warmup_steps=200,
            background_weight=5.0,
            anchor_weight=20.0,
            anchor_steps=300,
        ),
        optimizer=OptimizerConfig(
            learning_rate=4e-4, discriminator_learning_rate=6e-4, ema_decay=0.99
        ),
        batch_size=4,
        steps=900,
        steps_per_epoch=300,
    )


def modality_unet() -> ModalityConfig:
    """System B as published: FLAIR from T1, T1ce and T2, 160x160, latent 128, batch 4.

    10 epochs of 200 cases at every second slice are about 35,000 steps; `--target any` trains one
    network for all four contrasts.

    Command: `python -m keras_vaegan.train --preset modality_unet --data DIR --out RUN`.
    Metric: not measured (a full run needs a GPU).
    """
    return ModalityConfig()


def modality_unet_small() -> ModalityConfig:
    """System B sized for a CPU: half the features a level, ten times the rate, varied slices.

    Command: `python -m keras_vaegan.train --preset modality_unet_small --data DIR --out RUN`.
    Time: step 1273 of 4000 in 11 minutes on 2 CPU cores that other work shared.
    Metric: 58 phantom cases, 7 others held out (`phantom --kind brats --count 72`): FLAIR in the
    brain 24.39 dB / 0.914, the best copy 15.81 dB / 0.384 (trained at 1065093, evaluated at
    5e9acc4). Trained on one real case and tested on another it does not pass the copy.
    """
    return ModalityConfig(
        model=ModalityUNetConfig(filters=(16, 32, 64, 128)),
        data=ModalityDataConfig(slice_stride=1, shift=6, flip=0.5, intensity=0.2),
        learning_rate=1e-3,
        steps=4_000,
        steps_per_epoch=250,
    )


def rrdbnet_x4() -> SuperResolutionConfig:
    """ESRGAN as published: RRDBNet of 23 blocks, x4, 16,697,987 parameters.

    One million steps of L1 on batches of 16 crops of 128x128 pixels at 2e-4, halved every
    200,000 steps, then 400,000 against a relativistic discriminator at 1e-4 with L1 x0.01 and
    adversarial x0.005. Its VGG features are replaced by the discriminator's own, and its VGG
    discriminator by a PatchGAN.

    Command: `python -m keras_vaegan.train --preset rrdbnet_x4 --data DIR --out RUN`.
    Metric: not measured (a full run needs a GPU).
    """
    return SuperResolutionConfig()


def rrdbnet_x4_small() -> SuperResolutionConfig:
    """An RRDBNet x4 that a CPU trains in minutes: 4 blocks of 32 features, gray images, L1 alone.

    757,601 parameters instead of 16.7 million; crops of 128x128 pixels, 8 a step, each the most
    contrasting of three places.

    Command: `python -m keras_vaegan.train --preset rrdbnet_x4_small --data DIR --out RUN`.
    Time: 1,624 of its 3,000 steps in 20 minutes on 2 shared CPU cores (AMD EPYC, AVX512-BF16).
    Metric: 150 + 150 real test images, x4: CT 35.68 dB / 0.961 (bicubic 28.71 / 0.922), MRI
    27.50 dB / 0.833 (bicubic 25.35 / 0.781); commit 5788809.
    """
    return SuperResolutionConfig(
        network=RRDBNetConfig(channels=1, num_features=32, num_blocks=4, growth_channels=16),
        discriminator=DiscriminatorConfig(
            image_size=128, channels=1, filters=(32, 64, 128, 128), num_heads=1, trunk_depth=1,
            groups=0,
        ),
        crop_candidates=3,
        batch_size=8,
        steps=3000,
        pixel_steps=3000,
        steps_per_epoch=500,
        learning_rate=1e-3,
        schedule="cosine",
        ema_decay=0.995,
    )  # fmt: skip


_PRESETS = (
    vae_cyclegan,
    vae_cyclegan_small,
    resnet_cyclegan,
    resnet_cyclegan_small,
    demo,
    rrdbnet_x4,
    rrdbnet_x4_small,
    modality_unet,
    modality_unet_small,
)
PRESETS = {preset.__name__: preset for preset in _PRESETS}


def get_preset(name: str):
    """Look up a preset by name.

    Args:
        name: One of `PRESETS`.

    Returns:
        A frozen config; change it with `dataclasses.replace`.

    Raises:
        InputError: there is no such preset.
    """
    if name not in PRESETS:
        raise InputError(
            f"unknown preset {name!r}: expected one of {', '.join(sorted(PRESETS))}; see --help"
        )
    return PRESETS[name]()
