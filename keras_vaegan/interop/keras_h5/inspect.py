"""What a weight file is, what it holds, and what the package can do with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from keras_vaegan.errors import InputError
from keras_vaegan.interop.keras_h5.infer import format_config
from keras_vaegan.interop.keras_h5.load import Network, build_network
from keras_vaegan.weights.leaves import Leaf, file_leaves, find_interchangeable
from keras_vaegan.weights.legacy_h5 import match_weights
from keras_vaegan.weights.weight_file import WeightFile, read_weight_file

SHOWN_NAMES = 6


@dataclass(frozen=True)
class CheckpointReport:
    """A weight file, described.

    Attributes:
        file: Format, Keras version and layers.
        leaves: Layers with weights, nested models taken apart: name, kind and shapes by role.
        source: Where the architecture comes from: "embedded", "model_config", "inferred", or
            "" where it cannot be told.
        config: Our network's config, where it was embedded or inferred, else None.
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
        version = f"Keras {file.keras_version or 'of no stated version'}"
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

    Examples:
        >>> import keras_vaegan as kv
        >>> kv.inspect_checkpoint("weights/rrdbnet_weights.h5").verdict
        'loads: RRDBNetConfig from its embedded config'
    """
    file = read_weight_file(path)
    leaves = tuple(file_leaves(file))
    source, config, notes = "", None, list[str]()
    try:
        with keras.StatelessScope(initialize_variables=False):
            found = build_network(file)
            match_weights(found.model, file, check_order=found.config is not None)
    except InputError as error:
        reason = str(error).splitlines()[0].removeprefix(f"{path}: ").removeprefix(f"{path} ")
        verdict = f"does not rebuild by itself: {reason}"
    else:
        verdict = f"loads: {_describe_network(found)}"
        source, config, notes = found.source, found.config, list(found.notes)
    notes += _describe_swaps(leaves, source)
    return CheckpointReport(file, leaves, source, config, verdict, tuple(notes))


def _describe_network(found: Network) -> str:
    """What a file's network is and where that is told."""
    if found.source == "embedded":
        return f"{type(found.config).__name__} from its embedded config"
    if found.source == "inferred":
        return f"{format_config(found.config)}, inferred from kinds and shapes"
    ends = (
        ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
        for tensors in (found.model.inputs, found.model.outputs)
    )
    return f"a Functional model rebuilt from its own config, {' -> '.join(ends)}"


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
