"""The data of a CycleGAN run: two folders of images, some held back to validate both directions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_vaegan.data.folders import find_image_root, hold_back
from keras_vaegan.data.image import image_to_unit
from keras_vaegan.errors import InputError
from keras_vaegan.models.running import run_generator
from keras_vaegan.systems.cyclegan.config import CycleGANConfig
from keras_vaegan.systems.cyclegan.evaluation import draw_translation_grid, evaluate_translation
from keras_vaegan.systems.cyclegan.images import load_images, make_unpaired_dataset
from keras_vaegan.systems.system import Validation

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_vaegan.systems.cyclegan.trainer import CycleGAN

SAMPLE_ROWS = 3


@dataclass(frozen=True)
class TrainingImages:
    """A run's images, decoded; as `TrainingData`.

    Attributes:
        one_pass: Steps of a pass over the larger domain.
        mri, ct: Training images (N, S, S, C), uint8 or uint16.
        held_mri, held_ct: Those held back, float32 in [0, 1].
    """

    one_pass: int
    mri: np.ndarray
    ct: np.ndarray
    held_mri: np.ndarray
    held_ct: np.ndarray
    plateau = None

    @property
    def description(self) -> str:
        """What is trained on."""
        return f"{len(self.mri)} MRI and {len(self.ct)} CT images"

    def make_stream(self, config: CycleGANConfig, done: int) -> tf.data.Dataset:
        """Endless stream of unpaired batches from step `done` on."""
        return make_unpaired_dataset(
            self.mri, self.ct, config.batch_size, config.seed, config.data, done
        )

    def validate(self, trainer: CycleGAN) -> Validation:
        """Validate both directions on the held-back images.

        By default the score is the mean honest-cycle SSIM less the mean realism gap of both
        directions: a network that copies its input scores about 0, and so does one that forgets
        the anatomy. With `best_by="ssim"` it is the mean cycle SSIM.
        """
        if not (len(self.held_mri) and len(self.held_ct)):
            return Validation()
        value_range = trainer.config.data.value_range
        to_ct, to_mri = (
            partial(run_generator, partial(trainer.infer, network), value_range=value_range)
            for network in (trainer.g_target_ema, trainer.g_source_ema)
        )
        result = evaluate_translation(to_ct, to_mri, self.held_mri, self.held_ct)
        row = flatten_metrics(result.metrics, trainer.config.best_by)
        return Validation(row, draw_translation_grid(result, SAMPLE_ROWS))

    def write_records(self, out: Path) -> None:
        """Nothing: the folders' names and the config tell which images are held back."""


def load_training_images(config: CycleGANConfig, data: Path) -> TrainingImages:
    """Decode both training folders, and hold some images of each back.

    Args:
        config: The run.
        data: Folder with trainA (CT) and trainB (MRI), or a parent of it.

    Raises:
        InputError: no such folders, or fewer images than one batch draws.
    """
    root = find_image_root(data)
    kept, held = {}, {}
    for name, folder in (("MRI", "trainB"), ("CT", "trainA")):
        images, _ = load_images(root / folder, config.data)
        train, validation = hold_back(len(images), config.data.validation_images)
        kept[name], held[name] = images[train], image_to_unit(images[validation])
        if len(train) < config.batch_size:
            raise InputError(
                f"{folder} ({name}) leaves {len(train)} training images: expected at least the "
                f"batch size {config.batch_size}; add images or lower --batch-size"
            )
    one_pass = max(map(len, kept.values())) // config.batch_size
    return TrainingImages(one_pass, kept["MRI"], kept["CT"], held["MRI"], held["CT"])


def flatten_metrics(metrics: dict, best_by: str = "realism") -> dict[str, float]:
    """Flatten an evaluation to the columns of history.csv, and score it by `best_by`."""
    row = {}
    for name in ("ct", "mri"):
        for kind in ("cycle", "honest_cycle"):
            for measure in ("psnr", "ssim"):
                row[f"val_{kind}_{measure}_{name}"] = metrics[kind][name][measure]["mean"]
        for group, gap in metrics["realism"][name]["gap"].items():
            row[f"val_gap_{group}_{name}"] = gap
        row[f"val_copy_{name}"] = metrics["realism"][name]["copy"]
    kind = "cycle" if best_by == "ssim" else "honest_cycle"
    row["val_score"] = (row[f"val_{kind}_ssim_ct"] + row[f"val_{kind}_ssim_mri"]) / 2
    if best_by == "realism":
        gaps = [row[f"val_gap_all_{name}"] for name in ("ct", "mri")]
        row["val_score"] -= sum(1.0 if gap is None else gap for gap in gaps) / 2
    return {name: value for name, value in row.items() if value is not None}
