"""What `evaluate` adds to a system's report: facts, curves, config, and what is missing."""

from __future__ import annotations

import json

import pytest

from keras_vaegan.commands.evaluate import EvaluateOptions, complete_content
from keras_vaegan.evaluation.report.content import Content
from keras_vaegan.evaluation.report.page import render_page
from keras_vaegan.systems.system import Evaluation

METRICS = {"protocol": "unit", "commit": "0123456789abcdef"}


@pytest.fixture
def options(tmp_path):
    """Options for a folder without anything in it."""
    run = tmp_path / "run"
    run.mkdir()
    return EvaluateOptions(weights=run, data=tmp_path / "set", out=tmp_path / "out")


def test_a_folder_of_weights_alone_has_its_lacks_told(options):
    given = Content("Title", {"Images": "3"}, missing=["No pairs."])
    content = complete_content(options, Evaluation({}, [], {}, [], given), METRICS)
    assert list(content.facts) == ["Images", "Protocol", "Weights", "Data", "Commit"]
    assert content.facts["Commit"] == "0123456789ab" and content.config is None
    assert content.missing == [
        "No pairs.",
        "Loss curves: the folder run has no readable logs/history.csv.",
        "Configuration of the training: the folder run has no config.json.",
    ]
    page = render_page(content)
    assert all(line in page for line in content.missing)


def test_a_run_brings_its_curves_and_its_config(options):
    (options.weights / "logs").mkdir()
    (options.weights / "logs" / "history.csv").write_text("step,l1\n1,0.5\n2,0.4\n")
    (options.weights / "config.json").write_text(json.dumps({"config": {"seed": 7}}))
    given = Content("Title", {})
    content = complete_content(options, Evaluation({}, [], {}, [], given), METRICS)
    assert [section.title for section in content.sections] == ["Training: losses"]
    assert content.config == {"config": {"seed": 7}} and content.missing == []


@pytest.mark.parametrize("text", ["step,l1\n", "\x00", "l1\n3\n"])
def test_an_empty_or_damaged_history_stops_nothing(options, text):
    (options.weights / "logs").mkdir()
    (options.weights / "logs" / "history.csv").write_text(text)
    (options.weights / "config.json").write_text("{")
    metrics = {**METRICS, "commit": None}
    content = complete_content(options, Evaluation({}, [], {}, [], Content("Title", {})), metrics)
    assert content.facts["Commit"] == "not told" and len(content.missing) == 2
    assert content.sections == [] and "Loss curves" in content.missing[0]
