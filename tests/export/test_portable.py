"""ONNX and LiteRT files of every family equal their Python path, and say what they are."""

import json
import os
import re

import numpy as np
import pytest
from PIL import Image

from keras_vaegan.commands import export
from keras_vaegan.config.data import DataConfig, ModalityDataConfig
from keras_vaegan.config.networks import (
    ModalityUNetConfig,
    ResnetGeneratorConfig,
    RRDBNetConfig,
    VAEUNetConfig,
)
from keras_vaegan.data.brats import read_case
from keras_vaegan.errors import InputError
from keras_vaegan.export import portable
from keras_vaegan.export.saved_model import open_network
from keras_vaegan.models.build import build_model
from keras_vaegan.systems.cyclegan.translator import Translator
from keras_vaegan.systems.modality.slices import list_inputs
from keras_vaegan.systems.modality.synthesizer import Synthesizer, choose_reference
from keras_vaegan.systems.super_resolution.enhancer import Enhancer
from keras_vaegan.weights.legacy_h5 import save_legacy_h5
from keras_vaegan.weights.record import WeightsRecord

RNG = np.random.default_rng(0)
VAE = VAEUNetConfig(
    image_size=32,
    channels=3,
    filters=(4, 8),
    kernel_sizes=(3, 3),
    num_residual_blocks=(0, 0),
    skip_levels=1,
    groups=2,
    latent_channels=2,
)
RESNET = ResnetGeneratorConfig(32, channels=1, filters=(4, 8), num_residual_blocks=1)
RRDBNET = RRDBNetConfig(2, 1, num_features=4, num_blocks=1, growth_channels=4)
MODALITY = ModalityUNetConfig(image_size=16, filters=(4, 4), latent_channels=2)
NETWORKS = {
    "vae": ("g_target_weights.h5", WeightsRecord(VAE, DataConfig(32, 3, surroundings="black"))),
    "resnet": ("g_source_weights.h5", WeightsRecord(RESNET, DataConfig(32, 1, align="head"))),
    "rrdbnet": ("rrdbnet_weights.h5", WeightsRecord(RRDBNET)),
    "modality": (
        "modality_unet_weights.h5",
        WeightsRecord(MODALITY, ModalityDataConfig(16, normalization="zscore")),
    ),
}
TILE = 32
FAMILIES = ("resnet", "rrdbnet", "modality")
if os.environ.get("KERAS_VAEGAN_EVERY_PRESET"):
    FAMILIES += ("vae",)
