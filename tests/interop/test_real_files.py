"""Published full-model files, rebuilt and compared with a plain NumPy forward pass."""

import json

import h5py
import keras
import numpy as np
import pytest

from keras_vaegan.commands import convert
from keras_vaegan.errors import InputError
from keras_vaegan.interop.keras_h5.inspect import inspect_checkpoint
from keras_vaegan.interop.keras_h5.load import load_generator
from keras_vaegan.systems.cyclegan.translator import Translator

FILES = {
    "cyclegan_cifar10-g_source_HEAD_e5bfb048.h5": 870_183,
    "cyclegan_cifar10-g_target_HEAD_96a390dc.h5": 870_757,
    "cyclegan_cifar10-g_source_26523f2a.h5": 868_463,
}
TRUNCATED = "GuptaVishu_DeblurGAN_generator_weights.h5"


@pytest.fixture(scope="module")
def folder(real_data):
    return real_data / "keras_h5"


def convolve(x, kernel, bias, stride):
    """ "same" cross-correlation of (N, H, W, C) as TensorFlow pads it."""
    size = kernel.shape[0]
    out = -(-x.shape[1] // stride)
    total = max(0, (out - 1) * stride + size - x.shape[1])
    pad = (total // 2, total - total // 2)
    x = np.pad(x, ((0, 0), pad, pad, (0, 0)))
    result = 0.0
    for i in range(size):
        for j in range(size):
            end = (out - 1) * stride + 1
            patch = x[:, i : i + end : stride, j : j + end : stride]
            result = result + patch @ kernel[i, j]
    return result + bias


def convolve_transposed(x, kernel, bias, stride):
    """The gradient of "same" cross-correlation; kernel (h, w, out, in)."""
    count, side, _, _ = x.shape
    size, out = kernel.shape[0], x.shape[1] * stride
    total = max(0, (side - 1) * stride + size - out)
    length = max((side - 1) * stride + size, out + total)
    full = np.zeros((count, length, length, kernel.shape[2]))
    for i in range(size):
        for j in range(size):
            end = (side - 1) * stride + 1
            full[:, i : i + end : stride, j : j + end : stride] += x @ kernel[i, j].T
    start = total // 2
    return full[:, start : start + out, start : start + out] + bias


def normalise(x, config, gamma, beta):
    """tensorflow-addons adds epsilon to the variance, keras_contrib to the deviation."""
    axes = (1, 2) if config["axis"] is not None else (1, 2, 3)
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    if "groups" in config:
        return (x - mean) / np.sqrt(variance + config["epsilon"]) * gamma + beta
    return (x - mean) / (np.sqrt(variance) + config["epsilon"]) * gamma + beta


def run_plainly(path, image):
    """Forward pass of a full-model file with NumPy, in float64."""
    with h5py.File(path) as file:
        config = json.loads(file.attrs["model_config"])["config"]
        weights = {
            name.decode(): [group[n][()].astype("float64") for n in group.attrs["weight_names"]]
            for name in file["model_weights"].attrs["layer_names"]
            for group in [file["model_weights"][name.decode()]]
        }
    values = {}
    for layer in config["layers"]:
        name, kind, fields = layer["name"], layer["class_name"], layer["config"]
        if kind == "InputLayer":
            values[name] = image.astype("float64")
            continue
        inputs = [values[reference[0]] for reference in layer["inbound_nodes"][0]]
        x, held = inputs[0], weights.get(name, [])
        if kind == "Conv2D":
            x = convolve(x, *held, fields["strides"][0])
        elif kind == "Conv2DTranspose":
            x = convolve_transposed(x, *held, fields["strides"][0])
        elif kind == "InstanceNormalization":
            x = normalise(x, fields, *held)
        elif kind == "LeakyReLU":
            x = np.where(x > 0, x, fields["alpha"] * x)
        elif kind == "Concatenate":
            x = np.concatenate(inputs, axis=-1)
        activation = fields.get("activation", "linear")
        if activation == "relu":
            x = np.maximum(x, 0)
        elif activation == "sigmoid":
            x = 1 / (1 + np.exp(-x))
        else:
            assert activation == "linear"
        values[name] = x
    return values[config["output_layers"][0][0]]


@pytest.mark.parametrize("name", FILES)
def test_published_generators_rebuild_and_run(folder, name, capsys):
    model = load_generator(folder / name)
    assert model.count_params() == FILES[name]
    image = np.random.default_rng(0).uniform(0, 1, (3, *model.input_shape[1:])).astype("float32")
    ours = keras.ops.convert_to_numpy(model(image))
    difference = np.abs(ours - run_plainly(folder / name, image)).max()
    print(f"{name}: largest output difference {difference:.2e}")
    assert difference <= 1e-4
    assert ours.std() > 0.01
    report = inspect_checkpoint(folder / name)
    assert report.source == "model_config"
    assert "loads: a Functional model rebuilt" in str(report)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_published_generator_is_rewritten(folder, tmp_path, suffix, capsys):
    source, target = folder / next(iter(FILES)), tmp_path / f"g{suffix}"
    assert convert.main(["keras", str(source), str(target)]) == 0
    model = load_generator(source)
    if suffix == ".keras":
        again = keras.models.load_model(target)
    else:
        again = keras.models.clone_model(model)
        again.load_weights(target)
    image = np.random.default_rng(0).uniform(size=(1, 32, 32, 3)).astype("float32")
    np.testing.assert_array_equal(np.array(again(image)), np.array(model(image)))


def test_a_published_generator_translates(folder):
    translator = Translator.load(folder / "cyclegan_cifar10-g_target_HEAD_96a390dc.h5")
    assert translator.data.value_range == "sigmoid" and translator.data.image_size == 32
    image = np.random.default_rng(0).integers(0, 255, (40, 50), "uint8")
    assert translator.translate(image)[0].shape == (40, 50)


def test_the_truncated_file_is_one_line(folder, capsys):
    for read in (load_generator, inspect_checkpoint):
        with pytest.raises(InputError, match="truncated file") as caught:
            read(folder / TRUNCATED)
        assert "\n" not in str(caught.value)
    with pytest.raises(SystemExit) as stop:
        convert.main(["inspect", str(folder / TRUNCATED)])
    assert stop.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
