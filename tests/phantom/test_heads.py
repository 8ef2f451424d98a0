"""The procedural head: anatomy, its two pictures, and the folders of the real set's layout."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from keras_vaegan.commands import phantom as command
from keras_vaegan.data.image import read_image
from keras_vaegan.errors import InputError
from keras_vaegan.phantom import rendering
from keras_vaegan.phantom.heads import Tissue, make_head
from keras_vaegan.phantom.rendering import (
    FOLDERS,
    PhantomSet,
    cut_head,
    render_ct,
    render_mri,
    write_phantom_folders,
)
from keras_vaegan.phantom.shapes import Plane, make_waves


def render_pair(seed: int, case: int, level: float, size: int, contrast: str):
    """One slice in both modalities: MRI and CT."""
    cut = cut_head(seed, case, level, (size, size))
    generators = [np.random.default_rng([seed, case, k]) for k in (0, 1)]
    return render_mri(cut, contrast, generators[0]), render_ct(cut, generators[1])


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Path:
    """A small phantom."""
    out = tmp_path_factory.mktemp("phantom")
    write_phantom_folders(out, PhantomSet(count=12, size=48, seed=3))
    return out


def content(root: Path) -> dict[str, str]:
    """Hash of every file below a folder, by its relative path."""
    return {
        p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in root.rglob("*")
        if p.is_file()
    }


def share(tissues: np.ndarray, *kinds: Tissue) -> float:
    """Share of a picture that consists of some tissues."""
    return float(np.isin(tissues, kinds).mean())


def refused(capsys, *argv: str) -> str:
    """Run the command, which must fail with status 2 and one line; return the line."""
    with pytest.raises(SystemExit) as stop:
        command.main(list(argv))
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1
    return err


def test_waves_on_an_oblique_plane_equal_the_plain_sum():
    waves = make_waves(np.random.default_rng(0), 10, 20, 7)
    down, right = np.array([0.1, -0.9, 0.2]), np.array([0.8, 0.1, 0.3])
    plane = Plane(np.array([1.0, 2, 3]), down, right, np.linspace(-50, 50, 9), np.arange(11.0))
    points = np.moveaxis(plane.points(), 0, -1).astype("float64")
    expected = np.cos(points @ waves.vectors.T + waves.phases).sum(-1) * np.sqrt(2 / 7)
    np.testing.assert_allclose(waves.evaluate(plane), expected, atol=1e-4)


def test_waves_have_unit_variance():
    axis = np.arange(0, 900, 3.0)
    plane = Plane(np.zeros(3), np.array([0, 1.0, 0]), np.array([1.0, 0, 0]), axis, axis)
    noise = make_waves(np.random.default_rng(1), 10, 20, 32).evaluate(plane)
    assert abs(noise.mean()) < 0.05
    assert noise.var() == pytest.approx(1, abs=0.2)


def test_middle_slices_hold_a_brain_in_a_skull_in_a_scalp():
    for case in range(4):
        tissues = cut_head(0, case, 0.5, (64, 64)).tissues
        brain = share(tissues, Tissue.GREY_MATTER, Tissue.WHITE_MATTER)
        assert 0.15 < brain < 0.5
        assert share(tissues, Tissue.GREY_MATTER) > 0.05
        assert share(tissues, Tissue.WHITE_MATTER) > 0.05
        assert share(tissues, Tissue.CORTICAL_BONE) > 0.03
        assert share(tissues, Tissue.FAT, Tissue.SKIN) > 0.02
        assert share(tissues, Tissue.CSF) > 0.01
        assert share(tissues, Tissue.VITREOUS, Tissue.LENS) == 0
        row = tissues[tissues.shape[0] // 2]
        order = list(dict.fromkeys(row[: len(row) // 3].tolist()))
        assert order[:3] == [Tissue.AIR, Tissue.SKIN, Tissue.FAT]
        assert order.index(Tissue.CORTICAL_BONE) < order.index(Tissue.CSF)


def test_low_slices_hold_eyes_and_air_sinuses():
    for case in range(4):
        tissues = cut_head(0, case, 0.03, (64, 64)).tissues
        assert share(tissues, Tissue.VITREOUS) > 0.003
        inner = tissues[tissues.shape[0] // 6 : tissues.shape[0] // 2, tissues.shape[1] // 2]
        assert (inner == Tissue.AIR).any()  # ethmoid cells on the midline


def test_the_head_lies_inside_the_frame():
    for case in range(12):
        tissues = cut_head(1, case, 0.4, (48, 48)).tissues
        border = np.concatenate([tissues[0], tissues[-1], tissues[:, 0], tissues[:, -1]])
        assert (border == Tissue.AIR).all()


def test_cases_differ_and_repeat():
    first = cut_head(0, 0, 0.5, (48, 48)).tissues
    assert np.array_equal(first, cut_head(0, 0, 0.5, (48, 48)).tissues)
    for other in (cut_head(0, 1, 0.5, (48, 48)), cut_head(1, 0, 0.5, (48, 48))):
        assert (first != other.tissues).mean() > 0.1


def test_about_a_quarter_of_the_cases_have_a_lesion():
    count = sum(make_head(np.random.default_rng([0, k])).lesion is not None for k in range(200))
    assert 30 < count < 70


def median_by_tissue(image: np.ndarray, tissues: np.ndarray, kind: Tissue) -> float:
    """Median brightness of the pixels that lie well inside one tissue."""
    factor = tissues.shape[0] // image.shape[0]
    inner = cv2.erode((tissues == kind).astype("uint8"), np.ones((3, 3), "uint8"))
    blocks = inner.reshape(image.shape[0], factor, image.shape[1], factor)
    return float(np.median(image[blocks.all(axis=(1, 3))]))


def test_modalities_order_the_tissues_as_scanners_do():
    cut = cut_head(0, 2, 0.5, (256, 256))
    pictures = {
        "ct": render_ct(cut, np.random.default_rng(0)),
        "t1": render_mri(cut, "t1", np.random.default_rng(0)),
        "t2": render_mri(cut, "t2", np.random.default_rng(0)),
    }
    ct, t1, t2 = (
        {kind: median_by_tissue(picture, cut.tissues, kind) for kind in (
            Tissue.AIR, Tissue.CORTICAL_BONE, Tissue.FAT, Tissue.CSF, Tissue.GREY_MATTER,
            Tissue.WHITE_MATTER)}
        for picture in pictures.values()
    )  # fmt: skip
    assert ct[Tissue.CORTICAL_BONE] > 240
    assert ct[Tissue.AIR] == 0
    assert 0 < ct[Tissue.CSF] < ct[Tissue.WHITE_MATTER] < ct[Tissue.GREY_MATTER] < 140
    assert t1[Tissue.CSF] < t1[Tissue.GREY_MATTER] < t1[Tissue.WHITE_MATTER] < t1[Tissue.FAT]
    assert t2[Tissue.WHITE_MATTER] < t2[Tissue.GREY_MATTER] < t2[Tissue.CSF]
    for mri in (t1, t2):
        assert 0 < mri[Tissue.AIR] < 12  # Rician: noise has no negative half
        assert mri[Tissue.CORTICAL_BONE] < 60


def test_render_pair_is_seeded_and_aligned():
    mri, ct = render_pair(5, 1, 0.6, 96, "t1")
    again = render_pair(5, 1, 0.6, 96, "t1")
    assert mri.shape == ct.shape == (96, 96) and mri.dtype == ct.dtype == np.uint8
    assert np.array_equal(mri, again[0]) and np.array_equal(ct, again[1])
    bone = ct[:72] == 255  # above the table
    assert mri[:72][bone].mean() < 0.7 * mri[:72][(ct[:72] > 60) & (ct[:72] < 130)].mean()


def test_the_frame_does_not_depend_on_the_number_of_pixels():
    small, large = (cut_head(0, 7, 0.5, (n, n)).tissues == Tissue.AIR for n in (88, 176))
    factor = large.shape[0] / small.shape[0]
    indices = ((np.arange(small.shape[0]) + 0.5) * factor).astype(int)
    assert (small == large[np.ix_(indices, indices)]).mean() > 0.99


def test_folders_have_the_layout_of_the_real_set(folders):
    files = {name: sorted((folders / name).iterdir()) for name in FOLDERS}
    assert {name: len(paths) for name, paths in files.items()} == {
        "trainA": 12, "trainB": 12, "testA": 8, "testB": 8,
    }  # fmt: skip
    assert os.listdir(folders) != [] and set(os.listdir(folders)) == set(FOLDERS)
    for name in ("trainA", "testA"):
        for path in files[name]:
            image = read_image(path)
            assert path.suffix == ".png" and image.shape == (48, 48) and image.dtype == np.uint8
    shapes = set()
    for path in files["trainB"]:
        image = read_image(path)
        assert path.suffix == ".jpg" and image.shape[2] == 3
        assert np.ptp(image.astype(int), axis=2).max() <= 1
        shapes.add(image.shape)
    assert len(shapes) > 4 and any(height != width for height, width, _ in shapes)
    assert [p.stem for p in files["testA"]] == [p.stem for p in files["testB"]]


def test_only_test_images_are_paired(folders):
    def overlap(ct: Path, mri: Path) -> float:
        masks = [read_image(p) for p in (ct, mri)]
        masks[1] = masks[1][..., 0]
        size = 40
        for k, image in enumerate(masks):
            rows, columns = (((np.arange(size) + 0.5) * n / size).astype(int) for n in image.shape)
            masks[k] = image[np.ix_(rows, columns)] > 40
        return (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum()

    pairs = list(zip(sorted((folders / "testA").iterdir()), sorted((folders / "testB").iterdir()),
                     strict=True))  # fmt: skip
    own = np.mean([overlap(ct, mri) for ct, mri in pairs])
    others = np.mean([overlap(a[0], b[1]) for a, b in zip(pairs, pairs[1:], strict=False)])
    assert own > others


def test_no_head_is_in_two_folders(tmp_path, monkeypatch):
    drawn: dict[str, set[int]] = {}
    real = rendering.cut_head

    def spy(seed, case, level, shape):
        drawn.setdefault(folder, set()).add(case)
        return real(seed, case, level, shape)

    monkeypatch.setattr(rendering, "cut_head", spy)
    for folder in FOLDERS:
        (tmp_path / folder).mkdir()
        for index in range(8):
            rendering._write_one(tmp_path / folder, PhantomSet(8, 32), index)
    assert drawn["testA"] == drawn["testB"]
    assert not drawn["trainA"] & drawn["trainB"]
    assert not (drawn["trainA"] | drawn["trainB"]) & drawn["testA"]


def test_equal_seeds_write_equal_bytes(folders, tmp_path):
    write_phantom_folders(tmp_path / "same", PhantomSet(count=12, size=48, seed=3))
    write_phantom_folders(tmp_path / "other", PhantomSet(count=12, size=48, seed=4))
    assert content(tmp_path / "same") == content(folders)
    other = content(tmp_path / "other")
    assert all(other[name] != value for name, value in content(folders).items())


def test_a_mixture_holds_both_contrasts_case_by_case():
    chosen = [rendering._choose_contrast(0, case, "mixture") for case in range(40)]
    assert 8 < chosen.count("t1") < 32
    t1, t2 = (render_pair(0, 0, 0.5, 32, contrast)[0] for contrast in ("t1", "t2"))
    assert not np.array_equal(t1, t2)


def test_command_writes_and_reports(tmp_path, capsys):
    out = tmp_path / "new" / "phantom"
    assert command.main(["--out", str(out), "--count", "4", "--size", "32"]) == 0
    assert "trainA 4" in capsys.readouterr().out
    assert len(content(out)) == 4 + 4 + 8 + 8


def test_folders_that_hold_files_are_refused(tmp_path, capsys):
    (tmp_path / "testB").mkdir()
    (tmp_path / "testB" / "mine.jpg").write_bytes(b"keep")
    line = refused(capsys, "--out", str(tmp_path), "--count", "4", "--size", "32")
    assert "testB" in line and "not empty" in line
    assert list(content(tmp_path)) == ["testB/mine.jpg"]


def test_empty_folders_and_strangers_beside_them_are_fine(tmp_path):
    (tmp_path / "trainA").mkdir()
    (tmp_path / "notes.txt").write_text("keep")
    write_phantom_folders(tmp_path, PhantomSet(count=4, size=32))
    assert (tmp_path / "notes.txt").read_text() == "keep"
    assert set(os.listdir(tmp_path)) == {*FOLDERS, "notes.txt"}


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--count", "0"], "count=0"),
        (["--count", "-3"], "count=-3"),
        (["--size", "4"], "size=4"),
        (["--size", "100000"], "size=100000"),
        (["--seed", "-1"], "seed=-1"),
        (["--contrast", "flair"], "flair"),
        (["--kind", "volumes"], "volumes"),
        (["--count", "many"], "many"),
    ],
)
def test_bad_options_are_refused(tmp_path, capsys, options, word):
    assert word in refused(capsys, "--out", str(tmp_path / "x"), *options)
    assert not (tmp_path / "x").exists()


def test_out_is_a_file(tmp_path, capsys):
    (tmp_path / "file").write_text("keep")
    line = refused(capsys, "--out", str(tmp_path / "file"), "--count", "4", "--size", "32")
    assert "cannot write" in line
    assert (tmp_path / "file").read_text() == "keep"


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_read_only_out(tmp_path, monkeypatch, capsys, code):
    def fail(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(tempfile, "mkdtemp", fail)
    line = refused(capsys, "--out", str(tmp_path), "--count", "4", "--size", "32")
    assert os.strerror(code) in line


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    real, calls = rendering.write_image, []

    def fail_late(path, image):
        calls.append(path)
        if len(calls) > 6:
            raise InputError(f"cannot write {path}: {os.strerror(errno.ENOSPC)}")
        real(path, image)

    monkeypatch.setattr(rendering, "write_image", fail_late)
    with pytest.raises(InputError, match="No space left"):
        write_phantom_folders(tmp_path, PhantomSet(count=4, size=32))
    assert os.listdir(tmp_path) == []
