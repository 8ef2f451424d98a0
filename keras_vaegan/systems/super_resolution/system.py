"""Super-resolution, as the rest of the package asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_vaegan.config.networks import RRDBNetConfig
from keras_vaegan.systems.super_resolution import presets
from keras_vaegan.systems.super_resolution.config import SuperResolutionConfig
from keras_vaegan.systems.system import (
    Evaluation,
    EvaluationOptions,
    Exportable,
    System,
    TrainingData,
)
from keras_vaegan.weights.names import RRDBNET_FILE

if TYPE_CHECKING:
    from keras_vaegan.interop.keras_h5.load import Network


class SuperResolutionSystem(System):
    """Images enlarged by an RRDBNet, trained by L1 and then against a discriminator."""

    config_type = SuperResolutionConfig
    network_types = (RRDBNetConfig,)
    presets = (presets.rrdbnet_x4, presets.rrdbnet_x4_small)
    command = "enhance"
    weight_files = {"generator": RRDBNET_FILE}
    options = {"cosine_steps": "optimizer.cosine_steps"}

    def build_trainer(self, config: SuperResolutionConfig):
        from keras_vaegan.systems.super_resolution.trainer import SuperResolution
        from keras_vaegan.training.trainer import build_compiled

        return build_compiled(SuperResolution, config)

    def load_data(
        self, config: SuperResolutionConfig, data: Path, out: Path, resume: bool
    ) -> TrainingData:
        from keras_vaegan.systems.super_resolution.data import load_training_images

        return load_training_images(config, data)

    def list_stages(self, config: SuperResolutionConfig) -> list[tuple[str, int]]:
        return [("pixel", min(config.pixel_steps, config.steps)), ("adversarial", config.steps)]

    def evaluate(self, weights: Path, data: Path, options: EvaluationOptions) -> Evaluation:
        from keras_vaegan.systems.super_resolution.evaluation import evaluate_run

        return evaluate_run(weights, data, options)

    def open_predictor(self, path: str | Path, **options: Any):
        from keras_vaegan.systems.super_resolution.enhancer import Enhancer

        return Enhancer.load(path, **options)

    def open_export(self, network: Network, tile: int) -> Exportable:
        from keras_vaegan.systems.super_resolution.export import open_enhancement

        return open_enhancement(network, tile)
