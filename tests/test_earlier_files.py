"""What version 0.1 wrote (commit 22e04a3) still loads: runs to resume, weights, an export.

`tests/fixtures/v0_1` holds tiny runs of four steps, the weights that version 0.1 itself reached in
two more on `batches.npz` (it dealt images in another order), and a SavedModel with one of its
answers. The data are phantoms of seed 5.
"""

from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_vaegan.commands import phantom
from keras_vaegan.config.base import VALUE_RANGES
from keras_vaegan.evaluation import pictures
from keras_vaegan.interop.keras_h5.load import load_network
from keras_vaegan.systems.cyclegan.images import scale_images
from keras_vaegan.systems.registry import find_system
from keras_vaegan.training.run import train_run
from keras_vaegan.training.run_folder import read_run_config

FIXTURES = Path(__file__).parent / "fixtures" / "v0_1"
FAMILIES = ("vae", "resnet", "rrdbnet", "modality")
TOLERANCE = 0.1  # of the change in the two steps, as a root mean square: another processor's sums


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The images and the cases that the runs were trained on."""
    folder = tmp_path_factory.mktemp("data")
    common = ["--size", "32", "--seed", "5"]
    phantom.main(["--out", str(folder / "images"), "--count", "12", *common])
    phantom.main(["--out", str(folder / "cases"), "--kind", "brats", "--count", "4", *common])
    return folder


def read_weights(folder: Path) -> dict[str, list[np.ndarray]]:
    """The weights of every network of a folder, by file."""
    return {
        path.name: load_network(path).model.get_weights() for path in sorted(folder.glob("*.h5"))
    }


class EarlierBatches:
    """The system of a config, whose runs train on what version 0.1 dealt at a step."""

    def __init__(self, config, family: str) -> None:
        self.system, self.family = find_system(config), family
        self.limits = VALUE_RANGES[getattr(getattr(config, "data", None), "value_range", "sigmoid")]

    def __getattr__(self, name: str):
        return getattr(self.system, name)

    def load_data(self, *arguments):
        samples = self.system.load_data(*arguments)
        if self.family != "modality":
            object.__setattr__(samples, "read_batch", self.read_batch)
        return samples

    def read_batch(self, step: int) -> tuple[np.ndarray, ...]:
        with np.load(FIXTURES / "batches.npz") as file:
            parts = [file[f"{self.family}_{min(step, 5)}_{index}"] for index in range(2)]
        return tuple(
            scale_images(part, self.limits) if part.dtype == "uint8" else part for part in parts
        )


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_goes_on_as_version_0_1_did(family, data, tmp_path, tiny, monkeypatch, eager_steps):
    monkeypatch.setattr(pictures, "FigureCanvasAgg", tiny.Blank)
    with zipfile.ZipFile(FIXTURES / f"{family}.zip") as archive:
        archive.extractall(tmp_path)
    run, expected = tmp_path / "run", read_weights(tmp_path / "expected")
    before = read_weights(run)
    config = dataclasses.replace(read_run_config(run), steps=6)
    source = data / ("cases" if family == "modality" else "images")
    train_run(EarlierBatches(config, family), config, source, run, resume=True)
    after = read_weights(run)
    for name, weights in expected.items():
        differences, changes = (
            np.concatenate([np.ravel(a - b) for a, b in zip(weights, others[name], strict=True)])
            for others in (after, before)
        )
        share = np.sqrt(np.mean(differences**2)) / np.sqrt(np.mean(changes**2))
        print(f"{family} {name}: differs by {share:.1e} of the change")
        assert share <= TOLERANCE


def test_an_export_answers_as_it_did(tmp_path):
    with zipfile.ZipFile(FIXTURES / "export.zip") as archive:
        archive.extractall(tmp_path)
    known = np.load(FIXTURES / "export.npz")
    model = tf.saved_model.load(str(tmp_path))
    answer = model.signatures["translate_uint8"](images=tf.constant(known["images"]))
    difference = answer["translation"].numpy().astype(int) - known["translation"]
    assert np.abs(difference).max() <= 1
