"""Pages that speak of the package: their links lead somewhere, their version is this one."""

import re

import pytest

import keras_vaegan

PAGES = ("README.md", "CONTRIBUTING.md", "weights/README.md", "datasets/README.md")
CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(repository, page):
    path = repository / page
    for target in LINK.findall(CODE.sub("", path.read_text())):
        assert (path.parent / target).exists(), target


def test_the_citation_is_of_this_version(repository):
    text = (repository / "CITATION.cff").read_text()
    assert f"\nversion: {keras_vaegan.__version__}\n" in text
    assert "\nlicense: MIT\n" in text
    for field in ("cff-version", "message", "title", "authors"):
        assert re.search(rf"^{field}:", text, re.MULTILINE)


@pytest.mark.parametrize("page", ["README.md", "weights/README.md"])
def test_the_notice_stands(repository, page):
    assert "not for diagnosis" in (repository / page).read_text().lower()
