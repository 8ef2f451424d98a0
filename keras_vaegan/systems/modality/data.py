"""The data of a System B run: case folders, dealt into training, validation and test."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_vaegan.config.networks import MODALITIES
from keras_vaegan.data.brats import find_cases, find_scans
from keras_vaegan.data.folders import spread
from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.metrics import to_decibel
from keras_vaegan.evaluation.pictures import draw_sample_grid
from keras_vaegan.files import write_json
from keras_vaegan.systems.modality.cases import (
    CachedCase,
    SliceSampler,
    cache_cases,
    learn_landmarks,
    to_unit,
)
from keras_vaegan.systems.modality.config import ModalityConfig
from keras_vaegan.systems.modality.slices import (
    cut_window,
    encode_inputs,
    list_inputs,
    list_targets,
    take_centre,
)
from keras_vaegan.systems.system import TrainingData, Validation
from keras_vaegan.training.callbacks import PlateauRate
from keras_vaegan.training.data_record import describe_files

if TYPE_CHECKING:
    from keras_vaegan.systems.modality.trainer import ModalitySynthesis

VALIDATION_SLICES = 64
SAMPLE_ROWS = 3
BATCH = 8  # slices a forward pass of a validation
PARTS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class TrainingCases(TrainingData):
    """A run's cases, cached on disk; where none is held back, the training loss lowers the rate.

    Attributes:
        split: Names of the cases by part.
        sampler: Deals the training slices.
        held: Validation cases.
        config: The run, with what its cases taught.
    """

    split: dict[str, list[str]]
    sampler: SliceSampler
    held: list[CachedCase]
    config: ModalityConfig

    def complete(self, config: ModalityConfig) -> ModalityConfig:
        """The run's config with the landmarks that were learnt."""
        return replace(config, data=self.config.data)

    def read_batch(self, step: int) -> tuple[np.ndarray, ...]:
        """(inputs, target, brain) of a step."""
        return self.sampler.read_batch(step)

    @cached_property
    def held_slices(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of every held-back case some slices, (N, S, S, 4 P) in [0, 1], and their brains."""
        each = max(1, VALIDATION_SLICES // max(1, len(self.held)))
        found, data = [], self.config.data
        for case in self.held:
            windows = []
            for level in spread(case.slices, each):
                picture = case.read_slice(level, data.neighbours)
                starts = case.list_windows(level)
                windows.append(cut_window(picture, starts[len(starts) // 2], data.image_size))
            found.append(to_unit(np.stack(windows)))
        return found

    def validate(self, trainer: ModalitySynthesis) -> Validation:
        """Validate slices of held-back cases.

        The score is the mean over cases and targets of the PSNR in the brain.
        """
        if not self.held:
            return Validation()
        row: dict[str, float] = {}
        rows = []
        for target in list_targets(trainer.config.generator):
            index = MODALITIES.index(target)
            psnr, mae = [], []
            for slices, brain in self.held_slices:
                synthetic = _synthesize(trainer, slices, target) * brain
                images = take_centre(slices, self.config.data.neighbours)
                error = (synthetic - images[..., index : index + 1])[brain > 0]
                psnr.append(to_decibel(np.mean(error**2)))
                mae.append(np.abs(error).mean())
                rows.append((target, images, synthetic))
            row[f"val_psnr_{target}"] = float(np.mean(psnr))
            row[f"val_mae_{target}"] = float(np.mean(mae))
        scores = [value for name, value in row.items() if name.startswith("val_psnr")]
        row["val_score"] = float(np.mean(scores))
        return Validation(row, _draw(rows))

    def write_records(self, out: Path, resume: bool) -> None:
        """Write split.json, which a resume deals its cases by: the same then."""
        write_json(Path(out) / "split.json", self.split)


def load_training_cases(
    config: ModalityConfig, data: Path, out: Path, resume: bool
) -> TrainingCases:
    """Deal a folder's cases, on a resume as the run's split.json says: `System.load_data`.

    `cache/` in the run folder holds the volumes prepared to train and validate; it may be deleted.
    """
    folders = {folder.resolve().name: folder for folder in find_cases(data)}
    split = read_split(out, folders) if resume else split_cases(list(folders), config)
    if config.data.normalization == "nyul" and config.data.landmarks is None:
        landmarks = learn_landmarks([folders[name] for name in split["train"]])
        config = replace(config, data=replace(config.data, landmarks=landmarks))
    cases, held = (
        cache_cases([folders[name] for name in split[part]], out / "cache", config.data)
        for part in PARTS[:2]
    )
    sampler = SliceSampler(cases, config)
    one_pass = len(sampler) // config.batch_size
    if not one_pass:
        raise InputError(
            f"{data} leaves less than {config.batch_size} slices to train on: expected a batch; "
            "add cases or lower --batch-size"
        )
    return TrainingCases(
        one_pass=one_pass,
        description=", ".join(f"{len(split[part])} {part}" for part in PARTS) + " cases",
        sources={
            part: describe_files(
                path for name in split[part] for path in find_scans(folders[name]).values()
            )
            for part in PARTS[:2]
        },
        plateau=_make_plateau(config),
        split=split,
        sampler=sampler,
        held=held,
        config=config,
    )


def split_cases(names: list[str], config: ModalityConfig) -> dict[str, list[str]]:
    """Deal cases, never slices, into training, validation and test.

    Args:
        names: Of the cases.
        config: Its `data` holds the shares, of which each takes at least one case of three or
            more, or the case to leave out; its seed decides.

    Returns:
        {"train", "validation", "test"} -> sorted names. One or two cases are all for training.

    Raises:
        InputError: the case to leave out is not there, or the only one.
    """
    left_out = config.data.leave_out
    if left_out and (left_out not in names or len(names) < 2):
        raise InputError(
            f"--leave-out {left_out}: expected one of several cases, {', '.join(sorted(names))}; "
            "check the name"
        )
    names = sorted(name for name in names if name != left_out)
    order = np.random.default_rng([config.seed, 3]).permutation(len(names))
    names = [names[index] for index in order]
    held, test = (
        max(1, round(share * len(names))) if share and len(names) > 2 else 0
        for share in (config.data.validation_share, 0 if left_out else config.data.test_share)
    )
    tested = [left_out] if left_out else names[held : held + test]
    parts = (names[held + test :], names[:held], tested)
    return {part: sorted(chosen) for part, chosen in zip(PARTS, parts, strict=True)}


def read_split(out: Path, folders: dict[str, Path]) -> dict[str, list[str]]:
    """The split of a run that is resumed.

    Raises:
        InputError: it is missing or damaged, or names a case that is no longer in the data.
    """
    split = read_parts(Path(out) / "split.json")
    absent = [name for part in PARTS[:2] for name in split[part] if name not in folders]
    if absent:
        raise InputError(
            f"case {absent[0]} of {out}/split.json is not in the data: expected all of the run's "
            "cases; check --data"
        )
    return split


def read_parts(path: Path) -> dict[str, list[str]]:
    """Names of cases by part, as a run's split.json has them.

    Raises:
        InputError: it is missing or damaged.
    """
    try:
        split = json.loads(path.read_text())
        return {
            "train": list(split["train"]),
            "validation": list(split["validation"]),
            "test": list(split.get("test", ())),
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is unreadable: expected the run's split; without it nobody knows which "
            "cases it has seen"
        ) from error


def _make_plateau(config: ModalityConfig) -> PlateauRate | None:
    """What lowers the rate where validations stop to improve, where nothing else does."""
    if config.rate != "plateau":
        return None
    return PlateauRate(config.plateau_patience, otherwise="l1")


def _synthesize(trainer: ModalitySynthesis, images: np.ndarray, target: str) -> np.ndarray:
    """(N, S, S, 4 P) -> (N, S, S, 1), a few slices at a time."""
    inputs = encode_inputs(images, target, trainer.config.generator)
    return np.concatenate([
        trainer.infer(trainer.generator, inputs[first : first + BATCH])
        for first in range(0, len(inputs), BATCH)
    ])  # fmt: skip


def _draw(rows: list) -> np.ndarray:
    """Inputs, synthesis, truth and error of slices through the first cases, front up."""
    lines = []
    for target, images, synthetic in spread(rows, 4):
        for level in spread(range(len(images)), SAMPLE_ROWS + 2)[1:-1]:
            truth = images[level, ..., MODALITIES.index(target)]
            inputs = [images[level, ..., MODALITIES.index(m)] for m in list_inputs(target)]
            error = 4 * np.abs(synthetic[level, ..., 0] - truth)
            lines.append([np.rot90(p) for p in (*inputs, synthetic[level, ..., 0], truth, error)])
    return draw_sample_grid(lines, ["input"] * 3 + ["synthetic", "real", "4 x |error|"])
