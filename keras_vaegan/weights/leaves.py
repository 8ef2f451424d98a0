"""Weights grouped by the layer that owns them, with names of any Keras reduced to kinds.

A weight file's group may hold a whole nested model; its leaves are that model's own layers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import keras
import numpy as np

from keras_vaegan.errors import InputError, show
from keras_vaegan.weights.weight_file import TOP_LEVEL, StoredLayer, StoredWeight, WeightFile

MAX_SHOWN = 8  # weights of a layer in a message; those of known layers are fewer
# What older Keras called its weights.
_OLD_ROLES = {
    "W": "kernel",
    "b": "bias",
    "depthwise_kernel": "kernel",
    "running_mean": "moving_mean",
    "running_std": "moving_variance",
}
_OLD_NAME = re.compile(r"(.+)_(?:W|b|gamma|beta|running_mean|running_std)")
# Automatic layer names, longest first, and the kind of layer each stands for.
_AUTOMATIC_NAMES = {
    "depthwise_conv2d": "DepthwiseConv2D",
    "separable_conv2d": "SeparableConv2D",
    "conv2d_transpose": "Conv2DTranspose",
    "deconvolution2d": "Conv2DTranspose",
    "convolution2d": "Conv2D",
    "conv2d": "Conv2D",
    "dense": "Dense",
    "batch_normalization": "BatchNormalization",
    "batchnormalization": "BatchNormalization",
    "layer_normalization": "LayerNormalization",
    "group_normalization": "GroupNormalization",
    "instance_normalization": "GroupNormalization",
}


@dataclass(frozen=True)
class NormalizedKernel:
    """A kernel that is stored as direction and length: length * direction / |direction|.

    Attributes:
        direction: The stored kernel.
        length: One value an output channel.

    Reference: Salimans & Kingma 2016, "Weight Normalization".
    """

    direction: StoredWeight
    length: StoredWeight

    @property
    def parts(self) -> tuple[StoredWeight, StoredWeight]:
        """Both, as `compute` takes them."""
        return self.direction, self.length

    @staticmethod
    def compute(direction: np.ndarray, length: np.ndarray) -> np.ndarray:
        """The effective kernel; the norm is over all axes but the last."""
        axes = tuple(range(direction.ndim - 1))
        square = np.maximum(np.sum(np.square(direction), axis=axes, keepdims=True), 1e-12)
        return direction / np.sqrt(square) * length


@dataclass
class Leaf:
    """One layer's weights by role ("kernel", "bias", "gamma", ...).

    Attributes:
        name: The layer's name.
        kind: Its class as far as known, else "".
        shapes: Shape by role.
        items: What stands behind each role: a `StoredWeight` or a variable.
    """

    name: str
    kind: str = ""
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    items: dict[str, Any] = field(default_factory=dict)

    def add(self, weight_name: str, shape: tuple[int, ...], item: Any) -> None:
        """Add a weight under its role; a second one of a role gets a number."""
        role = base = weight_role(weight_name, self.name)
        number = 1
        while role in self.shapes:
            number += 1
            role = f"{base}_{number}"
        self.shapes[role] = shape
        self.items[role] = item

    def compare(self, other: Leaf) -> str:
        """Say why two leaves cannot be the same layer; "" where they can."""
        if self.kind and other.kind and self.kind != other.kind:
            return "another kind of layer"
        if set(self.shapes) != set(other.shapes):
            return "other kinds of weights"
        return "" if self.shapes == other.shapes else "another shape"

    @property
    def parameters(self) -> int:
        """Number of values."""
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    def __str__(self) -> str:
        shapes = [f"{role} {shape}" for role, shape in self.shapes.items()]
        if len(shapes) > MAX_SHOWN:
            shapes[MAX_SHOWN:] = [f"{len(shapes) - MAX_SHOWN} more"]
        return f"{show(self.name)} ({', '.join(shapes)})"


@dataclass(frozen=True)
class Difference:
    """Layers of a file and a model that cannot be the same.

    Attributes:
        place: Number of the layer among those with weights, from 1.
        theirs, ours: The file's layer and the model's; None where a side ends.
        reason: Why they differ.
    """

    place: int
    theirs: Leaf | None
    ours: Leaf | None
    reason: str

    def describe(self, model: str) -> str:
        """A sentence that names the `model`, such as "the model"."""
        received = f"the file has {self.theirs}" if self.theirs else "the file ends"
        wanted = f"has {self.ours}" if self.ours else "ends"
        return (
            f"at layer with weights number {self.place} {received} where {model} {wanted} "
            f"({self.reason})"
        )


def file_leaves(file: WeightFile) -> list[Leaf]:
    """A file's layers with weights, nested models taken apart."""
    return [leaf for layer in file.weighted_layers for leaf in split_layer(layer)]


def collect_weights(model: keras.Model) -> dict[str, dict[str, keras.Variable]]:
    """Every layer's weights by name, in the order of Keras 2; the model's own ones last."""
    weights: dict[str, dict[str, keras.Variable]] = {}
    in_layers: set[int] = set()
    for layer in model.layers:
        variables = layer.trainable_weights + layer.non_trainable_weights
        weights[layer.name] = _by_name(variables, layer.name)
        in_layers.update(map(id, variables))
    own = model.trainable_weights + model.non_trainable_weights
    weights[TOP_LEVEL] = _by_name([v for v in own if id(v) not in in_layers], model.name)
    return weights


