"""Rebuild the model of a full-model file from its config of Keras 1, 2 or 3.

The config is read as data: every layer's class is looked up in a table of known ones and built
from known fields, and the graph is wired here. Keras's own deserialisation, which imports what a
file names and runs its Lambdas, is never called. A layer is built only after the file was seen to
hold weights of just its shapes, so that a config cannot claim more memory than its file has.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import keras

from keras_vaegan.errors import InputError, first_line, show
from keras_vaegan.interop.keras_h5.layers import (
    MAX_LAYERS,
    Context,
    Unsupported,
    build_layer,
    class_key,
)
from keras_vaegan.interop.keras_h5.operations import OPERATIONS, apply_operation
from keras_vaegan.weights.leaves import split_layer
from keras_vaegan.weights.weight_file import WeightFile

MAX_DEPTH = 16
FREE_INPUTS = 16  # of a call, beyond which it counts as another
NETWORKS = ("Model", "Functional", "Sequential")
INPUTS = "InputLayer"
CONSTANT = "_CONSTANT_VALUE"  # stands for a layer's name where a call's first operand is a number


def rebuild_model(
    file: WeightFile, replacements: Mapping[str, str] | None = None
) -> tuple[keras.Model, list[str]]:
    """Build the model that a full-model file describes, without its weights.

    Args:
        file: As `read_weight_file` gives it.
        replacements: What to put for Lambda layers and custom sampling layers, by layer name:
            "sampling" (inputs mean and log-variance) or "scale:FACTOR" or "scale:FACTOR,OFFSET".

    Returns:
        (model, notes): a Functional model, and remarks on what was replaced.

    Raises:
        InputError: the config is damaged, or the first layer that cannot be rebuilt, and why.
    """
    try:
        config = json.loads(file.model_config or "")
        context = Context(_stored_shapes(file), replacements or {}, file.keras_version)
        model = _build_network(config, context, depth=0)
    except Unsupported as error:
        raise InputError(f"{file.path}: {error}") from error
    except InputError:
        raise
    except Exception as error:  # Keras and its backends raise all kinds for impossible values
        raise InputError(
            f"{file.path}: its model_config cannot be rebuilt: {first_line(error)}; build the "
            "model in code and call load_legacy_h5(model, path)"
        ) from error
    return model, context.notes


def list_layers(config: dict) -> list[dict]:
    """The layer entries of a network's config, of any Keras version."""
    body: Any = config.get("config")
    layers = body if isinstance(body, list) else body["layers"]
    if len(layers) > MAX_LAYERS:
        raise Unsupported(f"its config has {len(layers)} layers: expected at most {MAX_LAYERS}")
    return layers


def _build_network(config: dict, context: Context, depth: int) -> keras.Model:
    """Build a network and, by recursion, those inside it."""
    if depth > MAX_DEPTH:
        raise Unsupported(f"models nested more than {MAX_DEPTH} deep: use a flatter model")
    if class_key(config.get("class_name", "")) not in NETWORKS:
        raise Unsupported(f"its model is a {show(str(config.get('class_name')))}: expected one of "
                          f"{', '.join(NETWORKS)}")  # fmt: skip
    if class_key(config["class_name"]) == "Sequential":
        return _build_sequential(config, context, depth)
    return _Graph(config, context, depth).build()


def _build_sequential(config: dict, context: Context, depth: int) -> keras.Model:
    """A chain of layers; its input shape stands with the first one or with the network."""
    body, entries = config["config"], list_layers(config)
    shape = _find_input_shape(body)
    if shape is None:
        raise Unsupported("a Sequential model without an input shape: build it in code")
    has_input = class_key(entries[0]["class_name"]) == INPUTS
    name = _entry_name(entries[0]) if has_input else None
    x = image = keras.Input(batch_shape=tuple(shape), name=name)
    for entry in entries[has_input:]:
        layer = _make(entry, [x], context, depth)
        context.spend(context.costs.get(_entry_name(entry), 1))
        x = layer(x)
    name = "sequential" if isinstance(body, list) else body.get("name", "sequential")
    return keras.Model(image, x, name=name)


