"""Weight files of TensorFlow 2.15 and tensorflow-addons 0.23, both ways.

The golden files were written by `keras2.py write golden unet_group judge_none nested` in that
environment (requirements.txt). With KERAS_VAEGAN_REFERENCE_PYTHON set to its Python, as `.ci/run`
does, every network of keras2.py is written anew and our files are read back by TensorFlow 2.15.
"""

import dataclasses
import os
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_vaegan.config.networks import DiscriminatorConfig, VAEUNetConfig
from keras_vaegan.errors import InputError
from keras_vaegan.interop.keras_h5.infer import infer_config
from keras_vaegan.interop.keras_h5.load import build_network, load_network
from keras_vaegan.models.build import build_model
from keras_vaegan.weights.legacy_h5 import load_legacy_h5, save_legacy_h5
from keras_vaegan.weights.weight_file import read_weight_file

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
TOLERANCE = 1e-5
PYTHON = os.environ.get("KERAS_VAEGAN_REFERENCE_PYTHON")

CONFIGS = {
    "unet_group": VAEUNetConfig(
        image_size=32, channels=1, filters=(8, 16, 16), kernel_sizes=(5, 3, 3),
        num_residual_blocks=(0, 1, 1), skip_levels=1, groups=4, latent_channels=6,
    ),
    "unet_instance": VAEUNetConfig(
        image_size=32, channels=3, filters=(8, 12, 16, 20), kernel_sizes=(3, 3, 3, 3),
        num_residual_blocks=(1, 0, 2, 1), skip_levels=3, groups=-1, latent_channels=5,
        upsampling="transpose", gray_output=False,
    ),
    "unet_dense": VAEUNetConfig(
        image_size=16, channels=1, filters=(8, 8, 16), kernel_sizes=(3, 5, 3),
        num_residual_blocks=(0, 0, 1), skip_levels=2, groups=8, latent="dense",
        latent_channels=10,
    ),
    "unet_plain": VAEUNetConfig(
        image_size=32, channels=3, filters=(8, 16), kernel_sizes=(3, 3),
        num_residual_blocks=(2, 1), skip_levels=0, groups=2, latent_channels=3,
        upsampling="bilinear", output_activation="sigmoid", gray_output=False,
    ),
    "unet_flat": VAEUNetConfig(
        image_size=32, channels=1, filters=(8, 8, 8, 8), kernel_sizes=(3, 3, 3, 3),
        num_residual_blocks=(0, 1, 0, 2), skip_levels=2, groups=4, latent_channels=4,
    ),
    "judge_group": DiscriminatorConfig(
        image_size=32, channels=1, filters=(8, 16, 16, 24), num_heads=4, head_kernel_size=5,
        trunk_depth=2, groups=8,
    ),
    "judge_none": DiscriminatorConfig(
        image_size=32, channels=3, filters=(8, 16, 24), num_heads=2, head_kernel_size=3,
        trunk_depth=1, groups=0,
    ),
    "judge_instance": DiscriminatorConfig(
        image_size=64, channels=1, filters=(8, 8, 16), num_heads=3, head_kernel_size=5,
        trunk_depth=3, groups=-1,
    ),
}  # fmt: skip
# What no weight tells, or what chooses between readings that fit equally (unet_flat).
UNTOLD = ("image_size", "groups", "upsampling", "output_activation", "gray_output")
CHOOSING = {"unet_flat": ("filters",)}
NAMES = (*CONFIGS, "nested", "nested_plain")


