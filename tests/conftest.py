"""Shared by all tests: a quiet TensorFlow on the CPU, and the folder of real data."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("MPLBACKEND", "Agg")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout's root."""
    return REPOSITORY


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data: `KERAS_VAEGAN_REAL_DATA`, or `../shared/data` beside the checkout.

    A relative path counts from the checkout's root.
    """
    folder = REPOSITORY / os.environ.get("KERAS_VAEGAN_REAL_DATA", "../shared/data")
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set KERAS_VAEGAN_REAL_DATA")
    return folder.resolve()


@pytest.fixture(scope="session")
def real_images(real_data: Path) -> Path:
    """The real CT and MRI images: the folder of trainA, trainB, testA and testB."""
    folder = real_data / "ct-to-mri-cgan" / "Dataset" / "images"
    if not folder.is_dir():
        pytest.skip(f"no images at {folder}")
    return folder


@pytest.fixture(scope="session")
def torch_rrdbnet():
    """The PyTorch peer of RRDBNet, `tests/torch_rrdbnet.py`."""
    pytest.importorskip("torch", reason="PyTorch is not installed")
    path = REPOSITORY / "tests" / "torch_rrdbnet.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def reference_python() -> str:
    """The Python of a TensorFlow 2.15 environment, `KERAS_VAEGAN_REFERENCE_PYTHON`."""
    python = os.environ.get("KERAS_VAEGAN_REFERENCE_PYTHON")
    if not python:
        pytest.skip("KERAS_VAEGAN_REFERENCE_PYTHON names no TensorFlow 2.15 environment")
    return python