def _find_input_shape(body: dict | list) -> list | None:
    """The input shape that a Sequential model's config states, or its first layer's."""
    if isinstance(body, list):
        return _find_input_shape(body[0]["config"])
    names = ("build_input_shape", "batch_input_shape", "batch_shape")
    shape = next((body[name] for name in names if body.get(name)), None)
    return _find_input_shape(body["layers"]) if shape is None and "layers" in body else shape


class _Graph:
    """A functional network while it is rebuilt: each call is made once what it needs is there.

    A reference is [layer, call, output].
    """

    def __init__(self, config: dict, context: Context, depth: int) -> None:
        self.config, self.context, self.depth = config, context, depth
        self.offsets = _find_call_offsets(config)
        self.layers: dict[str, Any] = {}
        self.outputs: dict[tuple[str, int], list] = {}  # of every call that was made

    def build(self) -> keras.Model:
        """Make all calls.

        Raises:
            Unsupported: a call takes its input from a layer that is not there.
        """
        waiting: dict[tuple[str, int], list] = {}  # calls by an input that is not there yet
        ready = self._begin()[::-1]
        while ready:
            entry, index, node = ready.pop()
            inputs, arguments = _read_node(node)
            references = [*inputs, *filter(_is_reference, arguments.values())]
            calls = (self._locate(one) for one in references if one[0] != CONSTANT)
            missing = next((call for call in calls if call not in self.outputs), None)
            if missing is not None:
                waiting.setdefault(missing, []).append((entry, index, node))
                continue
            done = (_entry_name(entry), index)
            self.outputs[done] = self._call(entry, inputs, arguments)
            ready += waiting.pop(done, [])
        if waiting:
            entry, _, _ = next(iter(waiting.values()))[0]
            raise Unsupported(
                f"layer {show(_entry_name(entry))} takes its input from a layer that is not there: "
                "use an undamaged file"
            )
        body = self.config["config"]
        sides = [
            [self._find(reference) for reference in _references(body[key])]
            for key in ("input_layers", "output_layers")
        ]
        inputs, outputs = (side[0] if len(side) == 1 else side for side in sides)
        return keras.Model(inputs, outputs, name=body.get("name") or "model")

    def _begin(self) -> list[tuple[dict, int, Any]]:
        """Make the inputs. Returns the calls to make: (layer, number, what it is called with)."""
        calls = []
        for entry in list_layers(self.config):
            name, key = _entry_name(entry), class_key(entry["class_name"])
            if key == INPUTS:
                shape = entry["config"].get("batch_input_shape") or entry["config"]["batch_shape"]
                self.outputs[name, 0] = [keras.Input(batch_shape=tuple(shape), name=name)]
                continue
            calls += [(entry, i, node) for i, node in enumerate(entry.get("inbound_nodes") or [])]
        if len(calls) > MAX_LAYERS:
            raise Unsupported(f"its config has {len(calls)} calls: expected at most {MAX_LAYERS}")
        return calls

    def _locate(self, reference) -> tuple[str, int]:
        """The layer and call behind a reference."""
        return reference[0], reference[1] - self.offsets.get(reference[0], 0)

    def _find(self, reference) -> Any:
        """The tensor or constant behind a reference."""
        if reference[0] == CONSTANT:
            return reference[2]
        return self.outputs[self._locate(reference)][reference[2]]

    def _call(self, entry: dict, references: list, arguments: dict) -> list:
        """Apply one call of a layer or operation. Returns its outputs."""
        name, key = _entry_name(entry), class_key(entry["class_name"])
        self.context.spend(self.context.costs.get(name, 1) + len(references) // FREE_INPUTS)
        inputs = [self._find(reference) for reference in references]
        if key in OPERATIONS:
            found = {k: self._find(v) if _is_reference(v) else v for k, v in arguments.items()}
            result = apply_operation(entry, inputs, found)
        else:
            if name not in self.layers:
                self.layers[name] = _make(entry, inputs, self.context, self.depth)
            result = self.layers[name](inputs if len(inputs) > 1 else inputs[0])
        return list(result) if isinstance(result, (list, tuple)) else [result]


def _find_call_offsets(config: dict) -> dict[str, int]:
    """What the numbers of a nested network's calls start at.

    Keras 2 counts the network's own building as call 0, so that its last call has the number of
    its calls, one more than elsewhere.
    """
    body = config["config"]
    references = [r for k in ("input_layers", "output_layers") for r in _references(body[k])]
    calls = {}
    for entry in list_layers(config):
        nodes = entry.get("inbound_nodes") or []
        if class_key(entry["class_name"]) in NETWORKS:
            calls[_entry_name(entry)] = len(nodes)
        for inputs, arguments in map(_read_node, nodes):
            references += [*inputs, *filter(_is_reference, arguments.values())]
    named = {(reference[0], reference[1]) for reference in references}
    return {name: int((name, count) in named) for name, count in calls.items()}


def _make(entry: dict, inputs: list, context: Context, depth: int):
    """Build one layer, or a network inside the network."""
    name = _entry_name(entry)
    if depth == 0:
        context.outermost = name
    if class_key(entry["class_name"]) in NETWORKS:
        before = context.work
        model = _build_network(entry, context, depth + 1)
        context.costs[name] = context.work - before + 1
        model.name = name
        return model
    return build_layer(entry, name, inputs, context)


def _entry_name(entry: dict) -> str:
    """A layer's name; Sequential entries have it in their config alone."""
    name = entry.get("name")
    if name is None and isinstance(entry["config"], dict):
        name = entry["config"].get("name")
    if not isinstance(name, str):
        raise Unsupported(f"a {show(str(entry.get('class_name')))} without a name")
    return name


def _read_node(node: Any) -> tuple[list, dict]:
    """One call's tensor references and its other arguments, of Keras 1, 2 or 3."""
    if isinstance(node, dict):  # Keras 3
        inputs = _find_keras_tensors(node.get("args", []))
        arguments = {k: v for k, v in (node.get("kwargs") or {}).items()
                     if k not in ("training", "mask")}  # fmt: skip
        if _find_keras_tensors(list(arguments.values())):
            raise Unsupported("a call with tensors as keyword arguments: build the model in code")
        return inputs, {k: v for k, v in arguments.items() if v is not None}
    if node and isinstance(node[0], str):  # a single reference
        node = [node]
    arguments = {k: v for reference in node if len(reference) > 3 for k, v in reference[3].items()}
    return [reference[:3] for reference in node], arguments


def _find_keras_tensors(item: Any) -> list:
    """References in Keras 3's nested call arguments, in order."""
    if isinstance(item, dict) and item.get("class_name") == "__keras_tensor__":
        return [item["config"]["keras_history"]]
    if isinstance(item, dict):
        item = list(item.values())
    if isinstance(item, list):
        return [reference for part in item for reference in _find_keras_tensors(part)]
    return []


def _is_reference(value: Any) -> bool:
    """Whether an argument is a (layer, call, output) reference."""
    return (
        isinstance(value, list)
        and len(value) == 3
        and isinstance(value[0], str)
        and isinstance(value[1], int)
        and isinstance(value[2], int)
    )


def _references(value: list) -> list:
    """input_layers or output_layers as a list of references."""
    return [value] if value and isinstance(value[0], str) else value


def _stored_shapes(file: WeightFile) -> dict[tuple[str, str], dict[str, tuple[int, ...]]]:
    """Shapes by role, by (outermost layer, the layer that owns them), both plain names."""
    shapes: dict[tuple[str, str], dict] = {}
    for layer in file.weighted_layers:
        leaves = split_layer(layer)
        for leaf in leaves:
            shapes[layer.name, leaf.name.rpartition("/")[2]] = leaf.shapes
        if len(leaves) == 1:
            shapes[layer.name, layer.name] = leaves[0].shapes
    return shapes
