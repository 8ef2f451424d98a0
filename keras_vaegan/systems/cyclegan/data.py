"""A whole CycleGAN run: two folders of images in, run folder out."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path

import numpy as np

from keras_vaegan.data.folders import find_image_root
from keras_vaegan.data.image import image_to_unit, write_image
from keras_vaegan.errors import InputError
from keras_vaegan.models.running import run_generator
from keras_vaegan.systems.cyclegan.config import CycleGANConfig
from keras_vaegan.systems.cyclegan.evaluation import (
    TranslationResult,
    draw_translation_grid,
    evaluate_translation,
)
from keras_vaegan.systems.cyclegan.images import load_images, make_unpaired_dataset
from keras_vaegan.training.callbacks import RunRecorder, StopOnSignalOrLimit
from keras_vaegan.training.fitting import begin_run, end_run, fit_run, has_ended, say

SAMPLE_ROWS = 3


def train_cyclegan(
    config: CycleGANConfig,
    data: Path,
    out: Path,
    resume: bool = False,
    minutes: float | None = None,
    epochs: int | None = None,
) -> int | None:
    """Train a CycleGAN and keep its run folder.

    Args:
        config: The run.
        data: Folder with trainA (CT) and trainB (MRI), or a parent of it.
        out: Run folder.
        resume: Continue from `out/state`.
        minutes: Time limit of this call, or None.
        epochs: Passes over the larger domain, instead of `config.steps`.

    Returns:
        The signal that ended the run early, or None.

    Raises:
        InputError: unusable data or run folder.
    """
    root = find_image_root(data)
    mri, mri_held = _hold_back(load_images(root / "trainB", config.data)[0], config)
    ct, ct_held = _hold_back(load_images(root / "trainA", config.data)[0], config)
    _check_counts(config, mri, ct)
    one_pass = max(len(mri), len(ct)) // config.batch_size
    steps_per_epoch = config.steps_per_epoch or config.validation_epochs * one_pass
    epochs = epochs or config.epochs
    steps = epochs * one_pass if epochs else config.steps
    config = dataclasses.replace(config, steps=steps, epoch_steps=one_pass)
    trainer, past = begin_run(config, out, resume)
    done = past.get("step", 0)
    say(
        f"training on {len(mri)} MRI and {len(ct)} CT images, {config.batch_size} pairs a step, "
        f"steps {done} to {steps}"
    )
    if has_ended(done, steps):
        return None
    recorder = CycleGANRecorder(out, mri_held, ct_held, past)
    stream = make_unpaired_dataset(mri, ct, config.batch_size, config.seed, config.data, done)
    with StopOnSignalOrLimit(steps, minutes) as limit:
        fit_run(trainer, stream, recorder, limit, steps - done, steps_per_epoch)
    return end_run(out, recorder, limit)


class CycleGANRecorder(RunRecorder):
    """Judge both directions on held-back images, and draw them.

    By default the score is the mean honest-cycle SSIM less the mean realism gap of both
    directions: a network that copies its input scores about 0, and so does one that forgets the
    anatomy. With `best_by="ssim"` it is the mean cycle SSIM.

    Args:
        folder: Run folder.
        mri: Validation images of the source domain (N, S, S, C), uint8 or uint16.
        ct: Validation images of the target domain.
        past: What `load_run_state` gave back, or nothing.
    """

    def __init__(
        self, folder: Path, mri: np.ndarray, ct: np.ndarray, past: dict | None = None
    ) -> None:
        super().__init__(folder, past)
        self.mri, self.ct = image_to_unit(mri), image_to_unit(ct)

    def validate(self, step: int) -> dict[str, float]:
        if not (len(self.mri) and len(self.ct)):
            return {}
        value_range = self.model.config.data.value_range
        result = evaluate_translation(
            partial(run_generator, self.model.g_target_ema, value_range=value_range),
            partial(run_generator, self.model.g_source_ema, value_range=value_range),
            self.mri,
            self.ct,
        )
        self._write_samples(result, step)
        return summarise(result.metrics, self.model.config.best_by)

    def _write_samples(self, result: TranslationResult, step: int) -> None:
        """Write the grid of both directions."""
        grid = draw_translation_grid(result, SAMPLE_ROWS)
        write_image(self.folder / "samples" / f"step_{step:06d}.png", grid)


def summarise(metrics: dict, best_by: str = "realism") -> dict:
    """Flatten an evaluation to the columns of history.csv, and score it by `best_by`."""
    row = {}
    for name in ("ct", "mri"):
        for kind in ("cycle", "honest_cycle"):
            row[f"val_{kind}_psnr_{name}"] = metrics[kind][name]["psnr"]["mean"]
            row[f"val_{kind}_ssim_{name}"] = metrics[kind][name]["ssim"]["mean"]
        for group, gap in metrics["realism"][name]["gap"].items():
            row[f"val_gap_{group}_{name}"] = gap
        row[f"val_copy_{name}"] = metrics["realism"][name]["copy"]
    kind = "cycle" if best_by == "ssim" else "honest_cycle"
    row["val_score"] = (row[f"val_{kind}_ssim_ct"] + row[f"val_{kind}_ssim_mri"]) / 2
    if best_by == "realism":
        gaps = [row[f"val_gap_all_{name}"] for name in ("ct", "mri")]
        row["val_score"] -= sum(1.0 if gap is None else gap for gap in gaps) / 2
    return {name: value for name, value in row.items() if value is not None}


def _hold_back(images: np.ndarray, config: CycleGANConfig) -> tuple[np.ndarray, np.ndarray]:
    """Split off validation images: at most a quarter, spread evenly over the folder's order."""
    count = min(config.data.validation_images, len(images) // 4)
    chosen = np.zeros(len(images), bool)
    chosen[np.linspace(0, len(images) - 1, count).astype(int)] = True
    return images[~chosen], images[chosen]


def _check_counts(config: CycleGANConfig, mri: np.ndarray, ct: np.ndarray) -> None:
    """Refuse fewer images than one batch draws."""
    for name, images in (("trainB (MRI)", mri), ("trainA (CT)", ct)):
        if len(images) < config.batch_size:
            raise InputError(
                f"{name} leaves {len(images)} training images: expected at least the batch size "
                f"{config.batch_size}; add images or lower --batch-size"
            )
