"""The presets of System B; the docstring of each is its record."""

from __future__ import annotations

from keras_vaegan.config.data import ModalityDataConfig
from keras_vaegan.config.networks import ModalityUNetConfig
from keras_vaegan.config.run import OptimizerConfig
from keras_vaegan.systems.modality.config import ModalityConfig


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
        data=ModalityDataConfig(slice_stride=1, shift=6, flip=0.5, intensity=0.2),
        optimizer=OptimizerConfig(learning_rate=1e-3),
        steps=4_000,
        validate_every=250,
    )
