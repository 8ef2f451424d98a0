"""translate as a user runs it: images, folders, bad input."""

from __future__ import annotations

import dataclasses
import json

import h5py
import numpy as np
import pytest

from keras_vaegan.commands import translate
from keras_vaegan.config.base import config_to_dict
from keras_vaegan.data.image import read_image, write_image
from keras_vaegan.errors import InputError
from keras_vaegan.systems.cyclegan.translator import Translator


def raise_full_disk(descriptor):
    raise OSError(28, "No space left on device")


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


def test_a_folder_goes_to_a_folder_and_bad_files_are_named(
    weights, tmp_path, capsys, expect_refusal
):
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
    assert "unusable" in expect_refusal(translate.main, *arguments, tmp_path / "again")


def test_translate_never_overwrites_its_input(weights, tmp_path, expect_refusal):
    image = tmp_path / "a.png"
    write_image(image, np.full((40, 40), 90, "uint8"))
    before = image.read_bytes()
    for path in (image, tmp_path):
        line = expect_refusal(
             translate.main, "--weights", weights / "g_source_weights.h5", "--input", path,
            "--output", path,
        )  # fmt: skip
        assert "input itself" in line
    assert image.read_bytes() == before


def test_a_full_disk_ends_a_folder(weights, tmp_path, monkeypatch, expect_refusal):
    for index in range(12):
        write_image(tmp_path / "in" / f"{index:02d}.png", np.full((40, 40), 90, "uint8"))
    monkeypatch.setattr("os.fsync", raise_full_disk)
    line = expect_refusal(
        translate.main, "--weights", weights / "g_source_weights.h5", "--input",
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


def test_three_channels_never_tint(tmp_path, make_config, write_weights):
    write_weights(tmp_path, make_config(channels=3, align="none"))
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


def test_translate_refuses_bad_input(weights, repository, tmp_path, expect_refusal):
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
        line = expect_refusal(translate.main, *arguments, "--output", out)
        assert word in line, line
        assert not out.exists()


def test_weights_of_another_architecture_are_refused(
    weights, make_config, tmp_path, expect_refusal
):
    """A file whose config tells one network and whose arrays are another's."""
    file = tmp_path / "swapped.h5"
    file.write_bytes((weights / "g_target_weights.h5").read_bytes())
    config = make_config()
    other = dataclasses.replace(config.generator, filters=(8, 16, 16))
    with h5py.File(file, "r+") as h5:
        h5.attrs["keras_vaegan_config"] = json.dumps(config_to_dict(other))
    write_image(tmp_path / "a.png", np.zeros((32, 32), "uint8"))
    line = expect_refusal(
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
