"""What is wrong with a set of CT and MRI images: copies, leaks, wrong files, unusable ones.

Each file is read once and kept as small descriptions, not as pixels. A file is named by its folder
and name, such as `trainB/mri703.jpg`.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from keras_vaegan.data.folders import TEST_FOLDERS, TRAIN_FOLDERS, find_image_root, read_integers
from keras_vaegan.data.image import SUFFIXES, find_limits, image_to_unit, select_images
from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.domain import SIDE, describe_images
from keras_vaegan.evaluation.near_duplicates import (
    NEAR,
    STRICT,
    Match,
    describe_picture,
    find_frame_head,
    find_similar,
    group_pairs,
)
from keras_vaegan.progress import show_progress

FOLDERS = (*TRAIN_FOLDERS, *TEST_FOLDERS)
MODALITIES = {"A": "CT", "B": "MRI"}  # by a folder's last letter
WORKING_SIDE = 512  # larger images are averaged down to it
LEAST_CONTRAST = 0.02  # between the 0.5 and 99.5 percentiles
USUAL_SHARE = 0.5  # of a folder, for its most frequent size to be the expected one
FOLDS = 5
SUSPECT = 0.3  # probability of the other modality; 12 of 19 above it in the real set are

MARK_CONTRAST = 0.25  # above what surrounds a mark
MARK_SIDES = (0.009, 0.06)  # of a letter, as shares of the image's longer side
MARK_FILL = 0.85  # of a letter's box: fuller ones are bars and dots
MARK_MARGIN = 0.3  # from the border, as a share of the side
HEAD_MARGIN = 9  # pixels of the 128 that the head is looked for in
FEWEST_LETTERS = 4  # in a line
LETTER_GAP = 1.5  # heights between neighbours in a line


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


@dataclass(frozen=True, eq=False)
class _Image:
    """What is kept of a file; an unreadable one has a reason and nothing but its digest."""

    path: Path
    digest: str
    reason: str = ""
    size: str = ""
    blank: bool = False
    letters: int = 0
    picture: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    square: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))

    @property
    def name(self) -> str:
        """Its folder and name."""
        return f"{self.path.parent.name}/{self.path.name}"


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
    images = _inspect_files(files, f"reading {root}")
    usable = [image for image in images if not image.reason]
    distinct = list({image.digest: image for image in reversed(usable)}.values())[::-1]
    pairs = find_similar(_stack([image.picture for image in distinct]))
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
            for one, other, match in _match(train, tests)
        ],
        wrong_modality=_find_wrong_modality(
            usable, _join_copies(usable, distinct, [pair[:2] for pair in pairs])
        ),
        odd_sizes=_find_odd_sizes(usable),
        blank=[image.name for image in usable if image.blank],
        text=[{"file": i.name, "letters": i.letters} for i in usable if i.letters],
        thresholds={"near": NEAR, "strict": STRICT},
    )


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
    images = _inspect_files([*train, *test], "comparing with the training images", all_of_it=False)
    matches = _match(images[: len(train)], images[len(train) :])
    return {one.path: other.path for one, other, _ in matches}


def count_letters(gray: np.ndarray, head: np.ndarray) -> int:
    """Count small bright marks that stand in lines near the border, outside the head.

    Letters that touch, dark or large letters, single ones, and text over the head are not seen;
    rows of bright specks are taken for text.

    Args:
        gray: (H, W) float32 in [0, 1].
        head: (128, 128) bool of `near_duplicates.find_frame_head`.

    Returns:
        Marks in lines of at least 4; 0 where there is none, or the head fills the frame.
    """
    height, width = gray.shape
    grown = cv2.dilate(head.astype("uint8"), np.ones((HEAD_MARGIN, HEAD_MARGIN), "uint8"))
    outside = cv2.resize(grown, (width, height), interpolation=cv2.INTER_NEAREST) == 0
    if not outside.any():
        return 0
    longer = max(height, width)
    reach = max(3, int(MARK_SIDES[1] * longer)) | 1
    kernel = np.ones((reach, reach), "uint8")
    levels = np.round(gray * 255).astype("uint8")
    stands_out = cv2.morphologyEx(levels, cv2.MORPH_TOPHAT, kernel) >= MARK_CONTRAST * 255
    mask = (stands_out & outside).astype("uint8")
    _, _, boxes, centres = cv2.connectedComponentsWithStats(mask, connectivity=8)
    boxes, centres = boxes[1:], centres[1:]
    wide, high, area = boxes[:, 2], boxes[:, 3], boxes[:, 4]
    least, most = max(4.0, MARK_SIDES[0] * longer), MARK_SIDES[1] * longer
    # How near the border the mark's centre is, as a share of the side.
    near = np.minimum(centres, [width, height] - centres) / [width, height]
    letters = (
        (high >= least) & (high <= most) & (wide <= most) & (area < MARK_FILL * wide * high)
        & (near.min(axis=1) < MARK_MARGIN)
    )  # fmt: skip
    return _count_in_lines(boxes[letters])


def _count_in_lines(boxes: np.ndarray) -> int:
    """How many letters, (N, 5) of OpenCV's components, stand in lines of enough of them."""
    if len(boxes) < FEWEST_LETTERS:
        return 0
    left, top, wide, high = boxes[:, :4].T.astype("float64")
    gap = np.maximum(left[:, None], left) - np.minimum((left + wide)[:, None], left + wide)
    both = np.minimum(high[:, None], high)
    level = np.abs((top + high)[:, None] - (top + high)) <= 0.3 * both  # on one base line
    alike = np.maximum(high[:, None], high) <= 1.6 * both
    pairs = np.argwhere(level & alike & (gap >= 0) & (gap <= LETTER_GAP * both))
    groups = group_pairs(len(boxes), [(int(i), int(j)) for i, j in pairs])
    counts = np.bincount(groups)
    return int(counts[counts >= FEWEST_LETTERS].sum())


