"""Shared by the tests of commands: tiny weights, phantom images."""

from __future__ import annotations

import dataclasses

import pytest

from keras_vaegan.models.build import build_model
from keras_vaegan.phantom.rendering import PhantomSet, write_phantom_folders
from keras_vaegan.systems.cyclegan.config import CycleGANConfig
from keras_vaegan.systems.registry import get_preset
from keras_vaegan.weights.legacy_h5 import save_legacy_h5
from keras_vaegan.weights.names import CYCLEGAN_FILES
from keras_vaegan.weights.record import WeightsRecord


@pytest.fixture(scope="session")
def make_config():
    """A CycleGAN's config of a few weights, 32x32 pixels."""

    def make(channels: int = 1, align: str = "head") -> CycleGANConfig:
        config = get_preset("demo")
        return dataclasses.replace(
            config,
            generator=dataclasses.replace(
                config.generator, filters=(8, 8, 16), num_residual_blocks=(0, 0, 1)
            ),
            discriminator=dataclasses.replace(config.discriminator, filters=(8, 8, 8, 8)),
            data=dataclasses.replace(config.data, image_size=32, channels=channels, align=align),
        )

    return make


@pytest.fixture(scope="session")
def write_weights():
    """Write the files of untrained networks into a folder."""

    def write(folder, config: CycleGANConfig):
        for role, name in CYCLEGAN_FILES.items():
            network = config.generator if role.startswith("g_") else config.discriminator
            record = WeightsRecord(network, config.data)
            save_legacy_h5(build_model(network), folder / name, record)
        return folder

    return write


@pytest.fixture(scope="session")
def weights(tmp_path_factory, make_config, write_weights):
    """A folder of published names with untrained weights."""
    return write_weights(tmp_path_factory.mktemp("run"), make_config())


@pytest.fixture(scope="session")
def phantom(tmp_path_factory):
    """Twelve phantom heads a domain."""
    folder = tmp_path_factory.mktemp("phantom")
    write_phantom_folders(folder, PhantomSet(count=12, size=32))
    return folder
