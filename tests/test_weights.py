"""The weight files that ship: as their manifest says, and ready to translate."""

import hashlib
import json

import numpy as np
import pytest

from keras_vaegan import translate
from keras_vaegan.checkpoints.architecture import load_model
from keras_vaegan.config import config_to_dict
from keras_vaegan.data.image import read_image, write_image

NAMES = ("g_target", "g_source", "d_source", "d_target")


@pytest.fixture(scope="module")
def rows(repository):
    manifest = json.loads((repository / "weights" / "manifest.json").read_text())
    return {row["name"]: row for row in manifest["rows"]}


def test_every_file_has_a_row(repository, rows):
    files = {path.name for path in (repository / "weights").glob("*.h5")}
    assert files == set(rows) == {f"{name}_weights.h5" for name in NAMES}
    assert sum(row["bytes"] for row in rows.values()) < 40e6


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_what_its_row_says(repository, rows, name):
    path, row = repository / "weights" / f"{name}_weights.h5", rows[f"{name}_weights.h5"]
    content = path.read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (row["bytes"], row["sha256"])
    model, config = load_model(path)
    assert model.count_params() == row["parameters"]
    assert config_to_dict(config.model) == row["config"]
    assert config_to_dict(config.data) == row["data_config"]


@pytest.mark.parametrize("direction", ["mri2ct", "ct2mri"])
def test_they_translate_out_of_the_box(repository, tmp_path, direction):
    rows, columns = np.mgrid[:200, :180] / 200 - 0.45
    head = np.where(rows**2 + columns**2 < 0.15, 120 + 60 * np.cos(20 * rows), 0).astype("uint8")
    write_image(tmp_path / "in.png", head)
    paths = ["--input", str(tmp_path / "in.png"), "--output", str(tmp_path / "out.png")]
    arguments = ["--weights", str(repository / "weights"), "--direction", direction, *paths]
    assert translate.main(arguments) == 0
    made = read_image(tmp_path / "out.png")
    assert made.shape == head.shape and made.dtype == np.uint8
    assert made.std() > 10 and np.abs(made.astype(int) - head).mean() > 5