def _list_files(folder: Path) -> list[Path]:
    """A folder's images; none where it is absent."""
    return select_images(folder.iterdir()) if folder.is_dir() else []


def _inspect_files(paths: Sequence[Path], what: str, all_of_it: bool = True) -> list[_Image]:
    """Read files in parallel and keep what they are told by."""
    with ThreadPoolExecutor() as pool:
        images = pool.map(lambda path: _inspect(path, all_of_it), paths)
        return list(show_progress(images, what, len(paths)))


def _inspect(path: Path, all_of_it: bool) -> _Image:
    """Read a file; without `all_of_it` only what copies are found by."""
    digest = ""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        image = read_integers(path)
    except OSError as error:
        return _Image(path, digest or str(path), f"cannot read {path}: {error.strerror}")
    except InputError as error:
        return _Image(path, digest or str(path), str(error))
    height, width = image.shape[:2]
    gray = _to_working_picture(image)
    head = find_frame_head(gray)
    kept = _Image(path, digest, size=f"{height}x{width}", picture=describe_picture(gray, head))
    if not all_of_it:
        return kept
    low, high = np.percentile(gray, (0.5, 99.5))
    return dataclasses.replace(
        kept, blank=bool(high - low < LEAST_CONTRAST), letters=count_letters(gray, head),
        square=_shrink_to_square(gray),
    )  # fmt: skip


def _to_working_picture(image: np.ndarray) -> np.ndarray:
    """(H, W[, 3]) integers -> gray (h, w) float32 in [0, 1], at most 512 a side."""
    share = WORKING_SIDE / max(image.shape[:2])
    if share < 1:
        sides = [max(1, round(side * share)) for side in image.shape[1::-1]]
        image = cv2.resize(image, sides, interpolation=cv2.INTER_AREA)
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return image_to_unit(image, find_limits(image))


def _shrink_to_square(gray: np.ndarray) -> np.ndarray:
    """(h, w) -> (64, 64) in the middle of black, the aspect kept."""
    share = SIDE / max(gray.shape)
    height, width = (max(1, round(side * share)) for side in gray.shape)
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    square = np.zeros((SIDE, SIDE), "float32")
    small = cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA)
    square[top : top + height, left : left + width] = small
    return square


def _stack(pictures: list[np.ndarray]) -> np.ndarray:
    """Descriptions (N, 2, 4096), of any number of images."""
    return np.stack(pictures) if pictures else np.zeros((0, 2, 4096), "float32")


