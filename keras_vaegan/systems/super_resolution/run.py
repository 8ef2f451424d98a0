"""A whole super-resolution run: a folder of images in, run folder out."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path

import numpy as np

from keras_vaegan.data.image import write_image
from keras_vaegan.errors import InputError
from keras_vaegan.systems.super_resolution.config import SuperResolutionConfig
from keras_vaegan.systems.super_resolution.data import (
    centre_crops,
    find_pictures,
    load_pictures,
    make_crop_dataset,
)
from keras_vaegan.systems.super_resolution.evaluation import draw_enlargements, evaluate_enlargement
from keras_vaegan.training.callbacks import RunRecorder, StopOnSignalOrLimit
from keras_vaegan.training.fitting import begin_run, end_run, fit_run, has_ended, say

VALIDATION_SIDE = 256
SAMPLE_ROWS = 4


def train_super_resolution(
    config: SuperResolutionConfig,
    data: Path,
    out: Path,
    resume: bool = False,
    minutes: float | None = None,
    epochs: int | None = None,
) -> int | None:
    """Train an RRDBNet and keep its run folder; arguments and result as `train_run`'s.

    `best/` holds the weights of the highest PSNR on held-back images; those of the second stage,
    whose aim is texture and not PSNR, are the run folder's own.

    Raises:
        InputError: unusable data or run folder.
    """
    groups = find_pictures(data)
    paths = [path for found in groups.values() for path in found]
    images, _ = load_pictures(paths, config.network.channels, config.crop_size)
    images, held = _hold_back(images, config)
    one_pass = max(1, len(images) // config.batch_size)
    if epochs:
        config = dataclasses.replace(config, steps=epochs * one_pass)
    trainer, past = begin_run(config, out, resume)
    done = past.get("step", 0)
    say(
        f"training on {len(images)} images ({', '.join(groups)}), {config.batch_size} crops a "
        f"step, steps {done} to {config.steps}"
    )
    if has_ended(done, config.steps):
        return None
    recorder = EnlargementRecorder(out, held, past)
    ends = {"pixel": min(config.pixel_steps, config.steps), "adversarial": config.steps}
    with StopOnSignalOrLimit(config.steps, minutes) as limit:
        for stage, end in ends.items():
            if done >= end or limit.is_over:
                continue
            trainer.set_stage(stage)
            limit.steps = end
            stream = make_crop_dataset(images, config, done)
            fit_run(trainer, stream, recorder, limit, end - done, config.steps_per_epoch)
            done = recorder.history[-1]["step"]
    return end_run(out, recorder, limit)


class EnlargementRecorder(RunRecorder):
    """Judge enlargements of held-back images beside bicubic ones, and draw them.

    Args:
        folder: Run folder.
        images: (N, S, S, C) uint8 or uint16, or None for no validation.
        past: What `load_run_state` gave back, or nothing.
    """

    def __init__(self, folder: Path, images: np.ndarray | None, past: dict | None = None) -> None:
        super().__init__(folder, past)
        self.images = images

    def validate(self, step: int) -> dict[str, float]:
        if self.images is None:
            return {}
        trainer = self.model
        result = evaluate_enlargement(
            partial(trainer.infer, trainer.network_ema),
            list(self.images),
            trainer.config.network.scale,
            trainer.config.degradation.downsample,
        )
        grid = draw_enlargements(result, SAMPLE_ROWS)
        write_image(self.folder / "samples" / f"step_{step:06d}.png", grid)
        row = {
            f"val_{measure}_{kind}": float(np.mean(values))
            for kind, measures in result.scores.items()
            for measure, values in measures.items()
        }
        return {**row, "val_score": row["val_psnr_network"]}


def _hold_back(images: list, config: SuperResolutionConfig) -> tuple[list, np.ndarray | None]:
    """Split off validation images: at most a quarter, spread evenly, cut to one square size."""
    count = min(config.validation_images, len(images) // 4)
    chosen = set(np.linspace(0, len(images) - 1, count).astype(int).tolist())
    if not images:
        raise InputError("no usable training image: expected at least one")
    kept = [image for index, image in enumerate(images) if index not in chosen]
    if not chosen:
        return kept, None
    held = [images[index] for index in sorted(chosen)]
    return kept, centre_crops(held, VALIDATION_SIDE, 4)
