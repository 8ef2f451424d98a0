"""The command shell: options from dataclasses and YAML files, one-line errors, exit statuses."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from keras_vaegan import __main__ as program
from keras_vaegan import __version__
from keras_vaegan.commands import shell
from keras_vaegan.errors import InputError, TrainingDiverged


@dataclass(frozen=True, kw_only=True)
class Options(shell.CommandOptions):
    """Options of `keep`."""

    data: Path
    """Folder to read."""
    batch_size: int | None = None
    weight: float = 1.0
    direction: Literal["mri2ct", "ct2mri"] = "mri2ct"
    resume: bool = False
    replace: tuple[str, ...] = ()


KEPT: list[Options] = []
NO_OPTIONS = shell.CommandOptions()


def keep(options: Options) -> None:
    """Do something to a folder.

    Raises:
        InputError: never.
    """
    KEPT.append(options)


def copy(source: Path, target: Path, options: shell.CommandOptions = NO_OPTIONS) -> int:
    """Copy a file.

    Args:
        source: File to read.
        target: File to write.
        options: None of its own.
    """
    KEPT.append((source, target))
    return 7


def parse(*argv: str) -> Options:
    """The options that `keep` gets."""
    assert shell.run(keep, argv, prog="prog") == 0
    return KEPT.pop()


def error_line(capsys, command, *argv: str) -> str:
    """Run a command that must fail with status 2, and return its only line of output."""
    with pytest.raises(SystemExit) as stop:
        shell.run(command, argv, prog="prog")
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert out == "" and KEPT == []
    assert err.startswith("error: ") and err.endswith("\n") and err.count("\n") == 1
    return err.strip()


def test_the_fields_of_a_dataclass_are_options():
    parsed = parse("--data", "a b", "--batch-size", "4", "--resume", "--replace=x", "--replace=y")
    assert parsed == Options(data=Path("a b"), batch_size=4, resume=True, replace=("x", "y"))
    assert parse("--data", "d", "--batch-size", "-1").batch_size == -1
    assert not parse("--data", "d", "--resume", "--no-resume").resume


def test_arguments_default_to_the_command_line(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["prog", "--data", "from argv"])
    assert shell.run(keep, prog="prog") == 0
    assert KEPT.pop().data == Path("from argv")


def test_actions_take_positional_arguments(capsys):
    actions = {"copy": copy, "keep": keep}
    assert shell.run(actions, ["copy", "a", "b"], prog="prog") == 7
    assert KEPT.pop() == (Path("a"), Path("b"))
    assert "copy or keep" in error_line(capsys, actions)
    assert "move" in error_line(capsys, actions, "move")
    assert "missing TARGET: expected it" in error_line(capsys, actions, "copy", "a")
    assert "missing SOURCE, TARGET: expected both" in error_line(capsys, actions, "copy")
    assert "c" in error_line(capsys, actions, "copy", "a", "b", "c")
    shell.run(actions, ["copy", "--help"], prog="prog")
    assert "SOURCE" in capsys.readouterr().out


@pytest.mark.parametrize(("returned", "status"), [(None, 0), (Path("x"), 0), (0, 0), (130, 130)])
def test_exit_status_of_a_command_that_returns(returned, status):
    assert shell.run(lambda: returned, [], prog="prog") == status


@pytest.mark.parametrize(
    ("argv", "received", "expected"),
    [
        ([], "missing --data", "expected it"),
        (["--data"], "--data", "requires an argument"),
        (["--data", "d", "--batch-size", "many"], "many", "whole number"),
        (["--data", "d", "--batch-size", "1.5"], "1.5", "whole number"),
        (["--data", "d", "--weight", "x"], '"x"', "float"),
        (["--data", "d", "--batch-sice", "3"], "--batch-sice", "--batch-size"),
        (["--dato", "d"], "missing --data", "unknown --dato"),
        (["--data", "d", "--no-data"], "--no-data", "unknown option"),
        (["--data", "d", "stray"], "stray", "--help"),
        (["--data", "d", "--direction", "up"], '"up"', '"mri2ct", "ct2mri"'),
    ],
)
def test_bad_arguments_become_one_line(capsys, argv, received, expected):
    line = error_line(capsys, keep, *argv)
    assert received in line and expected in line
    assert not set("│╭╮╰╯─\x1b") & set(line)


# -- --config ----------------------------------------------------------------------------------


def write_yaml(tmp_path, text: str | bytes) -> str:
    path = tmp_path / "options.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def test_a_file_gives_options_and_flags_win(tmp_path):
    path = write_yaml(
        tmp_path,
        "data: x\nbatch_size: 7\nresume: true\nreplace: [a, b]\nweight: null\ndirection: ct2mri\n",
    )
    from_file = Options(
        config=Path(path), data=Path("x"), batch_size=7, direction="ct2mri", resume=True,
        replace=("a", "b"),
    )  # fmt: skip
    assert parse("--config", path) == from_file
    parsed = parse("--config", path, "--batch-size", "9", "--data", "y", "--replace", "c")
    assert (parsed.batch_size, parsed.data, parsed.replace) == (9, Path("y"), ("c",))
    assert parsed.direction == "ct2mri" and parsed.resume
    assert not parse("--config", path, "--no-resume").resume
    assert parse("--config", write_yaml(tmp_path, "data: x\nbatch-size: 3")).batch_size == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("data: x\nbatch_sice: 7", ["unknown option batch-sice in", "expected batch-size"]),
        ("data: x\nmodes: 7", ["unknown option modes in", "as --help lists them"]),
        ("data: x\nno_resume: true", ["unknown option no-resume in", "expected resume"]),
        ("data: x\nconfig: other.yaml", ["names a file by config", "options alone"]),
        ("weight: 2.0", ["missing --data: expected it"]),
        ("data: x\nbatch_size: 1.5", ["--batch-size 1.5", "whole number"]),
        ("data: x\nbatch_size: [1, 2]", ["batch-size", "int"]),
        ("data: x\nbatch_size: {a: 1}", ["batch-size"]),
        ("data: x\nresume: maybe", ["resume", "maybe", "bool"]),
        ("data: x\ndirection: up", ["direction", "up", "ct2mri"]),
        ("data: [x, y]", ["data", "Path"]),
        ("3: x", ["3"]),
        ("- x", ["list", "options by name"]),
        ("", ["NoneType", "options by name"]),
        ("data: [", ["broken", "line 1"]),
        (b"\xff\x00", ["broken", "0xff"]),
    ],
)
def test_bad_files_become_one_line(capsys, tmp_path, text, words):
    line = error_line(capsys, keep, "--config", write_yaml(tmp_path, text))
    assert "options.yaml" in line or "missing" in line
    for word in words:
        assert word in line


def test_a_missing_file_becomes_one_line(capsys, tmp_path):
    for path in (tmp_path / "absent.yaml", tmp_path):
        line = error_line(capsys, keep, "--config", str(path))
        assert f"cannot read --config {path}" in line


# -- errors, interrupts, help ------------------------------------------------------------------


def test_input_error_becomes_one_line(capsys):
    def refuse() -> None:
        raise InputError("the folder x is empty:\n  expected images;\tadd some")

    line = error_line(capsys, refuse)
    assert line == "error: the folder x is empty: expected images; add some"


def test_ctrl_c_exits_with_130(capsys):
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stop:
        shell.run(interrupt, [], prog="prog")
    assert stop.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_training_that_diverged_ends_with_a_status_of_its_own(capsys):
    def diverge() -> None:
        raise TrainingDiverged("the loss is not finite\nat step 3")

    with pytest.raises(SystemExit) as stop:
        shell.run(diverge, [], prog="prog")
    assert stop.value.code == 3
    assert capsys.readouterr().err == "error: the loss is not finite at step 3\n"


def test_a_reader_that_has_gone_is_no_traceback():
    code = (
        "from keras_vaegan.commands import shell\n"
        "def main():\n"
        "    print('text', flush=True)\n"
        "    raise BrokenPipeError\n"
        "shell.run(main, [], prog='prog')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (shell.BROKEN_PIPE, b"text\n", b"")


def test_a_bug_is_not_hidden():
    def bug() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        shell.run(bug, [], prog="prog")


def test_help_goes_to_standard_output(capsys):
    assert shell.run(keep, ["--help"], prog="prog") == 0
    out, err = capsys.readouterr()
    assert err == "" and KEPT == []
    for text in ("Usage: prog", "Do something to a folder.", "--data PATH", "Folder to read."):
        assert text in out
    for clutter in ("--version", "--no-resume", "--empty-replace", "InputError", "\x1b"):
        assert clutter not in out


# -- a quiet TensorFlow ------------------------------------------------------------------------


def test_an_error_after_importing_tensorflow_is_one_line():
    code = (
        "from keras_vaegan import errors\n"
        "from keras_vaegan.commands import shell\n"
        "def main():\n"
        "    shell.import_tensorflow()\n"
        "    import keras\n"
        "    keras.ops.ones((2, 2)) @ keras.ops.ones((2, 2))\n"
        "    raise errors.InputError('the only line')\n"
        "shell.run(main, [], prog='prog')\n"
    )
    environment = {k: v for k, v in os.environ.items() if k not in shell.QUIET_TENSORFLOW}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr == "error: the only line\n"
    assert done.returncode == 2


def test_tensorflow_is_quiet_unless_the_user_says_otherwise(monkeypatch):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    monkeypatch.setenv("GRPC_VERBOSITY", "DEBUG")
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # as if it were loaded already
    shell.import_tensorflow()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "3"
    assert os.environ["GRPC_VERBOSITY"] == "DEBUG"


def test_chatter_is_held_back_unless_the_block_fails(capfd):
    with shell.hold_back_stderr():
        os.write(2, b"hello")
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"
    with pytest.raises(ZeroDivisionError), shell.hold_back_stderr():
        os.write(2, b"why")
        raise ZeroDivisionError
    assert capfd.readouterr().err == "why"


# -- keras-vaegan ------------------------------------------------------------------------------


def test_the_program_lists_the_commands(capsys):
    assert set(program.COMMANDS) == {
        "prepare", "train", "translate", "synthesize", "enhance", "evaluate", "export", "convert",
        "phantom", "download", "audit", "calibrate", "app", "demo", "weights",
    }  # fmt: skip
    assert program.main(["--help"]) == 0
    out = capsys.readouterr().out
    for name, summary in program.COMMANDS.items():
        assert any(line.split() == [name, *summary.split()] for line in out.splitlines())


def test_the_program_prints_its_version(capsys):
    assert program.main(["--version"]) == 0
    assert capsys.readouterr().out == f"keras-vaegan {__version__}\n"


@pytest.mark.parametrize(
    ("argv", "received"),
    [(["trian"], "'trian'"), ([], "no command"), (["--data"], "'--data'"), (["shell"], "'shell'")],
)
def test_the_program_refuses_an_unknown_command(capsys, argv, received):
    with pytest.raises(SystemExit) as stop:
        program.main(argv)
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1
    assert received in err and ", ".join(program.COMMANDS) in err


def test_the_program_hands_the_arguments_on(capsys):
    with pytest.raises(SystemExit) as stop:
        program.main(["download", "--ouch"])
    assert stop.value.code == 2
    assert "--ouch" in capsys.readouterr().err


@pytest.mark.parametrize("module", ["keras_vaegan", "keras_vaegan.download", "keras_vaegan.export"])
def test_a_bad_argument_ends_the_process_with_status_2(module):
    done = subprocess.run(
        [sys.executable, "-m", module, "--ouch"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
