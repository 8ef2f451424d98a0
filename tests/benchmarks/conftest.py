"""The scripts of `benchmarks/`, which import one another by their folder."""

import importlib
import sys

import pytest


@pytest.fixture(scope="package")
def load_benchmark(repository):
    """Import a script of `benchmarks/` by its name."""
    folder = str(repository / "benchmarks")
    sys.path.insert(0, folder)
    yield importlib.import_module
    sys.path.remove(folder)
