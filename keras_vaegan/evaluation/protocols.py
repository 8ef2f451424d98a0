"""Protocols: a name for everything that a figure depends on besides the images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from threading import Lock
from typing import Any

import numpy as np

from keras_vaegan.errors import InputError
from keras_vaegan.evaluation import metrics
from keras_vaegan.evaluation.confidence import bootstrap_mean, bootstrap_ratio
from keras_vaegan.evaluation.metrics import GAUSSIAN, UNIFORM, Window

TOLERANCE = 1e-2
MEANS = ("psnr", "ssim", "mae", "bce")
FIGURES = (*MEANS, "auc_roc", "f1")


@dataclass(frozen=True, eq=False)
class Score:
    """What one pair of images gives.

    Attributes:
        figures: By the names in `FIGURES`; None where undefined.
        hits: As `count_hits`.
        levels: As `count_levels`.
    """

    figures: dict[str, float | None]
    hits: tuple[int, int]
    levels: np.ndarray


@dataclass(frozen=True)
class Protocol:
    """How images are brought into the metrics.

    Attributes:
        name: What results files call it.
        data_range: Span of the values that PSNR and SSIM assume.
        window: Intensity window applied before, or None.
        clip: Values are clipped to this interval.
        mask: Region that counts: "whole" for the whole image.
        channels: What SSIM, AUC and F1 look at: the channels' "mean", or "each" of them.
        ssim: The window of SSIM.
        dimensions: Of what is compared: 2 for images, 3 for volumes.
    """

    name: str
    data_range: float = 1.0
    window: tuple[float, float] | None = None
    clip: tuple[float, float] = (0.0, 1.0)
    mask: str = "whole"
    channels: str = "mean"
    ssim: Window = GAUSSIAN
    dimensions: int = 2

    def score(self, original: np.ndarray, reconstruction: np.ndarray) -> Score:
        """Compare two images (H, W[, C]), of which a copy is clipped and taken as float64."""
        x, y = (
            np.clip(image, *self.clip, dtype="float64")[None]
            for image in (original, reconstruction)
        )
        seen = (metrics.to_gray(x), metrics.to_gray(y)) if self.channels == "mean" else (x, y)
        levels, hits = metrics.count_levels(*seen), metrics.count_hits(*seen)
        figures = {
            "psnr": float(metrics.compute_psnr(x, y)[0]),
            "ssim": float(metrics.compute_ssim(*seen, window=self.ssim, per_channel=True)[0]),
            "mae": metrics.compute_mae(x, y),
            "bce": metrics.compute_bce(x, y),
            "auc_roc": metrics.find_area(levels),
            "f1": metrics.find_f1(*hits),
        }
        return Score(figures, hits, levels)


PROTOCOLS = {
    rules.name: rules
    for rules in (
        Protocol("unit"),
        Protocol("tf", channels="each"),
        Protocol("skimage", channels="each", ssim=UNIFORM),
        Protocol("seed", channels="each"),
        Protocol(
            "synthrad2023", 4024.0, None, (-1024.0, 3000.0), "body", ssim=UNIFORM, dimensions=3
        ),
    )
}
"""By name.

- "unit": images on [0, 1]; SSIM, AUC and F1 of the channels' mean.
- "tf": what `tf.image.psnr` and `tf.image.ssim` give with max_val=1, the mean over channels; AUC
  and F1 of all values.
- "skimage": what scikit-image's `peak_signal_noise_ratio` and `structural_similarity` give with
  data_range=1 and channel_axis=-1: a uniform window of 7x7, sample covariance.
- "seed": the five published figures of System A (BCE, AUC-ROC, F1, PSNR, SSIM). The publication
  defines none of them, so this is our reading: x is the original and y the reconstruction on
  [0, 1]; BCE with the continuous x as its target; AUC-ROC and F1 for the label x >= 0.5 (and, of
  F1, y >= 0.5) over all values of the set; PSNR and SSIM as TensorFlow has them, means over images.
- "synthrad2023": volumes of CT in Hounsfield units; see `synthrad.evaluate_volume`.