LOSS_DB = {"float16": 60, "int8_weights": 30, "int8": 20}  # at least, of random tiny networks
LITERT = [(family, "float16") for family in NETWORKS] + [
    ("vae", "int8"),
    ("resnet", "int8_weights"),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A weight file of each family, away from the start, where outputs are flat."""
    folder = tmp_path_factory.mktemp("weights")
    written = {}
    for family, (name, record) in NETWORKS.items():
        model = build_model(record.model)
        for variable in model.trainable_variables:
            variable.assign(variable + 0.1 * RNG.normal(size=variable.shape))
        written[family] = folder / name
        save_legacy_h5(model, written[family], record)
    return written


@pytest.fixture(scope="module")
def onnx_files(files, tmp_path_factory):
    """The ONNX folders, written once."""
    for name in ("tf2onnx", "onnx", "onnxruntime"):
        pytest.importorskip(name)
    folder = tmp_path_factory.mktemp("onnx")
    for family in FAMILIES:
        file = files[family]
        portable.export_portable(open_network(file, tile=TILE), folder / family, "onnx")
    return folder


def run_onnx(path, **inputs):
    from keras_vaegan.export.onnx_file import open_onnx

    return open_onnx(path)(inputs)


def draw_images(count, *shape):
    """Heads of float32 in [0, 1], 0 and 1 included, so that Python maps them to themselves."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    images = []
    for number in range(count):
        middle = (0.5 + 0.02 * number) * shape[0], 0.45 * shape[1]
        far = ((rows - middle[0]) / shape[0]) ** 2 + ((columns - middle[1]) / shape[1]) ** 2
        image = np.where(far < 0.1, 0.5 + 0.3 * np.cos(rows / 4) * np.cos(columns / 3), 0.02)
        image[0, 0], image[shape[0] // 2, shape[1] // 2] = 0, 1
        images.append(np.broadcast_to(image.reshape(*shape[:2], 1), shape))
    return np.stack(images).astype("float32")


@pytest.mark.parametrize("family", sorted({"vae", "resnet"} & set(FAMILIES)))
@pytest.mark.parametrize("shape", [(61, 48, 1), (21, 34, 3)], ids=str)
def test_onnx_translations_are_the_python_paths(files, onnx_files, family, shape):
    """A batch of any size and count, each image aligned by itself."""
    images = draw_images(3, *shape)
    made = run_onnx(onnx_files / family / "translate.onnx", images=images)
    translator = Translator.load(files[family])
    expected = np.stack([translator.translate(image)[0] for image in images])
    np.testing.assert_allclose(made, expected, atol=1e-4)
    assert expected.std() > 0.01


@pytest.mark.parametrize("shape", [(45, 70, 1), (30, 91, 3), (5, 6, 1)], ids=str)
def test_onnx_enlargements_are_the_python_paths(files, onnx_files, shape):
    """In tiles of any count, which need not divide the sides."""
    images = draw_images(2, *shape)
    made = run_onnx(onnx_files / "rrdbnet" / "enhance.onnx", images=images)
    enhancer = Enhancer.load(files["rrdbnet"], TILE)
    expected = np.stack([enhancer.enhance(image) for image in images])
    np.testing.assert_allclose(made, expected, atol=1e-4)


def test_onnx_syntheses_are_the_python_paths(files, onnx_files, write_case, tmp_path):
    """A whole case, larger than a window and of odd sides."""
    arrays = write_case.draw((27, 31, 7))
    case = read_case(
        write_case(tmp_path / "case", arrays, np.eye(4)),
        list_inputs("flair"),
        config=NETWORKS["modality"][1].data,
    )
    expected, _ = Synthesizer.load(files["modality"], "float32").synthesize(case, "flair")
    expected = np.asarray(choose_reference(case, "flair").range.from_unit(expected, case.brain))
    volumes = {name: arrays[name].astype("float32") for name in list_inputs("flair")}
    made = run_onnx(onnx_files / "modality" / "synthesize.onnx", **volumes)
    np.testing.assert_allclose(made, expected, atol=1e-4 * np.ptp(expected))
    assert np.ptp(expected) > 10


def test_an_onnx_folder_says_what_it_is(onnx_files):
    """Names of files and axes, how far from Python, and code that runs as it stands."""
    import onnx

    for family, stem in (
        ("resnet", "translate"),
        ("rrdbnet", "enhance"),
        ("modality", "synthesize"),
    ):
        folder = onnx_files / family
        names = {path.name for path in folder.iterdir()}
        assert names == {f"{stem}.onnx", "export.json", "model_card.md"}
        record = json.loads((folder / "export.json").read_text())
        (file,) = record["files"]
        assert record["preparation"] is None and file["bytes"] > 1000
        assert file["compared_with_python"]["largest_difference"] < 1e-4
        model = onnx.load(folder / f"{stem}.onnx")
        axes = {
            value.name: [axis.dim_param for axis in value.type.tensor_type.shape.dim]
            for value in model.graph.input
        }
        assert axes == file["inputs"]
        card = (folder / "model_card.md").read_text()
        assert "Not for diagnosis" in card and "preparation" in card.lower()


def run_snippet(folder, monkeypatch):
    """Run the Python code of a folder's card, there."""
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "model_card.md").read_text(), re.DOTALL)
    names = {}
    monkeypatch.chdir(folder)
    exec(code, names)
    return names


def test_the_code_of_an_onnx_card_runs(onnx_files, monkeypatch):
    assert run_snippet(onnx_files / "resnet", monkeypatch)["translation"].shape == (2, 200, 200, 1)


