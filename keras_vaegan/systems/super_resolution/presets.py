"""The presets of super-resolution; the docstring of each is its record."""

from __future__ import annotations

from keras_vaegan.config.networks import DiscriminatorConfig, RRDBNetConfig
from keras_vaegan.config.run import OptimizerConfig
from keras_vaegan.systems.super_resolution.config import SuperResolutionConfig


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
        generator=RRDBNetConfig(channels=1, num_features=32, num_blocks=4, growth_channels=16),
        discriminator=DiscriminatorConfig(
            filters=(32, 64, 128, 128), num_heads=1, trunk_depth=1, groups=0
        ),
        crop_candidates=3,
        batch_size=8,
        steps=3000,
        pixel_steps=3000,
        validate_every=500,
        optimizer=OptimizerConfig(
            learning_rate=1e-3, cosine_steps=3000, epsilon=1e-8, ema_decay=0.995
        ),
    )
