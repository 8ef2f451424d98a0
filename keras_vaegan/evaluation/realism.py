"""Whether translations look like the real thing: two-sample tests on simple features.

A cycle metric is blind to the translation in between; these figures are not. Images are
(N, H, W) or (N, H, W, C) in [0, 1], square.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from skimage.feature import hog
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import polynomial_kernel
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from keras_vaegan.data.image import round_to_levels
from keras_vaegan.evaluation.metrics import compute_mae, to_gray

HOG_SIDE = 128
HOG_CELL = 16
HISTOGRAM_BINS = 32
SPECTRUM_BINS = 32
CLIP_SIGMA = 5.0
FOLDS = 5


def compute_features(images: np.ndarray) -> dict[str, np.ndarray]:
    """Describe every image by its shapes, its intensities and its texture.

    Args:
        images: (N, S, S[, C]) in [0, 1].

    Returns:
        {"hog": histograms of oriented gradients at 128x128, "histogram": 32 intensity bins that
        sum to 1, "spectrum": 32 radial bins of the log power spectrum under a Hann window}, each
        (N, D) float64.
    """
    gray = to_gray(np.asarray(images, "float64"))
    groups = {
        "hog": _describe_shapes, "histogram": _describe_intensity, "spectrum": _describe_texture
    }  # fmt: skip
    return {name: np.stack([describe(x) for x in gray]) for name, describe in groups.items()}


def compute_c2st(generated: dict, real: dict, seed: int = 0) -> float | None:
    """Classifier two-sample test: can logistic regression tell generated from real?

    Args:
        generated: Features of `compute_features`.
        real: Features of real images.
        seed: Seed of the folds.

    Returns:
        Cross-validated AUC: 0.5 where they cannot be told apart, 1 where they always can; None
        with fewer than two images of either kind.

    Reference: Lopez-Paz & Oquab 2017, "Revisiting Classifier Two-Sample Tests".
    """
    features = np.concatenate([_join(generated), _join(real)])
    labels = np.repeat([0, 1], [len(_join(generated)), len(_join(real))])
    count = min(FOLDS, *np.bincount(labels))
    if count < 2:
        return None
    folds = StratifiedKFold(count, shuffle=True, random_state=seed)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, C=0.1))
    scores = cross_val_predict(model, features, labels, cv=folds, method="decision_function")
    return float(roc_auc_score(labels, scores))


def compute_mmd(first: np.ndarray, second: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel (x.y / d + 1)^3.

    Args:
        first: (N, d) features, N >= 2.
        second: (M, d) features, M >= 2.

    Reference: Gretton et al. 2012; the kernel is that of Binkowski et al. 2018 (KID).
    """

    def mean_off_diagonal(k: np.ndarray) -> float:
        return float((k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)))

    across = float(polynomial_kernel(first, second).mean())
    return sum(mean_off_diagonal(polynomial_kernel(x)) for x in (first, second)) - 2 * across


def compute_realism_gap(
    generated: dict, real: dict, other_real: dict, untranslated: dict
) -> dict[str, float | None]:
    """How much of the way from untranslated to real is left, overall and per feature group.

    (MMD(generated, real) - MMD(real, real')) / (MMD(untranslated, real) - MMD(real, real')), on
    features standardised by `real` and clipped to 5 sigma.

    Args:
        generated: Features of translations.
        real: Features of real images.
        other_real: Features of other real images (real').
        untranslated: Features of the translations' inputs.

    Returns:
        {"all", "hog", "histogram", "spectrum"}: 0 is real, 1 no better than not translating;
        None where the input is already as real as real images are, or a set has fewer than two.
    """
    if min(len(s["histogram"]) for s in (generated, real, other_real, untranslated)) < 2:
        return dict.fromkeys(("all", *real))
    gaps = {}
    for name, names in {"all": list(real), **{name: [name] for name in real}}.items():
        sets = [
            np.concatenate([_standardise(s[n], real[n]) for n in names], axis=1)
            for s in (generated, real, other_real, untranslated)
        ]
        floor = compute_mmd(sets[1], sets[2])
        span = compute_mmd(sets[3], sets[1]) - floor
        gaps[name] = (compute_mmd(sets[0], sets[1]) - floor) / span if span > 1e-9 else None
    return gaps


