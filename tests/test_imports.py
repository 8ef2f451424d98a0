"""What imports what: quick and free of TensorFlow where promised, and one way only."""

from __future__ import annotations

import ast
import importlib.util
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import keras_vaegan
from keras_vaegan.__main__ import COMMANDS

PACKAGE = Path(keras_vaegan.__file__).parent
HEAVY = ("tensorflow", "keras", "jax", "torch")
CPU_SECONDS = 1.0

# Which parts each part may import; every part may import itself and those of the first line.
BASE = {"errors", "files", "config"}
ALLOWED = {
    "errors": set(),
    "files": set(),
    "config": set(),
    "presets": set(),
    "cli": set(),
    "kernels": set(),
    "models": {"kernels"},
    "data": set(),
    "evaluation": {"data"},
    "checkpoints": {"models"},
    "trainers": {"models", "checkpoints", "data", "evaluation"},
    "enhancement": {"models", "checkpoints", "data"},
    "inference": {"models", "checkpoints", "trainers", "data", "enhancement"},
    "synthesis": {"models", "checkpoints", "trainers", "data"},
    "exporting": {
        "models",
        "checkpoints",
        "data",
        "enhancement",
        "inference",
        "synthesis",
        "__init__",
    },
}
COMMAND_PARTS = {*ALLOWED, *COMMANDS, "__init__"}
TENSORFLOW_FREE = (
    "models",
    "kernels/__init__.py",
    "kernels/plain.py",
    "trainers/losses.py",
    "checkpoints",
    "config",
)

RUNNER = """
import runpy, sys
sys.argv = {argv!r}
status = 0
try:
    {action}
except SystemExit as stop:
    status = stop.code or 0
print("LOADED", *sorted({heavy!r} & set(sys.modules)))
sys.exit(status)
"""


def run_and_measure(action: str, argv: list[str]) -> tuple[str, float]:
    """Run Python code in a new process; return its output and its user + system seconds."""
    code = RUNNER.format(argv=argv, action=action, heavy=set(HEAVY))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent,
        env={**os.environ, "COLUMNS": "100"}, check=False,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return done.stdout, seconds


def assert_light(action: str, argv: list[str]) -> str:
    """Check that code loads no heavy package and is quick at best of three; return its output."""
    best = float("inf")
    for _ in range(3):
        output, seconds = run_and_measure(action, argv)
        assert output.splitlines()[-1].split() == ["LOADED"]
        best = min(best, seconds)
        if best < CPU_SECONDS:
            break
    assert best < CPU_SECONDS, f"{best:.2f} s of CPU time"
    return output


def test_importing_the_package_is_light():
    assert_light("import keras_vaegan; dir(keras_vaegan); keras_vaegan.get_preset", ["python"])


def test_the_shell_is_light():
    output = assert_light(
        "runpy.run_module('keras_vaegan', run_name='__main__', alter_sys=True)",
        ["keras-vaegan", "--help"],
    )
    assert "usage: keras-vaegan" in output


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_light(name):
    if importlib.util.find_spec(f"keras_vaegan.{name}") is None:
        pytest.skip(f"keras_vaegan.{name} does not exist yet")
    output = assert_light(
        f"runpy.run_module('keras_vaegan.{name}', run_name='__main__', alter_sys=True)",
        [name, "--help"],
    )
    assert output.startswith("usage: ")
    assert "--help" in output


def test_public_names_load():
    for name in keras_vaegan.__all__:
        assert name in dir(keras_vaegan)
        home = keras_vaegan._HOMES.get(name)
        if home is None:
            assert getattr(keras_vaegan, name) is not None
            continue
        module = importlib.import_module(f"keras_vaegan.{home}")
        assert getattr(keras_vaegan, name) is getattr(module, name)


def test_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'build_nothing'"):
        _ = keras_vaegan.build_nothing
    assert not hasattr(keras_vaegan, "__wrapped__")


def modules() -> list[Path]:
    """Every module of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    """A file's path inside the package, as a test's name."""
    return path.relative_to(PACKAGE).as_posix()


def part_of(dotted: str) -> str:
    """The first name below the package: `keras_vaegan.models.blocks` -> `models`."""
    names = dotted.split(".")
    return names[1] if len(names) > 1 else "__init__"


def imported_names(tree: ast.AST) -> set[str]:
    """The dotted names of every module that a file imports, at the top or inside a function."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            if node.module == "keras_vaegan":
                names |= {resolve_from_package(alias.name) for alias in node.names}
            else:
                names.add(node.module)
    return names


def resolve_from_package(name: str) -> str:
    """The module behind `from keras_vaegan import name`."""
    home = keras_vaegan._HOMES.get(name, "")
    if not home and importlib.util.find_spec(f"keras_vaegan.{name}") is not None:
        home = name
    return f"keras_vaegan.{home}".rstrip(".")


@pytest.mark.parametrize("path", modules(), ids=module_name)
def test_imports_run_one_way(path):
    own = part_of("keras_vaegan." + module_name(path).removesuffix(".py").replace("/", "."))
    if own == "__init__":
        allowed = {"errors"}
    elif own == "__main__":
        allowed = {"cli", "__init__"}
    elif own in COMMANDS:
        allowed = COMMAND_PARTS
    elif own in BASE:
        allowed = {"errors", own}
    else:
        allowed = ALLOWED[own] | BASE | {own}
    names = imported_names(ast.parse(path.read_text()))
    parts = {part_of(n) for n in names if n.split(".")[0] == "keras_vaegan"}
    assert parts - allowed == set(), f"{module_name(path)} may import {sorted(allowed)}"


@pytest.mark.parametrize(
    "path",
    [p for p in modules() if module_name(p).startswith(TENSORFLOW_FREE)],
    ids=module_name,
)
def test_no_tensorflow_in(path):
    tree = ast.parse(path.read_text())
    roots = {name.split(".")[0] for name in imported_names(tree)}
    assert "tensorflow" not in roots
    assert not any(isinstance(node, ast.Name) and node.id == "tf" for node in ast.walk(tree))


def test_the_rules_see_a_forbidden_import():
    tree = ast.parse(
        "def f():\n    from keras_vaegan import CycleGAN, cli\n    import tensorflow as tf\n"
    )
    assert imported_names(tree) == {
        "keras_vaegan.systems.cyclegan.trainer",
        "keras_vaegan.commands.shell",
        "tensorflow",
    }
    assert part_of("keras_vaegan.systems.cyclegan.trainer") == "trainers"
    assert part_of("keras_vaegan") == "__init__"
