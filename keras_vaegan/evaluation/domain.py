"""Whether an image is like those of a domain: what a translator is warned by.

A domain is told by a mean and a covariance of simple features. An image is unlike it where it lies
farther off than nearly all of the domain's own, or nearer to the other domain.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from keras_vaegan.errors import InputError, first_line
from keras_vaegan.evaluation.anatomy import find_head, measure_depth
from keras_vaegan.evaluation.metrics import to_gray
from keras_vaegan.files import write_json

STATISTICS_FILE = "domain_statistics.json"
VERSION = 1  # of the features: other ones cannot be compared
BEST_FOLDER = "best"  # of a run: its weights, whose statistics lie beside it

SIDE = 64  # all images are described at this size
DEPTHS = 8  # bands from the head's surface to its middle
EDGE_DEPTHS = 4
LEVELS = 12  # of the histogram
ROWS = 6  # of the head's outline
TILTS = 4
INSIDE = 0.3  # depth below the skull
SHIFTS = (1, 3)
EXTREMES = (0.02, 0.98)
DIMMEST = 0.02  # brightest value that still counts as a picture
SMALLEST_SPREAD = 0.01
QUANTILE = 0.99  # of the held-out distances within the domain
FOLDS = 5
DIGITS = 5
FEWEST = 2 * FOLDS
FOREIGN_SHARE = 0.2  # of what is looked at, above which an input is said to be unlike


def shrink_images(images: np.ndarray) -> np.ndarray:
    """Bring images to the size that they are described at.

    Args:
        images: (N, S, S[, C]) in [0, 1].

    Returns:
        (N, 64, 64) float32 in [0, 1], gray; such images pass as they are.
    """
    gray = np.clip(to_gray(np.asarray(images, "float32")), 0, 1)
    if gray.shape[1] == SIDE:
        return gray
    way = cv2.INTER_AREA if gray.shape[1] > SIDE else cv2.INTER_LINEAR
    return np.stack([cv2.resize(image, (SIDE, SIDE), interpolation=way) for image in gray])


def describe_images(images: np.ndarray) -> np.ndarray:
    """Describe every image by its head's outline, intensities, edges and pose.

    Args:
        images: (N, S, S[, C]) in [0, 1], as a network gets them.

    Returns:
        (N, F) float64, finite for any image; hardly changed by the size S.
    """
    return np.stack([_describe(image.astype("float64")) for image in shrink_images(images)])


@dataclass(frozen=True, eq=False)
class DomainStatistics:
    """What the images of a domain are like.

    Attributes:
        count: Images that they were fitted on.
        centre: (F,) mean of the features.
        spread: (F,) standard deviation.
        factor: (F, F) lower triangular; with its transpose the standardised features' precision.
        threshold: Distance within which 99 % of the domain's held-out images lie.
        other: The domain that an image must not be nearer to, where one is known.
    """

    count: int
    centre: np.ndarray
    spread: np.ndarray
    factor: np.ndarray
    threshold: float
    other: DomainStatistics | None = None

    @classmethod
    def fit(cls, images: np.ndarray) -> DomainStatistics:
        """Fit to images of one domain; the threshold is cross-validated in 5 folds.

        Args:
            images: (N, S, S[, C]) in [0, 1], N >= 10.

        Raises:
            InputError: fewer images.
        """
        if len(images) < FEWEST:
            raise InputError(
                f"{len(images)} images to tell a domain by: expected at least {FEWEST}; add images"
            )
        features = describe_images(images)
        distances, folds = np.zeros(len(features)), np.arange(len(features)) % FOLDS
        for fold in range(FOLDS):
            kept = _fit_gaussian(features[folds != fold])
            distances[folds == fold] = _measure_distance(features[folds == fold], *kept)
        threshold = _round(np.quantile(distances, QUANTILE))
        return cls(len(features), *_fit_gaussian(features), threshold=float(threshold))

    def with_other(self, other: DomainStatistics) -> DomainStatistics:
        """The same, where images nearer to another domain are unlike this one too."""
        return dataclasses.replace(self, other=other)

    def measure(self, images: np.ndarray) -> np.ndarray:
        """How unlike the domain images are.

        Args:
            images: (N, S, S[, C]) in [0, 1], as a network gets them.

        Returns:
            (N,) ratios of the distance to the threshold, or to the distance from the other domain
            (in thresholds of its own) where that is smaller: above 1 is unlike.
        """
        features = describe_images(images)
        ratio = self._measure_ratio(features)
        if self.other is None:
            return ratio
        return ratio / np.clip(self.other._measure_ratio(features), 1e-6, 1)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and lists, without the other domain."""
        return {
            "version": VERSION,
            "count": self.count,
            "threshold": self.threshold,
            "centre": self.centre.tolist(),
            "spread": self.spread.tolist(),
            "factor": self.factor[np.tril_indices(len(self.centre))].tolist(),
        }

    @classmethod
    def from_json(cls, data: Any) -> DomainStatistics:
        """Read what `to_json` gave.

        Raises:
            InputError: it is damaged, or of other features.
        """
        try:
            centre, spread, flat = (
                np.array(data[name], "float64") for name in ("centre", "spread", "factor")
            )
            count, threshold = int(data["count"]), float(data["threshold"])
            version = data["version"]
        except (ValueError, LookupError, TypeError, OverflowError) as error:
            raise _refuse(f"{type(error).__name__}: {first_line(error)}") from error
        if version != VERSION:
            raise _refuse(f"version {version}")
        size = _count_features()
        if not centre.shape == spread.shape == (size,) or flat.shape != (size * (size + 1) // 2,):
            raise _refuse(f"arrays of {centre.shape}, {spread.shape} and {flat.shape}")
        finite = all(np.isfinite(values).all() for values in (centre, spread, flat))
        if not (finite and spread.min() > 0 and math.isfinite(threshold) and threshold > 0):
            raise _refuse("values that are not finite, or not above 0")
        factor = np.zeros((size, size))
        factor[np.tril_indices(size)] = flat
        return cls(count, centre, spread, factor, threshold)

    def _measure_ratio(self, features: np.ndarray) -> np.ndarray:
        """(N, F) -> (N,) distances in thresholds."""
        distances = _measure_distance(features, self.centre, self.spread, self.factor)
        return distances / self.threshold


def find_foreign_share(ratios: Sequence[float]) -> float:
    """The share of an input that is unlike its domain, or 0 where it is too small to warn of.

    Args:
        ratios: Of `DomainStatistics.measure`.
    """
    share = sum(ratio > 1 for ratio in ratios) / max(len(ratios), 1)
    return share if share > FOREIGN_SHARE else 0.0


def write_statistics(folder: str | Path, by_domain: Mapping[str, DomainStatistics]) -> None:
    """Write the statistics of a run's domains.

    Args:
        folder: Run folder, or folder of published weight files.
        by_domain: "mri" and "ct".

    Raises:
        InputError: the place cannot be written to.
    """
    content = {name: statistics.to_json() for name, statistics in by_domain.items()}
    write_json(Path(folder) / STATISTICS_FILE, content)


def read_statistics(weights: str | Path, domain: str) -> DomainStatistics | None:
    """Read the statistics of a domain that belong to weights, with the other domain's.

    Args:
        weights: Run folder, its `best/`, folder of published weight files, or a file in one.
        domain: "mri" or "ct".

    Returns:
        None where no statistics lie in the folder, nor, for `best/`, in the run's.

    Raises:
        InputError: the file is damaged, or lacks the domain.
    """
    path = _find_file(Path(weights))
    if path is None:
        return None
    try:
        content = json.loads(path.read_text())
        if domain not in content:
            raise _refuse(f"domains {sorted(content)} without {domain!r}")
        found = {name: DomainStatistics.from_json(part) for name, part in content.items()}
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"cannot read {path} ({first_line(error)}): expected a file as `train` writes it; "
            "restore the file, or delete it to go without the check"
        ) from error
    others = [statistics for name, statistics in found.items() if name != domain]
    return found[domain].with_other(others[0]) if others else found[domain]


