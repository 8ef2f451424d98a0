"""A loss as a sum of named, weighted terms."""

from __future__ import annotations

from typing import Any, NamedTuple


class LossTerm(NamedTuple):
    """One term of a loss.

    Attributes:
        value: Scalar, unweighted: what is logged.
        weight: Its share of the sum: a number, or a scalar that changes with the step.
    """

    value: Any
    weight: Any = 1.0


def sum_terms(terms: dict[str, LossTerm]) -> Any:
    """The weighted sum that is differentiated."""
    return sum(term.weight * term.value for term in terms.values())


def read_values(terms: dict[str, LossTerm]) -> dict[str, Any]:
    """The unweighted values by name, for the log."""
    return {name: term.value for name, term in terms.items()}
