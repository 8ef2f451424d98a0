"""How far translations are from the truth where pairs exist: in the head, by tissue, by case."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from keras_vaegan.evaluation.confidence import bootstrap_mean
from keras_vaegan.evaluation.metrics import map_ssim, summarise, to_decibel, to_gray

SCORES = ("mae", "psnr", "ssim")
WHITE = 0.6  # a fluid drawn brighter than this in a CT is drawn as bone


def compare_in_head(truth: np.ndarray, made: np.ndarray, head: np.ndarray) -> dict:
    """Compare two sets of images inside the head alone: air agrees with air for nothing.

    Args:
        truth: (N, S, S[, C]) in [0, 1].
        made: The same shape.
        head: (N, S, S) bool.

    Returns:
        {"mae", "psnr", "ssim"}: (N,) float64 an image, NaN where there is no head. PSNR has data
        range 1; SSIM is the mean over the head of the map of `compute_ssim`.
    """
    pairs = zip(*(to_gray(np.asarray(x, "float64")) for x in (truth, made)), head, strict=True)
    rows = [_compare_one(*pair) for pair in pairs]
    return {name: np.array([row[name] for row in rows]) for name in SCORES}


def summarise_scores(
    scores: Mapping[str, np.ndarray], cases: Sequence[str] | None = None, seed: int = 0
) -> dict:
    """Means over the images that have a head.

    Args:
        scores: (N,) by name, as `compare_in_head` gives them.
        cases: The images' cases, where they are known: what the intervals resample.
        seed: Seed of the intervals.

    Returns:
        {"mae": mean, "psnr": {"mean", "std", "interval"}, "ssim": as psnr, "intervals": {"mae"}};
        intervals are [low, high] or None; all None where no image has a head.
    """
    known = {name: values[np.isfinite(values)] for name, values in scores.items()}
    if not len(known["mae"]):
        return dict.fromkeys((*SCORES, "intervals"))
    intervals = {name: bootstrap_mean(scores[name], cases, seed) for name in SCORES}
    result: dict = {"mae": float(known["mae"].mean())}
    for name in ("psnr", "ssim"):
        result[name] = summarise(known[name]) | {"interval": intervals[name]}
    return result | {"intervals": {"mae": intervals["mae"]}}


class TissueTable:
    """Mean intensity of each tissue in the truth and in the translations, image after image."""

    def __init__(self) -> None:
        self._sums: dict[str, np.ndarray] = {}

    def add(self, truth: np.ndarray, made: np.ndarray, tissues: Mapping[str, np.ndarray]) -> None:
        """Add some images.

        Args:
            truth: (N, S, S[, C]) in [0, 1].
            made: The same shape.
            tissues: (N, S, S) bool by name, as `find_tissues` gives them.
        """
        truth, made = (to_gray(np.asarray(x, "float64")) for x in (truth, made))
        for name, mask in tissues.items():
            values = truth[mask], made[mask], made[mask] > WHITE
            sums = np.array([mask.sum(), *(part.sum() for part in values)], "float64")
            self._sums[name] = self._sums.get(name, 0) + sums

    def summarise(self) -> dict:
        """{tissue: {"truth", "made", "white": the share of its pixels made brighter than 0.6,
        "pixels"}}; None where a tissue has no pixel."""
        table = {}
        for name, (pixels, *sums) in self._sums.items():
            means = [float(total / pixels) if pixels else None for total in sums]
            table[name] = dict(zip(("truth", "made", "white"), means, strict=True))
            table[name]["pixels"] = int(pixels)
        return table


def group_by_case(cases: Sequence[str], scores: Sequence[float]) -> dict[str, dict]:
    """Mean of a score by case, where it is finite: {case: {"n", "mean"}}."""
    groups: dict[str, list[float]] = {}
    for case, score in zip(cases, scores, strict=True):
        if np.isfinite(score):
            groups.setdefault(case, []).append(float(score))
    return {case: {"n": len(own), "mean": float(np.mean(own))} for case, own in groups.items()}


def tell_cases(names: Sequence[str]) -> list[str] | None:
    """The case of every slice of a set, where its file names tell it.

    They do where all end in the three digits of a slice's number and two cases or more are left
    without them, as in 16003.png, 16004.png, 20003.png, or p7_012.png.

    Returns:
        A case a name, or None: every image stands for itself.
    """
    stems = [Path(name).stem for name in names]
    cases = [re.sub(r"[-_. ]*\d{3}$", "", stem) for stem in stems]
    told = all(case and case != stem for case, stem in zip(cases, stems, strict=True))
    return cases if told and 2 <= len(set(cases)) < len(cases) else None


def _compare_one(truth: np.ndarray, made: np.ndarray, head: np.ndarray) -> dict[str, float]:
    """Scores of one (S, S) image."""
    if not head.any():
        return dict.fromkeys(SCORES, np.nan)
    error = (truth - made)[head]
    return {
        "mae": float(np.abs(error).mean()),
        "psnr": float(to_decibel(np.square(error).mean())),
        "ssim": float(map_ssim(truth, made)[head].mean()),
    }