PSNR is capped at 100 dB in all of them: identical images have an infinite one, which JSON lacks.
"""


def get_protocol(name: str) -> Protocol:
    """Look up a protocol.

    Raises:
        InputError: there is none of that name.
    """
    if name not in PROTOCOLS:
        raise InputError(f"unknown protocol {name!r}: expected one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


class PairScores:
    """Compares sets of images pair by pair, batch after batch.

    It keeps a few numbers an image and one histogram of the pooled scores, whatever the images'
    sizes; images are scored in threads.

    Args:
        protocol: Name of a protocol of images.

    Attributes:
        protocol: Its rules.
        per_image: By the names in `FIGURES`, a value an image; None where undefined.

    Raises:
        InputError: an unknown protocol, or one of volumes.
    """

    def __init__(self, protocol: str = "unit") -> None:
        self.protocol = get_protocol(protocol)
        if self.protocol.dimensions != 2:
            raise InputError(
                f"protocol {protocol!r} with images: expected whole volumes of CT in Hounsfield "
                "units and a mask of the body; use another protocol, or `evaluate_volume`"
            )
        self.per_image: dict[str, list[Any]] = {name: [] for name in FIGURES}
        self._hits: list[tuple[int, int]] = []
        self._levels = np.zeros((2, metrics.RANK_LEVELS), "int64")
        self._lock = Lock()

    def add(self, original: np.ndarray, reconstruction: np.ndarray) -> None:
        """Compare some images.

        Args:
            original: (N, H, W) or (N, H, W, C), N >= 1, range as the protocol says; batches may
                differ in size.
            reconstruction: The same shape.

        Raises:
            InputError: sets that are empty, unequal in shape, smaller than SSIM's window, not
                finite or beyond the protocol's interval by more than 0.01 (less is clipped).
        """
        first, second = np.asarray(original), np.asarray(reconstruction)
        self._check(first, second)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for figures, hits in pool.map(self._score, first, second):
                for name, value in figures.items():
                    self.per_image[name].append(value)
                self._hits.append(hits)

    def summarise(self, cases: Sequence[str] | None = None, seed: int = 0) -> dict[str, Any]:
        """The figures of all images so far, with 95 % bootstrap intervals.

        Args:
            cases: The case of each image, where known: whole cases are then drawn.
            seed: Seed of the intervals.

        Returns:
            {"n", "psnr": {"mean", "std", "interval": [low, high]}, "ssim": as psnr, "mae", "bce":
            means over images, "auc_roc": of the pooled pixels, "auc_roc_per_image": {"mean",
            "left_out"}, "f1": of the pooled pixels, "intervals": {"mae", "bce", "f1",
            "auc_roc_per_image"}, "protocol": {...}}; a value is None where its metric is
            undefined, an interval where there are fewer than two images or cases. The pooled AUC
            has no interval: it would need every image's whole histogram.

        Raises:
            InputError: no images, or other than a case an image.
        """
        count = len(self._hits)
        if not count:
            raise InputError("no pairs of images to summarise: expected at least one; add some")
        if cases is not None and len(cases) != count:
            raise InputError(f"{len(cases)} cases of {count} images: expected one an image")

        def measure(name: str) -> list[float] | None:
            return _to_list(bootstrap_mean(self.per_image[name], cases, seed))

        hits, positives = np.array(self._hits, "float64").T
        return {
            "n": count,
            **{
                name: {**metrics.summarise(self.per_image[name]), "interval": measure(name)}
                for name in ("psnr", "ssim")
            },
            **{name: float(np.mean(self.per_image[name])) for name in ("mae", "bce")},
            "auc_roc": metrics.find_area(self._levels),
            "auc_roc_per_image": metrics.average_areas(self.per_image["auc_roc"]),
            "f1": metrics.find_f1(float(hits.sum()), float(positives.sum())),
            "intervals": {
                "mae": measure("mae"),
                "bce": measure("bce"),
                "f1": _to_list(bootstrap_ratio(hits, positives, cases, seed)),
                "auc_roc_per_image": measure("auc_roc"),
            },
            "protocol": asdict(self.protocol),
        }

    def _score(self, original: np.ndarray, reconstruction: np.ndarray) -> tuple[dict, tuple]:
        """Figures and hits of one pair; its levels join the pooled ones."""
        score = self.protocol.score(original, reconstruction)
        with self._lock:
            self._levels += score.levels
        return score.figures, score.hits

    def _check(self, first: np.ndarray, second: np.ndarray) -> None:
        """Refuse what `add` does not take."""
        if first.shape != second.shape or first.ndim not in (3, 4) or not first.size:
            raise InputError(
                f"image sets of shape {first.shape} and {second.shape}: expected two equal, "
                "non-empty (N, H, W[, C]) sets"
            )
        smallest = self.protocol.ssim.size
        if min(first.shape[1:3]) < smallest:
            raise InputError(
                f"images of {first.shape[1]}x{first.shape[2]} pixels: expected at least {smallest} "
                "a side; use larger ones"
            )
        limits = [float(extreme(part)) for part in (first, second) for extreme in (np.min, np.max)]
        if not np.isfinite(limits).all():
            raise InputError("image sets hold NaN or infinite values: expected finite ones")
        (low, high), clip = (min(limits), max(limits)), self.protocol.clip
        if low < clip[0] - TOLERANCE or high > clip[1] + TOLERANCE:
            raise InputError(
                f"image sets hold values from {low:.4g} to {high:.4g}: expected {clip[0]:g} to "
                f"{clip[1]:g}; scale them first"
            )


def evaluate_pairs(
    original: np.ndarray, reconstruction: np.ndarray, protocol: str = "unit"
) -> dict[str, Any]:
    """Compare two sets of images by every published metric.

    Args:
        original: (N, H, W) or (N, H, W, C), range as the protocol says ([0, 1] for "unit").
        reconstruction: The same shape.
        protocol: Name of a protocol of images.

    Returns:
        As `PairScores.summarise`.

    Raises:
        InputError: as `PairScores` and its `add`.

    Examples:
        >>> import numpy as np
        >>> import keras_vaegan as kv
        >>> images = np.random.default_rng(0).uniform(size=(2, 32, 32))
        >>> figures = kv.evaluate_pairs(images, np.clip(images + 0.1, 0, 1))
        >>> round(figures["psnr"]["mean"], 1)
        20.3
    """
    scores = PairScores(protocol)
    scores.add(original, reconstruction)
    return scores.summarise()


def _to_list(interval: tuple[float, float] | None) -> list[float] | None:
    """As JSON has it."""
    return None if interval is None else list(interval)