def _by_name(variables: list, owner: str) -> dict[str, keras.Variable]:
    """Variables by path; the legacy layout cannot hold two of one path in a layer."""
    named = {variable.path: variable for variable in variables}
    if len(named) < len(variables):
        paths = [variable.path for variable in variables]
        double = next(path for path in paths if paths.count(path) > 1)
        raise InputError(
            f"two weights of {show(owner)} are both named {show(double)}: expected different "
            "names, as the .h5 layout needs; rename the layers inside it"
        )
    return named


def model_leaves(model: keras.Model) -> list[Leaf]:
    """The model's weights, grouped by the layer that owns them."""
    kinds = {}
    for layer in model._flatten_layers(include_self=False):
        for variable in layer._trainable_variables + layer._non_trainable_variables:
            kinds[id(variable)] = layer_kind(layer)
    return [
        leaf
        for name, variables in collect_weights(model).items()
        for leaf in split_variables(name, variables, kinds)
    ]


def split_layer(layer: StoredLayer) -> list[Leaf]:
    """One stored layer's weights, grouped by the layer that owns them."""
    items = [(weight.name, weight.shape, weight) for weight in layer.weights]
    return _split(layer.name, items)


def split_variables(
    layer_name: str, variables: dict[str, keras.Variable], kinds: dict[int, str] | None = None
) -> list[Leaf]:
    """A model layer's variables by path, grouped the same way; `kinds` by the variables' id."""
    items = [(path, tuple(variable.shape), variable) for path, variable in variables.items()]
    leaves = _split(layer_name, items)
    for leaf in leaves:
        first = next(iter(leaf.items.values()))
        leaf.kind = (kinds or {}).get(id(first), "")
    return leaves


def _split(layer_name: str, items: list[tuple[str, tuple, Any]]) -> list[Leaf]:
    """Group (weight name, shape, item) by owner, in the order of first appearance."""
    leaves: dict[str, Leaf] = {}
    for name, shape, item in items:
        owner = _find_owner(name, layer_name)
        if owner not in leaves:
            leaves[owner] = Leaf(owner, automatic_kind(owner))
        leaves[owner].add(name, shape, item)
    return _fold_weight_norm(leaves)


def _find_owner(weight_name: str, layer_name: str) -> str:
    """The layer that a weight belongs to; Keras 1 put an underscore between the two."""
    owner, slash, _ = weight_name.rpartition("/")
    old = _OLD_NAME.fullmatch(weight_name)
    return owner if slash else old[1] if old else layer_name


def _fold_weight_norm(leaves: dict[str, Leaf]) -> list[Leaf]:
    """Give a tensorflow-addons WeightNormalization the weights of the layer that it wraps."""
    for name, leaf in list(leaves.items()):
        if not {"g", "initialized"} <= set(leaf.shapes):
            continue
        role = "kernel" if "kernel" in leaf.shapes else "v"
        if role not in leaf.shapes:
            continue
        leaf.items["kernel"] = NormalizedKernel(leaf.items[role], leaf.items["g"])
        leaf.shapes["kernel"] = leaf.shapes[role]
        for extra in {"g", "v", "initialized"} & set(leaf.shapes):
            del leaf.shapes[extra], leaf.items[extra]
        leaves.pop(f"{name}/data_dep_init", None)
    return list(leaves.values())


def weight_role(weight_name: str, layer_name: str = "") -> str:
    """Reduce a weight's name to what it is: `conv2d_17/kernel` -> `kernel`.

    Args:
        weight_name: Without ":0"; Keras 1 wrote `convolution2d_1_W` and the like.
        layer_name: Its layer's name, which Keras 1 put before the role.
    """
    name = weight_name.rpartition("/")[2]
    prefix = layer_name.rpartition("/")[2] + "_"
    if name.startswith(prefix):
        name = name[len(prefix) :]
    return _OLD_ROLES.get(name, name)


def automatic_kind(layer_name: str) -> str:
    """The class that an automatic name such as `conv2d_transpose_3` stands for, else ""."""
    name = re.sub(r"_\d+$", "", layer_name.rpartition("/")[2].lower())
    return _AUTOMATIC_NAMES.get(name, "")


def layer_kind(layer: keras.layers.Layer) -> str:
    """A layer's class by the names used here; one of a group or instance norm is the same."""
    name = type(layer).__name__
    if "InstanceNorm" in name or "GroupNorm" in name:
        return "GroupNormalization"
    return name if name in _AUTOMATIC_NAMES.values() else ""


def list_differences(theirs: list[Leaf], ours: list[Leaf]) -> Iterator[Difference]:
    """Where the layers of a file and a model differ, place by place."""
    places = {leaf.name: place for place, leaf in enumerate(ours, start=1)}
    for place, (left, right) in enumerate(zip_longest(theirs, ours), start=1):
        reason = left.compare(right) if left and right else "one side ends"
        is_named = left and not automatic_kind(left.name)
        if is_named and places.get(left.name, place) != place:
            reason = reason or "swapped layers"
        if reason:
            yield Difference(place, left, right, reason)


def pair_leaves(theirs: list[Leaf], ours: list[Leaf]) -> list[tuple[Any, Any]]:
    """(the model's item, the file's) of every role, of layers that do not differ."""
    leaves = zip(theirs, ours, strict=True)
    return [(right.items[role], left.items[role]) for left, right in leaves for role in right.items]


def find_interchangeable(leaves: list[Leaf]) -> tuple[tuple[str, ...], ...]:
    """Groups of layers of equal kind and shapes: only their place tells them apart."""
    groups: dict[tuple, list[str]] = {}
    for leaf in leaves:
        groups.setdefault((leaf.kind, *sorted(leaf.shapes.items())), []).append(leaf.name)
    return tuple(tuple(names) for names in groups.values() if len(names) > 1)
