"""The data of a CycleGAN run: two folders of images, some held back to validate both directions."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_vaegan.config.base import VALUE_RANGES
from keras_vaegan.data.folders import TRAIN_FOLDERS, find_image_root, hold_back, spread
from keras_vaegan.data.image import image_to_unit, list_images
from keras_vaegan.data.preparation import find_room
from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.alarms import Alarm
from keras_vaegan.evaluation.domain import STATISTICS_FILE, DomainStatistics, write_statistics
from keras_vaegan.evaluation.head_features import shrink_images
from keras_vaegan.kernels import call_compiled
from keras_vaegan.systems.cyclegan.config import CycleGANConfig
from keras_vaegan.systems.cyclegan.evaluation import evaluate_translation
from keras_vaegan.systems.cyclegan.images import UnpairedSampler, load_images
from keras_vaegan.systems.cyclegan.prepared import SUFFIX, read_prepared
from keras_vaegan.systems.cyclegan.two_way import TwoWay, draw_grid
from keras_vaegan.systems.system import TrainingData, Validation
from keras_vaegan.training.data_record import describe_files
from keras_vaegan.training.device_store import DeviceStore

if TYPE_CHECKING:
    import keras

    from keras_vaegan.systems.cyclegan.trainer import CycleGAN

SAMPLE_ROWS = 3
BATCH = 8  # images a forward pass of a validation
FEWEST_TOLD = 30  # images that tell what a domain is like
MOST_TOLD = 1000


@dataclass(frozen=True, kw_only=True)
class TrainingImages(TrainingData):
    """A run's images, decoded. A pass is one over the larger domain.

    Attributes:
        sampler: Deals the training images.
        held_mri, held_ct: Those held back, float32 in [0, 1].
    """

    sampler: UnpairedSampler
    held_mri: np.ndarray
    held_ct: np.ndarray

    def read_batch(self, step: int) -> tuple[np.ndarray, ...]:
        """(source, target) of a step, unpaired."""
        return self.sampler.read_batch(step)

    def read_places(self, step: int) -> tuple[np.ndarray, ...]:
        """Which MRI and which CT images a step has."""
        return self.sampler.read_places(step)

    def make_store(self) -> DeviceStore:
        """Hold the training images in the device's memory."""
        return DeviceStore(self.sampler.domains, self.sampler.limits)

    def validate(self, trainer: CycleGAN) -> Validation:
        """Validate both directions on the held-back images.

        By default the score is the mean honest-cycle SSIM less the mean realism gap of both
        directions: a network that copies its input scores about 0, and so does one that forgets
        the anatomy. With `best_by="ssim"` it is the mean cycle SSIM.
        """
        if not (len(self.held_mri) and len(self.held_ct)):
            return Validation()
        to_ct, to_mri = (
            partial(_translate, trainer, network)
            for network in (trainer.g_target_ema, trainer.g_source_ema)
        )
        sets = TwoWay(to_ct, to_mri, self.held_mri, self.held_ct)
        result = evaluate_translation(sets)
        row = flatten_metrics(result.metrics, trainer.config.best_by)
        for alarm in result.metrics["alarms"]:
            print(f"\n{Alarm(**alarm)}", file=sys.stderr, flush=True)
        return Validation(row, draw_grid(sets, SAMPLE_ROWS))

    def write_records(self, out: Path, resume: bool) -> None:
        """Write what both domains are like, which `translate` warns by; a resume keeps it."""
        path = Path(out) / STATISTICS_FILE
        if resume and path.is_file():
            return
        path.unlink(missing_ok=True)
        if min(map(len, self.sampler.domains)) < FEWEST_TOLD:
            return
        mri, ct = map(_fit_statistics, self.sampler.domains)
        write_statistics(out, {"mri": mri, "ct": ct})


def load_training_images(config: CycleGANConfig, data: Path) -> TrainingImages:
    """Read trainA (CT) and trainB (MRI), hold some of each back: `System.load_data`."""
    sets, sources = _read_sets(config, data)
    kept, held = {}, {}
    for name, folder in (("MRI", "trainB"), ("CT", "trainA")):
        images = sets[folder]
        train, validation = hold_back(len(images), config.data.validation_images)
        kept[name], held[name] = images[train], image_to_unit(images[validation])
        if len(train) < config.batch_size:
            raise InputError(
                f"{folder} ({name}) leaves {len(train)} training images: expected at least the "
                f"batch size {config.batch_size}; add images or lower --batch-size"
            )
    return TrainingImages(
        one_pass=max(map(len, kept.values())) // config.batch_size,
        description=f"{len(kept['MRI'])} MRI and {len(kept['CT'])} CT images",
        sources=sources,
        sampler=UnpairedSampler(
            kept["MRI"], kept["CT"], config.batch_size, config.seed, config.data
        ),
        held_mri=held["MRI"],
        held_ct=held["CT"],
    )


def _read_sets(config: CycleGANConfig, data: Path) -> tuple[dict[str, np.ndarray], dict]:
    """Both training folders, decoded here or by `prepare`, and what their files are."""
    if data.suffix == SUFFIX and not data.is_dir():
        sets = read_prepared(data, config.data)
        return sets, {name: {"files": len(sets[name])} for name in TRAIN_FOLDERS}
    root = find_image_root(data)
    paths = {name: list_images(root / name) for name in TRAIN_FOLDERS}
    sets = {name: load_images(paths[name], config.data)[0] for name in TRAIN_FOLDERS}
    return sets, {name: describe_files(paths[name]) for name in TRAIN_FOLDERS}


def _fit_statistics(images: np.ndarray) -> DomainStatistics:
    """(N, S, S, C) integers -> what their domain is like; one at a time in float32."""
    chosen = spread(range(len(images)), MOST_TOLD)
    small = [shrink_images(image_to_unit(images[i : i + 1])) for i in chosen]
    return DomainStatistics.fit(np.concatenate(small))


def _translate(trainer: CycleGAN, network: keras.Model, images: np.ndarray) -> np.ndarray:
    """(N, S, S, C) in [0, 1] -> the same, translated a few at a time."""
    data = trainer.config.data
    low, high = VALUE_RANGES[data.value_range]
    made = []
    for first in range(0, len(images), BATCH):
        part = images[first : first + BATCH].astype("float32")
        output = trainer.infer(network, part * (high - low) + low)
        room = call_compiled(find_room, part, data=data)
        made.append(np.clip((output - low) / (high - low), 0, 1) * room)
    return np.concatenate(made).astype("float32")


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
        row[f"val_edges_{name}"] = metrics["edges"][name]
    kind = "cycle" if best_by == "ssim" else "honest_cycle"
    row["val_score"] = (row[f"val_{kind}_ssim_ct"] + row[f"val_{kind}_ssim_mri"]) / 2
    if best_by == "realism":
        gaps = [row[f"val_gap_all_{name}"] for name in ("ct", "mri")]
        row["val_score"] -= sum(1.0 if gap is None else gap for gap in gaps) / 2
    row["val_alarms"] = len(metrics["alarms"])
    return {name: value for name, value in row.items() if value is not None}
