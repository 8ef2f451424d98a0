"""Planted faults among phantom heads are found, and a clean set has none."""

import json
import shutil

import cv2
import numpy as np
import pytest

from keras_vaegan.data.image import read_image, to_channels, write_image
from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.audit import audit_images
from keras_vaegan.evaluation.audit_sheet import CAPTION, TILE, draw_contact_sheet
from keras_vaegan.evaluation.leaks import find_leaks
from keras_vaegan.evaluation.near_duplicates import (
    NEAR,
    Match,
    describe_picture,
    find_frame_head,
    find_similar,
    group_pairs,
)
from keras_vaegan.phantom.rendering import PhantomSet, write_phantom_folders

LISTS = ("unreadable", "identical", "near_duplicates", "leaks", "odd_sizes", "blank", "text")


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """Phantom heads as they are drawn."""
    folder = tmp_path_factory.mktemp("clean")
    write_phantom_folders(folder, PhantomSet(count=16, size=96))
    return folder


@pytest.fixture(scope="module")
def faulty(clean, tmp_path_factory):
    """The same with a fault of each kind."""
    folder = tmp_path_factory.mktemp("faulty")
    shutil.copytree(clean, folder, dirs_exist_ok=True)
    shutil.copy(folder / "trainB/mri0003.jpg", folder / "testB/copy.jpg")
    shutil.copy(folder / "trainA/ct0002.png", folder / "trainA/twin.png")
    save_again(folder / "trainB/mri0005.jpg", folder / "testB/brighter.jpg", 1.15, 1.0)
    save_again(folder / "trainB/mri0008.jpg", folder / "testB/larger.jpg", 1.0, 1.4)
    ct = read_image(folder / "trainA/ct0007.png")
    write_image(folder / "trainB/astray.jpg", np.repeat(ct[..., None], 3, axis=-1))
    (folder / "trainA/ct0007.png").unlink()
    write_image(folder / "trainB/blank.png", np.full((96, 96), 40, "uint8"))
    small = cv2.resize(read_image(folder / "trainA/ct0009.png"), (80, 80))
    write_image(folder / "trainA/ct0009.png", small)
    (folder / "testA/broken.png").write_bytes((folder / "testA/0000.png").read_bytes()[:900])
    return folder


@pytest.fixture(scope="module")
def found(faulty):
    """What is found in the set with faults."""
    return audit_images(faulty)


def save_again(source, target, gain, share):
    """Save an image as JPEG at another brightness and size."""
    image = np.clip(read_image(source) * gain, 0, 255).astype("uint8")
    write_image(target, cv2.resize(image, None, fx=share, fy=share))


