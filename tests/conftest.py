"""Shared by all tests: a quiet TensorFlow on the CPU, and the folder of real data."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the package sets it, whoever imports first
# XLA's programs are run once or twice here: compiling them takes longer than all their work.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)


def pytest_collection_modifyitems(items) -> None:
    """Put files with many slow tests first, so that parallel workers end together."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


CHROMIUM_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def plain_graphs() -> None:
    """Run TensorFlow's graphs as they are traced; see `run_graphs_as_traced` in tiny.py."""
    load_module("tiny.py").run_graphs_as_traced()


@pytest.fixture(scope="session", autouse=True)
def silent_progress() -> None:
    """A slow machine writes no line of progress where a test expects silence."""
    from keras_vaegan import progress

    progress.SECONDS = 3600.0


@pytest.fixture
def eager_steps(monkeypatch) -> None:
    """Let trainers run operations as they come: tracing a step takes as long as six of them."""
    from keras_vaegan.training import trainer

    compile_trainer = trainer.Trainer.compile

    def compile_eagerly(self, *optimizers, **how) -> None:
        compile_trainer(self, *optimizers, **{"run_eagerly": True, **how})

    def infer(network):
        return lambda images: np.array(network(images, training=False))

    monkeypatch.setattr(trainer.Trainer, "compile", compile_eagerly)
    monkeypatch.setattr(trainer, "compile_inference", infer)


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


@pytest.fixture(scope="module")
def browser() -> Iterator:
    """One browser for all tests of a module: the system's Chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium on the PATH")
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def expect_refusal(capsys):
    """Run a command that must exit with status 2 and one line; return the line."""

    def expect(main, *argv) -> str:
        with pytest.raises(SystemExit) as caught:
            main([str(part) for part in argv])
        assert caught.value.code == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1 and lines[0].startswith("error: "), lines
        return lines[0]

    return expect


def draw_case_arrays(shape=(24, 30, 12), seed=0) -> dict[str, np.ndarray]:
    """Four contrasts of an ellipsoid with structure, int16, 0 outside."""
    rng = np.random.default_rng(seed)
    grid = np.meshgrid(*(np.linspace(-1, 1, side) for side in shape), indexing="ij")
    brain = sum((axis / 0.8) ** 2 for axis in grid) < 1
    base = 1 + 0.5 * np.sin(4 * grid[0]) + 0.3 * np.cos(5 * grid[1]) + 0.2 * grid[2]
    fluid = np.hypot(grid[0], grid[1]) < 0.2
    mixes = {"t1": (300, -150), "t1ce": (500, -300), "t2": (250, 600), "flair": (400, -350)}
    return {
        name: np.where(brain, 50 + gain * base + extra * fluid + rng.normal(0, 4, shape), 0).astype(
            "int16"
        )
        for name, (gain, extra) in mixes.items()
    }


@pytest.fixture
def write_case():
    """Write a case folder of small NIfTI files with given arrays, affine and names."""
    from keras_vaegan.data.nifti import write_nifti
    from keras_vaegan.data.volume import Volume

    def write(folder: Path, arrays=None, affine=None, names=None, seed=0) -> Path:
        arrays = draw_case_arrays(seed=seed) if arrays is None else arrays
        affine = np.diag([-1.0, -1.0, 1.0, 1.0]) if affine is None else affine
        for modality, values in arrays.items():
            name = (names or {}).get(modality, f"{folder.name}_{modality}.nii.gz")
            write_nifti(folder / name, Volume(values, affine))
        return folder

    write.draw = draw_case_arrays
    return write


def load_module(name: str):
    """A file of this folder that is no test."""
    path = REPOSITORY / "tests" / name
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def torch_rrdbnet():
    """The PyTorch peer of RRDBNet, `tests/torch_rrdbnet.py`."""
    pytest.importorskip("torch", reason="PyTorch is not installed")
    return load_module("torch_rrdbnet.py")


@pytest.fixture(scope="session")
def tiny():
    """Tiny configs of every trainer and batches for them, `tests/tiny.py`."""
    return load_module("tiny.py")


@pytest.fixture(scope="session")
def volumes():
    """Drawn heads and DICOM series of them, `tests/volumes.py`."""
    return load_module("volumes.py")


@pytest.fixture(scope="session")
def compiled_trainers():
    """Trainers of the tiny configs with their first states, by family; see `compiled_trainer`."""
    return {}


@pytest.fixture
def compiled_trainer(tiny, compiled_trainers):
    """Give a family's trainer as it was built; its step is compiled once a process.

    Whoever changes its stage or its optimizers builds a trainer of their own.
    """
    from keras_vaegan.systems.registry import build_trainer

    def get(family: str):
        if family not in compiled_trainers:
            trainer = build_trainer(tiny.TINY[family])
            start = {name: np.array(v) for name, v in trainer.state_variables().items()}
            compiled_trainers[family] = trainer, start
        trainer, start = compiled_trainers[family]
        for name, variable in trainer.state_variables().items():
            variable.assign(start[name])
        trainer.reset_metrics()
        trainer.stop_training = False
        return trainer

    return get


@pytest.fixture(scope="session")
def reference_python() -> str:
    """The Python of a TensorFlow 2.15 environment, `KERAS_VAEGAN_REFERENCE_PYTHON`."""
    python = os.environ.get("KERAS_VAEGAN_REFERENCE_PYTHON")
    if not python:
        pytest.skip("KERAS_VAEGAN_REFERENCE_PYTHON names no TensorFlow 2.15 environment")
    return python
