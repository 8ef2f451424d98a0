"""How far translations are from the truth where pairs exist: in the head, by tissue, by case."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

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


def summarise_scores(scores: dict[str, np.ndarray]) -> dict:
    """{"mae": mean, "psnr": {"mean", "std"}, "ssim": {"mean", "std"}} over images with a head."""
    known = {name: values[np.isfinite(values)] for name, values in scores.items()}
    if not len(known["mae"]):
        return dict.fromkeys(SCORES)
    return {
        "mae": float(known["mae"].mean()),
        "psnr": summarise(known["psnr"]),
        "ssim": summarise(known["ssim"]),
    }


def measure_tissues(truth: np.ndarray, made: np.ndarray, tissues: dict[str, np.ndarray]) -> dict:
    """Mean intensity of each tissue in the truth and in the translation.

    Args:
        truth: (N, S, S[, C]) in [0, 1].
        made: The same shape.
        tissues: (N, S, S) bool by name, as `find_tissues` gives them.

    Returns:
        {tissue: {"truth", "made", "white": the share of its pixels made brighter than 0.6,
        "pixels"}}; None where a tissue has no pixel.
    """
    truth, made = (to_gray(np.asarray(x, "float64")) for x in (truth, made))
    table = {}
    for name, mask in tissues.items():
        values: dict[str, float | None] = dict.fromkeys(("truth", "made", "white"))
        if mask.any():
            shares = {"truth": truth[mask], "made": made[mask], "white": made[mask] > WHITE}
            values = {key: float(part.mean()) for key, part in shares.items()}
        table[name] = {**values, "pixels": int(mask.sum())}
    return table


def group_by_case(names: list[str], scores: np.ndarray) -> dict[str, dict]:
    """Mean of a score by case: {case: {"n", "mean"}}, for `find_case`'s cases."""
    cases: dict[str, list[float]] = {}
    for name, score in zip(names, scores, strict=True):
        if np.isfinite(score):
            cases.setdefault(find_case(name), []).append(float(score))
    return {case: {"n": len(own), "mean": float(np.mean(own))} for case, own in cases.items()}


def find_case(name: str) -> str:
    """The case of a slice's file: its stem less its last three digits, or the whole stem."""
    stem = Path(name).stem
    return re.sub(r"[-_. ]*\d{3}$", "", stem) or stem


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
