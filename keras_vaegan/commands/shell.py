"""The shell around every command: options and YAML files in, one-line errors and statuses out."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import tempfile
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml
from cyclopts import App, CycloptsError, Parameter
from cyclopts.config import Dict

from keras_vaegan.errors import InputError, TrainingDiverged, first_line

BAD_INPUT = 2
DIVERGED = 3
INTERRUPTED = 130
BROKEN_PIPE = 141
MISSING = "missing "
QUIET_TENSORFLOW = {"TF_CPP_MIN_LOG_LEVEL": "3", "GRPC_VERBOSITY": "ERROR"}


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class CommandOptions:
    """What every command's dataclass of options inherits; its fields become `--options`."""

    config: Path | None = None
    """YAML file of options by name; those of the command line win, --no-NAME against `true`."""


def read_pairs(items: Sequence[str], option: str, example: str) -> dict[str, str]:
    """NAME=VALUE items of an option that repeats, as a dict.

    Raises:
        InputError: an item is no such pair.
    """
    pairs = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not (name and equals and value):
            raise InputError(f"{option} {item!r}: expected NAME=VALUE, such as {example}")
        pairs[name] = value
    return pairs


def run(
    command: Callable[..., Any] | Mapping[str, Callable[..., Any]],
    argv: Sequence[str] | None = None,
    *,
    prog: str,
) -> int:
    """Run a command with arguments from the command line.

    Args:
        command: A function of some `CommandOptions`, whose docstring is the help text; other
            parameters are positional arguments. Or such functions by the name of their action.
            A function raises `InputError` for a user's mistake and may return an exit status;
            anything else it returns counts as success.
        argv: Arguments without the program's name; None takes `sys.argv[1:]`.
        prog: Program name in help and errors.

    Returns:
        The exit status.

    Raises:
        SystemExit: status 2 after bad arguments or an `InputError`, with one line on standard
            error; 3 with one after a training that diverged; 130 after Ctrl-C.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    try:
        if isinstance(command, Mapping) and not argv:
            raise InputError(
                f"no action given: expected {' or '.join(command)}; run `{prog} --help`"
            )
        app = _build_app(command, prog, negatives="--help" not in argv)
        call, bound, _ = app.parse_args(argv, print_error=False, exit_on_error=False)
        result = call(*bound.args, **bound.kwargs)
    except CycloptsError as error:
        fail(f"{_describe(error)}; run `{prog} --help` for what is expected")
    except InputError as error:
        fail(str(error))
    except TrainingDiverged as error:
        fail(str(error), DIVERGED)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # whoever read the output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(BROKEN_PIPE)
    return result if isinstance(result, int) else 0


def fail(message: str, status: int = BAD_INPUT) -> NoReturn:
    """Print `error: message` as one line on standard error and exit."""
    print("error:", " ".join(message.split()), file=sys.stderr)
    sys.exit(status)


def import_backend() -> None:
    """Import Keras and its backend, TensorFlow without what it prints before any log level counts.

    A command calls this once its options are known to be good.

    Raises:
        InputError: KERAS_BACKEND names no backend, or one that is not installed.
    """
    name = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if name == "tensorflow":
        import_tensorflow()
    try:
        importlib.import_module("keras")
    except (ImportError, ValueError) as error:
        raise InputError(
            f"KERAS_BACKEND={name} cannot be used ({first_line(error)}): expected tensorflow or "
            "jax, installed; `pip install 'keras_vaegan[jax]'` adds JAX"
        ) from error


def import_tensorflow() -> None:
    """Import TensorFlow as `import_backend` does.

    Raises:
        InputError: it is not installed, or another backend is chosen.
    """
    chosen = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if chosen != "tensorflow":
        raise InputError(
            f"KERAS_BACKEND={chosen}: expected tensorflow for this command; unset KERAS_BACKEND"
        )
    for name, value in QUIET_TENSORFLOW.items():
        os.environ.setdefault(name, value)
    if "tensorflow" in sys.modules:
        return
    try:
        with hold_back_stderr():
            import tensorflow
    except ImportError as error:
        raise InputError(
            "TensorFlow is not installed: expected it, or KERAS_BACKEND=jax with JAX"
        ) from error
    tensorflow.get_logger().setLevel("ERROR")  # it warns of every new image size


@contextmanager
def hold_back_stderr() -> Iterator[None]:
    """Hold back what lands in file descriptor 2; show it only if the block fails unforeseen."""
    sys.stderr.flush()
    visible = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except InputError:  # which says all
            raise
        except BaseException:
            held.seek(0)
            os.write(visible, held.read())
            raise
        finally:
            os.dup2(visible, 2)
            os.close(visible)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a command's options from a file.

    Args:
        path: YAML file: options by name, with dashes or underscores.

    Returns:
        Values by name with dashes; those that are null are left out.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"cannot read --config {path}: {error.strerror}; expected a YAML file of options"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"--config {path} is broken: {error}; expected YAML") from error
    if not isinstance(data, dict):
        raise InputError(
            f"--config {path} holds {type(data).__name__}: expected options by name, such as "
            "`steps: 100`"
        )
    return {str(k).replace("_", "-"): value for k, value in data.items() if value is not None}


def _describe(error: CycloptsError) -> str:
    """What is wrong with the arguments, in one phrase."""
    message = str(error).rstrip(".?")
    unknown = [token for token in error.unused_tokens or () if token.startswith("--")]
    if message.startswith(MISSING) and unknown:
        message += f", got the unknown {unknown[0]}"
    return f"{message[:1].lower()}{message[1:]}"


def _build_app(
    command: Callable | Mapping[str, Callable], prog: str, negatives: bool = True
) -> App:
    """A command, or several under their names, as a parser; the help leaves --no-NAME out."""
    app = App(
        name=prog,
        version_flags=[],
        default_parameter=Parameter(
            negative_bool=("no-",) if negatives else (),
            negative_iterable=(),
            negative_none=(),
            allow_repeating=True,  # the last one wins
            show_default=lambda value: None if value is False or value == () else value,
        ),
        config=_add_file,
        result_action="return_value",
    )
    app["--help"].show = False
    if callable(command):
        app.default(command)
    else:
        for name, function in command.items():
            app.command(function, name=name)
            app[name]["--help"].show = False
    return app


def _add_file(app: App, commands: tuple[str, ...], arguments: Any) -> None:
    """Add the options of the file that --config names, and check what all of them hold."""
    given = [token.value for a in arguments if "--config" in a.names for token in a.tokens]
    if given:
        options = read_yaml(Path(given[-1]))
        _check_names(options, given[-1], arguments)
        Dict(options, source=given[-1], use_commands_as_keys=False)(app, commands, arguments)
    leaves = [a for a in arguments if a.parse and not a.children]
    missing = [_name(a) for a in leaves if a.required and not a.has_tokens]
    if missing:
        expected = ("it", "both", "all of them")[min(len(missing), 3) - 1]
        raise CycloptsError(msg=f"{MISSING}{', '.join(missing)}: expected {expected}")
    for argument in arguments:
        if int not in (argument.hint, *typing.get_args(argument.hint)):
            continue
        for token in argument.tokens:
            if not token.value.lstrip("-").isdecimal():
                origin = "" if token.source == "cli" else f" in {token.source}"
                raise InputError(f"{argument.name} {token.value}{origin}: expected a whole number")


def _name(argument: Any) -> str:
    """An argument as the user types it: --out, or FILE where it has its place."""
    positional = argument.field_info.is_positional and not argument.field_info.is_keyword_only
    return argument.name.lstrip("-").upper() if positional else argument.name


def _check_names(options: dict[str, Any], file: str, arguments: Any) -> None:
    """Refuse a name of a file that no option has, or another file's."""
    if "config" in options:
        raise InputError(
            f"{file} names a file by config: expected options alone; move the other file's here"
        )
    names = {name.lstrip("-") for a in arguments for name in {*a.names} - {*a.negatives}}
    for name in options:
        if name not in names:
            close = difflib.get_close_matches(name, names, 1)
            expected = close[0] if close else "an option's name, as --help lists them"
            raise InputError(f"unknown option {name} in {file}: expected {expected}; correct it")
