"""What the documentation shows in Python runs: docstrings of public names, blocks of pages."""

from __future__ import annotations

import doctest
import inspect
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

import keras_vaegan

REPOSITORY = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
PAGES = ("figures", "cycles", *(f"tutorials/{p.stem}" for p in REPOSITORY.glob("docs/tutorials/*")))
WITHOUT_EXAMPLE = ("CycleGAN", "ModalitySynthesis", "SuperResolution")  # what build_trainer gives


def find_examples(name: str) -> doctest.DocTest:
    """The examples in a public name's docstring."""
    text = inspect.getdoc(getattr(keras_vaegan, name)) or ""
    return doctest.DocTestParser().get_doctest(text, {}, name, None, None)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A working folder that holds what examples read: the weights that ship, and an image."""
    (tmp_path / "weights").symlink_to(REPOSITORY / "weights")
    rows, columns = np.mgrid[-1:1:90j, -1:1:80j]
    head = 120 * (np.hypot(rows, columns) < 0.8).astype("uint8")
    cv2.imwrite(str(tmp_path / "scan.png"), head)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", sorted(keras_vaegan._HOMES))
def test_the_examples_of_a_docstring_run(name, folder):
    examples = find_examples(name)
    if name.endswith("Config") or name in WITHOUT_EXAMPLE:
        return
    assert examples.examples, f"{name} has no example"
    report: list[str] = []
    failed = doctest.DocTestRunner().run(examples, out=report.append).failed
    assert not failed, "".join(report)


@pytest.mark.parametrize("page", PAGES)
def test_the_python_of_a_page_runs(page, folder):
    namespace: dict = {}
    for block in BLOCK.findall((REPOSITORY / f"docs/{page}.md").read_text()):
        exec(compile(block, f"{page}.md", "exec"), namespace)
