"""How far a long command is: a bar on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
SECONDS = 10.0


class _Lines(tqdm):
    """A tqdm that writes lines instead of redrawing one."""

    def display(self, msg=None, pos=None) -> bool:
        if self.n > 0:
            self.fp.write(f"{msg or self}\n")
            self.fp.flush()
        return True

    def close(self) -> None:
        self.disable = True


def show_progress(items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
    """Yield the items, and show on standard error how far they are.

    Args:
        items: What is gone through.
        what: Such as "evaluating".
        total: How many there are, where they have no length.
    """
    if sys.stderr.isatty():
        bar: tqdm = tqdm(items, desc=what, total=total, leave=False, dynamic_ncols=True)
    else:
        bar = _Lines(items, desc=what, total=total, mininterval=SECONDS, maxinterval=SECONDS,
                     miniters=1, file=sys.stderr, bar_format=_LINE)  # fmt: skip
    yield from bar


_LINE = "{desc}: {n_fmt} of {total_fmt}, {elapsed} gone, {remaining} left"
