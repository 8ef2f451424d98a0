"""Test images that are training images too are left out, told and counted."""

import shutil

import pytest

from keras_vaegan.data.image import list_images
from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.leaks import leave_out_leaks
from keras_vaegan.phantom.rendering import PhantomSet, write_phantom_folders


@pytest.fixture
def root(tmp_path):
    """A phantom of pairs, of which one MRI is a training image under another name."""
    write_phantom_folders(tmp_path, PhantomSet(count=8, size=64))
    first = list_images(tmp_path / "testB")[0]
    shutil.copy(list_images(tmp_path / "trainB")[2], first)
    return tmp_path


def list_tests(root):
    return {name: list_images(root / name) for name in ("testA", "testB")}


def test_a_pair_goes_where_one_of_it_leaks(root, capsys):
    files = list_tests(root)
    kept, report = leave_out_leaks(root, files)
    assert kept == {name: paths[1:] for name, paths in files.items()}
    assert report["testB"]["found"] == report["testB"]["left_out"] == 1
    ((leak, source),) = report["testB"]["examples"]
    assert leak == files["testB"][0].name and source.startswith("trainB/")
    assert report["testA"] == {"found": 1, "of": len(kept["testA"]) + 1, "left_out": 1,
                               "examples": []}  # fmt: skip
    assert "left out; --keep-leaks keeps them" in capsys.readouterr().err


def test_leaks_are_kept_where_asked(root, capsys):
    files = list_tests(root)
    kept, report = leave_out_leaks(root, files, keep=True)
    assert kept == files and report["testB"]["found"] == 1 and not report["testB"]["left_out"]
    assert "kept, as --keep-leaks asks" in capsys.readouterr().err


def test_images_of_other_names_go_alone(root):
    for path in list_images(root / "testA"):
        path.rename(path.with_name(f"ct{path.name}"))
    files = list_tests(root)
    kept, _ = leave_out_leaks(root, files)
    assert kept == {"testA": files["testA"], "testB": files["testB"][1:]}


def test_nothing_is_left_out_without_training_images(root, capsys):
    for name in ("trainA", "trainB"):
        shutil.rmtree(root / name)
    files = list_tests(root)
    kept, report = leave_out_leaks(root, files)
    assert kept == files and report["testB"]["found"] == 0
    assert capsys.readouterr().err == ""


def test_a_set_that_leaks_whole_is_refused(root):
    files = list_tests(root)
    with pytest.raises(InputError, match=r"all 1 images of .*testB are in the training folders"):
        leave_out_leaks(root, {"testA": files["testA"][1:], "testB": files["testB"][:1]})
