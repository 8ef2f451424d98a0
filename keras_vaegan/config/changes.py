"""Changes of a config by the dotted path of a field, as a command line gives them."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from keras_vaegan.errors import InputError


def read_field(config: Any, path: str) -> Any:
    """The value at a path such as "losses.cycle_weight".

    Raises:
        InputError: a config on the way has no such field.
    """
    for name in path.split("."):
        config = getattr(config, _check_field(config, name))
    return config


def change_field(config: Any, path: str, value: Any) -> Any:
    """A config with another value at a path.

    Raises:
        InputError: a config on the way has no such field, or refuses the value.
    """
    name, _, below = path.partition(".")
    current = getattr(config, _check_field(config, name))
    value = change_field(current, below, value) if below else value
    return dataclasses.replace(config, **{name: value})


def parse_value(text: str) -> Any:
    """A value as a command line has it: JSON's, several with commas between them, or a word."""
    try:
        value = json.loads(text.lower() if text in ("True", "False") else text)
    except (ValueError, RecursionError):
        parts = text.strip("()").split(",") if "," in text else []
        return tuple(parse_value(part) for part in parts if part) or text
    return tuple(value) if isinstance(value, list) else value


def _check_field(config: Any, name: str) -> str:
    """A field's name, if a config has it."""
    names = [field.name for field in dataclasses.fields(config)] if _is_config(config) else []
    if name not in names:
        has = f"expected one of {', '.join(names)}" if names else "it has no fields"
        raise InputError(f"no field {name!r} in a {type(config).__name__}: {has}")
    return name


def _is_config(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)
