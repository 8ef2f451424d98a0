"""SavedModels of every family equal their Python path, and refuse what they cannot take."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from keras_vaegan.commands import export
from keras_vaegan.config.data import DataConfig
from keras_vaegan.config.networks import ResnetGeneratorConfig, RRDBNetConfig, VAEUNetConfig
from keras_vaegan.data.image import list_images, read_image
from keras_vaegan.export.saved_model import export_saved_model, list_signatures, open_network
from keras_vaegan.interop.keras_h5 import load
from keras_vaegan.models.resnet import build_resnet_generator
from keras_vaegan.models.rrdbnet import build_rrdbnet
from keras_vaegan.models.vae_unet import build_generator
from keras_vaegan.systems.cyclegan.translator import Translator
from keras_vaegan.systems.registry import get_preset
from keras_vaegan.systems.super_resolution.enhancer import Enhancer
from keras_vaegan.weights.legacy_h5 import save_legacy_h5
from keras_vaegan.weights.manifest import compute_sha256, read_manifest
from keras_vaegan.weights.record import WeightsRecord
from keras_vaegan.weights.weight_file import read_weight_file

RNG = np.random.default_rng(0)
SCALES = {"uint8": 255, "uint16": 65535, "float32": 1}
FLOAT_BATCH = tf.TensorSpec((None, None, None, None), tf.float32)
SUFFIXES = {"uint8": "_uint8", "uint16": "_uint16", "float32": ""}


def make_record(channels=1, align="head", activation="tanh", surroundings="keep"):
    """A tiny generator's record."""
    model = VAEUNetConfig(
        image_size=32,
        channels=channels,
        filters=(8, 16),
        kernel_sizes=(3, 3),
        num_residual_blocks=(0, 1),
        skip_levels=1,
        groups=4,
        latent_channels=4,
        output_activation=activation,
        seed=3,
    )
    data = DataConfig(32, channels, align=align, surroundings=surroundings, value_range=activation)
    return WeightsRecord(model, data)


