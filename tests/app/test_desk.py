"""What a user does, without a page: load, translate, download, stop, leave."""

from __future__ import annotations

import dataclasses
import socket
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest

from keras_vaegan.app import sessions, work
from keras_vaegan.app.desk import NOTHING_LOADED, Desk, Order
from keras_vaegan.app.examples import EXAMPLES, write_example
from keras_vaegan.app.networks import load_networks
from keras_vaegan.app.server import check_gradio
from keras_vaegan.commands import app
from keras_vaegan.data.image import read_image, write_image
from keras_vaegan.data.volume_files import read_volume
from keras_vaegan.errors import InputError

KEY = "someone"


@pytest.fixture
def desk(networks, tmp_path):
    """A desk with an empty folder."""
    root = tmp_path / "root"
    root.mkdir()
    return Desk(networks, root)


@pytest.fixture
def names(networks):
    """(VAE, ResNet), as they are offered."""
    return tuple(networks.choices)


def test_networks_are_found_and_told_apart(networks, weights, names):
    assert names == (f"VAE-CycleGAN · {weights.name}", "CycleGAN · resnet")
    assert all(set(found) == {"mri2ct", "ct2mri"} for found in networks.choices.values())
    vae, resnet = (networks.get(name, "mri2ct") for name in names)
    assert vae.translator.latent and not resnet.translator.latent
    assert (vae.domain, len(vae.digest)) == ("mri", 12) and networks.enhancer.scale == 2
    with pytest.raises(InputError, match="no network other"):
        networks.get("other", "mri2ct")


def test_one_file_tells_its_direction_by_its_name(weights, tmp_path):
    file = weights / "g_source_weights.h5"
    assert [set(found) for found in load_networks((file,)).choices.values()] == [{"ct2mri"}]
    other = tmp_path / "other.h5"
    other.write_bytes(file.read_bytes())
    for path in (other, tmp_path):
        with pytest.raises(InputError, match="no generator in"):
            load_networks((path,))
    with pytest.raises(InputError, match="does not exist"):
        load_networks((tmp_path / "none",))


def test_an_image_keeps_size_and_depth(desk, upload, names, networks):
    screen = desk.open_file(KEY, Path(upload("deep.png")))
    assert screen.title == "deep.png: image, 48 × 40, 16 bit"
    assert (screen.slices, screen.generated, screen.downloads) == (1, None, ())
    assert read_image(screen.source).shape == (427, 512, 3)
    screen = desk.translate(KEY, Order(names[0], "mri2ct", samples=4))
    assert screen.error == "" and screen.names == ("MRI", "Synthetic CT")
    file, deviation_file = map(Path, screen.downloads)
    assert (file.name, deviation_file.name) == (
        "deep_synthetic_ct.png", "deep_synthetic_ct_std.tiff",
    )  # fmt: skip
    image = read_image(desk.sessions.get(KEY).source.path)
    translator = networks.get(names[0], "mri2ct").translator
    made, deviation = translator.translate(image, 4)
    np.testing.assert_array_equal(read_image(file), made)
    np.testing.assert_array_equal(read_image(deviation_file), deviation)
    assert made.dtype == "uint16" and screen.scale.endswith("% of the gray scale")
    assert "4 drawn translations" in screen.meaning
    gray, over = read_image(screen.generated), read_image(screen.overlay)
    assert gray.shape == over.shape and (over != gray).any() and (np.ptp(gray, axis=-1) == 0).all()


def test_without_a_latent_samples_are_left_out(desk, upload, names):
    desk.open_file(KEY, Path(upload("colour.jpg")))
    screen = desk.translate(KEY, Order(names[1], "ct2mri", samples=8))
    assert screen.error == "" and screen.overlay is None and screen.scale == ""
    assert [Path(file).name for file in screen.downloads] == ["colour_synthetic_mri.jpg"]
    assert read_image(screen.downloads[0]).shape == (40, 48, 3)


def test_an_enhanced_image_is_larger(desk, upload, names, monkeypatch):
    desk.open_file(KEY, Path(upload("plain.png")))
    screen = desk.translate(KEY, Order(names[1], "mri2ct", enhance=True))
    assert read_image(screen.downloads[0]).shape == (80, 96)
    assert read_image(screen.source).shape == read_image(screen.generated).shape
    monkeypatch.setattr(work, "ENHANCED_SIDE", 64)
    screen = desk.translate(KEY, Order(names[1], "mri2ct", enhance=True))
    assert "48x40 to be enlarged 2 times: expected at most 64" in screen.error


