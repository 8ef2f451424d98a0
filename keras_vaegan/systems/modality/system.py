"""System B, as the rest of the package asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_vaegan.config.networks import ModalityUNetConfig
from keras_vaegan.systems.modality import presets
from keras_vaegan.systems.modality.config import ModalityConfig
from keras_vaegan.systems.system import (
    Evaluation,
    EvaluationOptions,
    Exportable,
    System,
    TrainingData,
)
from keras_vaegan.weights.names import MODALITY_FILE

if TYPE_CHECKING:
    from keras_vaegan.interop.keras_h5.load import Network


class ModalitySystem(System):
    """A missing MRI contrast from the others: one VAE U-Net on axial slices."""

    config_type = ModalityConfig
    network_types = (ModalityUNetConfig,)
    presets = (
        presets.modality_unet,
        presets.modality_unet_small,
        presets.modality_unet_few,
        presets.modality_unet_any,
    )
    command = "synthesize"
    weight_files = {"generator": MODALITY_FILE}
    options = {"target": "generator.target", "leave_out": "data.leave_out"}

    def build_trainer(self, config: ModalityConfig):
        from keras_vaegan.systems.modality.trainer import ModalitySynthesis
        from keras_vaegan.training.trainer import build_compiled

        return build_compiled(ModalitySynthesis, config)

    def load_data(
        self, config: ModalityConfig, data: Path, out: Path, resume: bool
    ) -> TrainingData:
        from keras_vaegan.systems.modality.data import load_training_cases

        return load_training_cases(config, data, out, resume)

    def evaluate(self, weights: Path, data: Path, options: EvaluationOptions) -> Evaluation:
        from keras_vaegan.systems.modality.evaluation import evaluate_run

        return evaluate_run(weights, data, options)

    def open_predictor(self, path: str | Path, **options: Any):
        from keras_vaegan.systems.modality.synthesizer import Synthesizer

        return Synthesizer.load(path, **options)

    def open_export(self, network: Network, tile: int) -> Exportable:
        from keras_vaegan.systems.modality.export import open_synthesis

        return open_synthesis(network)
