"""Reference pages of the commands, from their options alone."""

from __future__ import annotations

import importlib
import inspect
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from keras_vaegan.__main__ import COMMANDS, PROGRAM
from keras_vaegan.commands import shell

SECTIONS = ("Args:", "Returns:", "Raises:")
WORDS = {Path: "path", int: "whole number", float: "number", str: "text", bool: "flag"}
COUNTS = {2: "two", 3: "three"}


def write_command_pages() -> dict[str, str]:
    """Every command's page, and the list of all, by their place in the site."""
    lines = [
        "# Command options",
        "",
        f"`{PROGRAM} X` is the same as `python -m keras_vaegan.X`. What the commands do and how "
        "they fit together: [Commands](../../commands.md). These pages list every option.",
        "",
        "| command | what it does |",
        "|---|---|",
        *(f"| [{name}]({name}.md) | {summary} |" for name, summary in COMMANDS.items()),
    ]
    pages = {"index": "\n".join(lines)}
    pages |= {name: write_command_page(name, summary) for name, summary in COMMANDS.items()}
    return {f"reference/commands/{name}.md": text for name, text in pages.items()}


def write_command_page(name: str, summary: str) -> str:
    """One command's page: usage, what it does, and its options.

    Args:
        name: The command.
        summary: What it does, in a phrase.
    """
    command = importlib.import_module(f"keras_vaegan.commands.{name}").main.args[0]
    lines = [f"# {name}", ""]
    if isinstance(command, dict):
        lines += [f"{summary[:1].upper()}{summary[1:]}.", ""]
        for action, function in command.items():
            lines += [f"## {action}", "", *_describe(function, f"{PROGRAM} {name} {action}")]
    else:
        lines += _describe(command, f"{PROGRAM} {name}")
    lines += [f"How it is used: [Commands](../../commands.md#{name})."]
    return "\n".join(lines)


def _describe(function: Callable, call: str) -> Iterator[str]:
    """Usage, text and options of one function, line by line."""
    app = shell._build_app(function, call)
    arguments = [
        argument
        for argument in app.assemble_argument_collection(parse_docstring=True)
        if argument.parse and not argument.children
    ]
    yield from (*_read_text(function), "")
    yield from ("```text", _write_usage(arguments, call), "```", "")
    for argument in sorted(arguments, key=lambda argument: not argument.required):
        meaning = " ".join((argument.parameter.help or "").split())
        default = "**required**" if argument.required else _write_default(argument)
        facts = ", ".join(filter(None, (_write_type(argument.hint), default)))
        yield from (f"`{shell._name(argument)}` {facts}", f":   {meaning}", "")


def _write_usage(arguments: list[Any], call: str) -> str:
    """How the command is called, with what it cannot do without."""
    words = []
    for argument in arguments:
        name = shell._name(argument)
        if argument.required:
            words.append(f"{name} PATH" if name.startswith("--") else name)
    return " ".join([call, *words, "[OPTIONS]"])


def _read_text(function: Callable) -> list[str]:
    """A function's docstring up to its first section."""
    lines = (inspect.getdoc(function) or "").splitlines()
    end = next((i for i, line in enumerate(lines) if line in SECTIONS), len(lines))
    return lines[:end]


def _write_default(argument: Any) -> str:
    """An option's value where it is not given."""
    default = argument.field_info.default
    return "" if default in (None, False, ()) else f"default `{default}`"


def _write_type(hint: Any) -> str:
    """What an option takes, in words."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _write_type(next(part for part in inner if part is not type(None)))
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin is tuple:
        word = WORDS[inner[0]]
        return f"{word}, repeatable" if inner[-1] is ... else f"{COUNTS[len(inner)]} {word}s"
    return WORDS[hint]
