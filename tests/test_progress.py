"""How far a long command is, on a stream that is no terminal."""

import io

import pytest

from keras_vaegan import progress
from keras_vaegan.progress import show_progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("items", [[], [3], list(range(50))], ids=len)
def test_a_short_job_is_silent_and_yields_every_item_once(capsys, items):
    assert list(show_progress(items, "evaluating")) == items
    assert list(show_progress(iter(items), "evaluating", len(items))) == items
    assert capsys.readouterr().err == ""


def test_a_long_job_writes_lines(capsys, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS", 0.0)
    assert list(show_progress(iter("abc"), "translating", 3)) == ["a", "b", "c"]
    written = capsys.readouterr().err
    lines = written.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"translating: {n} of 3" for n in (1, 2, 3)]
    assert "gone" in lines[0] and "left" in lines[0] and "\r" not in written


def test_a_terminal_gets_a_bar_that_goes(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    assert list(show_progress(range(4), "enhancing")) == [0, 1, 2, 3]
    assert stream.getvalue().startswith("\renhancing") and "\n" not in stream.getvalue()


def test_a_job_that_fails_says_nothing_more(capsys):
    items = show_progress(iter([1, 2]), "translating", 2)
    next(items)
    with pytest.raises(ValueError, match="broken"):
        items.throw(ValueError("broken"))
    assert capsys.readouterr().err == ""
