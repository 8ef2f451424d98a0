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


def keep_data_record(folder: Path, sources: Mapping[str, Mapping]) -> None:
    """Write the record of a new run; of a resumed one say on standard error what has changed.

    Args:
        folder: Run folder.
        sources: By part of the data what `describe_files` gives; without "digest" where only the
            number is known.
    """
    try:
        began = json.loads((folder / RECORD_FILE).read_text())
    except (OSError, ValueError):
        write_json(folder / RECORD_FILE, {name: dict(facts) for name, facts in sources.items()})
        return
    for name, facts in sources.items():
        told = began.get(name, {})
        if any(told[key] != facts[key] for key in told.keys() & facts.keys()):
            print(
                f"warning: {name} is not what the run began with ({facts['files']} files, then "
                f"{told['files']}): it goes on with what is there now",
                file=sys.stderr,
                flush=True,
            )
