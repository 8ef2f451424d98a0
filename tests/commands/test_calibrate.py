"""calibrate, and translate's deviation and warning, as a user runs them."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from keras_vaegan.commands import calibrate, translate
from keras_vaegan.config.networks import ResnetGeneratorConfig
from keras_vaegan.data.image import list_images, read_image
from keras_vaegan.evaluation.domain import DomainStatistics, write_statistics
from keras_vaegan.evaluation.uncertainty import UNCERTAINTY_FILE, read_calibration
from keras_vaegan.models.build import build_model
from keras_vaegan.systems.cyclegan.images import load_images
from keras_vaegan.systems.cyclegan.translator import Translator
from keras_vaegan.weights.legacy_h5 import save_legacy_h5
from keras_vaegan.weights.names import GENERATOR_FILES
from keras_vaegan.weights.record import WeightsRecord


def run(main, **options) -> int:
    """Run a command by its options' names."""
    argv = []
    for name, value in options.items():
        argv += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    return main(argv)


@pytest.fixture(scope="module")
def config(tiny):
    """A config of networks so small that compiling them takes little time."""
    return tiny.VAE


@pytest.fixture(scope="module")
def weights(tmp_path_factory, config, write_generators):
    """A folder of untrained generators with a latent."""
    return write_generators(tmp_path_factory.mktemp("vae"), config.generator)


@pytest.fixture(scope="module")
def write_generators(config):
    """Write both generators of a network into a folder."""

    def write(folder, network):
        model = build_model(network)
        for name in GENERATOR_FILES.values():
            save_legacy_h5(model, folder / name, WeightsRecord(network, config.data))
        return folder

    return write


def copy_weights(weights, folder):
    """A folder of the same networks, to write into."""
    return shutil.copytree(weights, folder)


@pytest.fixture(scope="module")
def calibrated(weights, phantom, tmp_path_factory):
    """A calibrated folder of networks with a latent."""
    folder = copy_weights(weights, tmp_path_factory.mktemp("calibrated") / "run")
    assert run(calibrate.main, weights=folder, data=phantom, samples=2, limit=4) == 0
    return folder


@pytest.fixture(scope="module")
def resnet(tmp_path_factory, write_generators):
    """A folder of untrained generators without a latent."""
    network = ResnetGeneratorConfig(image_size=32, filters=(4, 8), num_residual_blocks=1)
    return write_generators(tmp_path_factory.mktemp("resnet"), network)


@pytest.fixture
def image(phantom):
    """A phantom's CT."""
    return list_images(phantom / "testA")[0]


def test_a_run_keeps_what_calibrate_learns(calibrated, phantom, tmp_path, capsys):
    table = json.loads((calibrated / UNCERTAINTY_FILE).read_text())
    assert set(table) == {"mri2ct", "ct2mri"}
    for direction, row in table.items():
        assert (row["samples"], row["images"]) == (2, 4)
        assert read_calibration(calibrated, direction) is not None
    folder = copy_weights(calibrated, tmp_path / "run")
    (folder / UNCERTAINTY_FILE).write_text("damaged")
    assert run(calibrate.main, weights=folder, data=phantom, samples=2, limit=4) == 0
    assert json.loads((folder / UNCERTAINTY_FILE).read_text()) == table
    output = capsys.readouterr().out
    for word in ("mri2ct, 4 images of 1 case, told", "ct2mri, 4 images", "error map: rank", "AUSE"):
        assert word in output


def test_a_deviation_is_the_error_maps(calibrated, image, tmp_path):
    run(
        translate.main, weights=calibrated, direction="ct2mri", input=image,
        output=tmp_path / "a.png", deviation=True,
    )  # fmt: skip
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "a_std.tiff", "a_std.png"}
    translator = Translator.load(calibrated, "ct2mri")
    translator.error_map = read_calibration(calibrated, "ct2mri")
    translation, expected = translator.translate(read_image(image), translator.error_map.samples)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), translation)
    deviation = read_image(tmp_path / "a_std.tiff")
    assert deviation.dtype == "float32" and deviation.shape == (32, 32)
    np.testing.assert_array_equal(deviation, expected)
    assert read_image(tmp_path / "a_std.png").shape[-1] == 3


