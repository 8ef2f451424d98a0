"""Systems A and C, as the rest of the package asks for them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_vaegan.config.networks import ResnetGeneratorConfig, VAEUNetConfig
from keras_vaegan.systems.cyclegan import presets
from keras_vaegan.systems.cyclegan.config import CycleGANConfig
from keras_vaegan.systems.system import (
    Evaluation,
    EvaluationOptions,
    Exportable,
    System,
    TrainingData,
)
from keras_vaegan.weights.names import CYCLEGAN_FILES

if TYPE_CHECKING:
    from keras_vaegan.interop.keras_h5.load import Network


class CycleGANSystem(System):
    """Unpaired translation MRI <-> CT: two generators, two discriminators."""

    config_type = CycleGANConfig
    network_types = (VAEUNetConfig, ResnetGeneratorConfig)
    presets = (
        presets.vae_cyclegan,
        presets.vae_cyclegan_small,
        presets.resnet_cyclegan,
        presets.resnet_cyclegan_small,
        presets.demo,
    )
    command = "translate"
    weight_files = CYCLEGAN_FILES
    takes_enhancer = True
    options = {
        "cosine_steps": "optimizer.cosine_steps",
        "image_size": "data.image_size",
        "align": "data.align",
        "surroundings": "data.surroundings",
        "skip_levels": "generator.skip_levels",
        "recompute": "recompute",
        "cycle_weight": "losses.cycle_weight",
        "ssim_weight": "losses.ssim_weight",
        "identity_weight": "losses.identity_weight",
        "adversarial_weight": "losses.adversarial_weight",
        "structure_weight": "losses.structure_weight",
        "source_negatives": "losses.source_negatives",
        "view_probability": "losses.view_probability",
        "lecam_weight": "losses.lecam_weight",
        "discriminator_gradients": "losses.discriminator_gradients",
    }

    def build_trainer(self, config: CycleGANConfig):
        from keras_vaegan.systems.cyclegan.trainer import CycleGAN
        from keras_vaegan.training.trainer import build_compiled

        return build_compiled(CycleGAN, config)

    def list_stages(self, config: CycleGANConfig) -> list[tuple[str, int]]:
        """Where there is a hand-drawn start, it stands alone in a stage of its own."""
        losses = config.losses
        alone = losses.anchor_steps // 2 if losses.anchor_weight else 0
        start = [("start", min(alone, config.steps))] if alone else []
        return [*start, ("", config.steps)]

    def skip_start(self, config: CycleGANConfig) -> CycleGANConfig:
        losses = dataclasses.replace(config.losses, anchor_steps=0, kl_warmup_steps=0)
        return dataclasses.replace(config, losses=losses)

    def load_data(
        self, config: CycleGANConfig, data: Path, out: Path, resume: bool
    ) -> TrainingData:
        from keras_vaegan.systems.cyclegan.data import load_training_images

        return load_training_images(config, data)

    def evaluate(self, weights: Path, data: Path, options: EvaluationOptions) -> Evaluation:
        from keras_vaegan.systems.cyclegan.evaluation import evaluate_run

        return evaluate_run(weights, data, options)

    def open_predictor(self, path: str | Path, **options: Any):
        from keras_vaegan.systems.cyclegan.translator import Translator

        return Translator.load(path, **options)

    def open_export(self, network: Network, tile: int) -> Exportable:
        from keras_vaegan.systems.cyclegan.export import open_translation

        return open_translation(network)
