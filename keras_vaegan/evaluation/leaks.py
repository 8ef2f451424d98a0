"""Test images that a network may have seen in training: found, and left out of its evaluation."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_vaegan.data.folders import TRAIN_FOLDERS, find_pairs
from keras_vaegan.data.image import select_images
from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.inspection import InspectedImage, inspect_files, stack_pictures
from keras_vaegan.evaluation.near_duplicates import STRICT, Match, find_similar

EXAMPLES = 3


def leave_out_leaks(
    root: Path, files: Mapping[str, list[Path]], keep: bool = False
) -> tuple[dict[str, list[Path]], dict[str, dict[str, Any]]]:
    """Leave out test files that equal, or show the same as, a file of the training folders.

    Training folders that lie beside the test folders are looked through; without any, nothing is
    known and nothing left out. Of two test files of one name, a pair, both go.

    Args:
        root: Folder of trainA and trainB.
        files: Test files by folder.
        keep: Only count them.

    Returns:
        The files that stay, and by folder {"found": how many leak, "of": how many there were,
        "left_out", "examples": [[test file, training file], ...]}.

    Raises:
        InputError: nothing would be left of a folder.
    """
    folders = [root / name for name in TRAIN_FOLDERS if (root / name).is_dir()]
    train = [path for folder in folders for path in select_images(folder.iterdir())]
    found = find_leaks(train, [path for paths in files.values() for path in paths])
    paired = len(files) == 2 and find_pairs(*files.values())
    seen = {path.stem for path in found} if paired else set()
    kept, report = {}, {}
    for name, paths in files.items():
        leaking = [path for path in paths if path in found or path.stem in seen]
        kept[name] = paths if keep else [path for path in paths if path not in set(leaking)]
        if not kept[name]:
            raise InputError(
                f"all {len(paths)} images of {paths[0].parent} are in the training folders too: "
                "expected others; use another test set, or --keep-leaks"
            )
        own = [path for path in paths if path in found]
        examples = [[path.name, _name(found[path])] for path in own[:EXAMPLES]]
        report[name] = {
            "found": len(leaking), "of": len(paths), "left_out": len(paths) - len(kept[name]),
            "examples": examples,
        }  # fmt: skip
        if leaking:
            _tell(name, report[name], keep)
    return kept, report


def find_leaks(train: list[Path], test: list[Path]) -> dict[Path, Path]:
    """Find test images that are one of the training images.

    Args:
        train: Files that were trained on.
        test: Files to test on.

    Returns:
        Test file -> the training file that it equals, by bytes or in what it shows (above the
        strict threshold of `near_duplicates`), in the order of `test`. Unreadable files match by
        their bytes alone.
    """
    if not train or not test:
        return {}
    images = inspect_files([*train, *test], "comparing with the training images", all_of_it=False)
    matches = match_training_images(images[: len(train)], images[len(train) :])
    return {one.path: other.path for one, other, _ in matches}


def match_training_images(
    train: list[InspectedImage], tests: list[InspectedImage]
) -> list[tuple[InspectedImage, InspectedImage, Match | None]]:
    """Match test images with the training images that they are.

    Returns:
        (test image, training image, how they match: None for the same bytes) each, in the order of
        `tests`; images without a match are left out.
    """
    by_digest = {image.digest: image for image in reversed(train)}
    shown = [image for image in train if image.picture.size]
    others = [image for image in tests if image.picture.size and image.digest not in by_digest]
    best: dict[int, Match] = {}
    for match in find_similar(stack_pictures(others), stack_pictures(shown), STRICT):
        best.setdefault(id(others[match.first]), match)
    matches: list[tuple[InspectedImage, InspectedImage, Match | None]] = []
    for image in tests:
        if image.digest in by_digest:
            matches.append((image, by_digest[image.digest], None))
        elif id(image) in best:
            matches.append((image, shown[best[id(image)].second], best[id(image)]))
    return matches


def _name(path: Path) -> str:
    """Folder and name."""
    return f"{path.parent.name}/{path.name}"


def _tell(folder: str, report: Mapping[str, Any], keep: bool) -> None:
    """One line on standard error."""
    pair = f" ({' is '.join(report['examples'][0])}, ...)" if report["examples"] else ""
    done = "kept, as --keep-leaks asks" if keep else "left out; --keep-leaks keeps them"
    print(
        f"warning: {report['found']} of {report['of']} images of {folder} are training images"
        f"{pair}: {done}",
        file=sys.stderr, flush=True,
    )  # fmt: skip
