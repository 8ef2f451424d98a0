"""data.json of a run folder: which files a run began with, so that a resume with others is told."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from keras_vaegan.files import write_json

RECORD_FILE = "data.json"


def describe_files(paths: Iterable[Path]) -> dict[str, int | str]:
    """Describe files by their names and sizes: {"files": how many, "digest": of both}."""
    lines = sorted(f"{path.name} {path.stat().st_size}" for path in paths)
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return {"files": len(lines), "digest": digest[:16]}


def keep_data_record(folder: Path, sources: Mapping[str, Mapping], resume: bool) -> None:
    """Write the record of a new run; of a resumed one say on standard error what has changed.

    Args:
        folder: Run folder.
        sources: By part of the data what `describe_files` gives; without "digest" where only the
            number is known.
        resume: Whether the run goes on; what an earlier one left is overwritten otherwise.
    """
    began = _read_record(folder / RECORD_FILE) if resume else None
    if began is None:
        write_json(folder / RECORD_FILE, {name: dict(facts) for name, facts in sources.items()})
        return
    for name, facts in sources.items():
        told = began.get(name, facts)
        if any(told[key] != facts[key] for key in told.keys() & facts.keys()):
            print(
                f"warning: {name} is not what the run began with ({facts['files']} files, then "
                f"{told['files']}): it goes on with what is there now",
                file=sys.stderr,
                flush=True,
            )


def _read_record(path: Path) -> dict[str, dict] | None:
    """A run's record; None where there is none, or what is there is no record."""
    try:
        began = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return None
    is_record = isinstance(began, dict) and all(
        isinstance(facts, dict) and "files" in facts for facts in began.values()
    )
    return began if is_record else None
