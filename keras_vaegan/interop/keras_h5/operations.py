"""TensorFlow operations in Keras 2 graphs, as `keras.ops` calls."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_vaegan.errors import show
from keras_vaegan.interop.keras_h5.layers import Unsupported

OPERATIONS = ("TensorFlowOpLayer", "TFOpLambda", "SlicingOpLambda")
MAX_DIMENSIONS = 8


def apply_operation(entry: dict, inputs: list, arguments: dict) -> Any:
    """Apply an operation node of a Keras 2 graph.

    Args:
        entry: The layer's config; a `TensorFlowOpLayer` (Keras 2.2-2.3), `TFOpLambda` or
            `SlicingOpLambda` (2.4-2.15).
        inputs: Its tensors.
        arguments: Its call's other arguments, references resolved.

    Raises:
        Unsupported: an operation that is not among the known ones.
    """
    config = entry["config"]
    if entry["class_name"].rpartition(">")[2] == "SlicingOpLambda":
        return inputs[0][_read_slices(arguments["slice_spec"])]
    if "node_def" in config:
        name, inputs, arguments = _read_node_def(config, inputs)
    else:
        name = config["function"]
        arguments = {k: v for k, v in arguments.items() if k != "name" and v is not None}
    operands = [*inputs, *arguments.values()]
    if not any(isinstance(operand, keras.KerasTensor) for operand in operands):
        raise Unsupported(f"an operation {show(name)} of constants alone: use an undamaged file")
    if name.startswith("compat.v1.image"):
        raise Unsupported(
            f"the operation {show(name)}, which samples other points than any Keras 3 layer: "
            "build the model in code"
        )
    key = name.rpartition(".")[2].replace("_", "").lower()
    function = _FUNCTIONS.get(_ALIASES.get(key, key))
    if function is None:
        raise Unsupported(
            f"layer {show(entry.get('name') or config['name'])} is the TensorFlow operation "
            f"{show(name)}, which is not known here (add, clip_by_value, resize, depth_to_space "
            "and the like are); build the model in code and call load_legacy_h5(model, path)"
        )
    return function(*inputs, **arguments)


def _read_slices(spec: Any) -> Any:
    """A slicing spec as Python's own."""
    items = spec if isinstance(spec, list) else [spec]
    if len(items) > MAX_DIMENSIONS:
        raise Unsupported("a slice of too many dimensions")
    result: list[Any] = []
    for item in items:
        if isinstance(item, dict) and item.get("class_name") == "__ellipsis__":
            result.append(Ellipsis)
        elif isinstance(item, dict):
            result.append(slice(item.get("start"), item.get("stop"), item.get("step")))
        else:
            result.append(item)
    return tuple(result)


def _read_node_def(config: dict, inputs: list) -> tuple[str, list, dict]:
    """A TensorFlowOpLayer's operation, its operands in order and the attributes that matter."""
    node = config["node_def"]
    node = json.loads(node) if isinstance(node, str) else node
    operands = list(inputs)
    for index in sorted(config.get("constants") or {}, key=int):
        operands.insert(int(index), config["constants"][index])
    attributes = node.get("attr", {})
    arguments: dict[str, Any] = {}
    if "block_size" in attributes:
        arguments["block_size"] = int(attributes["block_size"]["i"])
        layout = attributes.get("data_format", {}).get("s", "")
        if layout and base64.b64decode(layout) != b"NHWC":
            raise Unsupported("a depth-to-space in channels-first layout: expected channels last")
    if node["op"] == "MirrorPad":
        arguments["mode"] = base64.b64decode(attributes["mode"]["s"]).decode()
    if attributes.get("keep_dims", {}).get("b"):
        arguments["keepdims"] = True
    if node["op"] in ("ResizeBilinear", "ResizeNearestNeighbor"):
        if not attributes.get("half_pixel_centers", {}).get("b", False):
            raise Unsupported(
                f"a {node['op']} without half-pixel centres, which no Keras 3 layer has: build "
                "the model in code"
            )
        arguments["method"] = "bilinear" if node["op"] == "ResizeBilinear" else "nearest"
        return "image.resize", operands, arguments
    return node["op"], operands, arguments


