"""train, translate and evaluate as a user runs them: on tiny weights, and on bad input."""

import dataclasses
import json
import signal

import h5py
import numpy as np
import pytest

from keras_vaegan.commands import evaluate, train, translate
from keras_vaegan.config.base import config_to_dict, resize_config
from keras_vaegan.data.image import read_image, write_image
from keras_vaegan.errors import InputError
from keras_vaegan.phantom.rendering import PhantomSet, write_phantom_folders
from keras_vaegan.systems.cyclegan.config import CycleGANConfig
from keras_vaegan.systems.cyclegan.trainer import CycleGAN
from keras_vaegan.systems.cyclegan.translator import Translator
from keras_vaegan.systems.registry import get_preset
from keras_vaegan.training.callbacks import StopOnSignalOrLimit
from keras_vaegan.weights.names import CYCLEGAN_FILES


def make_config(channels: int = 1, align: str = "head") -> CycleGANConfig:
    config = resize_config(get_preset("demo"), 32)
    return dataclasses.replace(
        config,
        generator=dataclasses.replace(
            config.generator, channels=channels, filters=(8, 8, 16), num_residual_blocks=(0, 0, 1)
        ),
        discriminator=dataclasses.replace(
            config.discriminator, channels=channels, filters=(8, 8, 8, 8)
        ),
        data=dataclasses.replace(config.data, channels=channels, align=align),
    )


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantom")
    write_phantom_folders(folder, PhantomSet(count=12, size=32))
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A run folder of untrained weights."""
    folder = tmp_path_factory.mktemp("run")
    CycleGAN(make_config()).save_weight_files(folder)
    return folder


def raise_full_disk(descriptor):
    raise OSError(28, "No space left on device")


def expect_refusal(capsys, main, *argv) -> str:
    """Run a command that must exit with status 2 and one line; return the line."""
    with pytest.raises(SystemExit) as caught:
        main([str(part) for part in argv])
    assert caught.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), lines
    return lines[0]


# -- translate ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shape", "dtype"),
    [
        ("square.png", (512, 512), "uint8"),
        ("wide.jpg", (201, 251, 3), "uint8"),
        ("deep.png", (40, 60), "uint16"),
        ("float.tiff", (50, 33), "float32"),
        ("small.bmp", (16, 20, 3), "uint8"),
    ],
)
def test_translation_keeps_size_channels_and_depth(weights, tmp_path, name, shape, dtype):
    rng = np.random.default_rng(0)
    image = rng.uniform(0, 1, shape)
    if len(shape) == 3:
        image[...] = image[..., :1]
    scale = 1 if dtype == "float32" else np.iinfo(dtype).max
    write_image(tmp_path / name, (image * scale).astype(dtype))
    out = tmp_path / "out" / name
    status = translate.main([
        "--weights", str(weights), "--direction", "mri2ct", "--input", str(tmp_path / name),
        "--output", str(out),
    ])  # fmt: skip
    assert status == 0
    answer = read_image(out)
    assert answer.shape == shape and answer.dtype == dtype
    if len(shape) == 3:
        assert np.ptp(answer.astype(int), axis=-1).max() <= 2  # gray in, gray out (JPEG rounds)


def test_a_folder_goes_to_a_folder_and_bad_files_are_named(weights, tmp_path, capsys):
    folder = tmp_path / "in"
    for index in range(10):
        write_image(folder / f"{index}.png", np.full((40, 40), 90, "uint8"))
    (folder / "3.png").write_text("not an image")
    arguments = ["--weights", weights / "g_source_weights.h5", "--input", folder, "--output"]
    translate.main([str(part) for part in (*arguments, tmp_path / "out")])
    assert len(list((tmp_path / "out").iterdir())) == 9
    output = capsys.readouterr()
    assert "3.png" in output.err and "translated 9 of 10" in output.out
    for index in range(8):
        (folder / f"{index}.png").unlink()
    (folder / "8.png").write_bytes(b"")
    assert "unusable" in expect_refusal(capsys, translate.main, *arguments, tmp_path / "again")


def test_translate_never_overwrites_its_input(weights, tmp_path, capsys):
    image = tmp_path / "a.png"
    write_image(image, np.full((40, 40), 90, "uint8"))
    before = image.read_bytes()
    for path in (image, tmp_path):
        line = expect_refusal(
            capsys, translate.main, "--weights", weights / "g_source_weights.h5", "--input", path,
            "--output", path,
        )  # fmt: skip
        assert "input itself" in line
    assert image.read_bytes() == before


def test_a_full_disk_ends_a_folder(weights, tmp_path, monkeypatch, capsys):
    for index in range(12):
        write_image(tmp_path / "in" / f"{index:02d}.png", np.full((40, 40), 90, "uint8"))
    monkeypatch.setattr("os.fsync", raise_full_disk)
    line = expect_refusal(
        capsys, translate.main, "--weights", weights / "g_source_weights.h5", "--input",
        tmp_path / "in", "--output", tmp_path / "out",
    )  # fmt: skip
    assert "No space left" in line


def test_samples_write_their_deviation(weights, tmp_path):
    write_image(tmp_path / "a.png", np.tile(np.arange(64, dtype="uint8") * 3, (64, 1)))
    translate.main([
        "--weights", str(weights), "--direction", "ct2mri", "--input", str(tmp_path / "a.png"),
        "--output", str(tmp_path / "out.png"), "--samples", "3",
    ])  # fmt: skip
    deviation = read_image(tmp_path / "out_std.tiff")
    assert deviation.shape == (64, 64) and deviation.max() > 0


def test_three_channels_never_tint(tmp_path):
    CycleGAN(make_config(channels=3, align="none")).save_weight_files(tmp_path)
    gray = np.tile(np.arange(48, dtype="uint8") * 5, (48, 1))
    answer, _ = Translator.load(tmp_path, "mri2ct").translate(np.repeat(gray[..., None], 3, -1))
    np.testing.assert_array_equal(np.ptp(answer, axis=-1), 0)


def test_one_channel_stays_one_channel(weights):
    translator = Translator.load(weights, "mri2ct")
    image = np.tile(np.arange(48, dtype="uint8") * 5, (48, 1))
    flat, deep = (translator.translate(i)[0] for i in (image, image[..., None]))
    np.testing.assert_array_equal(flat[..., None], deep)
    for wrong in ("scan.png", np.zeros((2, 48, 48, 1)), np.zeros((48, 48, 9))):
        with pytest.raises(InputError, match="expected the array of one image"):
            translator.translate(wrong)


def test_translate_refuses_bad_input(weights, repository, tmp_path, capsys):
    image = tmp_path / "a.png"
    write_image(image, np.zeros((32, 32), "uint8"))
    out = tmp_path / "o.png"
    (tmp_path / "empty").mkdir()
    (tmp_path / "zero.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "cut.png").write_bytes(image.read_bytes()[:-20])
    write_image(tmp_path / "tiny.png", np.zeros((8, 40), "uint8"))
    write_image(tmp_path / "nan.tiff", np.full((32, 32), np.nan, "float32"))
    for name in ("a.png", "a.jpg"):
        write_image(tmp_path / "twins" / name, np.zeros((32, 32), "uint8"))
    cases = {
        ("--weights", tmp_path / "none.h5", "--input", image): "none.h5",
        ("--weights", weights, "--input", image): "direction",
        ("--weights", weights / "d_source_weights.h5", "--input", image): "discriminator",
        ("--weights", repository / "weights" / "rrdbnet_weights.h5", "--input", image): "enhance",
        (
            "--weights",
            weights / "g_target_weights.h5",
            "--input",
            tmp_path / "absent",
        ): "does not exist",
        ("--weights", weights / "g_target_weights.h5", "--input", tmp_path / "empty"): "no images",
        **{
            ("--weights", weights / "g_target_weights.h5", "--input", tmp_path / name): name
            for name in ("zero.png", "text.png", "cut.png", "nan.tiff", "tiny.png")
        },
        ("--weights", weights, "--input", image, "--samples", 1): "--samples",
        ("--weights", weights, "--input", tmp_path / "twins", "--samples", 2): "a_std.tiff",
    }
    for arguments, word in cases.items():
        line = expect_refusal(capsys, translate.main, *arguments, "--output", out)
        assert word in line, line
        assert not out.exists()


def test_weights_of_another_architecture_are_refused(weights, tmp_path, capsys):
    """A file whose config tells one network and whose arrays are another's."""
    file = tmp_path / "swapped.h5"
    file.write_bytes((weights / "g_target_weights.h5").read_bytes())
    config = make_config()
    other = dataclasses.replace(config.generator, filters=(8, 16, 16))
    with h5py.File(file, "r+") as h5:
        h5.attrs["keras_vaegan_config"] = json.dumps(config_to_dict(other))
    write_image(tmp_path / "a.png", np.zeros((32, 32), "uint8"))
    line = expect_refusal(
        capsys,
        translate.main,
        "--weights",
        file,
        "--input",
        tmp_path / "a.png",
        "--output",
        tmp_path / "o.png",
    )
    assert "swapped.h5" in line and "shape" in line


