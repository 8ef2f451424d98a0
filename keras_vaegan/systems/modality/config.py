"""Configs of a run of missing-modality synthesis, System B: loss terms and the run."""

from __future__ import annotations

import dataclasses
from dataclasses import field
from typing import Literal

from keras_vaegan.config.base import (
    Positive,
    Probability,
    Weight,
    frozen_config,
    require,
    retire,
)
from keras_vaegan.config.data import ModalityDataConfig
from keras_vaegan.config.networks import ANY_TARGET, ModalityUNetConfig
from keras_vaegan.config.run import OptimizerConfig, RunConfig

IGNORED_RATES = ("decay", "cosine_steps", "halving_steps", "ema_decay")  # of `OptimizerConfig`


@frozen_config
class ModalityLossConfig:
    """Weights of the loss terms beside the mean absolute error of the slice, whose weight is 1.

    Attributes:
        mse_weight: Weight of the mean squared error.
        kl_weight: Weight of the KL divergence, summed over the latent and averaged over the
            batch.
        kl_warmup: Share of the run's steps over which the KL weight rises linearly from 0.
    """

    mse_weight: Weight = 0.0
    kl_weight: Weight = 1e-4
    kl_warmup: Probability = 0.5

    @staticmethod
    def upgrade(fields: dict) -> dict:
        """Fields of version 0.1 -> today's."""
        return retire(fields, {"l1_weight": 1.0})


@frozen_config
class ModalityConfig(RunConfig):
    """A whole run of missing-modality synthesis.

    The network takes the size of its slices and their neighbours from `data`.

    Attributes:
        generator: The network's architecture.
        data: How volumes become slices.
        losses: Loss terms.
        optimizer: The optimiser. How its rate falls, `rate` says; weights are not averaged.
        rate: "plateau" halves the rate where validations stop to improve, "cosine" lets it fall to
            0 along half a cosine over `steps`.
        plateau_patience: Validations without a better score after which the rate halves.
    """

    steps: Positive = 35_000
    generator: ModalityUNetConfig = field(default_factory=ModalityUNetConfig)
    data: ModalityDataConfig = field(default_factory=ModalityDataConfig)
    losses: ModalityLossConfig = field(default_factory=ModalityLossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    rate: Literal["plateau", "cosine"] = "plateau"
    plateau_patience: Positive = 3

    def __post_init__(self) -> None:
        shared = {name: getattr(self.data, name) for name in ("image_size", "neighbours")}
        generator = dataclasses.replace(self.generator, **shared)
        object.__setattr__(self, "generator", generator)
        drop = self.data.augmentation.drop_inputs
        fits = not drop or generator.target == ANY_TARGET
        require(fits, "drop_inputs", drop, f"0, or a network of target {ANY_TARGET}")
        for name in IGNORED_RATES:
            value = getattr(self.optimizer, name)
            require(not value, name, value, "0 for this system; use rate")

    @staticmethod
    def upgrade(fields: dict) -> dict:
        """Fields of version 0.1 -> today's, and what an optimiser once had without effect."""
        optimizer = fields.get("optimizer")
        if isinstance(optimizer, dict):
            fields["optimizer"] = {k: v for k, v in optimizer.items() if k not in IGNORED_RATES}
        if "model" not in fields:
            return fields
        rates = {name: fields.pop(name) for name in ("learning_rate", "epsilon") if name in fields}
        fields["generator"] = fields.pop("model")
        fields["validate_every"] = fields.pop("steps_per_epoch", 0)
        fields["optimizer"] = {"kind": "OptimizerConfig", **rates}
        return fields
