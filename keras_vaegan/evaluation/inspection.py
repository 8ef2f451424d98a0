"""What is kept of an image file that is compared with others: small descriptions, no pixels."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from keras_vaegan.data.folders import read_integers
from keras_vaegan.data.image import find_limits, image_to_unit
from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.burnt_in_text import count_letters
from keras_vaegan.evaluation.head_features import SIDE
from keras_vaegan.evaluation.near_duplicates import describe_picture, find_frame_head
from keras_vaegan.progress import show_progress

WORKING_SIDE = 512  # larger images are averaged down to it
LEAST_CONTRAST = 0.02  # between the 0.5 and 99.5 percentiles


@dataclass(frozen=True, eq=False)
class InspectedImage:
    """What is kept of a file; an unreadable one has a reason and nothing but its digest.

    Attributes:
        path: The file.
        digest: Of its bytes; equal in identical files.
        reason: Why it cannot be read, "" where it can.
        size: "HxW" in pixels.
        blank: Whether it has no contrast.
        letters: Marks like burnt-in text, of `count_letters`.
        picture: (2, 4096) of `describe_picture`.
        square: (64, 64) float32 in [0, 1], for `describe_images`.
    """

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


def inspect_files(paths: Sequence[Path], what: str, all_of_it: bool = True) -> list[InspectedImage]:
    """Read files in parallel and keep what they are told by, in their order.

    Args:
        paths: The files; unreadable ones are kept with the reason.
        what: What the progress says.
        all_of_it: Without it only what copies are found by: digest, size and picture.
    """
    with ThreadPoolExecutor() as pool:
        images = pool.map(lambda path: _inspect(path, all_of_it), paths)
        return list(show_progress(images, what, len(paths)))


def stack_pictures(images: Sequence[InspectedImage]) -> np.ndarray:
    """The pictures of any number of readable images: (N, 2, 4096) float32."""
    pictures = [image.picture for image in images]
    return np.stack(pictures) if pictures else np.zeros((0, 2, 4096), "float32")


def _inspect(path: Path, all_of_it: bool) -> InspectedImage:
    """Read a file; without `all_of_it` only what copies are found by."""
    digest = ""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        image = read_integers(path)
    except OSError as error:
        return InspectedImage(path, digest or str(path), f"cannot read {path}: {error.strerror}")
    except InputError as error:
        return InspectedImage(path, digest or str(path), str(error))
    height, width = image.shape[:2]
    gray = _to_working_picture(image)
    head = find_frame_head(gray)
    kept = InspectedImage(
        path, digest, size=f"{height}x{width}", picture=describe_picture(gray, head)
    )
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
