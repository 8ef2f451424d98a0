"""evaluate as a user runs it: each system's folder, contracted files, bad input."""

from __future__ import annotations

import json

import pytest

from keras_vaegan.commands import evaluate
from keras_vaegan.data.image import read_image
from keras_vaegan.systems.cyclegan.system import CycleGANSystem
from keras_vaegan.systems.modality.system import ModalitySystem
from keras_vaegan.systems.registry import get_preset
from keras_vaegan.systems.super_resolution.system import SuperResolutionSystem
from keras_vaegan.training.run_folder import write_run_config
from keras_vaegan.weights.names import MODALITY_FILE, RRDBNET_FILE


def test_evaluate_writes_the_contracted_files(weights, phantom, tmp_path, capsys):
    """Compared with itself besides: no difference is one that is none."""
    status = evaluate.main([
        "--weights", str(weights), "--compare", str(weights), "--data", str(phantom),
        "--out", str(tmp_path), "--limit", "8",
    ])  # fmt: skip
    assert status == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["n_ct"] == metrics["n_mri"] == 8
    for name in ("ct", "mri"):
        for kind in ("cycle", "honest_cycle"):
            assert {"psnr", "ssim", "bce", "auc_roc", "f1"} <= set(metrics[kind][name])
        assert set(metrics["realism"][name]["gap"]) == {"all", "hog", "histogram", "spectrum"}
        assert metrics["translation"][name]["identity"]["mae"] > 0
    assert metrics["cycle_enhanced"] is None and metrics["protocol"] == "unit"
    assert len((tmp_path / "per_image.csv").read_text().splitlines()) == 17
    found = metrics["comparison"]["differences"]
    assert len(found) == 14 and not any(part["differs"] for part in found)
    assert capsys.readouterr().out.count("no difference shown") == len(found)
    page = (tmp_path / "report.html").read_text()
    assert "<img" in page and "Both runs: headline figures" in page
    assert read_image(tmp_path / "grid.png").std() > 10


@pytest.mark.parametrize(
    ("first", "second", "names"),
    [("a/run", "b/run", ("a/run", "b/run")), ("a/x", "a/y", ("x", "y"))],
)
def test_runs_are_called_by_what_tells_them_apart(tmp_path, first, second, names):
    assert evaluate.name_folders(tmp_path / first, tmp_path / second) == names


def test_evaluate_refuses_to_compare_what_differs_in_kind(tmp_path, weights, expect_refusal):
    (tmp_path / RRDBNET_FILE).write_bytes(b"")
    line = expect_refusal(
        evaluate.main, "--weights", weights, "--compare", tmp_path, "--data", tmp_path,
        "--out", tmp_path / "o",
    )  # fmt: skip
    assert "of another system" in line


def test_evaluate_refuses_bad_input(weights, phantom, tmp_path, expect_refusal):
    line = expect_refusal(
        evaluate.main, "--weights", tmp_path, "--data", phantom, "--out", tmp_path / "o"
    )
    assert "g_target_weights.h5" in line
    for change, word in (
        (("--limit", "2"), "limit"),
        (("--protocol", "best"), "protocol"),
        (("--protocol", "synthrad2023"), "volumes in testA and testB"),
        (("--compare", str(tmp_path / "absent")), "compare"),
    ):
        line = expect_refusal(
            evaluate.main,
            "--weights",
            weights,
            "--data",
            phantom,
            "--out",
            tmp_path / "o",
            *change,
        )
        assert word in line
    line = expect_refusal(
        evaluate.main, "--weights", weights / "g_target_weights.h5", "--data", phantom,
        "--out", tmp_path / "o",
    )  # fmt: skip
    assert "is no folder" in line


@pytest.mark.parametrize(
    ("files", "system"),
    [
        ((MODALITY_FILE,), ModalitySystem),
        ((RRDBNET_FILE,), SuperResolutionSystem),
        ((RRDBNET_FILE, "g_source_weights.h5"), CycleGANSystem),  # as the published weights
        (("best/modality_unet_weights.h5",), ModalitySystem),
    ],
)
def test_a_folders_files_tell_its_system(tmp_path, files, system):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert isinstance(evaluate.find_weights_system(tmp_path), system)


def test_a_runs_config_tells_its_system(tmp_path):
    write_run_config(tmp_path, get_preset("rrdbnet_x4"))
    (tmp_path / "state").mkdir()
    (tmp_path / MODALITY_FILE).write_bytes(b"")
    assert isinstance(evaluate.find_weights_system(tmp_path), SuperResolutionSystem)


def test_only_a_cyclegan_takes_an_enhancer(tmp_path, expect_refusal):
    (tmp_path / RRDBNET_FILE).write_bytes(b"")
    line = expect_refusal(
        evaluate.main, "--weights", tmp_path, "--data", tmp_path, "--out", tmp_path / "o",
        "--enhance", tmp_path,
    )  # fmt: skip
    assert "with a CycleGAN's weights only" in line
