"""Leave-one-out: a fold is trained without its case, resumed, skipped when done, and tabled."""

import json
import sys

import numpy as np
import pytest

from keras_vaegan.training.run_folder import read_run_config

TINY = (
    "generator.normalization=instance", "generator.filters=[4,4]", "generator.latent_channels=3",
    "data.image_size=16", "data.normalization=nyul", "data.augmentation.elastic=1", "batch_size=2",
    "validate_every=2",
)  # fmt: skip


@pytest.mark.slow
def test_a_fold_is_trained_resumed_and_tabled(load_benchmark, tmp_path, write_case, monkeypatch):
    script = load_benchmark("leave_one_out")
    for index in range(3):
        folder = write_case(tmp_path / "data" / f"case{index}", seed=index)
    labels = np.zeros((24, 30, 12), "uint8")
    labels[10:14, 12:18, 5:8] = 1
    write_case(folder, {"seg": labels}, names={"seg": "case2_seg.nii.gz"})
    out = tmp_path / "out"

    def run(steps, *cases):
        arguments = ["--data", tmp_path / "data", "--out", out, "--steps", steps, "--cases", *cases]
        monkeypatch.setattr(sys, "argv", ["x", *map(str, arguments), "--set", *TINY])
        assert script.main() == 0
        return json.loads((out / cases[0] / "split.json").read_text())

    assert run(2, "case2") == {
        "train": ["case0", "case1"], "validation": [], "test": ["case2"],
    }  # fmt: skip
    config = read_run_config(out / "case2")
    assert config.data.leave_out == "case2" and config.data.landmarks is not None
    first = (out / "case2" / "modality_unet_weights.h5").read_bytes()
    run(4, "case2")  # a finished fold is left alone
    assert (out / "case2" / "modality_unet_weights.h5").read_bytes() == first
    (out / "case2" / "metrics.json").unlink()
    run(4, "case2")
    assert (out / "case2" / "modality_unet_weights.h5").read_bytes() != first
    table = (out / "table.md").read_text()
    assert "| flair, brain |" in table and "| flair, tumour |" in table
    assert table.count("| case2 |") == 2 and table.count("of 1 |") == 2
    assert (out / "case2" / "flair.png").is_file()