def test_a_deviation_needs_a_calibration_or_samples(weights, image, tmp_path, expect_refusal):
    arguments = [
        "--weights", weights, "--direction", "ct2mri", "--input", image, "--output",
        tmp_path / "a.png", "--deviation",
    ]  # fmt: skip
    assert "never calibrated" in expect_refusal(translate.main, *arguments)
    assert not list(tmp_path.iterdir())
    translate.main([str(part) for part in (*arguments, "--samples", "2")])
    samples = Translator.load(weights, "ct2mri").translate(read_image(image), 2)[1]
    np.testing.assert_array_equal(read_image(tmp_path / "a_std.tiff"), samples)


def test_a_damaged_calibration_is_refused(calibrated, image, tmp_path, expect_refusal):
    folder = copy_weights(calibrated, tmp_path / "run")
    (folder / UNCERTAINTY_FILE).write_text("{")
    arguments = ["--direction", "ct2mri", "--input", image, "--output", tmp_path / "a.png"]
    for option in (["--deviation"], ["--samples", "2"]):
        line = expect_refusal(translate.main, "--weights", folder, *arguments, *option)
        assert UNCERTAINTY_FILE in line and "again" in line


def test_a_network_without_a_latent_is_calibrated(resnet, phantom, image, tmp_path, expect_refusal):
    folder = copy_weights(resnet, tmp_path / "run")
    run(calibrate.main, weights=folder, data=phantom, limit=4)
    row = json.loads((folder / UNCERTAINTY_FILE).read_text())["ct2mri"]
    assert row["samples"] == 0 and set(row["figures"]) == {"error_map"}
    out = tmp_path / "out"
    weights = folder / GENERATOR_FILES["ct2mri"]  # whose name tells the direction
    run(translate.main, weights=weights, input=image, output=out / "a.png", deviation=True)
    assert read_image(out / "a_std.tiff").max() > 0
    line = expect_refusal(
        translate.main, "--weights", weights, "--input", image, "--output", out / "b.png",
        "--samples", "2",
    )  # fmt: skip
    assert "without a latent" in line


def test_calibrate_refuses_bad_input(weights, phantom, tmp_path, expect_refusal):
    file = weights / GENERATOR_FILES["ct2mri"]
    shutil.copytree(phantom / "testA", tmp_path / "unpaired" / "testA")
    shutil.copytree(phantom / "trainB", tmp_path / "unpaired" / "testB")
    for folder, data, change, word in (
        (file, phantom, (), "expected a run folder"),
        (tmp_path, phantom, (), "g_target_weights.h5"),
        (tmp_path / "none", phantom, (), "expected a run folder"),
        (weights, tmp_path / "unpaired", (), "no pairs"),
        (weights, tmp_path / "none", (), "no folder"),
        (weights, phantom, ("--samples", "1"), "--samples 1"),
        (weights, phantom, ("--limit", "0"), "limit 0"),
    ):
        line = expect_refusal(calibrate.main, "--weights", folder, "--data", data, *change)
        assert word in line
    assert not (weights / UNCERTAINTY_FILE).exists()


@pytest.fixture(scope="module")
def told(weights, phantom, config, tmp_path_factory):
    """A folder of networks that tells what the phantom's domains are like."""
    folder = copy_weights(weights, tmp_path_factory.mktemp("told") / "run")
    found = {}
    for domain, letter in (("mri", "B"), ("ct", "A")):
        paths = list_images(phantom / f"train{letter}") + list_images(phantom / f"test{letter}")
        images, _ = load_images(paths, config.data)
        found[domain] = DomainStatistics.fit(images / np.float32(255))
    write_statistics(folder, found)
    return folder


@pytest.mark.parametrize(
    ("direction", "source"), [("mri2ct", "ct"), ("mri2ct", "mri"), ("ct2mri", "ct")]
)
def test_input_of_the_other_domain_is_warned_of(told, phantom, tmp_path, capsys, source, direction):
    folder = phantom / {"mri": "testB", "ct": "testA"}[source]
    options = {"direction": direction, "input": folder, "output": tmp_path / "out"}
    assert run(translate.main, weights=told, **options) == 0
    lines = capsys.readouterr().err.splitlines()
    if direction.startswith(source):
        assert lines == []
    else:
        (line,) = lines
        assert line.startswith(f"warning: {folder}: 100% of it is unlike") and "--direction" in line


def test_nothing_is_warned_of_without_statistics(weights, image, tmp_path, capsys):
    run(translate.main, weights=weights, direction="mri2ct", input=image, output=tmp_path / "a.png")
    assert capsys.readouterr().err == ""
