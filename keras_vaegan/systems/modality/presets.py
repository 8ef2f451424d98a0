"""The presets of System B; the docstring of each is its record."""

from __future__ import annotations

import dataclasses

from keras_vaegan.config.data import ModalityDataConfig, SliceAugmentationConfig
from keras_vaegan.config.networks import ModalityUNetConfig
from keras_vaegan.config.run import OptimizerConfig
from keras_vaegan.systems.modality.config import ModalityConfig, ModalityLossConfig


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
        generator=ModalityUNetConfig(filters=(16, 32, 64, 128)),
        data=ModalityDataConfig(
            slice_stride=1,
            augmentation=SliceAugmentationConfig(shift=6, flip=0.5, intensity=0.2),
        ),
        optimizer=OptimizerConfig(learning_rate=1e-3),
        steps=4_000,
        validate_every=250,
    )


def modality_unet_few() -> ModalityConfig:
    """System B for a handful of real cases: white matter as the unit, strong variation.

    To be started from a network of the procedural phantom (`--init-from`), trained by this preset
    too; `--leave-out CASE` holds one case back.

    Command: `python -m keras_vaegan.train --preset modality_unet_few --data CASES --out RUN
    --init-from PHANTOM_RUN`.
    Time: 900 steps in 4.3 minutes on one CPU core (AVX512-BF16, bfloat16), after 1,200 of 12
    phantoms in 5.7.
    Metric: FLAIR of six real cases, each left out of its training: in the brain 18.27 dB / 0.564,
    the best copy after a fit 16.00 dB / 0.402; above it in five of six (docs/results.md).
    """
    changes = SliceAugmentationConfig(
        shift=8, flip=0.5, elastic=2.0, intensity=0.15, bias_field=0.1
    )
    return ModalityConfig(
        generator=ModalityUNetConfig(filters=(16, 32, 64, 128), normalization="group"),
        data=ModalityDataConfig(
            normalization="white_matter",
            slice_stride=1,
            tumour_share=0.3,
            validation_share=0.0,
            test_share=0.0,
            augmentation=changes,
        ),
        losses=ModalityLossConfig(mse_weight=4.0),
        optimizer=OptimizerConfig(learning_rate=2e-3),
        rate="cosine",
        steps=900,
        validate_every=100,
    )


def modality_unet_any() -> ModalityConfig:
    """As `modality_unet_few`, one network for all four contrasts, which may lack further ones.

    Command: `python -m keras_vaegan.train --preset modality_unet_any --data CASES --out RUN
    --init-from PHANTOM_RUN`.
    Time: 1,200 steps of 12 phantoms in 13 minutes on one CPU core (AVX2, float32), then as many of
    real cases in 23 on a shared one.
    Metric: six real cases, each left out: in the brain above the fitted copy by 1.46 dB (FLAIR),
    1.35 (T2) and 0.32 (T1), below it by 0.41 (T1ce) (docs/results.md).
    """
    config = modality_unet_few()
    changes = dataclasses.replace(config.data.augmentation, drop_inputs=0.15)
    return dataclasses.replace(
        config,
        generator=dataclasses.replace(config.generator, target="any"),
        data=dataclasses.replace(config.data, augmentation=changes),
        steps=1_200,
    )
