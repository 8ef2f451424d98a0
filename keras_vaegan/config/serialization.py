"""Configs as JSON: every dataclass carries its class name, so that a file tells what it is."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from keras_vaegan.errors import InputError

_KINDS: dict[str, type] = {}


def frozen_config(kind: type) -> type:
    """Make a class a frozen dataclass that `config_from_dict` knows by its name."""
    kind = dataclasses.dataclass(frozen=True)(kind)
    _KINDS[kind.__name__] = kind
    return kind


def config_to_dict(config: Any) -> dict:
    """Turn a config into JSON-ready data; each dataclass carries its class name as "kind"."""
    result: dict[str, Any] = {"kind": type(config).__name__}
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if dataclasses.is_dataclass(value):
            value = config_to_dict(value)
        result[item.name] = list(value) if isinstance(value, tuple) else value
    return result


def config_from_dict(data: dict) -> Any:
    """Rebuild a config from `config_to_dict`'s data.

    Raises:
        InputError: unknown kind or field, or a value that the config refuses.
    """
    kind = data.get("kind") if isinstance(data, dict) else None
    if kind not in _KINDS:
        raise InputError(f"unknown config kind {kind!r}: expected one of {', '.join(_KINDS)}")
    names = {item.name for item in dataclasses.fields(_KINDS[kind])}
    unknown = sorted(set(data) - names - {"kind"})
    if unknown:
        raise InputError(f"{kind} has no field {unknown[0]!r}: expected {', '.join(sorted(names))}")
    values = {
        name: config_from_dict(value)
        if isinstance(value, dict)
        else tuple(value)
        if isinstance(value, list)
        else value
        for name, value in data.items()
        if name != "kind"
    }
    try:
        return _KINDS[kind](**values)
    except TypeError as error:
        raise InputError(f"{kind} holds a value of the wrong type: {error}") from error


def config_to_json(config: Any) -> str:
    """Write a config as indented JSON text."""
    return json.dumps(config_to_dict(config), indent=2)