def test_a_nifti_volume_keeps_its_grid(desk, upload, inputs, names):
    screen = desk.open_file(KEY, Path(upload("mri.nii.gz")))
    assert "NIfTI volume, 40 × 8 × 36 voxels of 1.25 × 3 × 1 mm" in screen.title
    assert (screen.slices, screen.index, screen.volume) == (8, 4, True)
    seen = []
    screen = desk.translate(
        KEY, Order(names[0], "mri2ct", samples=2, enhance=True), lambda *count: seen.append(count)
    )
    assert screen.error == "" and seen[-1] == (1, 1) and "slice to slice" in screen.notes[-1]
    file, deviation = (nibabel.load(path) for path in screen.downloads)
    source = nibabel.load(inputs / "mri.nii.gz")
    np.testing.assert_array_equal(file.affine, source.affine)
    assert file.shape == deviation.shape == source.shape and file.get_data_dtype() == "int16"
    assert Path(screen.downloads[1]).name == "mri_synthetic_ct_std.nii.gz"
    assert screen.scale.endswith(" HU")
    other = desk.show(KEY, 1)
    assert other.index == 1 and (read_image(other.source) != read_image(screen.source)).any()
    assert desk.show(KEY, 99).index == 7


def test_a_zipped_series_becomes_one(desk, upload, names, tmp_path):
    screen = desk.open_file(KEY, Path(upload("ct.zip")))
    assert "CT series" in screen.title and screen.domain == "ct" and len(screen.series) == 1
    screen = desk.translate(KEY, Order(names[1], "ct2mri", anonymize=True))
    assert screen.error == "" and screen.warnings == ()
    with zipfile.ZipFile(screen.downloads[0]) as archive:
        archive.extractall(tmp_path / "made")
    folder = tmp_path / "made" / "ct_synthetic_mri"
    header = pydicom.dcmread(folder / "0001.dcm")
    assert (header.Modality, header.PatientName) == ("MR", "ANONYMOUS")
    assert "not for diagnosis" in header.DerivationDescription
    source = desk.sessions.get(KEY).source.stored.volume
    np.testing.assert_allclose(read_volume(folder).volume.affine, source.affine, atol=1e-4)
    assert desk.translate(KEY, Order(names[1], "mri2ct")).warnings[0] == (
        "The series says it is CT, this direction takes MR."
    )


def test_of_several_series_one_is_chosen(desk, upload):
    screen = desk.open_file(KEY, Path(upload("two.zip")))
    assert screen.chosen == "1.2.3.4" and screen.slices == 8
    assert screen.series == {
        "1.2.3.4": "CT · no name · 8 slices", "1.2.7": "CT · no name · 3 slices",
    }  # fmt: skip
    assert desk.choose_series(KEY, "1.2.7").slices == 3
    assert "no series 1.9" in desk.choose_series(KEY, "1.9").error
    assert desk.show(KEY).slices == 3


def test_what_is_no_scan_is_refused_in_one_line(desk, upload, inputs, tmp_path, monkeypatch):
    screen = desk.open_file(KEY, Path(upload("words.txt")))
    assert screen.error.startswith("words.txt is not an image") and screen.source is None
    one = next((inputs / "ct" / "deep" / "er").iterdir())
    single = tmp_path / "one.dcm"
    single.write_bytes(one.read_bytes())
    assert "is one DICOM file" in desk.open_file(KEY, single).error
    empty = tmp_path / "empty.zip"
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("a.txt", "words")
    error = desk.open_file(KEY, empty).error
    assert error.startswith("no DICOM file with an image in empty (unpacked)")
    monkeypatch.setattr("keras_vaegan.app.limits.VOLUME_SIDE", 20)
    for name in ("ct.zip", "mri.nii.gz"):
        assert "voxels: expected at most" in desk.open_file(KEY, Path(upload(name))).error
    assert not any(path.is_file() for path in desk.sessions.root.rglob("*"))
    assert desk.translate(KEY, Order("", "")).error == NOTHING_LOADED
    assert desk.choose_series(KEY, "1").source is None


def test_bad_orders_leave_the_input(desk, upload, names, tmp_path):
    desk.open_file(KEY, Path(upload("plain.png")))
    for order, text in (
        (Order("other", "mri2ct"), "no network other"),
        (Order(names[0], "mri2ct", samples=1), "1 samples"),
    ):
        screen = desk.translate(KEY, order)
        assert text in screen.error and screen.source and not screen.generated
    write_image(tmp_path / "small.png", np.ones((8, 8), "uint8"))
    desk.open_file(KEY, tmp_path / "small.png")
    assert "expected at least 16 a side" in desk.translate(KEY, Order(names[0], "mri2ct")).error


