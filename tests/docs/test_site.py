"""What the site adds to its pages: generated ones, links that move, and the check of all links."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from keras_vaegan.__main__ import COMMANDS

HOOKS = Path(__file__).parents[2] / "docs" / "hooks"


@pytest.fixture
def load(monkeypatch):
    """Import one of the hooks by name."""
    monkeypatch.syspath_prepend(str(HOOKS))
    yield importlib.import_module
    for path in HOOKS.glob("*.py"):
        sys.modules.pop(path.stem, None)


def test_every_command_has_a_page_of_all_its_options(load):
    pages = load("command_pages").write_command_pages()
    assert {Path(place).stem for place in pages} == {"index", *COMMANDS}
    train = pages["reference/commands/train.md"]
    assert "keras-vaegan train --data PATH --out PATH [OPTIONS]" in train
    assert "`--align` `none`, `head`\n" in train
    assert "`--steps-per-call` whole number, default `1`\n" in train
    assert "`--data` path, **required**\n:   Folder that holds" in train
    convert = pages["reference/commands/convert.md"]
    assert "keras-vaegan convert keras SOURCE TARGET [OPTIONS]" in convert
    assert "`--assume` text, repeatable" in convert


def test_every_public_name_has_a_page(load):
    pages = "\n".join(load("python_pages").write_python_pages().values())
    assert "::: keras_vaegan.models.vae_unet.build_generator" in pages
    assert "::: keras_vaegan.errors.InputError" in pages
    assert "VAEUNetConfig(\n    image_size=256," in pages
    assert "## modality_unet_few" in pages


@pytest.mark.parametrize(
    ("page", "place", "link", "moved"),
    [
        ("docs/commands.md", "commands.md", "../datasets/README.md", "datasets/README.md"),
        ("docs/commands.md", "commands.md", "design.md#evaluation", "design.md#evaluation"),
        (
            "docs/tutorials/a.md",
            "tutorials/a.md",
            "../../weights/README.md",
            "../weights/README.md",
        ),
        ("docs/index.md", "index.md", "../README.md", "index.md"),
        ("weights/README.md", "weights/README.md", "../docs/results.md", "../results.md"),
        ("CONTRIBUTING.md", "CONTRIBUTING.md", "docs/design.md", "design.md"),
        ("CONTRIBUTING.md", "CONTRIBUTING.md", "https://x.org/a.md", "https://x.org/a.md"),
    ],
)
def test_links_move_with_their_page(load, page, place, link, moved):
    text = load("links").move_links(f"See [this]({link}).", page, place)
    assert text == f"See [this]({moved})."


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('<a href="b/#there">', None),
        ('<a href="/b/#there">', None),
        ('<a href="https://example.org/a">', None),
        ('<a href="http://127.0.0.1:7860">', None),
        ('<a href="http://example.org">', "malformed"),
        ('<a href="b/#gone">', "no such anchor"),
        ('<a href="c/">', "no such file"),
        ('<a href="https://example">', "malformed"),
        ('<script src="https://example.org/a.js">', "loaded from outside"),
    ],
)
def test_broken_links_are_found(load, tmp_path, content, problem):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "index.html").write_text('<h1 id="there">')
    (tmp_path / "index.html").write_text(content)
    found = list(load("links").find_broken_links(tmp_path))
    assert [line.split(": ")[-1] for line in found] == ([problem] if problem else [])