def write_generator(path, **change):
    record = make_record(**change)
    model = build_generator(record.model)
    for variable in model.trainable_variables:  # away from the start, where outputs are flat
        variable.assign(variable + 0.1 * RNG.normal(size=variable.shape))
    save_legacy_h5(model, path, record)
    return path


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A tiny aligned translator: its weight file and its loaded SavedModel."""
    folder = tmp_path_factory.mktemp("export")
    file = write_generator(folder / "g_target_weights.h5")
    export_saved_model(file, folder / "model")
    return file, tf.saved_model.load(str(folder / "model")), folder / "model"


def test_a_generator_without_latent(tmp_path, monkeypatch):
    """A ResNet: no signature for samples, batches of any size; its file is read once."""
    read = []
    monkeypatch.setattr(load, "read_weight_file", lambda p: read.append(p) or read_weight_file(p))
    config = ResnetGeneratorConfig(32, filters=(4, 8), num_residual_blocks=1)
    model = build_resnet_generator(config)
    record = WeightsRecord(config, dataclasses.replace(make_record().data, align="none"))
    save_legacy_h5(model, tmp_path / "g_source_weights.h5", record)
    network = open_network(tmp_path, "ct2mri")
    assert read == [network.file] and network.config == config
    assert not any("uncertainty" in name for name in network.module.make_signatures())
    images = np.stack([make_image((40, 52), "float32") * scale for scale in (1, 2, 3)])[..., None]
    made = network.module.translate(tf.constant(images))["translation"].numpy()
    translator = Translator.load(tmp_path, "ct2mri")
    for image, answer in zip(images[..., 0], made[..., 0], strict=True):
        assert_same(answer, translator.translate(image)[0], "float32")


def make_image(shape, dtype):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    head = ((rows / shape[0] - 0.55) ** 2 + (columns / shape[1] - 0.45) ** 2) < 0.1
    image = np.where(head, 0.5 + 0.3 * np.cos(rows / 4) * np.cos(columns / 3), 0.02)
    image = image if len(shape) == 2 else image[..., None] * RNG.uniform(0.6, 1, shape)
    return (image * SCALES[dtype]).astype(dtype)


def as_batch(image):
    return tf.constant(image.reshape(1, *image.shape[:2], -1))


def assert_same(made, expected, dtype):
    """Equal within 1e-4 of [0, 1]; integers also where rounding falls to the other side."""
    difference = np.abs(made.astype("float64") - expected).max()
    steps = 1 if dtype != "float32" else 0
    limit = max(1e-4 * SCALES[dtype], steps)
    assert made.dtype == expected.dtype and made.shape == expected.shape
    assert difference <= limit, difference


@pytest.mark.parametrize("dtype", SCALES)
@pytest.mark.parametrize("shape", [(60, 48), (20, 33, 3), (32, 32), (16, 90)])
def test_translations_are_the_python_paths(exported, shape, dtype):
    file, model, _ = exported
    image = make_image(shape, dtype)
    expected, _ = Translator.load(file).translate(image)
    made = model.signatures[f"translate{SUFFIXES[dtype]}"](images=as_batch(image))["translation"]
    assert_same(made.numpy().reshape(shape), expected, dtype)
    assert expected.std() > 0.01 * SCALES[dtype]


@pytest.mark.parametrize(
    "change",
    [
        {"channels": 3, "align": "head"},
        {"channels": 1, "align": "head", "surroundings": "black"},
        {"channels": 3, "align": "none", "activation": "sigmoid"},
    ],
    ids=str,
)
def test_other_configs(tmp_path, change):
    file = write_generator(tmp_path / "g.h5", **change)
    module = open_network(file).module
    translate = module.translate.get_concrete_function(FLOAT_BATCH)
    for shape in ((40, 50), (50, 40, 3)):
        image = make_image(shape, "float32")
        made = translate(as_batch(image))["translation"].numpy().reshape(shape)
        assert_same(made, Translator.load(file).translate(image)[0], "float32")


def test_a_batch_is_its_images(exported):
    """Alignment and float ranges are each image's own; more images than one pass takes."""
    _, model, _ = exported
    images = np.stack(
        [
            np.roll(make_image((40, 44, 3), "float32"), shift, axis=(0, 1)) * (1 + shift)
            for shift in range(10)
        ]
    )
    translate = model.signatures["translate"]
    together = translate(images=tf.constant(images))["translation"].numpy()
    for image, made in zip(images, together, strict=True):
        alone = translate(images=tf.constant(image[None]))["translation"].numpy()[0]
        np.testing.assert_allclose(made, alone, atol=1e-4)


def test_the_plain_name_takes_any_type(exported):
    """`model.translate` finds the function by the type, of arrays too; signatures are strict."""
    _, model, _ = exported
    byte, word = (as_batch(make_image((20, 20), dtype)) for dtype in ("uint8", "uint16"))
    assert model.translate(byte)["translation"].dtype == tf.uint8
    assert model.translate(byte.numpy())["translation"].dtype == tf.uint8
    assert model.translate(word.numpy())["translation"].dtype == tf.uint16
    with pytest.raises(ValueError, match="matching concrete function"):
        model.translate(tf.zeros((1, 20, 20, 1), tf.float64))
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected to be a uint8"):
        model.signatures["translate_uint8"](images=tf.zeros((1, 20, 20, 1), tf.float32))


def test_samples_are_the_python_paths(tmp_path):
    """From one state of the noise: mean and deviation, over more samples than one pass takes."""
    file, samples = write_generator(tmp_path / "g.h5", align="none"), 11
    image = make_image((40, 50), "float32")
    mean, deviation = Translator.load(file).translate(image, samples)
    module = open_network(file).module
    made = module.translate_with_uncertainty(as_batch(image), tf.constant(samples))
    np.testing.assert_allclose(made["mean"].numpy()[0, ..., 0], mean, atol=1e-4)
    np.testing.assert_allclose(made["standard_deviation"].numpy()[0, ..., 0], deviation, atol=1e-4)
    assert deviation.max() > 1e-3