def test_real_images_keep_their_size(weights, real_images, tmp_path):
    """A 512x512 gray PNG and a 201x251 RGB JPEG of the real set."""
    jpegs = (p for p in sorted((real_images / "trainB").iterdir()))
    jpeg = next(p for p in jpegs if read_image(p).shape[:2] == (251, 201))
    for path in (sorted((real_images / "testA").iterdir())[0], jpeg):
        out = tmp_path / path.name
        translate.main([
            "--weights", str(weights), "--direction", "mri2ct", "--input", str(path), "--output",
            str(out),
        ])  # fmt: skip
        assert read_image(out).shape == read_image(path).shape


# -- evaluate ----------------------------------------------------------------------------------


def test_evaluate_writes_the_contracted_files(weights, phantom, tmp_path):
    status = evaluate.main([
        "--weights", str(weights), "--data", str(phantom), "--out", str(tmp_path), "--limit", "8",
    ])  # fmt: skip
    assert status == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["n_ct"] == metrics["n_mri"] == 8
    for name in ("ct", "mri"):
        for kind in ("cycle", "honest_cycle"):
            assert {"psnr", "ssim", "bce", "auc_roc", "f1"} <= set(metrics[kind][name])
        assert set(metrics["realism"][name]["gap"]) == {"all", "hog", "histogram", "spectrum"}
        assert metrics["translation"][name]["identity"]["mae"] > 0
    assert metrics["cycle_enhanced"] is None and metrics["protocol"] == "unit"
    assert len((tmp_path / "per_image.csv").read_text().splitlines()) == 17
    assert "<img" in (tmp_path / "report.html").read_text()
    assert read_image(tmp_path / "grid.png").std() > 10


