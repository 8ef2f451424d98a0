"""A training set in one file: the same images, and refusals of another or a damaged one."""

import dataclasses

import numpy as np
import pytest

from keras_vaegan.commands import prepare, train
from keras_vaegan.errors import InputError
from keras_vaegan.phantom.rendering import PhantomSet, write_phantom_folders
from keras_vaegan.systems.cyclegan.data import load_training_images
from keras_vaegan.systems.cyclegan.prepared import read_prepared
from keras_vaegan.systems.registry import get_preset


@pytest.fixture(scope="module")
def config(tiny):
    return dataclasses.replace(
        tiny.VAE, data=dataclasses.replace(tiny.VAE.data, align="head"), batch_size=2
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Phantom images in a folder."""
    folder = tmp_path_factory.mktemp("set") / "images"
    write_phantom_folders(folder, PhantomSet(count=12, size=48))
    return folder


@pytest.fixture(scope="module")
def prepared(folder):
    """The same images in a file, prepared as the config asks for."""
    path = folder.parent / "set.npz"
    options = ["--preset", "demo", "--image-size", "32", "--align", "head"]
    assert prepare.main(["--data", str(folder), "--out", str(path), *options]) == 0
    return path


def test_a_file_gives_the_run_of_its_folder(config, folder, prepared):
    one, other = (load_training_images(config, data) for data in (folder, prepared))
    assert (one.one_pass, one.description) == (other.one_pass, other.description)
    for step in (0, 7):
        for a, b in zip(one.read_batch(step), other.read_batch(step), strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(one.held_mri, other.held_mri)
    with np.load(prepared) as file:
        assert len(file["names_trainA"]) == len(file["trainA"]) == 12
        assert file["trainB"].dtype == "uint8"


def test_the_value_range_and_the_held_back_are_the_runs_own(config, prepared):
    data = dataclasses.replace(config.data, value_range="sigmoid", validation_images=0)
    assert len(read_prepared(prepared, data)["trainA"]) == 12


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"image_size": 64}, "image_size 32: expected 64"),
        ({"align": "none"}, "--align none"),
        ({"channels": 3}, "channels 1: expected 3"),
    ],
    ids=str,
)
def test_another_preparation_is_refused(config, prepared, change, word):
    with pytest.raises(InputError, match=word) as caught:
        read_prepared(prepared, dataclasses.replace(config.data, **change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["text", "cut", "lacks", "shape", "config"])
def test_a_damaged_file_is_refused_in_one_line(config, prepared, tmp_path, damage, expect_refusal):
    path = tmp_path / "set.npz"
    with np.load(prepared) as file:
        arrays = dict(file)
    if damage == "text":
        path.write_text("no archive")
    elif damage == "cut":
        path.write_bytes(prepared.read_bytes()[:-200])
    else:
        if damage == "lacks":
            del arrays["trainB"]
        elif damage == "shape":
            arrays["trainA"] = arrays["trainA"][:, :16]
        else:
            arrays["data"] = np.array('{"kind": "DataConfig", "image_size": "large"}')
        np.savez(path, **arrays)
    with pytest.raises(InputError, match="prepare"):
        read_prepared(path, config.data)
    size = ["--preset", "demo", "--image-size", "32", "--align", "head"]
    line = expect_refusal(train.main, "--data", path, "--out", tmp_path / "run", *size)
    assert "prepare" in line and not (tmp_path / "run").exists()


def test_bad_options_of_prepare_are_one_line(folder, tmp_path, expect_refusal):
    cases = {
        ("--data", folder, "--out", tmp_path / "set.zip"): ".npz",
        ("--data", folder, "--out", tmp_path / "a.npz", "--preset", "modality_unet"): "CycleGAN",
        ("--data", tmp_path, "--out", tmp_path / "a.npz"): "trainA",
        ("--data", folder, "--out", tmp_path / "a.npz", "--image-size", 3): "image_size",
    }
    for arguments, word in cases.items():
        assert word in expect_refusal(prepare.main, *arguments)
    assert not list(tmp_path.iterdir())
    assert get_preset("demo").data.image_size == 64
