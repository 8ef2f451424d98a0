"""What is wrong with a set of CT and MRI images: copies, leaks, wrong files, unusable ones.

Each file is read once. A file is named by its folder and name, such as `trainB/mri703.jpg`.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_vaegan.data.folders import TEST_FOLDERS, TRAIN_FOLDERS, find_image_root
from keras_vaegan.data.image import SUFFIXES, select_images
from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.inspection import InspectedImage, inspect_files, stack_pictures
from keras_vaegan.evaluation.leaks import match_training_images
from keras_vaegan.evaluation.near_duplicates import NEAR, STRICT, Match, find_similar, group_pairs
from keras_vaegan.evaluation.wrong_modality import find_wrong_modality

FOLDERS = (*TRAIN_FOLDERS, *TEST_FOLDERS)
USUAL_SHARE = 0.5  # of a folder, for its most frequent size to be the expected one


@dataclass(frozen=True)
class Audit:
    """What an audit found; all lists name files as `folder/name`.

    Attributes:
        root: The folder of trainA, trainB, testA and testB.
        folders: By name, those that hold images: how many, how many are unreadable, their
            different sizes ("HxW": count, the most frequent first).
        missing: Of the four folders those that are absent or hold no image.
        unreadable: {"file", "reason"} each.
        identical: Groups of byte-identical files.
        near_duplicates: {"first", "second", "correlation", "mirrored"} each, the most alike first;
            of a group of identical files the first stands for all.
        leaks: {"test", "train", "identical", "correlation", "mirrored"} each: test images that are
            one of the training images, by bytes or above the strict threshold.
        wrong_modality: {"suspects": [{"file", "probability"}], "accuracy", "skipped"}: the most
            probable first; `skipped` says why nothing was looked for.
        odd_sizes: {"file", "size", "usual"} each, in folders where most images have one size.
        blank: Files without contrast.
        text: {"file", "letters"} each: those with lines of small marks outside the head.
        thresholds: Least correlations: {"near", "strict"}.
    """

    root: str
    folders: dict[str, dict[str, Any]]
    missing: list[str]
    unreadable: list[dict[str, str]]
    identical: list[list[str]]
    near_duplicates: list[dict[str, Any]]
    leaks: list[dict[str, Any]]
    wrong_modality: dict[str, Any]
    odd_sizes: list[dict[str, str]]
    blank: list[str]
    text: list[dict[str, Any]]
    thresholds: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and texts."""
        return dataclasses.asdict(self)


def audit_images(data: str | Path) -> Audit:
    """Look for what is wrong with a set of images.

    Args:
        data: Folder that holds some of trainA, trainB, testA and testB, or a parent of it.

    Returns:
        What was found.

    Raises:
        InputError: no such folder, or no image in any.
    """
    root = find_image_root(data)
    paths = {name: _list_files(root / name) for name in FOLDERS}
    if not any(paths.values()):
        listed = ", ".join(name for name in FOLDERS if (root / name).is_dir())
        raise InputError(
            f"no images in {listed} of {root}: expected files ending in {', '.join(SUFFIXES)}; "
            "add images"
        )
    files = [path for folder in paths.values() for path in folder]
    images = inspect_files(files, f"reading {root}")
    usable = [image for image in images if not image.reason]
    distinct = list({image.digest: image for image in reversed(usable)}.values())[::-1]
    pairs = find_similar(stack_pictures(distinct))
    tests = [image for image in usable if image.path.parent.name in TEST_FOLDERS]
    train = [image for image in usable if image.path.parent.name in TRAIN_FOLDERS]
    return Audit(
        root=str(root),
        folders={name: _count(images, name) for name in FOLDERS if paths[name]},
        missing=[name for name in FOLDERS if not paths[name]],
        unreadable=[{"file": i.name, "reason": i.reason} for i in images if i.reason],
        identical=_find_identical(images),
        near_duplicates=[
            {
                "first": distinct[pair.first].name,
                "second": distinct[pair.second].name,
                **_describe_match(pair),
            }
            for pair in pairs
        ],
        leaks=[
            {
                "test": one.name,
                "train": other.name,
                "identical": match is None,
                **_describe_match(match),
            }
            for one, other, match in match_training_images(train, tests)
        ],
        wrong_modality=find_wrong_modality(
            usable, _join_copies(usable, distinct, [pair[:2] for pair in pairs])
        ),
        odd_sizes=_find_odd_sizes(usable),
        blank=[image.name for image in usable if image.blank],
        text=[{"file": i.name, "letters": i.letters} for i in usable if i.letters],
        thresholds={"near": NEAR, "strict": STRICT},
    )


def _list_files(folder: Path) -> list[Path]:
    """A folder's images; none where it is absent."""
    return select_images(folder.iterdir()) if folder.is_dir() else []


def _count(images: list[InspectedImage], folder: str) -> dict[str, Any]:
    """How many images a folder has, and of which sizes."""
    own = [image for image in images if image.path.parent.name == folder]
    sizes = Counter(image.size for image in own if image.size)
    return {
        "images": len(own),
        "unreadable": sum(bool(image.reason) for image in own),
        "sizes": dict(sizes.most_common()),
    }


def _find_identical(images: list[InspectedImage]) -> list[list[str]]:
    """Groups of files of the same bytes, damaged ones included."""
    groups: dict[str, list[str]] = {}
    for image in images:
        groups.setdefault(image.digest, []).append(image.name)
    return [names for names in groups.values() if len(names) > 1]


def _describe_match(match: Match | None) -> dict[str, Any]:
    """What is told of a pair besides its names; None stands for the same bytes."""
    if match is None:
        return {"correlation": 1.0, "mirrored": False}
    return {"correlation": round(match.correlation, 4), "mirrored": match.mirrored}


def _join_copies(
    images: list[InspectedImage], distinct: list[InspectedImage], pairs: list[tuple[int, int]]
) -> np.ndarray:
    """Number the groups of equal and nearly equal images: (len(images),)."""
    groups = group_pairs(len(distinct), pairs)
    by_digest = {image.digest: group for image, group in zip(distinct, groups, strict=True)}
    return np.array([by_digest[image.digest] for image in images], int)


def _find_odd_sizes(images: list[InspectedImage]) -> list[dict[str, str]]:
    """Images of another size than most of their folder; none where sizes vary anyway."""
    odd = []
    for folder in FOLDERS:
        own = [image for image in images if image.path.parent.name == folder]
        usual, count = Counter(image.size for image in own).most_common(1)[0] if own else ("", 0)
        if count > USUAL_SHARE * len(own):
            odd += [
                {"file": image.name, "size": image.size, "usual": usual}
                for image in own if image.size != usual
            ]  # fmt: skip
    return odd
