"""The demo and the weights that ship, as commands: what they call, write and refuse."""

from __future__ import annotations

import pytest

from keras_vaegan.commands import demo, weights
from keras_vaegan.weights import shipped


@pytest.fixture
def calls(monkeypatch):
    """What the demo calls, in place of running it; a training leaves one picture."""
    made = []

    def train(options):
        made.append(options)
        (options.out / "samples").mkdir(parents=True)
        (options.out / "samples" / "step_000600.png").touch()
        return 0

    monkeypatch.setattr(demo, "write", made.append)
    monkeypatch.setattr(demo, "train", train)
    monkeypatch.setattr(demo, "evaluate", made.append)
    return made


def refused(capsys, main, *argv: str) -> str:
    """Run a command, which must fail with status 2 and one line; return the line."""
    with pytest.raises(SystemExit) as stop:
        main(list(argv))
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


def test_the_demo_draws_trains_and_evaluates(calls, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert demo.main(["--steps", "7"]) == 0
    phantom, training, evaluation = calls
    assert (phantom.kind, phantom.size) == ("folders", 64)
    assert (training.preset, training.steps, training.data) == ("demo", 7, phantom.out)
    assert (evaluation.weights, evaluation.data) == (training.out, phantom.out)
    output = capsys.readouterr().out
    assert "Pictures: runs/demo/samples/step_000600.png" in output
    assert f"Figures:  {evaluation.out}/metrics.json" in output


def test_a_demo_that_was_stopped_ends_there(calls, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "train", lambda options: 130)
    folders = ["--data", str(tmp_path / "a"), "--out", str(tmp_path / "b")]
    assert demo.main(folders) == 130
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("--data", "full"), "full exists and is not empty"),
        (("--out", "full"), "full exists and is not empty"),
        (("--steps", "0"), "--steps 0: expected a value above 0"),
    ],
)
def test_the_demo_refuses_before_it_begins(calls, tmp_path, monkeypatch, capsys, argv, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    assert told in refused(capsys, demo.main, *argv)
    assert calls == []


def test_the_weights_that_ship_are_copied(repository, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert weights.main([]) == 0
    for path in (repository / "weights").rglob("*.h5"):
        copied = tmp_path / "weights" / path.relative_to(repository / "weights")
        assert copied.read_bytes() == path.read_bytes()
    assert (tmp_path / "weights" / "resnet" / "domain_statistics.json").is_file()
    assert "not for diagnosis" in capsys.readouterr().out
    assert "weights exists and is not empty" in refused(capsys, weights.main)


def test_an_installation_without_weights_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shipped, "PLACES", (tmp_path / "none",))
    assert "this installation holds no weights" in refused(
        capsys, weights.main, "--out", str(tmp_path / "new")
    )
