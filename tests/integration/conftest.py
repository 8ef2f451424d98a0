"""Shared by the tests of several devices and workers."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from keras_vaegan.commands import phantom
from keras_vaegan.phantom.rendering import PhantomSet, write_phantom_folders


@pytest.fixture(scope="session")
def processes():
    """`processes.py` of this folder."""
    path = Path(__file__).parent / "processes.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Images for three families, cases for the fourth: `worker.py`'s IMAGES+CASES."""
    folder = tmp_path_factory.mktemp("data")
    write_phantom_folders(folder / "images", PhantomSet(count=12, size=32))
    settings = ["--out", folder / "cases", "--kind", "brats", "--count", 4, "--size", 32]
    phantom.main([str(part) for part in settings])
    return f"{folder / 'images'}+{folder / 'cases'}"
