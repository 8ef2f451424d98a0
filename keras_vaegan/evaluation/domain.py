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

import numpy as np

from keras_vaegan.errors import InputError, first_line
from keras_vaegan.evaluation.head_features import VERSION, count_features, describe_images
from keras_vaegan.files import write_json

STATISTICS_FILE = "domain_statistics.json"
BEST_FOLDER = "best"  # of a run: its weights, whose statistics lie beside it

SMALLEST_SPREAD = 0.01
QUANTILE = 0.99  # of the held-out distances within the domain
FOLDS = 5
DIGITS = 5
FEWEST = 2 * FOLDS
FOREIGN_SHARE = 0.2  # of what is looked at, above which an input is said to be unlike


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
        size = count_features()
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
        f"{count_features()} features; restore the file, or delete it to go without the check"
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
