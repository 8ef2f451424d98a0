"""The wheel: all of the package and its weights, nothing else, and it works where it lands."""

from __future__ import annotations

import ast
import configparser
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

BUILD = "from setuptools.build_meta import build_wheel; build_wheel('.')"
UNSEEN = {"tensorboard"}  # keras.callbacks.TensorBoard imports it
MODULES = {
    "opencv-python-headless": "cv2",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
    "pillow": "PIL",
    "pyyaml": "yaml",
}


def run(code: str, folder: Path, **options) -> str:
    """Run Python in a folder; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(repository, tmp_path_factory) -> Path:
    """The unpacked wheel of a copy of the checkout."""
    source = tmp_path_factory.mktemp("source")
    leave = shutil.ignore_patterns("__pycache__")
    for folder in ("keras_vaegan", "weights"):
        shutil.copytree(repository / folder, source / folder, ignore=leave)
    for file in ("setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(repository / file, source)
    run(BUILD, source)
    unpacked = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(next(source.glob("*.whl"))) as archive:
        archive.extractall(unpacked)
    return unpacked


def list_files(folder: Path, *suffixes: str) -> set[str]:
    """Paths of the files below a folder; only some, where suffixes are given."""
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
        if not suffixes or path.suffix in suffixes
    }


def test_the_wheel_holds_the_package_and_its_weights(repository, wheel):
    tops = {path.name.split("-")[0] for path in wheel.iterdir()}
    assert tops == {"keras_vaegan"}
    files = list_files(wheel / "keras_vaegan")
    weights = {name for name in files if name.startswith("pretrained/")}
    assert files - weights == list_files(repository / "keras_vaegan")
    shipped = list_files(repository / "weights", ".h5", ".json")
    assert {name.removeprefix("pretrained/") for name in weights} == shipped


def test_an_installed_wheel_finds_its_weights(repository, wheel, tmp_path):
    code = "import sys, keras_vaegan.__main__ as m; sys.exit(m.main(['weights']))"
    told = run(code, tmp_path, env={"PYTHONPATH": str(wheel), "PATH": ""})
    assert told.startswith("wrote weights: ")
    shipped = list_files(repository / "weights", ".h5", ".json")
    assert list_files(tmp_path / "weights") == shipped


def test_every_dependency_is_imported(repository):
    config = configparser.ConfigParser()
    config.read(repository / "setup.cfg")
    lines = config["options"]["install_requires"].split()
    names = {re.split(r"[<>=]", line)[0] for line in lines}
    imported: set[str] = set()
    for path in (repository / "keras_vaegan").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").split(".")[0])
    assert {name for name in names if MODULES.get(name, name) not in imported} == UNSEEN
