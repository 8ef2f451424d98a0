"""The checks that every config makes of its values."""

from __future__ import annotations

from typing import Any

from keras_vaegan.errors import InputError

VALUE_RANGES = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}  # by output activation
PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")


def require(condition: bool, name: str, value: Any, expected: str) -> None:
    """Refuse a value with the one line that says what was expected."""
    if not condition:
        raise InputError(f"{name}={value!r}: expected {expected}")


def require_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a value that is not among the choices."""
    require(value in choices, name, value, f"one of {', '.join(choices)}")


def check_groups(groups: int, filters: tuple[int, ...]) -> None:
    """Check that a normalisation's groups divide every level's features."""
    require(groups >= -1, "groups", groups, "a number of groups, 0 or -1")
    require(
        groups <= 0 or all(f % groups == 0 for f in filters),
        "filters",
        filters,
        f"multiples of groups={groups}",
    )


def check_image(image_size: int, channels: int, stride: int) -> None:
    """Check an image's side against the network's stride, and its channels."""
    require(
        image_size >= max(16, 2 * stride) and image_size % stride == 0,
        "image_size",
        image_size,
        f"a multiple of the network's stride {stride}, at least {max(16, 2 * stride)}",
    )
    require(channels in (1, 3), "channels", channels, "1 or 3")
