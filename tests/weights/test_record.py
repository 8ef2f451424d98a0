"""The config that a weight file carries: of version 0.1 and today, damaged, and too large."""

import dataclasses
import json

import pytest

from keras_vaegan.config.data import DataConfig, ModalityDataConfig
from keras_vaegan.config.networks import (
    DiscriminatorConfig,
    ModalityUNetConfig,
    PatchDiscriminatorConfig,
    ResnetGeneratorConfig,
    RRDBNetConfig,
    VAEUNetConfig,
)
from keras_vaegan.errors import InputError
from keras_vaegan.weights.record import WeightsRecord, read_record, record_to_text
from keras_vaegan.weights.weight_file import StoredLayer, StoredWeight, WeightFile

# As version 0.1 embedded them, fields that are gone today included.
OLD = {
    "ResNet": (
        '{"kind": "WeightsRecord", "model": {"kind": "ResnetGeneratorConfig", "image_size": 32, '
        '"channels": 1, "filters": [4, 8], "kernel_size": 7, "num_residual_blocks": 9, '
        '"convs_per_block": 2, "activate_block_output": false, "output_activation": "tanh", '
        '"seed": 0}, "data": {"kind": "DataConfig", "image_size": 32, "channels": 1, "resize": '
        '"pad", "align": "none", "value_range": "tanh", "validation_images": 32}}',
        WeightsRecord(
            ResnetGeneratorConfig(image_size=32, filters=(4, 8)),
            DataConfig(image_size=32, channels=1),
        ),
    ),
    "modality": (
        '{"kind": "WeightsRecord", "model": {"kind": "ModalityUNetConfig", "image_size": 32, '
        '"target": "flair", "filters": [4, 8], "latent_channels": 128, "seed": 0}, "data": '
        '{"kind": "ModalityDataConfig", "image_size": 32, "percentiles": [1.0, 99.0], '
        '"slice_stride": 2, "validation_share": 0.1, "test_share": 0.1, "shift": 0, "flip": 0.0, '
        '"intensity": 0.0}}',
        WeightsRecord(
            ModalityUNetConfig(image_size=32, filters=(4, 8)), ModalityDataConfig(image_size=32)
        ),
    ),
    "patch discriminator alone": (
        '{"kind": "PatchDiscriminatorConfig", "image_size": 256, "channels": 1, "filters": [64, '
        '128, 256, 512], "kernel_size": 4, "spectral_norm": true, "instance_norm": true, '
        '"seed": 0}',
        WeightsRecord(PatchDiscriminatorConfig()),
    ),
    "RRDBNet alone": (
        '{"kind": "RRDBNetConfig", "scale": 4, "channels": 3, "output_channels": 0, '
        '"num_features": 64, "num_blocks": 23, "growth_channels": 32, "residual_scale": 0.2, '
        '"seed": 0}',
        WeightsRecord(RRDBNetConfig()),
    ),
}
HUGE = (
    VAEUNetConfig(filters=(8, 10**6), kernel_sizes=(3, 3), num_residual_blocks=(0, 0), groups=0,
                  skip_levels=1),
    VAEUNetConfig(image_size=4096, latent="dense"),
    VAEUNetConfig(num_residual_blocks=(0, 0, 0, 0, 10**7)),
    ResnetGeneratorConfig(num_residual_blocks=10**9),
    DiscriminatorConfig(head_kernel_size=10**6),
    PatchDiscriminatorConfig(filters=(64, 10**8)),
    RRDBNetConfig(num_blocks=10**9),
    RRDBNetConfig(num_features=1000, num_blocks=1000),
    ModalityUNetConfig(latent_channels=10**9),
    ModalityUNetConfig(neighbours=10**9),
    ResnetGeneratorConfig(filters=(1,), convs_per_block=20_000),
    RRDBNetConfig(num_features=1, growth_channels=1, num_blocks=3_000),
    DiscriminatorConfig(filters=(1,), num_heads=1, groups=0, trunk_depth=20_000),
)  # fmt: skip


def make_file(text, layers=400, parameters=50_000):
    """What a file with this text and so many layers of so many weights was read as."""
    layer = StoredLayer("layer", (StoredWeight("w", "w", (parameters,), "float32"),))
    return WeightFile("w.h5", False, "", "", (layer,) * layers, None, text, 0)


@pytest.mark.parametrize("name", OLD)
def test_records_of_version_0_1_are_read(name):
    text, expected = OLD[name]
    assert read_record(make_file(text)) == expected
    assert json.loads(record_to_text(json.loads(text)))["kind"] == "WeightsRecord"


def test_what_is_written_is_read():
    record = OLD["ResNet"][1]
    for config in (record, record.model):
        expected = record if config is record else WeightsRecord(record.model)
        assert read_record(make_file(record_to_text(config))) == expected
    assert read_record(make_file(None)) is None


def test_a_field_that_is_gone_keeps_its_one_value():
    text = OLD["ResNet"][0].replace('"kernel_size": 7', '"kernel_size": 5')
    with pytest.raises(InputError, match="keras_vaegan_config is unusable: kernel_size=5"):
        read_record(make_file(text))


@pytest.mark.parametrize("config", HUGE, ids=lambda config: type(config).__name__)
def test_a_network_that_its_file_cannot_hold_is_refused(config):
    with pytest.raises(InputError, match="far larger than its 1,000,000 parameters in 200 layers"):
        read_record(make_file(record_to_text(config), 200, 5_000))


def test_a_record_of_many_characters_is_not_parsed():
    with pytest.raises(InputError, match="has 100,001 characters: expected at most 65,536"):
        read_record(make_file("[" * 100_001))


def test_what_describes_no_network_is_refused():
    for config in (DataConfig(), dataclasses.asdict(DataConfig())):
        with pytest.raises(InputError, match="describes no network|unknown config kind"):
            record_to_text(config)