def test_evaluate_refuses_bad_input(weights, phantom, tmp_path, capsys):
    line = expect_refusal(
        capsys, evaluate.main, "--weights", tmp_path, "--data", phantom, "--out", tmp_path / "o"
    )
    assert "g_target_weights.h5" in line
    for change, word in ((("--limit", "2"), "limit"), (("--protocol", "best"), "protocol")):
        line = expect_refusal(
            capsys,
            evaluate.main,
            "--weights",
            weights,
            "--data",
            phantom,
            "--out",
            tmp_path / "o",
            *change,
        )
        assert word in line
    line = expect_refusal(
        capsys, evaluate.main, "--weights", weights / "g_target_weights.h5", "--data", phantom,
        "--out", tmp_path / "o",
    )  # fmt: skip
    assert "is no folder" in line


# -- train -------------------------------------------------------------------------------------


def test_dry_run_prints_the_resolved_config(capsys, tmp_path):
    train.main([
        "--preset", "demo", "--data", str(tmp_path), "--out", str(tmp_path / "run"), "--steps", "7",
        "--discriminator-gradients", "joint", "--dry-run",
    ])  # fmt: skip
    config = json.loads(capsys.readouterr().out)
    assert config["steps"] == 7
    assert config["losses"]["discriminator_gradients"] == "joint"
    assert not (tmp_path / "run").exists()


