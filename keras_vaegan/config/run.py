"""What every run's config has: its length, its optimiser, its precision, its seed."""

from __future__ import annotations

from typing import Literal

from keras_vaegan.config.base import Count, Decay, Positive, Rate, Seed, Weight, frozen_config


@frozen_config
class OptimizerConfig:
    """Adam, and its learning rate as a function of the step.

    Attributes:
        learning_rate: Rate at step 0, the generators' where there are discriminators.
        discriminator_learning_rate: The discriminators'; None takes the generators'.
        decay: Per-step decay as in the legacy Keras optimisers: rate / (1 + decay * step).
        cosine_steps: Steps in which the rate falls to 0 along half a cosine (and in which it
            rises again afterwards, as in PyTorch's CosineAnnealingLR); 0 for none.
        halving_steps: Steps between two halvings of the rate; 0 for none.
        weight_decay: True (decoupled) weight decay; 0 for none.
        beta_1: Adam's first moment decay.
        beta_2: Adam's second moment decay.
        epsilon: Adam's guard against division by 0, added to the root of the second moment.
        ema_decay: Decay of the generators' averaged weights, which validate and are saved; 0 for
            the current weights.

    Reference: Loshchilov & Hutter 2017, "SGDR" (cosine annealing, without restarts here).
    """

    learning_rate: Rate = 1e-4
    discriminator_learning_rate: Rate | None = None
    decay: Weight = 0.0
    cosine_steps: Count = 0
    halving_steps: Count = 0
    weight_decay: Weight = 0.0
    beta_1: Decay = 0.9
    beta_2: Decay = 0.999
    epsilon: Rate = 1e-7
    ema_decay: Decay = 0.0


@frozen_config
class RunConfig:
    """The fields that the config of every system's run begins with.

    Attributes:
        batch_size: Samples (pairs, slices, crops) drawn per step, before augmented copies.
        steps: Training steps of a full run.
        validate_every: Steps between two validations; 0 for one pass over the data.
        precision: "auto" picks mixed_bfloat16 where the hardware has it, else float32.
        seed: Seed of data order, augmentation and initial weights.
    """

    batch_size: Positive = 4
    steps: Positive = 50_000
    validate_every: Count = 0
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "auto"
    seed: Seed = 0