def _count(images: list[_Image], folder: str) -> dict[str, Any]:
    """How many images a folder has, and of which sizes."""
    own = [image for image in images if image.path.parent.name == folder]
    sizes = Counter(image.size for image in own if image.size)
    return {
        "images": len(own),
        "unreadable": sum(bool(image.reason) for image in own),
        "sizes": dict(sizes.most_common()),
    }


def _find_identical(images: list[_Image]) -> list[list[str]]:
    """Groups of files of the same bytes, damaged ones included."""
    groups: dict[str, list[str]] = {}
    for image in images:
        groups.setdefault(image.digest, []).append(image.name)
    return [names for names in groups.values() if len(names) > 1]


def _match(train: list[_Image], tests: list[_Image]) -> list[tuple[_Image, _Image, Match | None]]:
    """Test images that are in the training set, each with a training image and how they match:
    None for the same bytes."""
    by_digest = {image.digest: image for image in reversed(train)}
    shown = [image for image in train if image.picture.size]
    others = [image for image in tests if image.picture.size and image.digest not in by_digest]
    best: dict[int, Match] = {}
    test_pictures, train_pictures = (_stack([i.picture for i in p]) for p in (others, shown))
    for match in find_similar(test_pictures, train_pictures, STRICT):
        best.setdefault(id(others[match.first]), match)
    matches: list[tuple[_Image, _Image, Match | None]] = []
    for image in tests:
        if image.digest in by_digest:
            matches.append((image, by_digest[image.digest], None))
        elif id(image) in best:
            matches.append((image, shown[best[id(image)].second], best[id(image)]))
    return matches


def _describe_match(match: Match | None) -> dict[str, Any]:
    """What is told of a pair besides its names; None stands for the same bytes."""
    if match is None:
        return {"correlation": 1.0, "mirrored": False}
    return {"correlation": round(match.correlation, 4), "mirrored": match.mirrored}


def _join_copies(
    images: list[_Image], distinct: list[_Image], pairs: list[tuple[int, int]]
) -> np.ndarray:
    """Number the groups of equal and nearly equal images: (len(images),)."""
    groups = group_pairs(len(distinct), pairs)
    by_digest = {image.digest: group for image, group in zip(distinct, groups, strict=True)}
    return np.array([by_digest[image.digest] for image in images], int)


def _find_wrong_modality(images: list[_Image], copies: np.ndarray) -> dict[str, Any]:
    """Rank images by how probably they belong to the other modality.

    Logistic regression on the features of `domain`, cross-validated: copies of an image never
    judge it.
    """
    from sklearn.linear_model import LogisticRegression  # slow to import
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    kept = [i for i, image in enumerate(images) if not image.blank]
    images, copies = [images[i] for i in kept], copies[kept]
    labels = np.array([image.path.parent.name.endswith("B") for image in images], int)
    groups = [len(set(copies[labels == label])) for label in (0, 1)]
    if min(groups) < FOLDS:
        found = " and ".join(f"{n} {MODALITIES[d]}" for d, n in zip("AB", groups, strict=True))
        skipped = f"{found} images that differ: expected at least {FOLDS} of both"
        return {"suspects": [], "accuracy": None, "skipped": skipped}
    progress = show_progress(images, "looking for images of the wrong modality")
    features = np.concatenate([describe_images(image.square[None]) for image in progress])
    model = make_pipeline(
        StandardScaler(), LogisticRegression(max_iter=2000, C=0.1, class_weight="balanced")
    )
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    chances = cross_val_predict(
        model, features, labels, groups=copies, cv=folds, method="predict_proba"
    )
    wrong = chances[np.arange(len(labels)), 1 - labels]
    suspects = [
        {"file": images[i].name, "probability": round(float(wrong[i]), 4)}
        for i in np.argsort(-wrong, kind="stable") if wrong[i] > SUSPECT
    ]  # fmt: skip
    accuracy = round(float((wrong < 0.5).mean()), 4)
    return {"suspects": suspects, "accuracy": accuracy, "skipped": None}


def _find_odd_sizes(images: list[_Image]) -> list[dict[str, str]]:
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
