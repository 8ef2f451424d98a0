"""What `inspect_checkpoint` and `convert` say and do."""

import dataclasses

import h5py
import keras
import numpy as np
import pytest

from keras_vaegan.commands import convert
from keras_vaegan.config.base import config_to_json
from keras_vaegan.config.data import DataConfig
from keras_vaegan.config.networks import VAEUNetConfig
from keras_vaegan.errors import InputError
from keras_vaegan.interop.keras_h5.infer import infer_config
from keras_vaegan.interop.keras_h5.inspect import inspect_checkpoint
from keras_vaegan.interop.keras_h5.load import load_network
from keras_vaegan.models.vae_unet import build_generator
from keras_vaegan.weights.legacy_h5 import save_legacy_h5
from keras_vaegan.weights.weight_file import read_weight_file

CONFIG = VAEUNetConfig(
    image_size=16, channels=1, filters=(8, 16), kernel_sizes=(3, 3), num_residual_blocks=(0, 1),
    skip_levels=1, groups=4, latent_channels=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def model():
    return build_generator(CONFIG)


@pytest.fixture
def file(model, tmp_path):
    save_legacy_h5(model, tmp_path / "g.h5")
    return tmp_path / "g.h5"


def test_an_inferred_file_is_described_whole(model, file, capsys):
    report = inspect_checkpoint(file)
    assert report.source == "inferred"
    assert report.config.filters == (8, 16) and report.config.num_residual_blocks == (0, 1)
    assert report.file.parameters == model.count_params()
    assert convert.main(["inspect", str(file)]) == 0
    text = capsys.readouterr().out
    assert f"{file}: HDF5, weights only, Keras 2.15.0, backend tensorflow" in text
    for leaf in report.leaves:
        assert leaf.name in text
    assert f"{model.count_params():,} parameters, 0 optimizer arrays" in text
    assert "loads: VAEUNetConfig(image_size=256" in text and "inferred from kinds" in text
    assert "no weight tells" in text and "image_size=256" in text and "groups=8" in text
    assert "a swap would not be seen" in text


def test_an_embedded_config_is_named(model, tmp_path):
    save_legacy_h5(model, tmp_path / "g.h5", CONFIG)
    report = inspect_checkpoint(tmp_path / "g.h5")
    assert (report.source, report.config) == ("embedded", CONFIG)
    assert "names tell them apart, which are verified" in str(report)


def test_an_unknown_network_names_the_first_layer_that_differs(tmp_path):
    x = image = keras.Input((16, 16, 1))
    for filters, size in ((8, 3), (16, 3), (2, 1), (2, 1), (5, 7), (1, 3)):
        x = keras.layers.Conv2D(filters, size, padding="same")(x)
    save_legacy_h5(keras.Model(image, x), tmp_path / "w.h5")
    report = inspect_checkpoint(tmp_path / "w.h5")
    assert report.source == ""
    assert "at layer with weights number" in report.verdict and "closest one" in report.verdict
    with pytest.raises(InputError, match="alone tell no network: at layer with weights number"):
        infer_config(read_weight_file(tmp_path / "w.h5"))


@pytest.mark.parametrize("assume", [{"groups": 7}, {"group": 8}, {"filters": (8, 24)}])
def test_assumed_values_that_do_not_fit(file, assume):
    message = "assumed field 'group'" if "group" in assume else "weights alone tell no network"
    with pytest.raises(InputError, match=message):
        infer_config(read_weight_file(file), assume)


def test_inference_is_bounded(tmp_path):
    """Readings grow like Fibonacci's numbers with equal convolutions; ends are looked at first."""
    x = image = keras.Input((None, None, 1))
    for filters, size in [(8, 3)] * 60 + [(9, 3), (8, 3), (2, 1), (2, 1)]:
        x = keras.layers.Conv2D(filters, size, padding="same")(x)
    save_legacy_h5(keras.Model(image, x), tmp_path / "w.h5")
    assert inspect_checkpoint(tmp_path / "w.h5").source == ""


def test_an_embedded_config_must_fit_its_file(tmp_path):
    x = image = keras.Input((4,))
    small = keras.Model(image, keras.layers.Dense(2, name="d")(x))
    save_legacy_h5(small, tmp_path / "w.h5", dataclasses.replace(CONFIG, filters=(8, 2000)))
    for read in (load_network, inspect_checkpoint):
        try:
            verdict = str(read(tmp_path / "w.h5"))
        except InputError as error:
            verdict = str(error)
        assert "far larger than its" in verdict
    with pytest.raises(InputError, match="a DataConfig describes no network"):
        save_legacy_h5(small, tmp_path / "w.h5", DataConfig(image_size=16))
    with h5py.File(tmp_path / "w.h5", "r+") as opened:
        opened.attrs["keras_vaegan_config"] = config_to_json(DataConfig(image_size=16))
    assert "describes no network" in inspect_checkpoint(tmp_path / "w.h5").verdict
    save_legacy_h5(small, tmp_path / "w.h5", CONFIG)
    assert "does not rebuild by itself" in inspect_checkpoint(tmp_path / "w.h5").verdict


def test_conversion_to_keras_and_back(model, file, tmp_path, capsys):
    target = tmp_path / "g.keras"
    arguments = ["--assume", "image_size=16", "--assume", "groups=4"]
    assert convert.main(["keras", str(file), str(target), *arguments]) == 0
    assert f"{model.count_params():,} parameters" in capsys.readouterr().out
    image = np.random.default_rng(0).uniform(-1, 1, (1, 16, 16, 1)).astype("float32")
    loaded = keras.models.load_model(target)
    np.testing.assert_allclose(np.array(loaded(image)), np.array(model(image)), atol=1e-6)


def test_the_embedded_config_is_kept_by_a_rewrite(model, tmp_path):
    save_legacy_h5(model, tmp_path / "g.h5", CONFIG, dtype="float16")
    assert convert.main(["keras", str(tmp_path / "g.h5"), str(tmp_path / "again.h5")]) == 0
    assert inspect_checkpoint(tmp_path / "again.h5").config == CONFIG


BAD = {
    (): "no action given: expected inspect or keras",
    ("esrgan2", "x"): 'unknown command "esrgan2"',
    ("inspect", "absent.h5"): "no file absent.h5",
    ("inspect",): "missing FILE",
    ("keras", "g.h5", "out.txt"): "expected a name ending in .keras or .h5",
    ("keras", "g.h5", "o.h5", "--assume", "groups"): "expected NAME=VALUE",
    ("keras", "g.h5", "o.h5", "--replace", "=x"): "expected NAME=VALUE",
    ("keras", "absent.h5", "o.h5"): "no file absent.h5",
}


@pytest.mark.parametrize("arguments", BAD, ids=" ".join)
def test_bad_arguments_are_one_line(arguments, file, capsys, monkeypatch):
    monkeypatch.chdir(file.parent)
    with pytest.raises(SystemExit) as stop:
        convert.main(list(arguments))
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert BAD[arguments] in error and len(error.splitlines()) == 1
    assert not list(file.parent.glob("o*"))


def test_help_lists_the_actions(capsys):
    assert convert.main(["--help"]) == 0
    assert "inspect" in capsys.readouterr().out


def test_a_file_of_too_many_layers_is_refused(tmp_path):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        names = np.array([f"layer_{i}".encode() for i in range(100_000)])
        for index, piece in enumerate(np.array_split(names, 40)):
            file.attrs[f"layer_names{index}"] = piece
    with pytest.raises(InputError, match="too many names"):
        inspect_checkpoint(tmp_path / "w.h5")
