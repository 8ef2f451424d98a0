"""Whether translations look like the real thing: two-sample tests on simple features.

A cycle metric is blind to the translation in between; these figures are not. Images are
(N, H, W) or (N, H, W, C) in [0, 1], square.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from scipy.stats import t as student_t
from skimage.feature import hog
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import polynomial_kernel
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from keras_vaegan.data.folders import spread
from keras_vaegan.data.image import round_to_levels
from keras_vaegan.evaluation.metrics import to_gray

HOG_SIDE = 128
HOG_CELL = 16
HISTOGRAM_BINS = 32
SPECTRUM_BINS = 32
CLIP_SIGMA = 5.0
FOLDS = 5
PARTS = 10  # of the jackknife
MOST = 1000  # images a set whose kernels are compared
SMALLEST_SPAN = 1e-9


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


def compute_mmd(kernel: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy of two sets.

    Args:
        kernel: (N, N) kernel matrix of all that there is.
        first: Which rows are the one set, two or more.
        second: Which are the other one.

    Reference: Gretton et al. 2012; with the kernel (x.y / d + 1)^3 that of Binkowski et al. 2018
    (KID).
    """
    within = 0.0
    for chosen in (first, second):
        part = kernel[np.ix_(chosen, chosen)]
        within += (part.sum() - np.trace(part)) / (len(part) * (len(part) - 1))
    return float(within - 2 * kernel[np.ix_(first, second)].mean())


def compute_realism_gap(
    generated: dict,
    real: dict,
    untranslated: dict,
    seed: int = 0,
    cases: tuple[Sequence[str], Sequence[str]] | None = None,
) -> dict[str, dict]:
    """How much of the way from untranslated to real is left, overall and per feature group.

    (MMD(generated, real) - MMD(real, real')) / (MMD(untranslated, real) - MMD(real, real')), on
    features standardised by all real images and clipped to 5 sigma. The real images are split in
    two halves, by case where cases are known; the gap is the mean over both ways of calling one
    real and the other real'. Of more than 1,000 images a set that many count, spread evenly.

    The interval is the jackknife's over cases, or else over ten random parts of the images.

    Args:
        generated: Features of translations.
        real: Features of real images.
        untranslated: Features of the translations' inputs, in their order.
        seed: Seed of the halves and the parts.
        cases: The cases of the translations and of the real images, where both are known.

    Returns:
        {"gap": {"all", "hog", "histogram", "spectrum"}, "gap_interval": the same}: 0 is real, 1
        no better than not translating. A gap is None where the input is already as real as real
        images are, or where there are fewer than two translations or four real images; an
        interval, [low, high] of 95 %, is None where it cannot be told.
    """
    made, kept = (_choose(len(s["histogram"])) for s in (generated, real))
    if len(made) < 2 or len(kept) < 4:
        nothing = dict.fromkeys(("all", *real))
        return {"gap": nothing, "gap_interval": nothing}
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(kept))
    if cases is None:
        parts = np.arange(len(made)) % PARTS, np.argsort(order) % PARTS
        halves = np.argsort(order) < -(-len(kept) // 2)
    else:
        parts = np.array(cases[0])[made], np.array(cases[1])[kept]
        halves = _split_cases(parts[1], rng)
    own, theirs = parts
    gaps: dict[str, dict] = {"gap": {}, "gap_interval": {}}
    for name, names in {"all": list(real), **{name: [name] for name in real}}.items():
        sets = [
            np.concatenate([_standardise(s[n][chosen], real[n]) for n in names], axis=1)
            for s, chosen in ((generated, made), (untranslated, made), (real, kept))
        ]
        kernel = polynomial_kernel(np.concatenate(sets))
        gap = _measure_gap(kernel, np.ones(len(own), bool), np.ones(len(theirs), bool), halves)
        rest = [
            _measure_gap(kernel, own != left_out, theirs != left_out, halves)
            for left_out in np.unique(np.concatenate(parts))
        ]
        gaps["gap"][name] = gap
        gaps["gap_interval"][name] = None if gap is None else _find_interval(gap, rest)
    return gaps


def describe_stored(images: np.ndarray) -> dict[str, np.ndarray]:
    """`compute_features` of images as they are stored, in 8 bits.

    A network's black is never quite 0, and normalised gradients would take what no file keeps for
    structure.
    """
    return compute_features(round_to_levels(images))


def join_features(parts: Sequence[dict]) -> dict[str, np.ndarray]:
    """Features of several batches -> those of the whole set."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def evaluate_realism(
    generated: dict,
    real: dict,
    untranslated: dict,
    seed: int = 0,
    cases: tuple[Sequence[str], Sequence[str]] | None = None,
) -> dict:
    """Compare a set of translations with real images of their modality, by `describe_stored`.

    Args:
        generated: Features of translations.
        real: Features of real images of the target modality.
        untranslated: Features of the translations' inputs.
        seed: Seed of the halves and the folds.
        cases: As `compute_realism_gap`.

    Returns:
        {"c2st_auc", "untranslated_auc", "gap", "gap_interval", "n_generated", "n_real"}.
    """
    return {
        "c2st_auc": compute_c2st(generated, real, seed),
        "untranslated_auc": compute_c2st(untranslated, real, seed),
        **compute_realism_gap(generated, real, untranslated, seed, cases),
        "n_generated": len(generated["histogram"]),
        "n_real": len(real["histogram"]),
    }


def _measure_gap(
    kernel: np.ndarray, made: np.ndarray, kept: np.ndarray, halves: np.ndarray
) -> float | None:
    """The gap from a kernel of [generated, untranslated, real], of chosen ones; None where it has
    no scale, or a set fewer than two."""
    generated, untranslated = np.flatnonzero(made), len(made) + np.flatnonzero(made)
    first, second = (2 * len(made) + np.flatnonzero(kept & half) for half in (halves, ~halves))
    if min(map(len, (generated, first, second))) < 2:
        return None
    floor = compute_mmd(kernel, first, second)
    gaps = []
    for half in (first, second):
        span = compute_mmd(kernel, untranslated, half) - floor
        if span <= SMALLEST_SPAN:
            return None
        gaps.append((compute_mmd(kernel, generated, half) - floor) / span)
    return float(np.mean(gaps))


def _find_interval(value: float, rest: Sequence[float | None]) -> list[float] | None:
    """The jackknife's 95 % interval from the values with one part left out."""
    known = np.array([other for other in rest if other is not None])
    if len(known) < 2 or len(known) < len(rest):
        return None
    error = np.sqrt((len(known) - 1) * np.var(known))
    reach = float(student_t.ppf(0.975, len(known) - 1) * error)
    return [value - reach, value + reach]


def _choose(count: int) -> np.ndarray:
    """Places of at most `MOST` items, spread evenly."""
    return np.array(spread(range(count), MOST), int)


def _split_cases(cases: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N,) cases -> (N,) bool, about half of the images each, no case on both sides."""
    names = rng.permutation(np.unique(cases))
    halves, sizes = np.zeros(len(cases), bool), [0, 0]
    for name in names:
        own = cases == name
        side = int(sizes[1] < sizes[0])
        halves |= own & bool(side)
        sizes[side] += int(own.sum())
    return halves


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
