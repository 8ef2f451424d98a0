"""A whole run of missing-modality synthesis: case folders in, run folder out."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np

from keras_vaegan.config.networks import MODALITIES
from keras_vaegan.data.brats import find_cases
from keras_vaegan.data.image import write_image
from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.report import draw_sample_grid
from keras_vaegan.files import atomic_path
from keras_vaegan.systems.modality.cases import (
    CachedCase,
    SliceSampler,
    cache_cases,
    list_windows,
    make_slice_dataset,
    to_unit,
)
from keras_vaegan.systems.modality.config import ModalityConfig
from keras_vaegan.systems.modality.slices import (
    cut_window,
    encode_inputs,
    list_inputs,
    list_targets,
)
from keras_vaegan.training.callbacks import RunRecorder, StopOnSignalOrLimit
from keras_vaegan.training.distribution import is_chief
from keras_vaegan.training.fitting import begin_run, end_run, fit_run, has_ended, say

VALIDATION_SLICES = 64
SAMPLE_ROWS = 3


def train_modality(
    config: ModalityConfig,
    data: Path,
    out: Path,
    resume: bool = False,
    minutes: float | None = None,
    epochs: int | None = None,
) -> int | None:
    """Train on case folders and keep the run folder.

    Args:
        config: The run.
        data: Folder of cases with all four contrasts, or one case.
        out: Run folder; `split.json` tells which cases were held back, `cache/` holds the
            prepared volumes and may be deleted.
        resume: Continue from `out/state`.
        minutes: Time limit of this call, or None; reading the cases does not count.
        epochs: Passes over the slices, instead of `config.steps`.

    Returns:
        The signal that ended the run early, or None.

    Raises:
        InputError: unusable data or run folder.
    """
    folders = {folder.resolve().name: folder for folder in find_cases(data)}
    split = read_split(out, folders) if resume else split_cases(list(folders), config)
    cases, held = (
        cache_cases([folders[name] for name in split[part]], out / "cache", config.data)
        for part in ("train", "validation")
    )
    one_pass = len(SliceSampler(cases, config)) // config.batch_size
    if not one_pass:
        raise InputError(
            f"{data} leaves less than {config.batch_size} slices to train on: expected a batch; "
            "add cases or lower --batch-size"
        )
    steps_per_epoch = config.steps_per_epoch or one_pass
    steps = epochs * one_pass if epochs else config.steps
    config = dataclasses.replace(config, steps=steps)
    trainer, past = begin_run(config, out, resume)
    if is_chief():
        _write_split(out, split)
    done = past.get("step", 0)
    listed = ", ".join(f"{len(split[part])} {part}" for part in split)
    say(
        f"{listed} cases, {one_pass * config.batch_size} training slices, "
        f"{config.batch_size} a step, steps {done} to {steps}"
    )
    if has_ended(done, steps):
        return None
    recorder = ModalityRecorder(out, held, past)
    stream = make_slice_dataset(cases, config, done)
    with StopOnSignalOrLimit(steps, minutes) as limit:
        fit_run(trainer, stream, recorder, limit, steps - done, steps_per_epoch)
    return end_run(out, recorder, limit)


class ModalityRecorder(RunRecorder):
    """Judge the network on slices of held-back cases, draw some, and lower the learning rate.

    The score is the mean over cases and targets of the PSNR in the brain. Without a held-back
    case nothing is judged, and the rate follows the training loss.

    Args:
        folder: Run folder.
        cases: Validation cases.
        past: What `load_run_state` gave back, or nothing.
    """

    judges_everywhere = True

    def __init__(self, folder: Path, cases: list[CachedCase], past: dict | None = None) -> None:
        super().__init__(folder, past)
        self.cases = cases
        self._slices: list[tuple[np.ndarray, np.ndarray]] = []

    def on_train_begin(self, logs=None) -> None:
        super().on_train_begin(logs)
        size = self.model.config.data.image_size
        each = max(1, VALIDATION_SLICES // max(1, len(self.cases)))
        for case in self.cases:
            chosen = np.linspace(0, len(case.slices) - 1, min(each, len(case.slices))).astype(int)
            windows = []
            for index in chosen:
                picture = case.read_slice(case.slices[index])
                starts = list_windows(picture, size)
                windows.append(cut_window(picture, starts[len(starts) // 2], size))
            self._slices.append(to_unit(np.stack(windows)))

    def learn_from(self, row: dict) -> None:
        self.model.note_score(row.get("val_score", -row["l1"]))

    def validate(self, step: int) -> dict[str, float]:
        if not self._slices:
            return {}
        row, rows = {}, []
        for target in list_targets(self.model.config.model):
            index = MODALITIES.index(target)
            psnr, mae = [], []
            for images, brain in self._slices:
                made = self._synthesise(images, target) * brain
                error = (made - images[..., index : index + 1])[brain > 0]
                psnr.append(-10 * np.log10(max(1e-10, np.mean(error**2))))
                mae.append(np.abs(error).mean())
                rows.append((target, images, made))
            row[f"val_psnr_{target}"], row[f"val_mae_{target}"] = np.mean(psnr), np.mean(mae)
        row["val_score"] = np.mean([v for k, v in row.items() if k.startswith("val_psnr")])
        if is_chief():
            self._draw(rows, step)
        return {name: float(value) for name, value in row.items()}

    def _synthesise(self, images: np.ndarray, target: str) -> np.ndarray:
        """(N, S, S, 4) -> (N, S, S, 1), a few slices at a time."""
        inputs = encode_inputs(images, target, self.model.config.model)
        return np.concatenate([
            self.model.infer(self.model.network, inputs[first : first + 8])
            for first in range(0, len(inputs), 8)
        ])  # fmt: skip

    def _draw(self, rows: list, step: int) -> None:
        """Draw inputs, synthesis, truth and error of slices through the first cases."""
        lines = []
        for number in np.linspace(0, len(rows) - 1, min(len(rows), 4)).astype(int):
            target, images, made = rows[number]
            for level in np.linspace(0, len(images) - 1, SAMPLE_ROWS + 2).astype(int)[1:-1]:
                truth = images[level, ..., MODALITIES.index(target)]
                inputs = [images[level, ..., MODALITIES.index(m)] for m in list_inputs(target)]
                error = 4 * np.abs(made[level, ..., 0] - truth)
                pictures = [*inputs, made[level, ..., 0], truth, error]
                lines.append([np.rot90(picture) for picture in pictures])
        titles = ["input", "input", "input", "synthetic", "real", "4 x |error|"]
        path = self.folder / "samples" / f"step_{step:06d}.png"
        write_image(path, draw_sample_grid(lines, titles))


def split_cases(names: list[str], config: ModalityConfig) -> dict[str, list[str]]:
    """Deal cases, never slices, into training, validation and test.

    Args:
        names: Of the cases.
        config: Its `data` holds the shares, of which each takes at least one case of three or
            more; its seed decides.

    Returns:
        {"train", "validation", "test"} -> sorted names. One or two cases are all for training.
    """
    names = [
        sorted(names)[i] for i in np.random.default_rng([config.seed, 3]).permutation(len(names))
    ]
    counts = []
    for share in (config.data.validation_share, config.data.test_share):
        counts.append(max(1, round(share * len(names))) if share and len(names) > 2 else 0)
    held, test = counts
    return {
        "train": sorted(names[held + test :]),
        "validation": sorted(names[:held]),
        "test": sorted(names[held : held + test]),
    }


def read_split(out: Path, folders: dict[str, Path]) -> dict[str, list[str]]:
    """The split of a run that is resumed.

    Raises:
        InputError: it is missing or damaged, or names a case that is no longer in the data.
    """
    path = Path(out) / "split.json"
    try:
        split = json.loads(path.read_text())
        names = [*split["train"], *split["validation"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"no readable {path}: expected the run's split; train anew") from error
    absent = [name for name in names if name not in folders]
    if absent:
        raise InputError(
            f"case {absent[0]} of {path} is not in the data: expected all of the run's cases; "
            "check --data"
        )
    return split


def _write_split(out: Path, split: dict[str, list[str]]) -> None:
    """Write split.json."""
    with atomic_path(Path(out) / "split.json") as temporary:
        temporary.write_text(json.dumps(split, indent=2) + "\n")
