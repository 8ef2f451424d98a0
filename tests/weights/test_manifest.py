"""Manifest rows: what a file tells of itself, and that a changed file or row is noticed."""

import json

import pytest

from keras_vaegan.config.data import DataConfig
from keras_vaegan.config.networks import RRDBNetConfig, VAEUNetConfig
from keras_vaegan.errors import InputError
from keras_vaegan.models.rrdbnet import build_rrdbnet
from keras_vaegan.models.vae_unet import build_generator
from keras_vaegan.weights.legacy_h5 import save_legacy_h5
from keras_vaegan.weights.manifest import (
    compute_layer_fingerprint,
    describe_weight_file,
    find_row,
    read_manifest,
)
from keras_vaegan.weights.record import WeightsRecord
from keras_vaegan.weights.weight_file import read_weight_file

TINY = VAEUNetConfig(
    image_size=16,
    channels=1,
    filters=(4, 8),
    kernel_sizes=(3, 3),
    num_residual_blocks=(0, 0),
    skip_levels=1,
    groups=2,
    latent_channels=4,
    output_activation="sigmoid",
)
RECORD = WeightsRecord(TINY, DataConfig(image_size=16, channels=1, value_range="sigmoid"))


@pytest.fixture
def folder(tmp_path):
    """A weight file with its row beside it."""
    file = tmp_path / "g.h5"
    save_legacy_h5(build_generator(TINY), file, RECORD, dtype="float16")
    row = describe_weight_file(file) | {"licence": "said"}
    (tmp_path / "manifest.json").write_text(json.dumps({"rows": [row]}))
    return tmp_path


def test_a_file_tells_its_fields(folder):
    row = describe_weight_file(folder / "g.h5")
    assert row["builder"] == "build_generator" and row["dtype"] == "float16"
    assert row["parameters"] == build_generator(TINY).count_params()
    assert row["input"] == {"layout": "NHWC", "shape": [16, 16, 1], "range": [0.0, 1.0]}
    assert row["config"]["kind"] == "VAEUNetConfig" and row["data_config"]["kind"] == "DataConfig"
    config = RRDBNetConfig(2, 3, num_features=4, num_blocks=1, growth_channels=2)
    save_legacy_h5(build_rrdbnet(config), folder / "r.h5", config)
    row = describe_weight_file(folder / "r.h5")
    assert row["builder"] == "build_rrdbnet" and row["data_config"] is None
    assert row["input"]["shape"] == [None, None, 3] and row["input"]["range"] == [0.0, 1.0]


def test_the_fingerprint_is_of_names_and_shapes(folder):
    """Other values and types leave it, another width does not."""
    model = build_generator(TINY, seed=5)
    save_legacy_h5(model, folder / "same.h5", RECORD)
    save_legacy_h5(build_generator(TINY, latent_channels=6), folder / "other.h5", RECORD)
    first, same, other = (
        compute_layer_fingerprint(read_weight_file(folder / name))
        for name in ("g.h5", "same.h5", "other.h5")
    )
    assert first == same != other and len(first) == 16


def test_a_row_is_found_by_content(folder):
    assert find_row(folder / "g.h5")["sha256"] == read_manifest(folder)[0]["sha256"]
    content = (folder / "g.h5").read_bytes()
    (folder / "g.h5").write_bytes(content + b"\0")
    assert find_row(folder / "g.h5") is None
    (folder / "manifest.json").unlink()
    assert read_manifest(folder) == [] and find_row(folder / "g.h5") is None


def test_bad_files_are_refused(folder):
    save_legacy_h5(build_generator(TINY), folder / "bare.h5")
    with pytest.raises(InputError, match="holds no config"):
        describe_weight_file(folder / "bare.h5")
    for text in ("", "[]", '{"rows": [{}]}', '{"rows": 3}'):
        (folder / "manifest.json").write_text(text)
        with pytest.raises(InputError, match="is no manifest"):
            read_manifest(folder)
