"""The data of a super-resolution run: images of any size, some held back to validate."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_vaegan.data.folders import hold_back
from keras_vaegan.errors import InputError
from keras_vaegan.systems.super_resolution.config import SuperResolutionConfig
from keras_vaegan.systems.super_resolution.crops import (
    CropSampler,
    centre_crops,
    find_pictures,
    load_pictures,
)
from keras_vaegan.systems.super_resolution.evaluation import draw_enlargements, evaluate_enlargement
from keras_vaegan.systems.system import TrainingData, Validation
from keras_vaegan.training.data_record import describe_files

if TYPE_CHECKING:
    from keras_vaegan.systems.super_resolution.trainer import SuperResolution

VALIDATION_SIDE = 256
SAMPLE_ROWS = 4


@dataclass(frozen=True, kw_only=True)
class TrainingPictures(TrainingData):
    """A run's images, decoded. In a pass every image is visited once.

    `best/` holds the weights of the highest PSNR on held-back images; those of the second stage,
    whose aim is texture and not PSNR, are the run folder's own.

    Attributes:
        sampler: Cuts the training images.
        held: (N, S, S, C) of the images' type, or None for no validation.
    """

    sampler: CropSampler
    held: np.ndarray | None

    def read_batch(self, step: int) -> tuple[np.ndarray, ...]:
        """(low, high) crops of a step."""
        return self.sampler.read_batch(step)

    def validate(self, trainer: SuperResolution) -> Validation:
        """Validate enlargements of the held-back images beside bicubic ones."""
        if self.held is None:
            return Validation()
        result = evaluate_enlargement(
            partial(trainer.infer, trainer.generator_ema),
            list(self.held),
            trainer.config.generator.scale,
            trainer.config.degradation.downsample,
        )
        row = {
            f"val_{measure}_{kind}": float(np.mean(values))
            for kind, measures in result.scores.items()
            for measure, values in measures.items()
        }
        row["val_score"] = row["val_psnr_network"]
        return Validation(row, draw_enlargements(result, SAMPLE_ROWS))


def load_training_images(config: SuperResolutionConfig, data: Path) -> TrainingPictures:
    """Decode images, and hold some back, cut to one square size: `System.load_data`."""
    groups = find_pictures(data)
    paths = [path for found in groups.values() for path in found]
    images, _ = load_pictures(paths, config.generator.channels, config.crop_size)
    if not images:
        raise InputError(f"no usable training image in {data}: expected at least one")
    kept, held = hold_back(len(images), config.validation_images)
    squares = centre_crops([images[i] for i in held], VALIDATION_SIDE, 4) if held else None
    return TrainingPictures(
        one_pass=max(1, len(kept) // config.batch_size),
        description=f"{len(kept)} images ({', '.join(groups)})",
        sources={name: describe_files(found) for name, found in groups.items()},
        sampler=CropSampler([images[index] for index in kept], config),
        held=squares,
    )