def test_train_refuses_bad_input(phantom, tmp_path, capsys):
    run = tmp_path / "run"
    (tmp_path / "empty").mkdir()
    taken = tmp_path / "taken"
    (taken / "state").mkdir(parents=True)
    (taken / "config.json").write_text("{}")
    broken = tmp_path / "broken"
    for name in ("trainA", "trainB"):
        for index in range(5):
            write_image(broken / name / f"{index}.png", np.full((40, 40), 50 * index, "uint8"))
        (broken / name / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    cases = {
        ("--data", tmp_path / "absent", "--out", run): "is no folder",
        ("--data", tmp_path / "empty", "--out", run): "trainA",
        ("--data", broken, "--out", run): "3.png",
        ("--data", phantom, "--out", taken): "already holds a run",
        ("--data", phantom, "--out", taken, "--resume"): "no run",
        ("--data", phantom, "--out", run, "--preset", "huge"): "huge",
        ("--data", phantom, "--out", run, "--steps", 1, "--epochs", 1): "--steps",
        ("--data", phantom, "--out", run, "--steps", 0): "--steps",
        ("--data", phantom, "--out", run, "--image-size", 50): "image_size",
        ("--data", phantom, "--out", run, "--skip-levels", 9): "skip_levels",
        ("--data", phantom, "--out", run, "--batch-size", 20): "batch size",
        ("--data", phantom, "--out", run, "--batch-size", 500): "pool_size",
        ("--data", phantom, "--out", run, "--seed", 2**40): "seed",
        ("--data", phantom, "--out", run, "--resume"): "no run",
    }
    for arguments, word in cases.items():
        if "--preset" not in arguments:
            arguments = (*arguments, "--preset", "demo")
        if "--resume" in arguments and "taken" not in str(arguments):
            arguments = ("--data", phantom, "--out", tmp_path / "absent", "--resume")
        line = expect_refusal(capsys, train.main, *arguments)
        assert word in line, line
    assert json.loads((taken / "config.json").read_text()) == {}


def test_an_unwritable_run_folder_is_refused(phantom, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    line = expect_refusal(
        capsys,
        train.main,
        "--preset",
        "demo",
        "--data",
        phantom,
        "--out",
        tmp_path / "file" / "run",
    )
    assert "cannot write" in line


def test_a_full_disk_leaves_the_old_checkpoint(weights, monkeypatch, tmp_path):
    trainer = CycleGAN(make_config())
    trainer.save_weight_files(tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in CYCLEGAN_FILES.values()}

    calls = []

    def fail_on_the_third(descriptor):
        calls.append(descriptor)
        if len(calls) == 3:
            raise_full_disk(descriptor)

    monkeypatch.setattr("os.fsync", fail_on_the_third)
    trainer.g_target_ema.trainable_variables[0].assign_add(
        np.ones(trainer.g_target_ema.trainable_variables[0].shape)
    )
    with pytest.raises(InputError, match="No space left"):
        trainer.save_weight_files(tmp_path)
    for name, content in before.items():
        assert (tmp_path / name).read_bytes() == content
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(before)


def test_signals_and_limits_stop_after_the_step():
    class Model:
        stop_training = False
        agree_to_stop = staticmethod(bool)

    Model.trained_steps = type("V", (), {"numpy": staticmethod(lambda: 3)})
    handler = signal.getsignal(signal.SIGINT)
    with StopOnSignalOrLimit(steps=6) as stop:
        stop.set_model(Model())
        stop.on_train_begin()
        for batch, expected in enumerate((False, False, True)):
            stop.on_train_batch_end(batch)
            assert stop.model.stop_training is expected
        stop.model.stop_training = False
        stop.steps = 100
        signal.raise_signal(signal.SIGINT)
        stop.on_train_batch_end(3)
        assert stop.model.stop_training and stop.received == signal.SIGINT
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.slow
def test_train_writes_the_run_folder_and_resumes(phantom, tmp_path, capsys):
    """Two steps, then two more: files, history, weights that translate."""
    run = tmp_path / "run"
    common = [
        "--preset", "demo", "--data", str(phantom), "--out", str(run), "--image-size", "32",
        "--batch-size", "2",
    ]  # fmt: skip
    assert train.main([*common, "--steps", "2"]) == 0
    expected = {"config.json", "best", "state", "logs", "samples", *CYCLEGAN_FILES.values()}
    assert {p.name for p in run.iterdir()} == expected
    assert {p.name for p in (run / "best").iterdir()} == set(CYCLEGAN_FILES.values())
    assert (run / "logs" / "history.png").exists()
    assert train.main([*common, "--steps", "4", "--resume"]) == 0
    capsys.readouterr()
    assert train.main([*common, "--resume"]) == 0
    assert "already at step 4 of 4" in capsys.readouterr().out
    other = [*common[: common.index("--preset")], *common[common.index("--preset") + 2 :]]
    line = expect_refusal(capsys, train.main, *other, "--preset", "resnet_cyclegan", "--resume")
    assert "another network" in line
    config = (run / "config.json").read_bytes()
    with pytest.raises(SystemExit):
        train.main([*common, "--image-size", "48", "--resume"])
    assert (run / "config.json").read_bytes() == config
    history = (run / "logs" / "history.csv").read_text().splitlines()
    assert len(history) == 3 and history[-1].split(",")[1] == "4"
    assert [p.name for p in sorted((run / "samples").iterdir())] == [
        "step_000002.png",
        "step_000004.png",
    ]
    image = np.tile(np.arange(40, dtype="uint8") * 6, (40, 1))
    translation, _ = Translator.load(run, "mri2ct").translate(image)
    assert translation.shape == (40, 40) and translation.std() > 0