def _find_file(weights: Path) -> Path | None:
    """The statistics beside weights; those of a run for its `best/`."""
    folder = weights if weights.is_dir() else weights.parent
    folders = [folder]
    if folder.resolve().name == BEST_FOLDER:
        folders.append(folder.resolve().parent)
    files = (place / STATISTICS_FILE for place in folders)
    return next((file for file in files if file.is_file()), None)


def _refuse(received: str) -> InputError:
    """What to say of damaged statistics."""
    return InputError(
        f"received {received}: expected domain statistics of version {VERSION} with "
        f"{_count_features()} features; restore the file, or delete it to go without the check"
    )


def _fit_gaussian(features: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N, F) -> the centre, spread and factor of `DomainStatistics`, rounded."""
    from sklearn.covariance import ledoit_wolf  # slow to import, and reading needs none

    centre = _round(features.mean(axis=0))
    spread = _round(np.maximum(features.std(axis=0), SMALLEST_SPREAD))
    covariance, _ = ledoit_wolf((features - centre) / spread, assume_centered=True)
    return centre, spread, _round(np.linalg.cholesky(np.linalg.inv(covariance)))


def _measure_distance(
    features: np.ndarray, centre: np.ndarray, spread: np.ndarray, factor: np.ndarray
) -> np.ndarray:
    """Mahalanobis distances: (N, F) -> (N,)."""
    return np.linalg.norm((features - centre) / spread @ factor, axis=1)


def _round(values: Any) -> np.ndarray:
    """Keep 5 significant digits, so that a file gives the very same numbers."""
    values = np.asarray(values, "float64")
    rounded = [float(f"{value:.{DIGITS}g}") for value in values.ravel()]
    return np.array(rounded).reshape(values.shape)


def _count_features() -> int:
    """The number of features."""
    return len(_describe(np.zeros((SIDE, SIDE))))


def _describe(image: np.ndarray) -> np.ndarray:
    """(64, 64) -> (F,)."""
    brightest = np.percentile(image, 99)
    head = find_head(image[None] / max(brightest, DIMMEST))[0]
    if not head.any():
        head = np.ones_like(head)
    depth = measure_depth(head[None])[0]
    box = _find_box(head)
    return np.concatenate([
        [brightest],
        _describe_outline(head, box),
        _describe_intensities(image, head, depth),
        _describe_edges(image, head, depth),
        _describe_pose(image[box]),
    ])  # fmt: skip


def _find_box(head: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns that hold the head."""
    rows, columns = (np.flatnonzero(head.any(axis=axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _describe_outline(head: np.ndarray, box: tuple[slice, slice]) -> list[float]:
    """Share of the image, aspect, filled share of box and hull, and width from top to bottom."""
    inside = head[box]
    points = np.argwhere(head).astype("float32")
    hull = max(cv2.contourArea(cv2.convexHull(points)), 1.0)
    widths = [part.mean() for part in np.array_split(np.repeat(inside, ROWS, axis=0), ROWS)]
    aspect = math.log(inside.shape[0] / inside.shape[1])
    return [head.mean(), aspect, inside.mean(), len(points) / hull, *widths]


def _describe_intensities(image: np.ndarray, head: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Profile by depth, histogram and extremes of the head; level and spread of the rest."""
    values, around = image[head], image[~head]
    mean, square = (_average_by_depth(x, head, depth, DEPTHS) for x in (image, image**2))
    histogram = np.histogram(values, LEVELS, (0, 1))[0] / len(values)
    extreme = [(values <= EXTREMES[0]).mean(), (values >= EXTREMES[1]).mean()]
    air = [around.mean(), around.std()] if len(around) else [0.0, 0.0]
    return np.concatenate([
        [values.mean(), values.std()], mean, np.sqrt(np.maximum(square - mean**2, 0)),
        np.sqrt(histogram), np.sqrt(extreme), air,
    ])  # fmt: skip


def _describe_edges(image: np.ndarray, head: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Mean gradient by depth, that of the blurred image, and how alike neighbours are."""
    fine, coarse = (np.hypot(*np.gradient(x)) for x in (image, cv2.GaussianBlur(image, (0, 0), 2)))
    inside = depth > INSIDE
    alike = [_correlate_shifted(image, inside, shift) for shift in SHIFTS]
    by_depth = _average_by_depth(fine, head, depth, EDGE_DEPTHS)
    return np.array([*by_depth, coarse[head].mean(), *alike])


def _correlate_shifted(image: np.ndarray, mask: np.ndarray, shift: int) -> float:
    """Correlation of pixels in a mask with those `shift` rows further down in it."""
    both = mask[shift:] & mask[:-shift]
    return _correlate(image[shift:][both], image[:-shift][both])


def _describe_pose(head: np.ndarray) -> np.ndarray:
    """Of the head's box: correlation with its mirror images, and top against bottom by rows."""
    crop = cv2.resize(head, (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA)
    rows = crop.reshape(2 * TILTS, -1).mean(axis=1)
    tilt = (rows - rows[::-1])[:TILTS] / max(crop.mean(), DIMMEST)
    return np.array([_correlate(crop, crop[:, ::-1]), _correlate(crop, crop[::-1]), *tilt])


def _correlate(first: np.ndarray, second: np.ndarray) -> float:
    """Correlation of arrays of one shape; 0 where either is constant or empty."""
    if not first.size:
        return 0.0
    first, second = first - first.mean(), second - second.mean()
    energy = math.sqrt(float(np.sum(first**2) * np.sum(second**2)))
    return float(np.sum(first * second)) / energy if energy > 1e-6 else 0.0


def _average_by_depth(
    values: np.ndarray, head: np.ndarray, depth: np.ndarray, count: int
) -> np.ndarray:
    """Mean in each of `count` bands of depth, 0 in empty ones."""
    bands = np.minimum((depth[head] * count).astype(int), count - 1)
    total = np.bincount(bands, values[head], count)
    return total / np.maximum(np.bincount(bands, minlength=count), 1)
