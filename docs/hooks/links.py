"""Links: between pages inside and outside `docs/`, and in the site as it was built."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LINK = re.compile(r"(\]\()(?!\w+:|#|/)([^)\s#]+)")
LINKING = {"a": "href", "link": "href", "img": "src", "script": "src", "iframe": "src"}
LOCAL = ("127.0.0.1", "localhost")


def move_links(text: str, page: str, place: str) -> str:
    """Rewrite a page's links from where they lead in the checkout to the same place of the site.

    A file of `docs/` lies at the site's root, any other at its own path.

    Args:
        text: The page, in Markdown.
        page: Its path in the checkout, such as "docs/commands.md".
        place: Its path in the site, such as "commands.md".
    """

    def move(match: re.Match) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(page), match[2]))
        moved = posixpath.relpath(find_place(target), posixpath.dirname(place) or ".")
        return match[1] + moved

    return LINK.sub(move, text)


def find_place(path: str) -> str:
    """A file's path in the site, by its path in the checkout; the README's is the first page's."""
    return "index.md" if path == "README.md" else path.removeprefix("docs/")


def find_broken_links(site: Path) -> Iterator[str]:
    """Check every link of a built site.

    Yields:
        A line for each that leads nowhere, is malformed, or loads something from outside.
    """
    pages = {path: _read_page(path) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        for tag, link in page.links:
            problem = _find_problem(tag, link, path, pages, site)
            if problem:
                yield f"{path.relative_to(site)}: {link}: {problem}"


class _Page(HTMLParser):
    """The anchors and the links of one page."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.anchors |= {values[name] or "" for name in ("id", "name") if name in values}
        link = values.get(LINKING.get(tag, ""))
        if link and values.get("rel") != "canonical":
            self.links.append((tag, link))


def _read_page(path: Path) -> _Page:
    """Parse one page."""
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def _find_problem(tag: str, link: str, path: Path, pages: dict[Path, _Page], site: Path) -> str:
    """What is wrong with a link; nothing where it leads somewhere."""
    parts = urlsplit(link)
    if parts.scheme == "data":
        return ""
    if parts.scheme or parts.netloc:
        if tag != "a":
            return "loaded from outside"
        is_local = parts.scheme == "http" and parts.hostname in LOCAL
        is_whole = parts.scheme == "https" and "." in parts.netloc and " " not in link
        return "" if is_local or is_whole else "malformed"
    base = site if parts.path.startswith("/") else path.parent
    target = (base / unquote(parts.path).lstrip("/")).resolve() if parts.path else path
    target = target / "index.html" if target.is_dir() else target
    if not target.is_file():
        return "no such file"
    anchor = unquote(parts.fragment)
    if not anchor or anchor == "__skip" or target not in pages:
        return ""
    return "" if anchor in pages[target].anchors else "no such anchor"