def write_words(path, size=256):
    """A round head under two lines of text."""
    image = np.zeros((size, size), "uint8")
    cv2.ellipse(image, (size // 2, size // 2), (size // 4, size // 3), 0, 0, 360, 120, -1)
    cv2.putText(image, "A B 1 2 3 4", (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 255, 1)
    write_image(path, image)


def test_a_clean_set_has_no_faults(clean):
    audit = audit_images(clean)
    assert {name: getattr(audit, name) for name in LISTS} == {name: [] for name in LISTS}
    assert audit.missing == []
    assert audit.wrong_modality == {"suspects": [], "accuracy": 1.0, "skipped": None}
    assert audit.folders["trainA"] == {"images": 16, "unreadable": 0, "sizes": {"96x96": 16}}
    assert draw_contact_sheet(audit).shape == (CAPTION, 10 * TILE, 3)


def test_unreadable_blank_and_odd_files(found):
    assert [u["file"] for u in found.unreadable] == ["testA/broken.png"]
    assert "truncated" in found.unreadable[0]["reason"]
    assert found.folders["testA"]["unreadable"] == 1
    assert found.blank == ["trainB/blank.png"]
    assert found.odd_sizes == [{"file": "trainA/ct0009.png", "size": "80x80", "usual": "96x96"}]


def test_copies(found):
    assert found.identical == [
        ["trainA/ct0002.png", "trainA/twin.png"],
        ["trainB/mri0003.jpg", "testB/copy.jpg"],
    ]
    near = {(pair["first"], pair["second"]) for pair in found.near_duplicates}
    assert near == {
        ("trainB/mri0005.jpg", "testB/brighter.jpg"),
        ("trainB/mri0008.jpg", "testB/larger.jpg"),
    }
    correlations = [pair["correlation"] for pair in found.near_duplicates]
    assert correlations == sorted(correlations, reverse=True)


def test_leaks(found, faulty):
    by_test = {leak["test"]: (leak["train"], leak["identical"]) for leak in found.leaks}
    assert by_test == {
        "testB/copy.jpg": ("trainB/mri0003.jpg", True),
        "testB/brighter.jpg": ("trainB/mri0005.jpg", False),
        "testB/larger.jpg": ("trainB/mri0008.jpg", False),
    }
    train, test = (sorted(faulty.glob(f"{name}?/*")) for name in ("train", "test"))
    leaks = find_leaks(train, test)
    assert {f"testB/{p.name}": f"trainB/{q.name}" for p, q in leaks.items()} == {
        name: source for name, (source, _) in by_test.items()
    }
    assert find_leaks([], test) == find_leaks(train, []) == {}


def test_unreadable_files_leak_by_their_bytes(tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).write_bytes(b"no image" if name != "c.png" else b"nor this")
    train = [tmp_path / "a.png", tmp_path / "absent.png"]
    test = [tmp_path / "b.png", tmp_path / "c.png", tmp_path / "gone.png"]
    assert find_leaks(train, test) == {tmp_path / "b.png": tmp_path / "a.png"}


def test_the_wrong_modality(found):
    suspects = found.wrong_modality["suspects"]
    assert suspects[0]["file"] == "trainB/astray.jpg" and suspects[0]["probability"] > 0.9
    assert len(suspects) <= 2


def test_burnt_in_text(clean, tmp_path):
    shutil.copytree(clean / "testB", tmp_path / "testB")
    write_words(tmp_path / "testB/words.png")
    write_words(tmp_path / "testB/large.png", 700)
    audit = audit_images(tmp_path)
    assert "testB/words.png" in {item["file"] for item in audit.text}
    assert len(audit.text) <= 2 and all("mri" not in item["file"] for item in audit.text)


def test_the_result_is_json_and_a_picture(found):
    assert json.loads(json.dumps(found.to_json(), allow_nan=False)) == found.to_json()
    sheet = draw_contact_sheet(found)
    assert sheet.dtype == np.uint8 and sheet.shape[1] == 10 * TILE
    assert sheet.shape[0] == 5 * (2 * CAPTION + TILE)  # pairs, leaks, suspects, odd, blank


def test_one_folder_alone(clean, tmp_path):
    shutil.copytree(clean / "trainB", tmp_path / "set/trainB")
    (tmp_path / "set/trainA").mkdir()
    audit = audit_images(tmp_path)
    assert audit.missing == ["trainA", "testA", "testB"]
    assert audit.wrong_modality["skipped"] == (
        "0 CT and 16 MRI images that differ: expected at least 5 of both"
    )
    assert audit.leaks == [] and audit.near_duplicates == []


def test_one_image_alone(clean, tmp_path):
    (tmp_path / "testA").mkdir()
    shutil.copy(clean / "testA/0000.png", tmp_path / "testA")
    audit = audit_images(tmp_path)
    assert audit.folders["testA"]["images"] == 1 and len(audit.missing) == 3


def test_only_unreadable_files(tmp_path):
    (tmp_path / "testA").mkdir()
    (tmp_path / "testA/one.png").write_bytes(b"")
    audit = audit_images(tmp_path)
    assert "is empty" in audit.unreadable[0]["reason"]
    assert audit.folders["testA"]["sizes"] == {}


def test_no_images(tmp_path):
    with pytest.raises(InputError, match="is no folder"):
        audit_images(tmp_path / "absent")
    with pytest.raises(InputError, match="no image set in"):
        audit_images(tmp_path)
    (tmp_path / "trainA").mkdir()
    with pytest.raises(InputError, match="no images in trainA of .*: expected files ending in"):
        audit_images(tmp_path)


def test_a_margin_and_brightness_do_not_hide_a_picture(clean):
    gray = read_image(clean / "trainA/ct0001.png").astype("float32") / 255
    other = read_image(clean / "trainA/ct0006.png").astype("float32") / 255
    variants = [gray, np.pad(0.7 * gray + 0.02, ((20, 0), (0, 30))), gray**0.9, other]
    pictures = np.stack([describe_picture(v, find_frame_head(v)) for v in variants])
    pairs = find_similar(pictures)
    assert {pair[:2] for pair in pairs} == {(0, 1), (0, 2), (1, 2)}
    assert pairs == find_similar(pictures, threshold=-1)[:3]
    groups = group_pairs(4, [pair[:2] for pair in pairs])
    assert len(set(groups[:3])) == 1 and groups[3] != groups[0]


def test_mirrored_copies_are_found(clean):
    gray = read_image(clean / "trainA/ct0001.png").astype("float32") / 255
    other = read_image(clean / "trainA/ct0006.png").astype("float32") / 255
    variants = [gray, np.pad(0.7 * gray[:, ::-1] + 0.02, ((20, 0), (0, 30))), other]
    pictures = np.stack([describe_picture(v, find_frame_head(v)) for v in variants])
    (own,) = find_similar(pictures)
    assert own[:2] == (0, 1) and own.mirrored
    assert find_similar(pictures[1:], pictures[:1]) == [Match(0, 0, own.correlation, True)]


def test_images_without_detail_are_like_none():
    flat = np.full((40, 50), 0.3, "float32")
    pictures = np.stack([describe_picture(flat, find_frame_head(flat))] * 3)
    assert not pictures.any() and find_similar(pictures) == []


def test_the_hash_loses_no_pair(real_images):
    paths = sorted((real_images / "trainB").glob("*.jpg"))[:150]
    grays = [to_channels(read_image(path), 1)[..., 0] / np.float32(255) for path in paths]
    pictures = np.stack([describe_picture(gray, find_frame_head(gray)) for gray in grays])
    mirrored = pictures.reshape(-1, 2, 64, 64)[..., ::-1].reshape(pictures.shape)
    correlations = [
        np.einsum("ipk,jpk->ijp", pictures, others, optimize=True).max(axis=-1)
        for others in (pictures, mirrored)
    ]
    expected = np.argwhere(np.triu(np.maximum(*correlations) >= NEAR, 1))
    assert len(expected) > 3
    assert {pair[:2] for pair in find_similar(pictures)} == {(i, j) for i, j in expected.tolist()}