@pytest.mark.parametrize(("family", "quantize"), LITERT)
def test_litert_files_are_near_python(files, tmp_path, monkeypatch, family, quantize):
    """Each family, and each precision: loss in dB, what to prepare, code that runs."""
    pytest.importorskip("ai_edge_litert")
    network, out = open_network(files[family], tile=TILE), tmp_path / "out"
    record = portable.export_portable(network, out, "litert", quantize)
    (file,), told = record["files"], record["preparation"]
    assert file["compared_with_python"]["psnr_db"] >= LOSS_DB[quantize], file
    assert file["compared_with_python"]["examples"] == (16 if quantize == "int8" else 4)
    assert json.loads((out / "export.json").read_text())["preparation"].keys() == told.keys()
    assert told["before"] and told["after"] and told["input_range"] and told["output_range"]
    card = (out / "model_card.md").read_text()
    assert f"{file['compared_with_python']['psnr_db']:.1f} dB" in card and quantize in card
    if quantize == "float16":
        made = run_snippet(out, monkeypatch)[file["output"]]
        assert made.shape[0] == 1 and np.isfinite(made).all()
        assert ("head" in told) == (family in ("vae", "resnet"))  # of surroundings, of align
        painted = [any("Paint black" in step for step in told[k]) for k in ("before", "after")]
        assert painted == [family == "vae"] * 2


def test_an_onnx_file_that_differs_is_refused(files, tmp_path, monkeypatch):
    """Nothing is left of it."""
    graph = open_network(files["rrdbnet"], tile=TILE).whole[0]

    def convert(*_):
        return lambda inputs: graph.function(inputs["images"]).numpy() + 5e-3

    monkeypatch.setattr(portable, "_convert", convert)
    with pytest.raises(InputError, match="differs from Python"):
        portable._write_graph(graph, tmp_path, "onnx", "float16", None)


def test_the_command_refuses(files, tmp_path, monkeypatch, expect_refusal):
    """Options of another format, unknown formats, missing packages, data of another kind."""
    out, pictures = tmp_path / "out", tmp_path / "pictures"
    pictures.mkdir()
    cases = {
        ("--quantize", "int8"): "expected --format litert",
        ("--format", "onnx", "--quantize", "int8"): "expected --format litert",
        ("--format", "litert", "--quantize", "int4"): "int8",
        ("--format", "tflite"): "litert",
        ("--data", pictures): "onnx or litert",
        ("--format", "onnx", "--data", pictures): "no images",
    }
    for arguments, word in cases.items():
        line = expect_refusal(export.main, "--weights", files["vae"], "--out", out, *arguments)
        assert word in line, line
    line = expect_refusal(
        export.main,
        "--weights",
        files["modality"],
        "--out",
        out,
        "--format",
        "litert",
        "--data",
        pictures,
    )
    assert "no case" in line
    monkeypatch.setattr(portable.importlib.util, "find_spec", lambda name: None)
    for kind in ("onnx", "litert"):
        line = expect_refusal(
            export.main, "--weights", files["vae"], "--out", out, "--format", kind
        )
        assert f"pip install 'keras_vaegan[{kind}]'" in line, line
    assert not out.exists()


def test_the_command_compares_with_given_images(files, tmp_path, capsys):
    """Sizes and losses are printed."""
    pytest.importorskip("ai_edge_litert")
    (tmp_path / "images").mkdir()
    for number, image in enumerate(draw_images(2, 40, 50, 3)):
        Image.fromarray((image * 255).astype("uint8")).save(tmp_path / "images" / f"{number}.png")
    arguments = ["--weights", files["resnet"], "--out", tmp_path / "out", "--format", "litert"]
    arguments += ["--data", tmp_path / "images"]
    assert export.main([str(part) for part in arguments]) == 0
    said = capsys.readouterr()
    assert "generator.tflite" in said.out and re.search(r"dB, .* on given data \(1\)", said.out)
    assert said.err == ""
