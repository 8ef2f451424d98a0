"""Manifests of weight files: a row per file that says what it is and how it came to be."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from keras_vaegan.config.base import VALUE_RANGES, config_to_dict
from keras_vaegan.errors import InputError
from keras_vaegan.models.build import find_builder
from keras_vaegan.weights.names import RRDBNET_FILE, find_weight_file
from keras_vaegan.weights.record import read_record
from keras_vaegan.weights.weight_file import WeightFile, read_weight_file

MANIFEST = "manifest.json"
FINGERPRINT_DIGITS = 16


def read_manifest(folder: str | Path) -> list[dict]:
    """Read the rows of a folder's `manifest.json`; none where there is no such file.

    Raises:
        InputError: it is no manifest.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file():
        return []
    try:
        rows = json.loads(path.read_text())["rows"]
        if all(isinstance(row["name"], str) for row in rows):
            return rows
    except (OSError, ValueError, LookupError, TypeError):
        pass
    raise InputError(f'{path} is no manifest: expected {{"rows": [{{"name": ...}}, ...]}}')


def find_row(path: str | Path) -> dict | None:
    """The row of the manifest beside a weight file that speaks of exactly this file, if any.

    Raises:
        InputError: the manifest is damaged.
    """
    path = Path(path)
    for row in read_manifest(path.parent):
        if row["name"] == path.name and row.get("sha256") == compute_sha256(path):
            return row
    return None


def describe_weight_file(path: str | Path) -> dict[str, Any]:
    """What a weight file of this package tells of itself: the first fields of its row.

    Args:
        path: A `.h5` file with an embedded config.

    Raises:
        InputError: it is unreadable, or has no such config.
    """
    path = Path(path)
    file = read_weight_file(path)
    record = read_record(file)
    if record is None:
        raise InputError(f"{path} holds no config: expected a file as `train` writes it")
    model, data = record.model, record.data
    dtypes = {weight.dtype for layer in file.layers for weight in layer.weights}
    side = getattr(model, "image_size", None)
    return {
        "name": path.name,
        "sha256": compute_sha256(path),
        "bytes": path.stat().st_size,
        "dtype": ", ".join(sorted(dtypes)),
        "builder": find_builder(model).__name__,
        "config": config_to_dict(model),
        "data_config": config_to_dict(data) if data else None,
        "parameters": file.parameters,
        "layer_fingerprint": compute_layer_fingerprint(file),
        "input": {
            "layout": "NHWC",
            "shape": [side, side, model.channels],
            "range": list(VALUE_RANGES[getattr(data, "value_range", "sigmoid")]),
        },
    }


def compute_layer_fingerprint(file: WeightFile) -> str:
    """First digits of the SHA-256 of a file's layers: names, weights and shapes in file order.

    Files of equal fingerprints load into each other's networks by name.
    """
    lines = [
        f"{layer.name}/{weight.name} {'x'.join(map(str, weight.shape))}\n"
        for layer in file.weighted_layers
        for weight in layer.weights
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:FINGERPRINT_DIGITS]


def digest_weights(weights: Path, direction: str | None = None) -> str:
    """The first 12 digits of the SHA-256 of the weight file that a path means.

    Args:
        weights: As `find_weight_file` takes it.
        direction: "mri2ct" or "ct2mri"; without it an RRDBNet is meant.
    """
    name = None if direction else RRDBNET_FILE
    return compute_sha256(find_weight_file(weights, direction, name))[:12]


def compute_sha256(path: str | Path) -> str:
    """SHA-256 of a file's content, in hexadecimal.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check the path") from error