def test_samples_are_the_same_from_call_to_call(exported):
    _, model, _ = exported
    sample = model.signatures["translate_with_uncertainty_uint8"]
    batch = as_batch(make_image((30, 40, 3), "uint8"))
    first, second = (sample(images=batch, samples=tf.constant(2)) for _ in range(2))
    assert first["mean"].dtype == tf.uint8 and first["mean"].shape == (1, 30, 40, 3)
    assert first["standard_deviation"].shape == (1, 30, 40, 1)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
    with pytest.raises(tf.errors.InvalidArgumentError, match="samples: expected at least 2"):
        sample(images=batch, samples=tf.constant(1))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((0, 20, 20, 1), "uint8"), "empty batch"),
        (np.zeros((1, 1, 1, 1), "uint8"), "at least 16 pixels"),
        (np.zeros((1, 20, 15, 3), "uint16"), "at least 16 pixels"),
        (np.full((1, 20, 20, 1), np.nan, "float32"), "NaN or infinite"),
        (np.full((2, 20, 20, 3), np.inf, "float32"), "NaN or infinite"),
        (np.zeros((1, 20, 20, 4), "uint8"), "1 or 3 channels"),
        (np.zeros((1, 20, 20, 0), "uint8"), "1 or 3 channels"),
    ],
)
@pytest.mark.parametrize("name", ["translate", "translate_with_uncertainty"])
def test_the_graph_refuses(exported, images, message, name):
    _, model, _ = exported
    more = {"samples": tf.constant(2)} if "uncertainty" in name else {}
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        model.signatures[name + SUFFIXES[images.dtype.name]](images=tf.constant(images), **more)


@pytest.mark.parametrize(("scale", "channels", "tile"), [(4, 3, 64), (2, 1, 32)], ids=str)
def test_enlargements_are_the_python_paths(tmp_path, scale, channels, tile):
    """Whole and in tiles, gray and colour through either network."""
    config = RRDBNetConfig(scale, channels, num_features=8, num_blocks=1, growth_channels=4)
    save_legacy_h5(build_rrdbnet(config), tmp_path / "r.h5", config)
    enhancer = Enhancer.load(tmp_path / "r.h5", tile)
    module = open_network(tmp_path / "r.h5", tile=tile).module
    enhance = module.enhance.get_concrete_function(FLOAT_BATCH)
    for shape in ((40, 70), (131, 77, 3), (4, 5)):
        image = make_image(shape, "float32")
        made, expected = enhance(as_batch(image))["enhanced"].numpy(), enhancer.enhance(image)
        assert_same(made.reshape(expected.shape), expected, "float32")


def test_an_enlargement_is_exported_and_refuses(tmp_path):
    config = RRDBNetConfig(2, 1, num_features=8, num_blocks=1, growth_channels=4)
    save_legacy_h5(build_rrdbnet(config), tmp_path / "rrdbnet_weights.h5", config)
    export_saved_model(tmp_path, tmp_path / "model")
    model = tf.saved_model.load(str(tmp_path / "model"))
    batch = tf.constant(RNG.integers(0, 256, (2, 10, 12, 3)), tf.uint8)
    assert model.signatures["enhance_uint8"](images=batch)["enhanced"].shape == (2, 20, 24, 3)
    for images, message in ((batch[:0], "empty batch"), (batch[:, :1, :1], "at least 4 pixels")):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            model.signatures["enhance_uint8"](images=images)
    assert "Enlargement of images, x2" in (tmp_path / "model" / "model_card.md").read_text()


def test_shipped_weights_on_real_images(repository, real_images):
    """Both directions, a few images of different sizes: within 1e-4 on [0, 1]."""
    for direction, name in (("mri2ct", "testB"), ("ct2mri", "testA")):
        translator = Translator.load(repository / "weights", direction)
        module = open_network(repository / "weights", direction).module
        translate = module.translate.get_concrete_function(FLOAT_BATCH)
        for path in list_images(real_images / name)[::60]:
            image = read_image(path)
            unit = (image / np.iinfo(image.dtype).max).astype("float32")
            expected, _ = translator.translate(unit)
            made = translate(as_batch(unit))["translation"].numpy().reshape(unit.shape)
            np.testing.assert_allclose(made, expected, atol=1e-4)


