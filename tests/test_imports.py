"""What imports what: quick and free of TensorFlow where promised, and one way only."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

import keras_vaegan
from keras_vaegan.__main__ import COMMANDS

PACKAGE = Path(keras_vaegan.__file__).parent
HEAVY = ("tensorflow", "keras", "jax", "torch")

# A part may import itself, the parts of the lines above its own, and what ASIDE names.
LAYERS = (
    {"__init__", "errors"},
    {"files", "config", "progress"},
    {"kernels", "models", "losses", "data"},
    {"weights", "evaluation", "phantom"},
    {"interop"},
    {"training"},
    {"systems"},
    {"export"},
    {"app"},
    {"commands"},
    {"__main__", "door"},
)
ASIDE = {"__init__": {"errors"}, "models": {"kernels"}, "losses": {"kernels"}, "data": {"kernels"}}
REGISTRY = "systems/registry.py"  # the one file that knows every system
TENSORFLOW_ONLY = (
    "kernels/on_tensorflow.py",
    "training/backend/tensorflow*.py",
    "export/saved_model.py",
    "export/*_file.py",
    "systems/*/export.py",
    "systems/graph.py",
    "commands/shell.py",  # quietly, where it is the backend
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


def assert_light(action: str, argv: list[str]) -> str:
    """Check that code loads no heavy package in a new process; return what it printed."""
    code = RUNNER.format(argv=argv, action=action, heavy=set(HEAVY))
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=PACKAGE.parent,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].split() == ["LOADED"]
    return done.stdout


def test_importing_the_package_is_light():
    assert_light("import keras_vaegan as k; dir(k); k.get_preset; k.CycleGANConfig()", ["python"])


def test_the_shell_is_light():
    output = assert_light(
        "runpy.run_module('keras_vaegan', run_name='__main__', alter_sys=True)",
        ["keras-vaegan", "--help"],
    )
    assert "usage: keras-vaegan" in output


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_light(name):
    output = assert_light(
        f"runpy.run_module('keras_vaegan.{name}', run_name='__main__', alter_sys=True)",
        [name, "--help"],
    )
    assert output.startswith("Usage: ")


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


def find_layer(part: str) -> int:
    """The position of a part's line in LAYERS."""
    return next(i for i, layer in enumerate(LAYERS) if part in layer)


def find_own_part(path: Path) -> str:
    """The part that a file belongs to."""
    name = module_name(path)
    if name.removesuffix(".py").removesuffix("/__main__") in COMMANDS:
        return "door"
    return name.split("/")[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=module_name)
def test_imports_run_one_way(path):
    own = find_own_part(path)
    allowed = set().union({own}, ASIDE.get(own, set()), *LAYERS[: find_layer(own)])
    names = imported_names(ast.parse(path.read_text()))
    parts = {part_of(n) for n in names if n.split(".")[0] == "keras_vaegan"}
    assert parts - allowed == set(), f"{module_name(path)} may import {sorted(allowed)}"
    if own == "door":
        assert parts == {"commands"}


@pytest.mark.parametrize(
    "path", [p for p in modules() if module_name(p).startswith("systems/")], ids=module_name
)
def test_a_system_imports_nothing_of_another(path):
    if module_name(path) == REGISTRY:
        return
    shared = {f"systems/{p.stem}" for p in (PACKAGE / "systems").glob("*.py")}
    shared -= {REGISTRY.removesuffix(".py")}
    own = "/".join(module_name(path).removesuffix(".py").split("/")[:2])
    names = [n.split(".") for n in imported_names(ast.parse(path.read_text()))]
    systems = {"/".join(n[1:3]) for n in names if n[:2] == ["keras_vaegan", "systems"]}
    assert systems - shared <= {own}


@pytest.mark.parametrize(
    "path",
    [p for p in modules() if not any(fnmatch(module_name(p), o) for o in TENSORFLOW_ONLY)],
    ids=module_name,
)
def test_no_tensorflow_in(path):
    tree = ast.parse(path.read_text())
    roots = {name.split(".")[0] for name in imported_names(tree)}
    assert "tensorflow" not in roots
    assert not any(isinstance(node, ast.Name) and node.id == "tf" for node in ast.walk(tree))


def test_the_rules_see_a_forbidden_import():
    tree = ast.parse(
        "def f():\n    from keras_vaegan import CycleGAN, commands\n    import tensorflow as tf\n"
    )
    assert imported_names(tree) == {
        "keras_vaegan.systems.cyclegan.trainer",
        "keras_vaegan.commands",
        "tensorflow",
    }
    assert part_of("keras_vaegan.systems.cyclegan.trainer") == "systems"
    assert part_of("keras_vaegan") == "__init__"
