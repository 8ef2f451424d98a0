"""What a weight file is, what it holds, and what the package can do with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from keras_vaegan.config.base import config_to_dict
from keras_vaegan.errors import InputError
from keras_vaegan.interop.keras_h5.infer import infer_config
from keras_vaegan.interop.keras_h5.load import check_claim, parse_config
from keras_vaegan.interop.keras_h5.rebuild import rebuild_model
from keras_vaegan.models.build import build_model
from keras_vaegan.weights.h5_file import WeightFile, read_weight_file
from keras_vaegan.weights.leaves import Leaf, file_leaves, find_interchangeable
from keras_vaegan.weights.legacy_h5 import match_weights

SHOWN_NAMES = 6


@dataclass(frozen=True)
class CheckpointReport:
    """A weight file, described.

    Attributes:
        file: Format, Keras version and layers.
        leaves: Layers with weights, nested models taken apart: name, kind and shapes by role.
        source: Where the architecture comes from: "embedded", "model_config", "inferred", or
            "" where it cannot be told.
        config: Our config, where it was embedded or inferred, else None.
        verdict: What can be done with the file, in one sentence.
        notes: What was assumed or replaced, and what the file cannot show.
    """

    file: WeightFile
    leaves: tuple[Leaf, ...]
    source: str
    config: Any
    verdict: str
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        file = self.file
        kind = "full model" if file.is_full_model else "weights only"
        version = (
            f"Keras {file.keras_version}" if file.keras_version else "Keras of no stated version"
        )
        rows = [(leaf.name, leaf.kind or "-", _format_shapes(leaf), f"{leaf.parameters:,}")
                for leaf in self.leaves]  # fmt: skip
        widths = [max((len(row[i]) for row in rows), default=0) for i in range(4)]
        lines = [f"{file.path}: HDF5, {kind}, {version}, backend {file.backend or 'not stated'}"]
        lines += [
            f"  {n:<{widths[0]}}  {k:<{widths[1]}}  {s:<{widths[2]}}  {p:>{widths[3]}}"
            for n, k, s, p in rows
        ]
        lines.append(
            f"{len(file.layers)} layers, {len(self.leaves)} with weights, "
            f"{file.parameters:,} parameters, {file.optimizer_arrays} optimizer arrays"
        )
        lines += [self.verdict, *(f"note: {note}" for note in self.notes)]
        return "\n".join(lines)


def inspect_checkpoint(path: str | Path) -> CheckpointReport:
    """Describe a weight file without loading its arrays.

    Args:
        path: A legacy `.h5` file of Keras 1, 2 or 3.

    Raises:
        InputError: it is no such file, or is damaged.
    """
    file = read_weight_file(path)
    leaves = tuple(file_leaves(file))
    notes: list[str] = []
    source, config = "", None
    try:
        if file.own_config is not None:
            config = parse_config(file.own_config, path)
            check_claim(config, file)
            with keras.StatelessScope(initialize_variables=False):
                match_weights(build_model(config), file)
            kind, source = getattr(config, "model", config), "embedded"
            verdict = f"loads: {type(kind).__name__} from its embedded config"
        elif file.model_config is not None:
            with keras.StatelessScope(initialize_variables=False):
                model, remarks = rebuild_model(file)
                match_weights(model, file, check_order=False)
            source, notes = "model_config", list(remarks)
            verdict = (
                f"loads: a Functional model rebuilt from its own config, "
                f"{_format_ends(model.inputs)} -> {_format_ends(model.outputs)}"
            )
        else:
            found = infer_config(file)
            config, source = found.config, "inferred"
            verdict = f"loads: {_format_config(config)}, inferred from kinds and shapes"
            notes += [f"fits as well: {_format_config(other)}" for other in found.alternatives]
            assumed = ", ".join(f"{name}={value}" for name, value in found.assumed.items())
            notes.append(f"no weight tells {assumed}: assumed; pass others if you know better")
    except InputError as error:
        reason = str(error).splitlines()[0].removeprefix(f"{path}: ").removeprefix(f"{path} ")
        verdict = f"does not rebuild by itself: {reason}"
    notes += _describe_swaps(leaves, source)
    return CheckpointReport(file, leaves, source, config, verdict, tuple(notes))


def _describe_swaps(leaves: tuple[Leaf, ...], source: str) -> list[str]:
    """Say which layers could have been swapped without a trace."""
    groups = find_interchangeable(list(leaves))
    if not groups:
        return []
    count = sum(map(len, groups))
    names = ", ".join(groups[0][:SHOWN_NAMES]) + (", ..." if len(groups[0]) > SHOWN_NAMES else "")
    told = (
        "only their names tell them apart, which are verified"
        if source in ("embedded", "model_config")
        else "only their place tells them apart: a swap would not be seen"
    )
    return [f"{count} layers share kind and shapes with another ({names}): {told}"]


def _format_shapes(leaf: Leaf) -> str:
    """Shapes by role on one line."""
    return "  ".join(
        f"{role} {'x'.join(map(str, shape)) or 'scalar'}" for role, shape in leaf.shapes.items()
    )


def _format_ends(tensors: list) -> str:
    """Shapes of a model's inputs or outputs."""
    return ", ".join(str(tuple(tensor.shape)) for tensor in tensors)


def _format_config(config: Any) -> str:
    """A config on one line."""
    fields = {k: v for k, v in config_to_dict(config).items() if k not in ("kind", "seed")}
    return f"{type(config).__name__}({', '.join(f'{k}={v}' for k, v in fields.items())})"