def evaluate_realism(
    generated: np.ndarray, real: np.ndarray, untranslated: np.ndarray, seed: int = 0
) -> dict:
    """Compare a set of translations with real images of their modality.

    All images are compared as they are stored, in 8 bits: a network's black is never quite 0,
    and normalised gradients would take what no file keeps for structure.

    The real images are split in two halves at random; the gap is the mean over both ways of
    calling one half real and the other real', so that every image serves in either role.

    Args:
        generated: Translations (N, S, S[, C]) in [0, 1].
        real: Real images of the target modality; the gap needs at least 4, else it is None.
        untranslated: The translations' inputs.
        seed: Seed of the split and the folds.

    Returns:
        {"c2st_auc", "untranslated_auc", "gap": {"all", "hog", "histogram", "spectrum"}, "copy",
        "n_generated", "n_real"}; "copy" is the mean absolute difference of inputs and
        translations: near 0 means that nothing was done.
    """
    images = {"generated": generated, "real": real, "untranslated": untranslated}
    features = {name: compute_features(round_to_levels(values)) for name, values in images.items()}
    order = np.random.default_rng(seed).permutation(len(real))
    halves = [
        {name: values[part] for name, values in features["real"].items()}
        for part in np.array_split(order, 2)
    ]
    gaps = [
        compute_realism_gap(features["generated"], one, other, features["untranslated"])
        for one, other in (halves, halves[::-1])
    ]
    return {
        "c2st_auc": compute_c2st(features["generated"], features["real"], seed),
        "untranslated_auc": compute_c2st(features["untranslated"], features["real"], seed),
        "gap": {name: _mean_or_none([gap[name] for gap in gaps]) for name in gaps[0]},
        "copy": compute_mae(untranslated, generated),
        "n_generated": len(generated),
        "n_real": len(real),
    }


def _mean_or_none(values: list[Any]) -> float | None:
    """The mean; None where one of the values is."""
    return None if None in values else sum(values) / len(values)


def _join(features: dict) -> np.ndarray:
    """All groups side by side: (N, D)."""
    return np.concatenate(list(features.values()), axis=1)


def _standardise(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Centre and scale by the reference set, and clip.

    A feature that never varies among real images counts fully (5 sigma) where others differ.
    """
    spread = np.maximum(reference.std(axis=0), 1e-8)
    return np.clip((values - reference.mean(axis=0)) / spread, -CLIP_SIGMA, CLIP_SIGMA)


def _describe_shapes(image: np.ndarray) -> np.ndarray:
    """HOG at a fixed size."""
    mode = cv2.INTER_AREA if image.shape[0] >= HOG_SIDE else cv2.INTER_CUBIC
    small = cv2.resize(image, (HOG_SIDE, HOG_SIDE), interpolation=mode)
    return hog(small, orientations=8, pixels_per_cell=(HOG_CELL, HOG_CELL), cells_per_block=(1, 1))


def _describe_intensity(image: np.ndarray) -> np.ndarray:
    """Share of pixels per intensity bin."""
    counts, _ = np.histogram(np.clip(image, 0, 1), HISTOGRAM_BINS, (0, 1))
    return counts / image.size


def _describe_texture(image: np.ndarray) -> np.ndarray:
    """Radial mean of the log power spectrum, from the lowest frequency to Nyquist."""
    side = image.shape[0]
    window = np.hanning(side)
    power = np.abs(np.fft.fft2((image - image.mean()) * window[:, None] * window)) ** 2
    frequency = np.fft.fftfreq(side)
    radius = np.hypot(frequency[:, None], frequency)
    bins = np.minimum((radius / 0.5 * SPECTRUM_BINS).astype(int), SPECTRUM_BINS).ravel()
    total = np.bincount(bins, np.log(power + 1e-8).ravel(), SPECTRUM_BINS + 1)
    count = np.bincount(bins, minlength=SPECTRUM_BINS + 1)
    return (total / np.maximum(count, 1))[:SPECTRUM_BINS]
