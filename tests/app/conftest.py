"""Tiny networks, loaded once, and inputs of every kind."""

from __future__ import annotations

import shutil

import nibabel
import numpy as np
import pytest

from keras_vaegan.app.networks import load_networks
from keras_vaegan.config.networks import RRDBNetConfig
from keras_vaegan.data.image import write_image
from keras_vaegan.models.build import build_model
from keras_vaegan.weights.legacy_h5 import save_legacy_h5
from keras_vaegan.weights.names import GENERATOR_FILES, RRDBNET_FILE
from keras_vaegan.weights.record import WeightsRecord


@pytest.fixture(scope="session")
def weights(tmp_path_factory, tiny):
    """A folder laid out as the shipped one: a VAE's files, an RRDBNet's, and a ResNet's below."""
    folder = tmp_path_factory.mktemp("weights")
    for place, config in ((folder, tiny.VAE), (folder / "resnet", tiny.RESNET)):
        place.mkdir(exist_ok=True)
        model = build_model(config.generator)
        for name in GENERATOR_FILES.values():
            save_legacy_h5(model, place / name, WeightsRecord(config.generator, config.data))
    enlarging = RRDBNetConfig(channels=1, num_features=8, num_blocks=1, growth_channels=4, scale=2)
    save_legacy_h5(build_model(enlarging), folder / RRDBNET_FILE, enlarging)
    return folder


@pytest.fixture(scope="session")
def networks(weights):
    """All of them, as the command loads them."""
    return load_networks((weights,))


@pytest.fixture(scope="session")
def inputs(tmp_path_factory, volumes):
    """Files by kind: images of 8 and 16 bit, a NIfTI file, zips of one series and of two."""
    folder = tmp_path_factory.mktemp("inputs")
    rng = np.random.default_rng(0)
    disc = np.hypot(*np.meshgrid(np.linspace(-1, 1, 48), np.linspace(-1, 1, 40))) < 0.7
    picture = (disc * rng.uniform(0.4, 0.8, disc.shape) * 65535).astype("uint16")
    write_image(folder / "deep.png", picture)
    write_image(folder / "plain.png", (picture >> 8).astype("uint8"))
    write_image(folder / "colour.jpg", np.repeat((picture >> 8).astype("uint8")[..., None], 3, -1))
    head = volumes.draw_head((36, 40, 8))
    mri = volumes.store((head * 800).astype("int16"), (1, 2, 0), (-1, 1, 1), (1, 1.25, 3))
    nibabel.Nifti1Image(mri.values, mri.affine).to_filename(folder / "mri.nii.gz")
    slices = np.where(head > 0, head * 80, -1000).astype("int16").T[:, ::-1]
    for number, name in enumerate(("ct", "two")):
        place = folder / name / "deep" / "er"
        volumes.write_series_files(place, volumes.build_series(slices))
        if number:
            scout = volumes.build_series(slices[:3], series="1.2.7")
            volumes.write_series_files(place, scout)
        shutil.make_archive(str(folder / name), "zip", folder / name)
    (folder / "words.txt").write_text("<b>no scan</b>")
    return folder


@pytest.fixture
def upload(inputs, tmp_path):
    """Copy an input as an upload lies: in a folder of its own, for the page to take."""

    def copy(name: str):
        place = tmp_path / "uploads" / name.replace(".", "-")
        place.mkdir(parents=True, exist_ok=True)
        return shutil.copy(inputs / name, place / name)

    return copy
