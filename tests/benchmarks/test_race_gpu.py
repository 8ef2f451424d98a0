"""The race on an accelerator, at a tiny size on the CPU; and the arithmetic that it divides by."""

import dataclasses
import json
import os
import subprocess
import sys
import types

import pytest

from keras_vaegan.models.build import build_model
from keras_vaegan.systems.registry import get_preset

TINY = [
    "--filters", "4", "8", "--image-size", "32", "--batch-size", "2",
    "--rounds", "1", "--steps", "2", "--calls", "eager",
]  # fmt: skip


@pytest.fixture(scope="module")
def run_race(repository, tmp_path_factory):
    """Run the race with options. Returns its JSON."""
    pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("jax", reason="JAX is not installed")

    def run(*options: str) -> dict:
        out = tmp_path_factory.mktemp("race") / "race.json"
        script = str(repository / "benchmarks" / "race_gpu.py")
        command = [sys.executable, script, *TINY, *options, "--out", str(out)]
        environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=1800
        )
        assert done.returncode == 0, done.stdout + done.stderr[-4000:]
        return json.loads(out.read_text())

    return run


RACES = [("c", "translate"), ("c", "train"), ("a", "train"), ("a", "translate")]
EVERY = pytest.mark.skipif("KERAS_VAEGAN_EVERY_PRESET" not in os.environ, reason="compiled steps")


@EVERY
@pytest.mark.slow
@pytest.mark.parametrize(("system", "task"), RACES)
def test_both_sides_race(run_race, system, task):
    board = run_race("--systems", system, "--tasks", task)
    rows = [row for row in board["rows"] if row["kind"] == "race"]
    ran = [(row["system"], row["task"], row["side"]) for row in rows]
    assert ran == [(system, task, side) for side in ("ours", "torch eager channels_last")]
    for row in rows:
        assert row["batch_size"] == 2 and row["precision"] == "bfloat16" and not row["tensorflow"]
        assert row["per_second"] == pytest.approx(2 / row["seconds"])
        assert row["peak_gib"] > 0.05 and row["share_of_dense"] > 0
        assert len(row["turns"]) == 1
    assert rows[0]["tflop"] == rows[1]["tflop"]
    ratios = [row for row in board["rows"] if row["kind"] == "ratio"]
    assert len(ratios) == 1 and len(board["rows"]) == 3 and board["left_out"] == 0
    assert ratios[0]["speed"] == pytest.approx(rows[1]["seconds"] / rows[0]["seconds"])
    assert "JAX" in board["sides"]["ours"] and board["dense_tflops"] > 0


@pytest.mark.slow
@EVERY
def test_feeds_and_batch_sizes_of_ours(run_race):
    options = ["--systems", "c", "--tasks", "feeds", "--images", "8", "--batch-sizes", "1"]
    options += ["--steps-per-call", "2"]
    rows = run_race(*options)["rows"]
    assert [row.get("feed") for row in rows] == ["fixed", "stream", "reading", "store", None]
    assert rows[-1]["kind"] == "batch" and rows[-1]["batch_size"] == 1
    for row in rows:
        assert row["steps_per_second"] == pytest.approx(1 / row["seconds"])
        assert row["side" if "side" in row else "kind"] in ("ours", "feed")
        assert not row["tensorflow"]


@pytest.mark.slow
def test_a_side_that_fails_is_a_row(run_race, repository):
    """An image size that the networks refuse: both sides say so, and the command fails."""
    out = repository / "benchmarks" / "race_gpu.py"
    command = [sys.executable, str(out), *TINY, "--image-size", "24", "--systems", "c"]
    done = subprocess.run(
        [*command, "--tasks", "translate"], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 1 and done.stdout.count("FAILED") == 2
    assert "image_size" in done.stdout


@pytest.mark.parametrize("name", ["resnet_cyclegan", "vae_cyclegan"])
def test_the_arithmetic_of_a_step(load_benchmark, name):
    """`count_step` against a plain sum over what a step runs, on networks of round numbers."""
    race = load_benchmark("race")
    config = dataclasses.replace(get_preset(name), batch_size=3)
    generator = {"stem": 1.0, "rest": 10.0}
    if name == "resnet_cyclegan":
        discriminator = {"level_1_conv": 2.0, "output_conv": 5.0}
        # Translation and identity without the image's gradient, the cycle; scores for the
        # generators; real and fake for the discriminator.
        one = 2 * (33 - 1) + 33 + 2 * 7 + 2 * (21 - 2)
    else:
        discriminator = {"level_1_1_conv": 2.0, "head_1": 1.0, "level_2_1_conv": 4.0, "head_2": 1.0}
        one = (33 - 1) + 33 + 2 * 8 + 2 * (8 + (2 * 3 - 2) + (2 * 7 - 2))
    assert race.count_step(config, generator, discriminator) == 2 * 3 * one


def test_convolutions_are_counted_by_their_outputs(load_benchmark):
    race = load_benchmark("race")
    config = get_preset("vae_cyclegan").discriminator
    config = dataclasses.replace(config, image_size=32, filters=(8, 8), num_heads=2, groups=0)
    counts = race.count_convolutions(build_model(config))
    assert list(counts)[0] == "level_1_1_conv"
    assert counts["level_1_1_conv"] == 2 * 16 * 3 * 8 * 16 * 16
    assert counts["head_2"] == 2 * 25 * 8 * 8 * 8
    assert race.list_paths(counts)[0] == sum(
        counts[name] for name in ("level_1_1_conv", "level_1_2_conv", "head_1")
    )


def test_a_side_that_says_nothing_more_is_an_error(load_benchmark):
    race = load_benchmark("race")
    side = race.Side("mute", ["-c", "print('noise'); print('{\"ready\": 1}')"], {})
    side.wait()
    assert side.facts == {"ready": 1}
    with pytest.raises(race.SideError, match="mute"):
        side.ask("work")
    side.stop()


def test_no_measurement_begins_when_time_is_over(load_benchmark, tmp_path, capsys, monkeypatch):
    script = load_benchmark("race_gpu")
    out = tmp_path / "race.json"
    monkeypatch.setattr(sys, "argv", ["race_gpu.py", "--minutes", "0", "--out", str(out)])
    monkeypatch.setattr(script, "time", types.SimpleNamespace(monotonic=iter(range(99)).__next__))
    with pytest.raises(SystemExit) as ended:
        script.main()
    assert not ended.value.code and json.loads(out.read_text())["left_out"] == 6
    assert "6 measurements left out" in capsys.readouterr().out
