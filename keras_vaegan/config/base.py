"""What every config is: a frozen dataclass whose values are checked, and its JSON."""

from __future__ import annotations

import dataclasses
import functools
import json
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass
from typing_extensions import dataclass_transform

from keras_vaegan.errors import InputError, first_line

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Side = Annotated[int, Field(ge=16, le=4096)]  # of a square image, in pixels
Weight = Annotated[float, Field(ge=0)]
Rate = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(ge=0, lt=0.5)]
Filters = Annotated[tuple[Positive, ...], Field(min_length=1, max_length=16)]

VALUE_RANGES = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}  # by output activation

_KINDS: dict[str, type] = {}
_LIMITS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
_Kind = TypeVar("_Kind", bound=type)
_Config = TypeVar("_Config", bound="DataclassInstance")


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def frozen_config(kind: _Kind) -> _Kind:
    """Make a class a frozen, checked dataclass that `config_from_dict` knows by its name.

    Types are strict (no "3", 3.0 or True for 3) and ranges those of the annotations; what the
    class cannot say by annotations it refuses in `__post_init__`. Either way building one raises
    `InputError`. A class whose files of earlier versions differ has `upgrade(fields) -> fields`.
    """
    settings = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    checked: Any = checked_dataclass(frozen=True, config=settings)(kind)
    build = checked.__init__

    @functools.wraps(build)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            build(self, *args, **kwargs)
        except ValidationError as error:
            raise InputError(_describe(error)) from error

    checked.__init__ = init
    _KINDS[checked.__name__] = checked
    return checked


def resolve_config(kind: type[_Config], config: _Config | None, fields: dict) -> _Config:
    """One config from either calling style: a config, its fields as keywords, or both.

    Raises:
        InputError: a config of another kind, or fields that it refuses.
    """
    if config is None:
        return kind(**fields)
    if not isinstance(config, kind):
        raise InputError(f"got a {type(config).__name__}: expected a {kind.__name__}")
    return dataclasses.replace(config, **fields)


def require(condition: bool, name: str, value: Any, expected: str) -> None:
    """Refuse a value with the one line that says what was expected."""
    if not condition:
        raise InputError(f"{name}={value!r:.200}: expected {expected}")


def retire(fields: dict, kept: dict[str, Any]) -> dict:
    """Drop fields that earlier versions had, where they hold the only value that is left.

    Args:
        fields: As read from a file.
        kept: That value by name of the field.

    Raises:
        InputError: a field holds another value.
    """
    for name, value in kept.items():
        if name in fields:
            require(fields[name] == value, name, fields[name], f"{value!r}, the only one today")
    return {name: value for name, value in fields.items() if name not in kept}


def pop_count(fields: dict, name: str, default: int | None = None) -> int:
    """Take a whole number that earlier versions had out of fields as read from a file.

    Raises:
        InputError: it is missing without a default, or no whole number of at least 0.
    """
    value = fields.pop(name, default)
    require(type(value) is int and value >= 0, name, value, "a whole number of at least 0")
    return value


def config_to_dict(config: Any) -> dict:
    """Turn a config into JSON-ready data; each dataclass carries its class name as "kind"."""
    result: dict[str, Any] = {"kind": type(config).__name__}
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if dataclasses.is_dataclass(value):
            value = config_to_dict(value)
        result[item.name] = list(value) if isinstance(value, tuple) else value
    return result


def config_from_dict(data: Any) -> Any:
    """Rebuild a config from `config_to_dict`'s data, of this version or an earlier one.

    Raises:
        InputError: unknown kind or field, or a value that the config refuses.
    """
    name = data.get("kind") if isinstance(data, dict) else None
    if not isinstance(name, str) or name not in _KINDS:
        raise InputError(f"unknown config kind {name!r:.200}: expected one of {', '.join(_KINDS)}")
    kind = _KINDS[name]
    fields = {key: value for key, value in data.items() if key != "kind"}
    try:
        fields = getattr(kind, "upgrade", dict)(fields)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"a damaged {name} of an earlier version ({first_line(error)}): expected all its fields"
        ) from error
    values = {
        key: config_from_dict(value)
        if isinstance(value, dict)
        else tuple(value)
        if isinstance(value, list)
        else value
        for key, value in fields.items()
    }
    return kind(**values)


def config_to_json(config: Any) -> str:
    """Write a config as indented JSON text."""
    return json.dumps(config_to_dict(config), indent=2)


def _describe(error: ValidationError) -> str:
    """The first of pydantic's errors in one line: what was received, what was expected."""
    first = error.errors()[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InputError):
        return str(cause)
    name = ".".join(str(part) for part in first["loc"]) or error.title
    limits = [f"{_LIMITS[k]} {v}" for k, v in first.get("ctx", {}).items() if k in _LIMITS]
    expected = " and ".join(limits) or first["msg"].removeprefix("Input should be ")
    if first["type"] == "unexpected_keyword_argument":
        return f"{error.title} has no field {name!r:.200}: drop it"
    return f"{name}={first['input']!r:.200}: expected {expected}"
