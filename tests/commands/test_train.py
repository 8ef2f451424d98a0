"""train as a user runs it: options into configs, bad input, the run folder."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

from keras_vaegan.commands import train
from keras_vaegan.config.base import config_to_dict
from keras_vaegan.data.image import write_image
from keras_vaegan.systems.cyclegan.system import CycleGANSystem
from keras_vaegan.systems.cyclegan.translator import Translator
from keras_vaegan.systems.registry import PRESETS, SYSTEMS, get_preset
from keras_vaegan.training.run_folder import write_run_config
from keras_vaegan.weights.names import CYCLEGAN_FILES


def print_config(capsys, *argv) -> dict:
    """The config that `--dry-run` prints."""
    capsys.readouterr()
    common = ["--data", "absent", "--out", "absent", "--dry-run"]
    assert train.main([*common, *map(str, argv)]) == 0
    return json.loads(capsys.readouterr().out)


# -- options into configs ----------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_without_options_a_preset_stays_as_it_is(capsys, name):
    expected = json.loads(json.dumps(config_to_dict(get_preset(name))))
    assert print_config(capsys, "--preset", name) == expected


def test_options_change_the_config(capsys):
    config = print_config(
        capsys, "--preset", "demo", "--steps", 7, "--seed", 0, "--batch-size", 2, "--precision",
        "float32", "--discriminator-gradients", "joint", "--cycle-weight", 0, "--skip-levels", 0,
        "--align", "none", "--image-size", 32, "--recompute", "--source-negatives", 0.5,
        "--structure-weight", 2, "--view-probability", 0.3, "--lecam-weight", 0.1,
        "--cosine-steps", 9,
    )  # fmt: skip
    assert [config[k] for k in ("steps", "seed", "batch_size", "precision", "recompute")] == [
        7, 0, 2, "float32", True,
    ]  # fmt: skip
    assert config["losses"]["discriminator_gradients"] == "joint"
    assert config["losses"]["cycle_weight"] == 0
    assert config["optimizer"]["cosine_steps"] == 9
    fields = ("source_negatives", "structure_weight", "view_probability", "lecam_weight")
    assert [config["losses"][name] for name in fields] == [0.5, 2, 0.3, 0.1]
    assert config["generator"]["skip_levels"] == 0
    assert config["data"]["align"] == "none"
    sizes = [config[part]["image_size"] for part in ("data", "generator", "discriminator")]
    assert sizes == [32, 32, 32]
    assert print_config(capsys, "--preset", "modality_unet", "--target", "any")["generator"][
        "target"
    ] == "any"  # fmt: skip


def test_any_field_is_set_by_its_path(capsys, expect_refusal):
    changes = ("losses.cycle_weight=3", "data.ct_window=50,350", "best_by=ssim")
    options = [word for change in changes for word in ("--set", change)]
    config = print_config(capsys, "--preset", "demo", *options)
    assert (config["losses"]["cycle_weight"], config["best_by"]) == (3, "ssim")
    assert config["data"]["ct_window"] == [50, 350]
    for change, words in {
        "losses": "expected NAME=VALUE, such as losses.cycle_weight=3",
        "losses.cycles=3": "no field 'cycles' in a LossConfig: expected one of adversarial,",
        "steps.more=3": "no field 'more' in a int: it has no fields",
        "losses=3": "losses=3: expected",
        "generator.image_size=32": "it follows from other fields",
        "generator.seed=3": "it follows from other fields",
        "losses.cycle_weight=-1": "cycle_weight=-1: expected at least 0",
        "data.ct_window=wide": "ct_window='wide'",
    }.items():
        common = ("--data", "x", "--out", "y", "--preset", "demo", "--dry-run")
        line = expect_refusal(train.main, *common, "--set", change)
        assert words in line, line


def test_a_file_gives_options_and_flags_win(capsys, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("preset: demo\nsteps: 7\ncycle_weight: 3\nalign: none\nrecompute: true\n")
    config = print_config(capsys, "--config", path, "--steps", 8)
    assert config["steps"] == 8 and config["recompute"]
    assert config["losses"]["cycle_weight"] == 3 and config["data"]["align"] == "none"
    assert not print_config(capsys, "--config", path, "--no-recompute")["recompute"]


def test_the_help_names_every_preset(capsys):
    assert train.main(["--help"]) == 0
    named = set(re.findall(r"\w+", capsys.readouterr().out))
    assert set(PRESETS) <= named


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: type(system).__name__)
def test_every_option_of_a_system_names_a_field(system):
    fields = {field.name for field in dataclasses.fields(train.TrainOptions)}
    for option, path in system.options.items():
        assert option in fields
        configs = [preset() for preset in system.presets]
        for part in path.split("."):
            configs = [getattr(c, part) for c in configs if hasattr(c, part)]
        assert configs, path


@pytest.mark.parametrize(
    ("preset", "option", "words"),
    [
        ("modality_unet", ("--cycle-weight", "0"), "with a CycleGANConfig's preset only"),
        ("rrdbnet_x4", ("--target", "t1"), "with a ModalityConfig's preset only"),
        ("rrdbnet_x4", ("--recompute",), "--recompute given with a SuperResolutionConfig"),
        (
            "modality_unet",
            ("--cosine-steps", "9"),
            "with a CycleGANConfig or SuperResolutionConfig's preset only",
        ),
        (
            "resnet_cyclegan",
            ("--skip-levels", "0"),
            "in a ResnetGeneratorConfig",
        ),
        ("demo", ("--minutes", "nan"), "above 0"),
    ],
)
def test_options_that_a_system_lacks_are_refused(expect_refusal, preset, option, words):
    argv = ("--data", "x", "--out", "y", "--preset", preset, *option, "--dry-run")
    assert words in expect_refusal(train.main, *argv)


def test_a_resumed_run_keeps_its_network_and_data(tmp_path, capsys, expect_refusal):
    config = dataclasses.replace(get_preset("demo"), steps=5)
    write_run_config(tmp_path, config)
    common = ("--out", tmp_path, "--resume")
    resumed = print_config(
        capsys, *common, "--preset", "demo", "--steps", 9, "--align", config.data.align
    )
    assert resumed == json.loads(json.dumps(config_to_dict(dataclasses.replace(config, steps=9))))
    assert print_config(capsys, *common, "--cycle-weight", 2)["losses"]["cycle_weight"] == 2
    for change, words in {
        ("--set", "data.channels=3"): "expected the run's own",
        ("--image-size", 32): f"expected the run's own {config.data.image_size}",
        ("--skip-levels", 1): "expected the run's own",
        ("--align", "none" if config.data.align == "head" else "head"): "the run's own",
        ("--preset", "resnet_cyclegan"): "another network",
        ("--preset", "modality_unet"): "another network",
        ("--target", "t1"): "ModalityConfig's preset only",
    }.items():
        line = expect_refusal(train.main, "--data", "x", *common, *change, "--dry-run")
        assert words in line, line


def test_from_another_runs_weights_there_is_no_hand_drawn_start(capsys, tmp_path, expect_refusal):
    config = print_config(capsys, "--preset", "demo", "--init-from", tmp_path)
    assert config["losses"]["anchor_steps"] == 0 and config["losses"]["kl_warmup_steps"] == 0
    asked = ("--init-from", tmp_path, "--set", "losses.anchor_steps=9")
    assert print_config(capsys, "--preset", "demo", *asked)["losses"]["anchor_steps"] == 9
    common = ("--preset", "demo", "--data", "x", "--out", tmp_path / "o", "--dry-run")
    line = expect_refusal(train.main, *common, "--init-from", tmp_path / "absent")
    assert "absent is no folder" in line
    write_run_config(tmp_path / "o", get_preset("demo"))
    line = expect_refusal(train.main, *common, "--init-from", tmp_path, "--resume")
    assert "--init-from and --resume" in line


# -- runs --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("received", "status"), [(None, 0), (2, 130), (15, 143)])
def test_the_run_gets_the_options(monkeypatch, tmp_path, received, status):
    from keras_vaegan.training import run

    calls = []
    monkeypatch.setattr(run, "train_run", lambda *args: calls.append(args) or received)
    argv = ["--preset", "demo", "--data", "d", "--out", str(tmp_path), "--minutes", "0.5"]
    assert train.main([*argv, "--epochs", "3"]) == status
    assert isinstance(calls[0][0], CycleGANSystem)
    assert calls[0][1:] == (get_preset("demo"), Path("d"), tmp_path, False, 0.5, 3, False, 1, None)


def test_train_refuses_bad_input(phantom, tmp_path, expect_refusal):
    run = tmp_path / "run"
    (tmp_path / "empty").mkdir()
    taken = tmp_path / "taken"
    (taken / "state").mkdir(parents=True)
    (taken / "config.json").write_text("{}")
    broken = tmp_path / "broken"
    for name in ("trainA", "trainB"):
        for index in range(5):
            write_image(broken / name / f"{index}.png", np.full((40, 40), 50 * index, "uint8"))
        (broken / name / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    cases = {
        ("--data", tmp_path / "absent", "--out", run): "is no folder",
        ("--data", tmp_path / "empty", "--out", run): "trainA",
        ("--data", broken, "--out", run): "3.png",
        ("--data", phantom, "--out", taken): "already holds a run",
        ("--data", phantom, "--out", taken, "--resume"): "no run",
        ("--data", phantom, "--out", run, "--preset", "huge"): "huge",
        ("--data", phantom, "--out", run, "--steps", 1, "--epochs", 1): "--steps",
        ("--data", phantom, "--out", run, "--steps", 0): "--steps",
        ("--data", phantom, "--out", run, "--image-size", 50): "image_size",
        ("--data", phantom, "--out", run, "--skip-levels", 9): "skip_levels",
        ("--data", phantom, "--out", run, "--batch-size", 20): "batch size",
        ("--data", phantom, "--out", run, "--batch-size", 500): "pool_size",
        ("--data", phantom, "--out", run, "--seed", 2**40): "seed",
        ("--data", phantom, "--out", run, "--resume"): "no run",
    }
    for arguments, word in cases.items():
        if "--preset" not in arguments:
            arguments = (*arguments, "--preset", "demo")
        if "--resume" in arguments and "taken" not in str(arguments):
            arguments = ("--data", phantom, "--out", tmp_path / "absent", "--resume")
        line = expect_refusal(train.main, *arguments)
        assert word in line, line
    assert json.loads((taken / "config.json").read_text()) == {}


def test_an_unwritable_run_folder_is_refused(phantom, tmp_path, expect_refusal):
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "run"
    line = expect_refusal(train.main, "--preset", "demo", "--data", phantom, "--out", out)
    assert "cannot write" in line


@pytest.mark.slow
def test_train_writes_the_run_folder_and_resumes(
    phantom, tiny, tmp_path, capsys, monkeypatch, eager_steps
):
    """Two steps, then two more: files, history, weights that translate."""
    monkeypatch.setitem(PRESETS, "tiny", lambda: dataclasses.replace(tiny.RESNET, steps=9))
    run = tmp_path / "run"
    common = [
        "--preset", "tiny", "--data", str(phantom), "--out", str(run), "--image-size", "32",
        "--batch-size", "2",
    ]  # fmt: skip
    assert train.main([*common, "--steps", "2"]) == 0
    expected = {"config.json", "data.json", "best", "state", "logs", "samples"}
    written = {p.name for p in run.iterdir() if not p.name.startswith(".")}
    assert written == {*expected, *CYCLEGAN_FILES.values()}
    assert {p.name for p in (run / "best").iterdir()} == set(CYCLEGAN_FILES.values())
    assert (run / "logs" / "history.png").exists()
    assert train.main([*common, "--steps", "4", "--resume"]) == 0
    capsys.readouterr()
    assert train.main([*common, "--resume"]) == 0
    assert "already at step 4 of 4" in capsys.readouterr().out
    history = (run / "logs" / "history.csv").read_text().splitlines()
    assert len(history) == 3 and history[-1].split(",")[1] == "4"
    assert [p.name for p in sorted((run / "samples").iterdir())] == [
        "step_000002.png",
        "step_000004.png",
    ]
    image = np.tile(np.arange(40, dtype="uint8") * 6, (40, 1))
    translation, _ = Translator.load(run, "mri2ct").translate(image)
    assert translation.shape == (40, 40) and translation.std() > 0
