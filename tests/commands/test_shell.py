"""The command shell: options from signatures, one-line errors, exit statuses."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from keras_vaegan import __main__ as shell
from keras_vaegan.commands import shell
from keras_vaegan import __version__
from keras_vaegan.errors import InputError


@dataclass(frozen=True)
class Options:
    """Do something to a folder."""

    data: Path
    """Folder to read."""
    steps: int | None = None
    direction: Literal["mri2ct", "ct2mri"] = "mri2ct"
    resume: bool = False

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise InputError(f"steps is {self.steps}: expected 1 or more; choose more")


def command(options: Options) -> Options:
    """Hand the options back."""
    return options


def plain(data: Path, count: int = 3, *, name: str = "x") -> tuple[Path, int, str]:
    """Hand the arguments back."""
    return data, count, name


def error_line(capsys, function, *argv: str) -> str:
    """Run a command that must fail with status 2, and return its only line of output."""
    with pytest.raises(SystemExit) as stop:
        cli.run(function, argv, prog="prog")
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    return err.strip()


def test_a_dataclass_parameter_gives_flat_options():
    bound = cli.parse(command, ["--data", "a b", "--steps", "4", "--resume"], "prog")
    assert bound() == Options(Path("a b"), steps=4, resume=True)


def test_a_signature_gives_options():
    assert cli.parse(plain, ["--data", "d", "--name", "y"], "prog")() == (Path("d"), 3, "y")


def test_parsing_does_not_call():
    def explode(data: str) -> None:
        raise AssertionError("called")

    cli.parse(explode, ["--data", "x"], "prog")


def test_arguments_default_to_the_command_line(monkeypatch):
    received = []

    def keep(data: str) -> None:
        received.append(data)

    monkeypatch.setattr(sys, "argv", ["prog", "--data", "from argv"])
    assert cli.run(keep) == 0
    assert received == ["from argv"]


@pytest.mark.parametrize(("returned", "status"), [(None, 0), (Path("x"), 0), (0, 0), (130, 130)])
def test_exit_status_of_a_command_that_returns(returned, status):
    assert cli.run(lambda: returned, []) == status


@pytest.mark.parametrize(
    ("argv", "received", "expected"),
    [
        ([], "missing", "--data PATH"),
        (["--data"], "'--data'", "Expected 1 value"),
        (["--data", "d", "--steps", "many"], "'many'", "INT"),
        (["--data", "d", "--steps", "1.5"], "'1.5'", "INT"),
        (["--data", "d", "--stps", "3"], "--stps, 3", "--steps"),
        (["--data", "d", "stray"], "stray", "--help"),
        (["--data", "d", "--direction", "up"], "'up'", "'mri2ct', 'ct2mri'"),
        (["--data", "d", "--steps", "0"], "steps is 0", "1 or more"),
    ],
)
def test_bad_arguments_become_one_line(capsys, argv, received, expected):
    line = error_line(capsys, command, *argv)
    assert received in line
    assert expected in line
    assert "`prog --help`" in line
    assert "default" not in line
    assert not set("│╭╮╰╯─\x1b") & set(line)


def test_bad_arguments_never_run_the_command(capsys):
    def explode(data: str, count: int = 1) -> None:
        raise AssertionError("called")

    error_line(capsys, explode, "--data", "d", "--count", "many")


def test_parser_text_of_another_form_still_becomes_one_line():
    line = cli.condense_parser_error("prog: error: something\nelse is wrong\n", "prog")
    assert "\n" not in line
    assert "else is wrong" in line
    assert cli.condense_parser_error("", "prog").count("\n") == 0


def test_input_error_becomes_one_line(capsys):
    def refuse() -> None:
        raise InputError("the folder x is empty:\n  expected images;\tadd some")

    line = error_line(capsys, refuse)
    assert line == "error: the folder x is empty: expected images; add some"


def test_ctrl_c_exits_with_130(capsys):
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stop:
        cli.run(interrupt, [])
    assert stop.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_bug_is_not_hidden():
    def bug() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cli.run(bug, [])


def test_help_goes_to_standard_output(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.run(command, ["--help"], prog="prog")
    assert stop.value.code == 0
    out, err = capsys.readouterr()
    assert err == ""
    for text in ("usage: prog", "Do something to a folder.", "--data PATH", "Folder to read."):
        assert text in out


def test_tensorflow_is_quiet_unless_the_user_says_otherwise(monkeypatch):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    monkeypatch.setenv("GRPC_VERBOSITY", "DEBUG")
    seen = {}
    cli.run(lambda: seen.update(os.environ), [])
    assert seen["TF_CPP_MIN_LOG_LEVEL"] == "3"
    assert seen["GRPC_VERBOSITY"] == "DEBUG"


def test_ascii_terminals_get_the_same_line():
    boxed = "╭─ Value error ───╮\n│ Error parsing --n: no. │\n│ ──────── │\n│ For help │\n╰───────╯"
    ascii_box = " Value error \n -------- \n  Error parsing --n: no. \n  -------- \n  For help "
    expected = "--n: no; run `prog --help` for what is expected"
    assert cli.condense_parser_error(boxed, "prog") == expected
    assert cli.condense_parser_error(ascii_box, "prog") == expected


def test_an_error_after_importing_tensorflow_is_one_line():
    code = (
        "from keras_vaegan.commands import shell
from keras_vaegan import errors\n"
        "def main():\n"
        "    import keras, tensorflow\n"
        "    keras.ops.ones((2, 2)) @ keras.ops.ones((2, 2))\n"
        "    raise errors.InputError('the only line')\n"
        "cli.run(main, [])\n"
    )
    environment = {k: v for k, v in os.environ.items() if k not in cli.QUIET_TENSORFLOW}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr == "error: the only line\n"
    assert done.returncode == 2


def test_chatter_is_shown_where_the_import_fails(capfd, monkeypatch, tmp_path):
    (tmp_path / "noisy_package.py").write_text("import os\nos.write(2, b'why')\n1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ZeroDivisionError), cli._quiet_import("noisy_package"):
        import noisy_package  # noqa: F401
    assert capfd.readouterr().err == "why"


def test_chatter_is_held_back_during_the_import_only(capfd, monkeypatch, tmp_path):
    (tmp_path / "chatty_package.py").write_text("import os\nos.write(2, b'hello')\nx = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    finders = list(sys.meta_path)
    with cli._quiet_import("chatty_package"):
        import chatty_package
    os.write(2, b"after")
    assert chatty_package.x == 1
    assert capfd.readouterr().err == "after"
    assert sys.meta_path == finders


def test_the_commands_exist():
    assert set(shell.COMMANDS) == {
        "train", "translate", "synthesize", "enhance", "evaluate", "export", "convert", "phantom",
        "download",
    }  # fmt: skip
    missing = [n for n in shell.COMMANDS if importlib.util.find_spec(f"keras_vaegan.{n}") is None]
    assert not missing


def test_shell_lists_the_commands(capsys):
    shell.main(["--help"])
    out = capsys.readouterr().out
    for name, summary in shell.COMMANDS.items():
        assert any(line.split() == [name, *summary.split()] for line in out.splitlines())


def test_shell_prints_its_version(capsys):
    shell.main(["--version"])
    assert capsys.readouterr().out == f"keras-vaegan {__version__}\n"


@pytest.mark.parametrize(
    ("argv", "received"),
    [
        (["trian"], "'trian'"),
        ([], "no command"),
        (["--data", "x"], "'--data'"),
        (["cli"], "'cli'"),
    ],
)
def test_shell_refuses_an_unknown_command(capsys, argv, received):
    with pytest.raises(SystemExit) as stop:
        shell.main(argv)
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith("error: ")
    assert received in err
    assert ", ".join(shell.COMMANDS) in err


def test_shell_hands_the_arguments_on(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["keras-vaegan"])
    monkeypatch.delitem(sys.modules, "keras_vaegan.commands.download", raising=False)
    with pytest.raises(SystemExit) as stop:
        shell.main(["download", "--ouch"])
    assert stop.value.code == 2
    assert "--ouch" in capsys.readouterr().err


@pytest.mark.parametrize("module", ["keras_vaegan", "keras_vaegan.commands.download"])
def test_a_bad_argument_ends_the_process_with_status_2(module):
    done = subprocess.run(
        [sys.executable, "-m", module, "--ouch"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
