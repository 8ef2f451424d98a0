"""Pages that speak of the package: links lead somewhere, files exist, commands parse."""

from __future__ import annotations

import functools
import importlib
import re
import shlex
from pathlib import Path

import pytest

import keras_vaegan
from keras_vaegan.__main__ import COMMANDS
from keras_vaegan.commands import shell
from keras_vaegan.systems.registry import PRESETS

REPOSITORY = Path(__file__).parents[1]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "weights/README.md",
    "datasets/README.md",
    *sorted(path.relative_to(REPOSITORY).as_posix() for path in REPOSITORY.glob("docs/**/*.md")),
)
BLOCK = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\((?!https?:)([^)\s]*)\)")
FENCES = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"(?:python -m keras_vaegan\.|keras-vaegan )(\w+)(?:$| +(.*))", re.MULTILINE)
OPTION_FILE = re.compile(r"`(\w+\.yaml)`[^`]*```yaml\n(.*?)```", re.DOTALL)
ROOTS = r"tests|docs|benchmarks|colab|keras_vaegan|\.ci"
PARTS = "commands|systems|models|losses|kernels|training|data|phantom|interop|evaluation|config"
PATH = re.compile(rf"({ROOTS}|{PARTS})/[\w/.-]*")


def read(repository, page: str) -> str:
    return (repository / page).read_text()


def anchors_of(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", BLOCK.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


def list_commands(text: str) -> list[tuple[str, str]]:
    """(command, arguments) of every whole command line: indented, or in a block of the shell."""
    blocks = [body for kind, body in FENCES.findall(text) if kind in ("", "bash")]
    lines = [*re.findall(r"^    .*$", BLOCK.sub("", text), re.MULTILINE), *blocks]
    joined = re.sub(r"\\\n|\$\w+", " ", "\n".join(lines))  # one line each, no variables
    return [match for match in COMMAND.findall(joined) if match[0] in COMMANDS]


def make_silent(function):
    """A function of the same signature that does nothing."""
    return functools.wraps(function)(lambda *args, **kwargs: None)


def parse(name: str, arguments: list[str]) -> None:
    """Parse a command's arguments as the command does; exits with status 2 where they are bad."""
    command = importlib.import_module(f"keras_vaegan.commands.{name}").main.args[0]
    if isinstance(command, dict):
        silent = {action: make_silent(function) for action, function in command.items()}
    else:
        silent = make_silent(command)
    shell.run(silent, arguments, prog=name)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(repository, page):
    path = repository / page
    for link in LINK.findall(INLINE.sub("", BLOCK.sub("", path.read_text()))):
        target, _, anchor = link.partition("#")
        file = path.parent / target if target else path
        assert file.exists(), link
        assert not anchor or anchor in anchors_of(file.read_text()), link


@pytest.mark.parametrize("page", PAGES)
def test_files_and_folders_that_are_named_exist(repository, page):
    words = " ".join(INLINE.findall(BLOCK.sub("", read(repository, page)))).split()
    for name in filter(PATH.fullmatch, words):
        places = (repository / name, repository / "keras_vaegan" / name)
        assert any(place.exists() for place in places), name


def test_the_map_names_every_folder_of_the_package(repository):
    folders = {path.parent.name for path in repository.glob("keras_vaegan/*/*.py")}
    named = set(re.findall(r"`(\w+)/`", read(repository, "README.md")))
    assert folders <= named


@pytest.mark.parametrize("page", PAGES)
def test_commands_parse(repository, page, tmp_path, monkeypatch, capsys):
    text = read(repository, page)
    monkeypatch.chdir(tmp_path)
    for name, content in OPTION_FILE.findall(text):
        (tmp_path / name).write_text(content)
    for name, line in list_commands(text):
        try:
            parse(name, shlex.split(line, comments=True))
        except SystemExit:
            pytest.fail(f"{name} {line}: {capsys.readouterr().err}")


def test_the_commands_of_the_pages_are_seen(repository):
    seen = {name for page in PAGES for name, _ in list_commands(read(repository, page))}
    assert seen == set(COMMANDS)
    with pytest.raises(SystemExit):
        parse("train", ["--dato", "DIR", "--out", "RUN"])


def test_every_command_and_option_is_explained(repository):
    text = read(repository, "docs/commands.md")
    for name in COMMANDS:
        section = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
        assert section, name
        module = importlib.import_module(f"keras_vaegan.commands.{name}")
        for kind in vars(module).values():
            fields = getattr(kind, "__dataclass_fields__", {})
            if isinstance(kind, type) and kind.__module__ == module.__name__:
                for field in set(fields) - {"config"}:
                    assert f"--{field.replace('_', '-')}" in section[1], f"{name} {field}"


@pytest.mark.parametrize("page", ["README.md", "docs/commands.md"])
def test_every_preset_is_named(repository, page):
    assert set(PRESETS) <= set(INLINE.findall(BLOCK.sub("", read(repository, page))))


def test_the_citation_is_of_this_version(repository):
    text = read(repository, "CITATION.cff")
    assert f"\nversion: {keras_vaegan.__version__}\n" in text
    assert "\nlicense: MIT\n" in text
    for field in ("cff-version", "message", "title", "authors"):
        assert re.search(rf"^{field}:", text, re.MULTILINE)


@pytest.mark.parametrize("page", ["README.md", "weights/README.md"])
def test_the_notice_stands(repository, page):
    assert "not for diagnosis" in read(repository, page).lower()
