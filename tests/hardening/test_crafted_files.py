"""A few crafted files of each kind: one line, at once, and little memory; honest ones still load.

All of them, a thousand and more, are tried by `benchmarks/fuzz_readers.py`.
"""

from __future__ import annotations

import importlib.util
import resource
import time
from pathlib import Path

import pytest

from keras_vaegan.errors import InputError

FOLDER = Path(__file__).parent
SECONDS, BYTES = 5, 2**30
CASES = {
    "config_files": (
        "vae seed []", "vae seed 2**63", "vae kernel_sizes [2.5]", "vae kernel_sizes [-1]",
        "vae filters [2.5]", "rrdbnet residual_scale inf", "modality data percentiles nan",
        "vae filters 40 levels", "resnet filters 1e4 ones", "vae num_residual_blocks 1e5 ones",
        "rrdbnet of 3,000 blocks", "discriminator of depth 20,000", "2**40 pixels",
        "modality of 10**6 neighbours", "run of 0.1",
    ),
    "h5_files": (
        "one layer under 9,000 names", "a layer name of 5 MB", "9,000 pieces of names",
        "1,000,000 chunks", "claims of 2**40 values",
        "model of 9,000 relus", "model of 49,999 calls", "config of 5 MB", "a soft link",
        "an external file",
    ),
    "nifti_files": (
        "honest", "honest, gzip", "honest, version 2", "1 vox_offset[0] inf", "1 vox_offset[0] nan",
        "2 dim[1] 2**62", "1 dim[1] 32767", "bomb of 32767 cubed", "bomb after the image, 64 MB",
        "extensions, gzip bomb",
    ),
    "image_files": (
        "honest .png", "honest .jpg", "honest .tif", "honest .bmp", "honest 16-bit .tif",
        "PNG header 20000x20000", "PNG header 1000000x1000", "JPEG header 65500x65500",
        "TIFF header 32000x32000", "BMP header 32000x32000", "TIFF of 50,000 entries",
        "PNG of text bombs",
    ),
    "torch_files": (
        "honest, legacy", "tensors that require grad", "a sparse tensor",
        "expanded conv_hr.weight of 2**40", "150 blocks", "blocks numbered 1000000",
        "deflated zeros of 64 MB", "a record of 4 bytes for 2**30 values", "strides past the end",
    ),
    "dicom_files": (
        "honest", "honest, deflated", "Rows 65535, Columns 65535", "RLE of 65535 x 65535",
        "Rows is missing", "6 GB of empty elements", "6 GB of pixels", "an open element of 6 GB",
        "honest, JPEG", "honest, JPEG2000", "JPEG of 65,000 x 65,000",
        "JPEG2000 of 65,000 x 65,000", "RLE of 1 GB",
    ),
}  # fmt: skip
LOADED = ("honest", "tensors that require grad")


def load_module(kind):
    """A kind's generator."""
    if kind == "torch_files":
        pytest.importorskip("torch", reason="PyTorch is not installed")
    spec = importlib.util.spec_from_file_location(kind, FOLDER / f"{kind}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore")  # of PyTorch, on the tensors that it takes for a case
@pytest.mark.parametrize("kind", CASES)
def test_crafted_files_are_refused_at_once(tmp_path, kind):
    module = load_module(kind)
    cases = module.list_cases()
    for name in CASES[kind]:
        path = tmp_path / f"{name.replace('/', ' ')[:40]}{module.SUFFIX}"
        cases[name](path)
        before, begin = read_peak(), time.process_time()
        try:
            module.read(path)
            outcome = ""
        except InputError as error:
            outcome = str(error)
        assert (outcome == "") == name.startswith(LOADED), name
        assert "\n" not in outcome and len(outcome) < 1000, name
        assert time.process_time() - begin < SECONDS, name
        assert read_peak() - before < BYTES, name


def read_peak():
    """The most bytes that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
