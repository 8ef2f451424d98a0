"""config.json of a run folder: what was trained, with which versions, from which commit."""

from __future__ import annotations

import json
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from keras_vaegan.config.base import config_from_dict, config_to_dict
from keras_vaegan.errors import InputError
from keras_vaegan.files import write_json

RECORDED_PACKAGES = ("keras_vaegan", "tensorflow", "keras", "numpy")


def is_run(folder: str | Path) -> bool:
    """Whether a folder holds a run that has saved its state at least once."""
    return (Path(folder) / "config.json").exists() and (Path(folder) / "state").is_dir()


def write_run_config(folder: str | Path, config) -> None:
    """Write config.json: the resolved config, versions, seed and commit.

    Raises:
        InputError: the folder cannot be written to.
    """
    record = {
        "config": config_to_dict(config),
        "versions": {"python": platform.python_version(), **_find_versions()},
        "seed": config.seed,
        "commit": find_commit(),
    }
    write_json(Path(folder) / "config.json", record)


def read_run_config(folder: Path, kind: type | None = None):
    """Read the config of a run folder.

    Args:
        folder: Run folder.
        kind: The config class that is expected; None takes any.

    Raises:
        InputError: there is no readable run in `folder`, or one of another kind.
    """
    path = folder / "config.json"
    try:
        config = config_from_dict(json.loads(path.read_text())["config"])
        if hasattr(config, "steps") and isinstance(config, kind or object):
            return config
        expected = f"a {kind.__name__}" if kind else "the config of a run"
        raise InputError(f"{path} holds a {type(config).__name__}: expected {expected}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"no run in {folder}: expected {path} as `train` writes it; train without --resume"
        ) from error


def find_commit() -> str | None:
    """The git commit of the package's own checkout, or None outside one."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None


def _find_versions() -> dict[str, str | None]:
    """Versions of the packages that a result may depend on."""
    found: dict[str, str | None] = {}
    for name in RECORDED_PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found
