"""The shell around every command: arguments in, one-line errors and exit statuses out."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.abc
import importlib.util
import inspect
import io
import os
import re
import sys
import tempfile
import typing
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import tyro

from keras_vaegan.errors import InputError

BAD_INPUT = 2
INTERRUPTED = 130
QUIET_TENSORFLOW = {"TF_CPP_MIN_LOG_LEVEL": "3", "GRPC_VERBOSITY": "ERROR"}

_ANSI_CODE = re.compile(r"\x1b\[[0-9;]*m")
_HINTS = {"Perhaps you meant": "perhaps you meant", "Argument helptext": "expected"}
_RULE = re.compile(r"^[╭╰│]?[ ─]*[-─]{3,}[ │╮╯]*$|^╭─ ")  # also the box's edges


def run(
    function: Callable[..., Any], argv: Sequence[str] | None = None, prog: str | None = None
) -> int:
    """Run a command with arguments from the command line.

    The parameters of `function` become options. A single parameter annotated with a dataclass
    stands for its fields: `main(options: TrainOptions)` takes `--preset`, not `--options.preset`.

    Args:
        function: The command. It raises `InputError` for a user's mistake, and may return an exit
            status; anything else it returns counts as success.
        argv: Arguments without the program's name; None takes `sys.argv[1:]`.
        prog: Program name in help and errors; None derives it from how Python was started.

    Returns:
        The exit status.

    Raises:
        SystemExit: status 0 after `--help`; 2 after bad arguments or an `InputError`, with one
            line on standard error; 130 after Ctrl-C.
    """
    for name, value in QUIET_TENSORFLOW.items():
        os.environ.setdefault(name, value)
    argv = sys.argv[1:] if argv is None else list(argv)
    try:
        with _quiet_import("tensorflow"):
            result = parse(function, argv, prog or _program_name())()
    except InputError as error:
        fail(str(error))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    return result if isinstance(result, int) else 0


def parse(function: Callable[..., Any], argv: Sequence[str], prog: str) -> Callable[[], Any]:
    """Bind command-line arguments to `function` without calling it.

    Args:
        function, argv, prog: As in `run`.

    Returns:
        `function` with its arguments bound.

    Raises:
        InputError: the arguments do not fit.
        SystemExit: status 0 after `--help`.
    """
    options = _options_class(function)
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            parsed = tyro.cli(
                options or _binder(function),
                args=list(argv),
                prog=prog,
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise InputError(condense_parser_error(errors.getvalue(), prog)) from None
    return functools.partial(function, parsed) if options else parsed


def condense_parser_error(text: str, prog: str) -> str:
    """Turn the parser's boxed report into one line.

    Args:
        text: What tyro wrote to standard error: a titled box whose parts are set off by rules.
            Text of another form becomes one line as it is.
        prog: Program name, to point at its help.

    Returns:
        One line: what was received, what was expected, where to read on.
    """
    lines = [_ANSI_CODE.sub("", line).rstrip() for line in text.splitlines()]
    parts: list[list[str]] = [[]]
    for line in lines:
        if _RULE.match(line):
            parts.append([])
        else:
            parts[-1].append(line[2:].rstrip("│ "))
    parts = [part for part in parts[1:] if any(part)] or [lines]
    body = parts[0]
    summary = _first_paragraph(body)
    if summary.startswith("Missing from"):
        summary = "missing " + ", ".join(_option_lines(body))
    else:
        summary = summary.removeprefix("Error parsing ").rstrip(".")
        summary = summary[:1].lower() + summary[1:]
    for part in parts[1:]:
        lead = next((lead for lead in _HINTS if part and part[0].startswith(lead)), None)
        if lead:
            summary += f"; {_HINTS[lead]} {' or '.join(_option_lines(part))}"
    return f"{summary}; run `{prog} --help` for what is expected"


def fail(message: str) -> NoReturn:
    """Print `error: message` as one line on standard error and exit with status 2."""
    print("error:", " ".join(message.split()), file=sys.stderr)
    sys.exit(BAD_INPUT)


def _first_paragraph(lines: Sequence[str]) -> str:
    """Join the lines up to the first blank one."""
    words: list[str] = []
    for line in lines:
        if not line.strip():
            if words:
                break
            continue
        words += line.split()
    return " ".join(words)


def _option_lines(lines: Sequence[str]) -> list[str]:
    """Pick the lines that name an option, such as `--data PATH`; help text is indented deeper."""
    return [" ".join(line.split()) for line in lines if re.match(r" {4}[^ (]", line)]


def _options_class(function: Callable[..., Any]) -> type | None:
    """Find the dataclass that is a function's only parameter."""
    if inspect.isclass(function):
        return None
    parameters = inspect.signature(function).parameters
    if len(parameters) != 1:
        return None
    hint = typing.get_type_hints(function).get(next(iter(parameters)))
    return hint if inspect.isclass(hint) and dataclasses.is_dataclass(hint) else None


def _binder(function: Callable[..., Any]) -> Callable[..., Callable[[], Any]]:
    """Make a function of the same signature that binds its arguments instead of running."""

    @functools.wraps(function)
    def bind(*args, **kwargs):
        return functools.partial(function, *args, **kwargs)

    return bind


class _QuietFinder(importlib.abc.MetaPathFinder):
    """Import hook that holds back what one package prints to file descriptor 2 as it loads.

    TensorFlow's C++ code reports its CPU and GPU libraries there before any log level counts.
    """

    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(self, fullname, path=None, target=None):
        """Find the package as usual, and wrap its execution."""
        if fullname != self.package:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module
            spec.loader.exec_module = lambda module: _call_quietly(execute, module)
        return spec


@contextlib.contextmanager
def _quiet_import(package: str) -> Iterator[None]:
    """Hold back what `package` prints, should it be imported for the first time in this block."""
    finder = _QuietFinder(package)
    if package not in sys.modules:
        sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)


def _call_quietly(function: Callable[..., Any], *args: Any) -> None:
    """Call a function with file descriptor 2 held back; show what came only if the call fails."""
    sys.stderr.flush()
    visible = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            function(*args)
        except BaseException:
            held.seek(0)
            os.write(visible, held.read())
            raise
        finally:
            os.dup2(visible, 2)
            os.close(visible)


def _program_name() -> str:
    """Name the running program as the user would type it."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is None:
        return Path(sys.argv[0]).name
    return f"python -m {spec.name.removesuffix('.__main__')}"