def run_reference(action, folder, *names):
    """Run keras2.py in the reference environment."""
    command = [PYTHON, str(HERE / "keras2.py"), action, str(folder), *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """A folder with every network as TensorFlow 2.15 writes it."""
    if not PYTHON:
        pytest.skip("KERAS_VAEGAN_REFERENCE_PYTHON names no TensorFlow 2.15 environment")
    folder = tmp_path_factory.mktemp("reference")
    run_reference("write", folder)
    return folder


@pytest.fixture
def source(name, lane, request):
    """The folder that holds a network's file: golden, or fresh from the lane."""
    if lane == "golden":
        return GOLDEN
    return request.getfixturevalue("written")


CASES = [("unet_group", "golden"), ("judge_none", "golden"), ("nested", "golden")] + [
    pytest.param(name, "lane", id=f"{name}-lane") for name in NAMES
]


def known_fields(name):
    """What a caller has to know of a network, as its config has it."""
    if name not in CONFIGS:
        return {}
    config = CONFIGS[name]
    fields = {field.name for field in dataclasses.fields(config)}
    wanted = (*UNTOLD, *CHOOSING.get(name, ()))
    return {field: getattr(config, field) for field in wanted if field in fields}


def outputs_of(model, image):
    """All outputs of a model as arrays."""
    outputs = model(image, training=False)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    return [keras.ops.convert_to_numpy(output) for output in outputs]


def largest_difference(outputs, arrays):
    """Largest difference of outputs and the stored output_0, output_1, ..."""
    stored = [arrays[f"output_{i}"] for i in range(len(outputs))]
    return max(float(np.abs(a - b).max()) for a, b in zip(outputs, stored, strict=True))


@pytest.mark.parametrize(("name", "lane"), CASES)
def test_ours_loads_theirs(name, lane, source):
    model = load_network(source / f"{name}.h5", assume=known_fields(name)).model
    arrays = np.load(source / f"{name}.npz")
    difference = largest_difference(outputs_of(model, arrays["image"]), arrays)
    print(f"{name}: largest output difference {difference:.2e}")
    assert difference <= TOLERANCE


@pytest.mark.parametrize(("name", "lane"), [case for case in CASES if "nested" not in str(case)])
def test_the_config_is_inferred(name, lane, source):
    file = read_weight_file(source / f"{name}.h5")
    found = infer_config(file, known_fields(name))
    assert found.config == CONFIGS[name]
    blind = infer_config(file)
    told = {f.name for f in dataclasses.fields(found.config)} - set(UNTOLD) - {"seed"}
    if name in CHOOSING:
        assert blind.alternatives
    else:
        assert all(getattr(blind.config, f) == getattr(found.config, f) for f in told)
    assert set(blind.assumed) <= set(UNTOLD)


def test_theirs_loads_ours(written, tmp_path):
    """TensorFlow 2.15 reads our files by position and by name, and computes the same."""
    rng = np.random.default_rng(7)
    expected = {}
    for name in (*CONFIGS, "nested_plain"):
        config = CONFIGS.get(name)
        model = build_model(config) if config else load_network(written / f"{name}.h5").model
        for variable in model.weights:
            variable.assign(variable + rng.uniform(0, 0.05, variable.shape))
        save_legacy_h5(model, tmp_path / f"{name}.h5", config)
        image = np.load(written / f"{name}.npz")["image"]
        np.savez(tmp_path / f"{name}.npz", image=image)
        expected[name] = outputs_of(model, image)
    run_reference("read", tmp_path)
    for name, outputs in expected.items():
        for way in ("position", "name"):
            difference = largest_difference(outputs, np.load(tmp_path / f"{name}.{way}.npz"))
            print(f"{name} by {way}: largest output difference {difference:.2e}")
            assert difference <= TOLERANCE


def test_a_nested_model_writes_back(tmp_path):
    """The rebuilt model's own file, written by us, gives the same outputs again."""
    file = read_weight_file(GOLDEN / "nested.h5")
    model = load_network(GOLDEN / "nested.h5").model
    save_legacy_h5(model, tmp_path / "again.h5")
    again = build_network(file).model
    load_legacy_h5(again, tmp_path / "again.h5")
    image = np.load(GOLDEN / "nested.npz")["image"]
    for a, b in zip(outputs_of(model, image), outputs_of(again, image), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_damaged_heap_of_names_is_refused(tmp_path):
    """HDF5 itself would read such a file without end."""
    content = bytearray((GOLDEN / "unet_group.h5").read_bytes())
    start = content.index(b"GCOL")
    content[start + 16 : start + 32] = bytes(16)  # the first object: free space of no size
    (tmp_path / "damaged.h5").write_bytes(content)
    with pytest.raises(InputError, match="a heap of texts in it is damaged"):
        read_weight_file(tmp_path / "damaged.h5")
