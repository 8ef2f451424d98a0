"""What every sampler needs: the order of samples in endless passes, and the range of integers."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


class Passes:
    """Samples dealt in passes without end, each pass a permutation of all.

    A pass's order depends on its key and number alone, so that any position can be reached
    without replaying the earlier ones, and by any thread.

    Args:
        count: Samples.
        before, after: What stands before and behind the pass's number in its seed.
    """

    def __init__(self, count: int, before: tuple[int, ...], after: tuple[int, ...] = ()) -> None:
        self.count = count
        self._permute = lru_cache(maxsize=4)(
            lambda number: np.random.default_rng([*before, number, *after]).permutation(count)
        )

    def __getitem__(self, position: int) -> int:
        """The sample at a position of the endless stream."""
        number, offset = divmod(position, self.count)
        return int(self._permute(number)[offset])


def find_scale(dtype: str | np.dtype, limits: tuple[float, float]) -> tuple[np.float32, np.float32]:
    """(factor, offset) that map 0 and an integer type's largest value to the limits."""
    low, high = limits
    return np.float32((high - low) / np.iinfo(dtype).max), np.float32(low)
