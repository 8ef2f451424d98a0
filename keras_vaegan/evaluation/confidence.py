"""How far chance alone may move a mean: percentile bootstrap over images, or over cases.

Slices of one case resemble one another: drawn one by one they would feign a certainty that only
new cases can give. So where cases are known, whole cases are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import bootstrap

DRAWS = 2_000
LEVEL = 0.95
BATCH_VALUES = 2**18  # drawn at once, so that memory is bounded

Interval = tuple[float, float]
Values = Sequence[float | None] | np.ndarray


def bootstrap_mean(
    values: Values, cases: Sequence[str] | None = None, seed: int = 0
) -> Interval | None:
    """The 95 % interval of a mean.

    Args:
        values: One an image; None and NaN are left out.
        cases: The case of each image, where known.
        seed: Of the 2,000 draws.

    Returns:
        (low, high); None with fewer than two images, or cases.
    """
    return bootstrap_ratio(values, np.ones(len(values)), cases, seed)


def bootstrap_ratio(
    numerators: Values,
    denominators: Values,
    cases: Sequence[str] | None = None,
    seed: int = 0,
) -> Interval | None:
    """The 95 % interval of a ratio of sums over images, such as F1 over pooled pixels.

    Args:
        numerators: One an image; None and NaN are left out.
        denominators: One an image, 0 or more; images (or cases) of 0 are left out.
        cases: The case of each image, where known.
        seed: Of the 2,000 draws.

    Returns:
        (low, high); None with fewer than two images, or cases.
    """
    tops, bottoms = (np.array(part, "float64") for part in (numerators, denominators))
    known = np.isfinite(tops)
    groups = np.arange(len(tops)) if cases is None else np.unique(cases, return_inverse=True)[1]
    sums = [np.bincount(groups[known], part[known]) for part in (tops, bottoms)]
    sums = [part[sums[1] > 0] for part in sums]
    count = len(sums[1])
    if count < 2:
        return None
    found = bootstrap(
        sums,
        lambda top, bottom, axis: top.sum(axis=axis) / bottom.sum(axis=axis),
        n_resamples=DRAWS,
        batch=max(1, BATCH_VALUES // count),
        vectorized=True,
        paired=True,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def bootstrap_difference(
    first: Values, second: Values, cases: Sequence[str] | None = None, seed: int = 0
) -> dict[str, Any]:
    """How far the mean of a second set of values lies from the first's, on the same images.

    Args:
        first: One an image; images where either is None or NaN are left out.
        second: As many.
        cases: The case of each image, where known.
        seed: Of the 2,000 draws.

    Returns:
        {"difference": mean of second - first, or None where no image has both; "interval":
        [low, high], or None with fewer than two images, or cases; "differs": whether the interval
        leaves out 0}.
    """
    change = np.array(second, "float64") - np.array(first, "float64")
    known = change[np.isfinite(change)]
    interval = bootstrap_mean(change, cases, seed)
    return {
        "difference": float(known.mean()) if len(known) else None,
        "interval": None if interval is None else list(interval),
        "differs": interval is not None and not interval[0] <= 0 <= interval[1],
    }
