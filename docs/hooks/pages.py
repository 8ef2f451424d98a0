"""What MkDocs does beyond the pages of `docs/`: generates some, finds some elsewhere, checks."""

from __future__ import annotations

import logging
from pathlib import Path

import command_pages
import links
import python_pages
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from keras_vaegan.__main__ import COMMANDS

LOG = logging.getLogger("mkdocs.hooks.pages")
ELSEWHERE = (
    "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "datasets/README.md", "weights/README.md",
    "colab/brats_modality.ipynb", "colab/train_vaegan.ipynb", "colab/translate.ipynb",
)  # fmt: skip


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill the navigation's `Reference` in."""
    commands = [{name: f"reference/commands/{name}.md"} for name in COMMANDS]
    python = [
        {title: f"reference/python/{key}.md"} for key, (title, *_) in python_pages.GROUPS.items()
    ]
    section = next(item for item in config.nav if "Reference" in item)
    section["Reference"] = [
        {"Commands": ["reference/commands/index.md", *commands]},
        {
            "Python": [
                "reference/python/index.md",
                *python,
                {"Presets": "reference/python/presets.md"},
            ]
        },
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and those of the checkout that lie outside `docs/`."""
    generated = command_pages.write_command_pages() | python_pages.write_python_pages()
    for place, text in generated.items():
        files.append(File.generated(config, place, content=text))
    root = Path(config.docs_dir).parent
    for place in ELSEWHERE:
        files.append(File.generated(config, place, abs_src_path=str(root / place)))
    return files


def on_page_markdown(markdown: str, page, config: MkDocsConfig, files: Files) -> str:
    """Let a page's links lead where their targets lie in the site."""
    place = page.file.src_uri
    if place.startswith("reference/"):
        return markdown
    return links.move_links(markdown, place if place in ELSEWHERE else f"docs/{place}", place)


def on_post_build(config: MkDocsConfig) -> None:
    """Warn of links that lead nowhere, which `--strict` makes an error."""
    for line in links.find_broken_links(Path(config.site_dir)):
        LOG.warning(line)