def _depth_to_space(x, block_size: int, data_format: str = "NHWC"):
    """(N, H, W, b*b*C) -> (N, b*H, b*W, C), as tf.nn.depth_to_space."""
    _, height, width, channels = x.shape
    if data_format != "NHWC" or channels % block_size**2:
        raise Unsupported("a depth-to-space that does not fit its input")
    depth = channels // block_size**2
    x = ops.reshape(x, (-1, height, width, block_size, block_size, depth))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (-1, height * block_size, width * block_size, depth))


def _space_to_depth(x, block_size: int, data_format: str = "NHWC"):
    """(N, H, W, C) -> (N, H/b, W/b, b*b*C), as tf.nn.space_to_depth."""
    _, height, width, channels = x.shape
    if data_format != "NHWC" or height % block_size or width % block_size:
        raise Unsupported("a space-to-depth that does not fit its input")
    x = ops.reshape(
        x, (-1, height // block_size, block_size, width // block_size, block_size, channels)
    )
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (-1, height // block_size, width // block_size, block_size**2 * channels))


def _resize(images, size, method: str = "bilinear", **options):
    """tf.image.resize with half-pixel centres and no anti-aliasing."""
    if method not in ("bilinear", "nearest") or any(options.values()):
        raise Unsupported(f"an image resize by {show(str(method))} {sorted(options)}")
    return ops.image.resize(
        images, tuple(map(int, size)), interpolation=method, data_format="channels_last"
    )


def _concat(*values, axis: int = -1):
    """tf.concat: the values, and for a graph node the axis as last operand."""
    *operands, last = values
    if isinstance(last, (int, float)):
        return ops.concatenate(operands, axis=int(last))
    return ops.concatenate(values, axis=axis)


def _pad(x, paddings, mode: str = "CONSTANT", **options):
    """tf.pad with zeros, "REFLECT" or "SYMMETRIC"."""
    if options.get("constant_values"):
        raise Unsupported("a pad with a value other than 0")
    return ops.pad(x, [tuple(map(int, pair)) for pair in paddings], mode=mode.lower())


def _reduce(function: Callable) -> Callable:
    """A reduction with TensorFlow's argument names."""

    def reduce(x, axis=None, keepdims: bool = False):
        axes = tuple(axis) if isinstance(axis, list) else axis
        return function(x, axis=axes, keepdims=keepdims)

    return reduce


def _clip(x, clip_value_min, clip_value_max):
    """tf.clip_by_value."""
    return ops.minimum(ops.maximum(x, clip_value_min), clip_value_max)


def _binary(function: Callable) -> Callable:
    """An operation of two operands, the second by place or as y."""
    return lambda x, y: function(_as_operand(x), _as_operand(y))


def _as_operand(value: Any) -> Any:
    """A constant that a config holds as a list, as an array."""
    return np.asarray(value, "float32") if isinstance(value, list) else value


_BINARY = ("add", "subtract", "multiply", "true_divide", "maximum", "minimum", "power")
_UNARY = ("negative", "abs", "square", "sqrt", "rsqrt", "exp", "log", "tanh", "sigmoid", "relu")
# By the last part of the Python name (`math.add` -> `add`), or by the graph's operation type, in
# small letters and without underscores; beside them the names of `keras.ops`.
_ALIASES = {
    "addv2": "add", "biasadd": "add", "sub": "subtract", "mul": "multiply",
    "truediv": "truedivide", "divide": "truedivide", "realdiv": "truedivide", "pow": "power",
    "neg": "negative", "concatv2": "concat", "mirrorpad": "pad", "reducemean": "mean",
    "reducesum": "sum",
}  # fmt: skip
_FUNCTIONS: dict[str, Callable] = {
    **{name.replace("_", ""): _binary(getattr(ops, name)) for name in _BINARY},
    **{name: getattr(ops, name) for name in _UNARY},
    "identity": lambda x: x,
    "depthtospace": _depth_to_space,
    "spacetodepth": _space_to_depth,
    "concat": _concat,
    "pad": _pad,
    "mean": _reduce(ops.mean),
    "sum": _reduce(ops.sum),
    "clipbyvalue": _clip,
    "resize": _resize,
    "leakyrelu": lambda features, alpha=0.2: ops.leaky_relu(features, alpha),
}
