"""The weight files that ship: as their manifest says, and ready to translate."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from keras_vaegan.commands import translate
from keras_vaegan.config.data import DataConfig
from keras_vaegan.data.image import read_image, write_image
from keras_vaegan.interop.keras_h5.load import load_network
from keras_vaegan.systems.modality.evaluation import evaluate_target
from keras_vaegan.systems.modality.synthesizer import Synthesizer
from keras_vaegan.systems.super_resolution.evaluation import evaluate_enlargement
from keras_vaegan.weights.manifest import describe_weight_file, read_manifest

WEIGHTS = Path(__file__).parent.parent / "weights"
FOLDERS = (".", "resnet")  # Systems A and C
FILES = [(folder, row) for folder in FOLDERS for row in read_manifest(WEIGHTS / folder)]
PUBLISHED = {f"{name}_weights.h5" for name in ("g_target", "g_source", "d_source", "d_target")}


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_has_a_row(folder):
    names = [row["name"] for row in read_manifest(WEIGHTS / folder)]
    files = {path.name for path in (WEIGHTS / folder).glob("*.h5")}
    assert files == set(names) >= PUBLISHED
    assert len(names) == len(files)


def test_all_weights_together_are_small():
    assert sum(row["bytes"] for _, row in FILES) < 40e6


@pytest.mark.parametrize(("folder", "row"), FILES, ids=[f"{f}/{r['name']}" for f, r in FILES])
def test_a_file_is_what_its_row_says(folder, row):
    """Every field of the row, then the network itself."""
    told = describe_weight_file(WEIGHTS / folder / row["name"])
    assert {field: row[field] for field in told} == told
    network = load_network(WEIGHTS / folder / row["name"])
    assert network.model.count_params() == row["parameters"]
    assert list(network.model.input_shape[1:]) == row["input"]["shape"]
    assert network.config.channels == row["input"]["shape"][-1]
    if isinstance(network.data, DataConfig):
        assert network.data.channels == network.config.channels
    for field in ("role", "preset", "training_data", "command", "commit", "metrics", "licence"):
        assert row[field], field


def test_the_rrdbnet_beats_bicubic_out_of_the_box(repository):
    """On a drawing it has never seen: discs and bars with smooth edges."""
    rows, columns = np.mgrid[:128, :128]
    discs = np.hypot(rows - 64, columns - 60) < 40
    bars = (columns + rows // 3) % 24 < 8
    truth = cv2.GaussianBlur(255.0 * (discs & bars) + 90.0 * discs, (0, 0), 0.8)
    truth = np.clip(truth, 0, 255).astype("uint8")[..., None]
    model = load_network(repository / "weights" / "rrdbnet_weights.h5").model
    scores = evaluate_enlargement(model.predict_on_batch, [truth], 4).scores
    assert scores["network"]["psnr"][0] > scores["bicubic"]["psnr"][0] + 0.8


def test_a_missing_contrast_is_nearer_than_the_best_copy(real_data):
    """Of a case that the network knows, so that the file is what was trained."""
    case = real_data / "brats" / "Brats18_2013_21_1"
    part, _ = evaluate_target(Synthesizer.load(WEIGHTS), [case], "flair")
    assert part.rows[0]["brain_psnr"] > part.rows[0]["copy_brain_psnr"] + 2


@pytest.mark.parametrize("direction", ["mri2ct", "ct2mri"])
@pytest.mark.parametrize("folder", FOLDERS)
def test_they_translate_out_of_the_box(tmp_path, folder, direction):
    rows, columns = np.mgrid[:200, :180] / 200 - 0.45
    head = np.where(rows**2 + columns**2 < 0.15, 120 + 60 * np.cos(20 * rows), 0).astype("uint8")
    write_image(tmp_path / "in.png", head)
    paths = ["--input", str(tmp_path / "in.png"), "--output", str(tmp_path / "out.png")]
    arguments = ["--weights", str(WEIGHTS / folder), "--direction", direction, *paths]
    assert translate.main(arguments) == 0
    made = read_image(tmp_path / "out.png")
    assert made.shape == head.shape and made.dtype == np.uint8
    assert made.std() > 10 and np.abs(made.astype(int) - head).mean() > 5


def test_system_c_draws_the_skull_white_and_the_fluid_dark(tmp_path):
    """A drawn T2: bright scalp, dark skull, gray brain, bright ventricle."""
    rows, columns = np.mgrid[:256, :256] - 128
    radius = np.hypot(rows / 1.15, columns)
    image = np.zeros((256, 256))
    for reach, value in ((100, 150), (95, 15), (84, 105), (17, 235)):
        image[radius < reach] = value
    image += np.random.default_rng(0).normal(0, 3, image.shape) * (radius < 100)
    image = cv2.GaussianBlur(image, (0, 0), 1.2)
    write_image(tmp_path / "in.png", np.clip(image, 0, 255).astype("uint8"))
    paths = ["--input", str(tmp_path / "in.png"), "--output", str(tmp_path / "out.png")]
    translate.main(["--weights", str(WEIGHTS / "resnet"), "--direction", "mri2ct", *paths])
    made = read_image(tmp_path / "out.png").astype(float).reshape(256, 256, -1)[..., 0] / 255
    skull, brain, fluid = (
        np.median(made[(radius > low) & (radius < high)])
        for low, high in ((86, 94), (30, 75), (0, 13))
    )
    print(f"skull {skull:.2f}, brain {brain:.2f}, fluid {fluid:.2f}")
    assert skull > 0.75 > 0.6 > brain > 0.2
    assert fluid < 0.6
