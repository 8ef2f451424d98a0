"""The page beside an exported network: what it is for, what it was made of, how good it is."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from keras_vaegan import __version__
from keras_vaegan.config.base import config_to_json
from keras_vaegan.errors import InputError
from keras_vaegan.systems.system import Exportable
from keras_vaegan.weights.manifest import compute_sha256, find_row

MODEL_CARD = "model_card.md"
NOT_RECORDED = "Not recorded. Say here what the network was trained on."
LICENCE = "Code: MIT. Weights: as whoever trained them, and the owner of the training data, decide."
NOT_FOR_DIAGNOSIS = (
    "**Not for diagnosis.** Research use only: nothing here is validated for any clinical purpose, "
    "and no decision about a patient may rest on it."
)


def write_model_card(
    path: Path, network: Exportable, use: dict[str, str], training_data: str | None = None
) -> None:
    """Write a model card in Markdown.

    Training data, command and figures come from the manifest beside the weight file, else from
    its run folder (`config.json`, `logs/history.csv`, `metrics.json`).

    Args:
        path: File to write.
        network: What is exported.
        use: Sections on what was written and how to run it: body by title.
        training_data: What the network was trained on; None takes the manifest's word.

    Raises:
        InputError: a record beside the weights is damaged.
    """
    row, folder = find_row(network.file) or {}, network.file.parent
    run = folder.parent if folder.name == "best" else folder
    training = _describe_run(run) if not row else _describe_row(row)
    metrics = row.get("metrics") or _read_json(run / "metrics.json")
    sections = {
        "Intended use": f"{network.purpose} For research, teaching and the testing of software.",
        "Not for": "\n".join([NOT_FOR_DIAGNOSIS, "", *(f"- {text}" for text in network.caveats)]),
        "Training data": training_data or row.get("training_data") or NOT_RECORDED,
        "Training": training,
        "Metrics": _make_table(metrics),
        "Intensities": network.intensities,
        **use,
        "Weights": _describe_weights(network),
        "Licence": f"Weights and code: {row['licence']}." if "licence" in row else LICENCE,
    }
    text = "\n\n".join(f"## {title}\n\n{body}" for title, body in sections.items())
    path.write_text(f"# {network.title}\n\n{text}\n")


def _describe_row(row: dict) -> str:
    """Command and commit of a manifest's row."""
    commands, commits = (
        [value] if isinstance(value, str) else value or []
        for value in (row.get("command"), row.get("commit"))
    )
    preset, length = row.get("preset", "not recorded"), row.get("training", "length not recorded")
    lines = [f"Preset `{preset}`, commit {', then '.join(commits) or 'not recorded'}: {length}."]
    return "\n".join([*lines, "", "```", *commands, "```"])


def _describe_run(run: Path) -> str:
    """Commit, versions and length of a run folder's training."""
    record = _read_json(run / "config.json")
    if not record or "config" not in record:
        return "Not recorded beside the weights."
    versions = ", ".join(f"{name} {value}" for name, value in record.get("versions", {}).items())
    lines = [f"Commit {record.get('commit')}, seed {record.get('seed')}, {versions}."]
    steps, planned = _read_last_step(run), record["config"].get("steps")
    if steps is not None:
        ended = "" if steps == planned else ": the run ended early, or goes on"
        lines.append(f"Trained for {steps} of {planned} steps{ended}.")
    if (run / "best").is_dir():
        lines.append("The weights are those of the best validation, not of the last step.")
    return "\n".join(lines)


def _read_last_step(run: Path) -> int | None:
    """The last step of a run's history, if there is one."""
    try:
        with (run / "logs" / "history.csv").open() as file:
            return max(int(row["step"]) for row in csv.DictReader(file))
    except (OSError, ValueError, KeyError):
        return None


def _read_json(path: Path) -> dict:
    """A JSON file, nothing where there is none, or a refusal where it is damaged."""
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path} is unreadable: expected JSON; write it again") from error


def _make_table(metrics: dict) -> str:
    """Every number of nested figures as a row, or the word that there is none."""
    rows = [f"| {name} | {value} |" for name, value in _flatten(metrics)]
    if not rows:
        return "Not measured. `python -m keras_vaegan.evaluate` measures a run before its export."
    return "\n".join(["| figure | value |", "|---|---|", *rows])


def _flatten(value, name: str = "") -> list[tuple[str, str]]:
    """Nested dictionaries as (dotted name, text)."""
    if isinstance(value, dict):
        parts = (_flatten(part, f"{name}.{key}".lstrip(".")) for key, part in value.items())
        return [pair for pairs in parts for pair in pairs]
    if isinstance(value, float):
        return [(name, f"{value:.5g}")]
    return [] if value is None or isinstance(value, list) else [(name, str(value))]


def _describe_weights(network: Exportable) -> str:
    """Name, hash and config of the weight file."""
    lines = [
        f"`{network.file.name}`, SHA-256 `{compute_sha256(network.file)}`, exported by "
        f"keras_vaegan {__version__}."
    ]
    if network.config is not None:
        lines += ["", "```json", config_to_json(network.config), "```"]
    return "\n".join(lines)