def test_a_full_model_of_other_code(real_data):
    """A published CycleGAN generator with tensorflow-addons layers: one channel in, three out."""
    file = real_data / "keras_h5" / "cyclegan_cifar10-g_target_HEAD_96a390dc.h5"
    network = open_network(file)
    assert network.config is None and network.title.endswith("one modality to another")
    translate = network.module.translate.get_concrete_function(FLOAT_BATCH)
    translator = Translator.load(file)
    for shape in ((50, 40, 3), (32, 32)):
        image = make_image(shape, "float32")
        made = translate(as_batch(image))["translation"].numpy().reshape(shape)
        assert_same(made, translator.translate(image)[0], "float32")


ELSEWHERE = """
import json, sys
import numpy as np
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
batch = tf.constant(np.load(sys.argv[2]))
made = model.signatures["translate_uint8"](images=batch)["translation"]
drawn = model.signatures["translate_with_uncertainty_uint8"](images=batch, samples=tf.constant(3))
np.save(sys.argv[3], made.numpy())
own = [name for name in sys.modules if name.split(".")[0] == "keras_vaegan"]
print(json.dumps([tf.__version__, own, float(tf.reduce_max(drawn["standard_deviation"]))]))
"""


def run_elsewhere(python, model, folder):
    """Translate in another process that has never heard of this package."""
    image = make_image((40, 52), "uint8")
    given, made = folder / "in.npy", folder / "out.npy"
    np.save(given, as_batch(image).numpy())
    done = subprocess.run(
        [python, "-I", "-c", ELSEWHERE, str(model), str(given), str(made)],
        capture_output=True, text=True, check=False, cwd=folder,
        env={"PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    version, own, deviation = json.loads(done.stdout.splitlines()[-1])
    assert own == [] and deviation > 0
    return image, np.load(made), version


@pytest.mark.slow
def test_plain_tensorflow_in_a_fresh_process(exported, tmp_path):
    """Starts TensorFlow anew, and makes both graphs of the model ready."""
    file, _, folder = exported
    image, made, _ = run_elsewhere(sys.executable, folder, tmp_path)
    assert_same(made.reshape(image.shape), Translator.load(file).translate(image)[0], "uint8")


@pytest.mark.slow
def test_tensorflow_2_15(exported, tmp_path, reference_python):
    """The same in the reference environment."""
    file, _, folder = exported
    image, made, version = run_elsewhere(reference_python, folder, tmp_path)
    assert version.startswith("2.15.")
    assert_same(made.reshape(image.shape), Translator.load(file).translate(image)[0], "uint8")


# -- the command -------------------------------------------------------------------------------


def test_the_command_writes_model_and_card(tmp_path, capsys):
    run = tmp_path / "run"
    (run / "best").mkdir(parents=True)
    (run / "logs").mkdir()
    write_generator(run / "best" / "g_source_weights.h5", align="none")
    (run / "config.json").write_text(json.dumps({
        "config": {"steps": 10}, "versions": {"keras": "3.x"}, "seed": 7, "commit": "abc",
    }))  # fmt: skip
    (run / "logs" / "history.csv").write_text("epoch,step\n1,4\n2,6\n")
    (run / "metrics.json").write_text(json.dumps({"cycle": {"ct": {"psnr": {"mean": 31.25}}}}))
    out = tmp_path / "deep" / "model"
    status = export.main([
        "--weights", str(run), "--direction", "ct2mri", "--out", str(out), "--training-data",
        "Forty heads of clay.",
    ])  # fmt: skip
    assert status == 0
    assert "translate_with_uncertainty_uint16" in capsys.readouterr().out
    assert {"saved_model.pb", "variables", "model_card.md"} <= {p.name for p in out.iterdir()}
    assert [p.name for p in out.parent.iterdir()] == ["model"]
    card = (out / "model_card.md").read_text()
    for text in (
        "CT to MRI", "Not for diagnosis", "Forty heads of clay.", "6 of 10 steps", "ended early",
        "| cycle.ct.psnr.mean | 31.25 |", "seed 7", "abc", "## Licence", "32 x 32 pixels",
        "samples int32 ()", compute_sha256(run / "best" / "g_source_weights.h5"),
    ):  # fmt: skip
        assert text in card, text


def test_a_card_without_records_says_so(exported):
    card = (exported[2] / "model_card.md").read_text()
    assert "Not recorded. Say here" in card and "Not measured." in card
    assert "Not recorded beside the weights" in card


def test_shipped_weights_take_their_manifests_word(repository, tmp_path):
    from keras_vaegan.export.model_card import write_model_card

    row = next(r for r in read_manifest(repository / "weights") if "g_target" in r["name"])
    network = open_network(repository / "weights", "mri2ct")
    use = {"Signatures": list_signatures({"translate": FakeSignature()}, "")}
    write_model_card(tmp_path / "card.md", network, use)
    card = (tmp_path / "card.md").read_text()
    cycle = str(row["metrics"]["cycles"]["ct"]["cycle_psnr_db"])
    assert "868 CT and 868 MRI" in card and cycle in card and "Weights and code: MIT" in card
    assert "--preset vae_cyclegan_small" in card


class FakeSignature:
    """What a concrete function tells of itself."""

    structured_input_signature = ((), {"images": tf.TensorSpec((None, 2), tf.uint8, "images")})
    structured_outputs = {"translation": tf.TensorSpec((), tf.float32)}


def test_refusals(tmp_path, expect_refusal):
    from keras_vaegan.models.discriminators import build_discriminator

    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "file").write_text("")
    started = tmp_path / "started"
    started.mkdir()
    (started / "config.json").write_text("{}")
    judge = get_preset("demo").discriminator
    save_legacy_h5(build_discriminator(judge), tmp_path / "d.h5", judge)
    generator = write_generator(tmp_path / "g.h5")
    broken = tmp_path / "broken"
    broken.mkdir()
    write_generator(broken / "g.h5")
    (broken / "manifest.json").write_text("[]")
    both = tmp_path / "both"
    both.mkdir()
    for name in ("rrdbnet_weights.h5", "g_target_weights.h5"):
        (both / name).write_bytes(generator.read_bytes())
    cases = {
        ("--weights", both): "holds several networks",
        ("--weights", tmp_path / "none"): "does not exist",
        ("--weights", started, "--direction", "mri2ct"): "unfinished run",
        ("--weights", tmp_path / "taken"): "--direction",
        ("--weights", taken, "--direction", "mri2ct"): "no g_target_weights.h5",
        ("--weights", tmp_path / "d.h5"): "DiscriminatorConfig",
        ("--weights", taken / "file"): "file",
        ("--weights", broken / "g.h5"): "is no manifest",
    }
    for arguments, word in cases.items():
        line = expect_refusal(export.main, *arguments, "--out", tmp_path / "out")
        assert word in line, line
        assert not (tmp_path / "out").exists()
    before = sorted(tmp_path.iterdir())
    assert "not empty" in expect_refusal(export.main, "--weights", generator, "--out", taken)
    assert "is a file" in expect_refusal(export.main, "--weights", generator, "--out", generator)
    below = generator / "out"
    assert "cannot write" in expect_refusal(export.main, "--weights", generator, "--out", below)
    assert sorted(tmp_path.iterdir()) == before


def test_a_failure_half_way_leaves_nothing(tmp_path, monkeypatch, expect_refusal):
    def fail(module, path, signatures):
        (tmp_path / "half").write_text(path)
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    generator = write_generator(tmp_path / "g.h5")
    monkeypatch.setattr("tensorflow.saved_model.save", fail)
    (tmp_path / "out").mkdir()
    line = expect_refusal(export.main, "--weights", generator, "--out", tmp_path / "out")
    assert "No space left" in line
    assert {p.name for p in tmp_path.iterdir()} == {"g.h5", "half", "out"}
    assert list((tmp_path / "out").iterdir()) == []