def test_an_input_unlike_the_training_set_is_warned_of(networks, desk, upload, names):
    class Foreign:
        def measure(self, squares):
            return np.full(len(squares), 2.0)

    strange = {
        direction: dataclasses.replace(network, statistics=Foreign())
        for direction, network in networks.choices[names[1]].items()
    }
    desk.networks = dataclasses.replace(networks, choices={"strange": strange})
    for name, text in (
        ("plain.png", "This image is unlike"),
        ("mri.nii.gz", "100% of this volume"),
    ):
        desk.open_file(KEY, Path(upload(name)))
        assert text in desk.translate(KEY, Order("strange", "mri2ct")).warnings[0]


def test_a_bug_is_a_line_on_the_page(desk, upload, names, capsys):
    desk.open_file(KEY, Path(upload("mri.nii.gz")))

    def fail(*count):
        raise MemoryError

    screen = desk.translate(KEY, Order(names[1], "mri2ct"), fail)
    assert screen.error == "this failed (MemoryError): the server's terminal says more"
    assert "Traceback" in capsys.readouterr().err


def test_a_translation_is_stopped(desk, upload, names):
    desk.open_file(KEY, Path(upload("mri.nii.gz")))
    screen = desk.translate(KEY, Order(names[1], "mri2ct"), lambda *count: desk.stop(KEY))
    assert screen.error.startswith("stopped") and screen.source and not screen.downloads


@pytest.mark.parametrize("name", ["plain.png", "mri.nii.gz"])
def test_a_stopped_translation_leaves_the_answer_before(desk, upload, names, name):
    """Its files are still there, and still its own; those of the next answer replace them."""
    desk.open_file(KEY, Path(upload(name)))
    first = desk.translate(KEY, Order(names[0], "mri2ct"))
    before = {file: Path(file).read_bytes() for file in first.downloads}
    screen = desk.translate(KEY, Order(names[1], "mri2ct"), lambda *count: desk.stop(KEY))
    assert screen.error.startswith("stopped") and screen.downloads == first.downloads
    assert {file: Path(file).read_bytes() for file in screen.downloads} == before
    last = desk.translate(KEY, Order(names[1], "mri2ct"))
    assert not any(Path(file).exists() for file in before)
    runs = list(Path(last.downloads[0]).parent.parent.glob("run_*"))
    assert runs == [Path(last.downloads[0]).parent]


def test_who_leaves_leaves_nothing(desk, upload, names):
    desk.open_file(KEY, Path(upload("mri.nii.gz")))
    assert any(desk.sessions.root.iterdir())
    screen = desk.translate(KEY, Order(names[1], "mri2ct"), lambda *count: desk.close(KEY))
    assert screen.error.startswith("stopped")
    assert not any(desk.sessions.root.iterdir())
    desk.close("nobody")


def test_few_sessions_are_held(desk, upload, monkeypatch):
    monkeypatch.setattr(sessions, "MOST_SESSIONS", 1)
    desk.open_file(KEY, Path(upload("plain.png")))
    desk.open_file("another", Path(upload("plain.png")))
    assert desk.show(KEY).source is None
    desk.sessions.close_all()
    assert not any(desk.sessions.root.iterdir())


def test_few_pictures_are_held(desk, upload, monkeypatch):
    monkeypatch.setattr(sessions, "PICTURES_KEPT", 2)
    first = desk.open_file(KEY, Path(upload("plain.png"))).source
    desk.show(KEY)
    assert Path(first).exists()
    desk.show(KEY)
    assert not Path(first).exists()


@pytest.mark.parametrize("label", EXAMPLES)
def test_examples_are_drawn_the_same_each_time(label, tmp_path, monkeypatch):
    monkeypatch.setattr("keras_vaegan.app.examples.SLICES", 3)
    files = [write_example(label, tmp_path / place) for place in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_an_example_is_loaded(desk):
    screen = desk.open_example(KEY, "CT slice")
    assert screen.domain == "ct" and screen.title.startswith("phantom_ct.png")


def test_the_command_says_what_is_wrong(capsys, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for options in (["--port", port], ["--port", "70000"], ["--host", "192.0.2.1"]):
            with pytest.raises(SystemExit) as caught:
                app.main(options)
            assert caught.value.code == 2 and "error: cannot serve at" in capsys.readouterr().err
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'keras_vaegan\[app\]'"):
        check_gradio()
