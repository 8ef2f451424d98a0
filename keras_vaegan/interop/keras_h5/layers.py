"""Layers of Keras 1, 2, tensorflow-addons and keras_contrib, as Keras 3 layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import layers

from keras_vaegan.errors import InputError, show
from keras_vaegan.models.layers import (
    AverageChannels,
    GroupNormalization,
    LegacyInstanceNormalization,
    Sampling,
    SoftLimit,
    legacy_hard_sigmoid,
)
from keras_vaegan.models.pixel_layers import ReflectionPadding2D

MAX_LAYERS = 2_000  # and calls; the largest known networks have about 1,100
ACTIVATIONS = (
    *("linear", "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "mish"),
    *("sigmoid", "hard_sigmoid", "tanh", "softmax", "softplus", "softsign", "exponential"),
)
_OLD_CLASSES = {
    "Convolution2D": "Conv2D",
    "SyncBatchNormalization": "BatchNormalization",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "GroupNorm": "GroupNormalization",
    "InstanceNorm": "InstanceNormalization",
}
_OLD_FIELDS = {
    "nb_filter": "filters",
    "subsample": "strides",
    "border_mode": "padding",
    "bias": "use_bias",
    "output_dim": "units",
    "p": "rate",
    "dim_ordering": "data_format",
}
_OLD_VALUES = {"tf": "channels_last", "th": "channels_first"}


class Unsupported(InputError):
    """Something in a model's config that cannot be rebuilt, and why."""


@dataclass
class Context:
    """What building a network needs to know of its file.

    Attributes:
        shapes: Stored weight shapes by role, by outermost layer and layer; taken out when used,
            so that no two layers are built from one stored weight.
        replacements: What stands for a Lambda or sampling layer, by its name.
        keras_version: Of the file.
        notes: Remarks for the report.
        outermost: Name of the layer that is being built at the top.
        work: Layers and calls so far; a call of a network counts as many as the network did.
        costs: What each network counted, by its name.
    """

    shapes: dict[tuple[str, str], dict[str, tuple[int, ...]]]
    replacements: Mapping[str, str]
    keras_version: str
    notes: list[str] = field(default_factory=list)
    outermost: str = ""
    work: int = 0
    costs: dict[str, int] = field(default_factory=dict)

    def spend(self, amount: int) -> None:
        """Count work; a config must not ask for more than any honest one does."""
        self.work += amount
        if self.work > MAX_LAYERS:
            raise Unsupported(f"its config asks for over {MAX_LAYERS} layers and calls")


@dataclass(frozen=True)
class _Request:
    """What a layer is built from.

    Attributes:
        key: Its class.
        name: Its name.
        config: Its fields, under today's names.
        inputs: The tensors of its first call.
        shapes: Shapes by role of the weights that the file holds for it.
    """

    key: str
    name: str
    config: dict
    inputs: list
    shapes: dict[str, tuple[int, ...]]

    def pick(self, *names: str) -> dict:
        """Those of the named fields that the config has, lists as tuples."""
        found = {n: self.config[n] for n in names if self.config.get(n) is not None}
        for name, value in found.items():  # how Keras 2.2 wrote NumPy scalars
            if isinstance(value, dict) and value.get("type") == "ndarray":
                found[name] = value["value"]
        return {n: tuple(v) if isinstance(v, list) else v for n, v in found.items()}

    def expect(self, **shapes: tuple[Any, ...] | None) -> None:
        """Refuse weights of other shapes than the config asks for; None for an absent weight."""
        wanted = {role: shape for role, shape in shapes.items() if shape is not None}
        for role, shape in wanted.items():
            if self.shapes.get(role) != shape:
                raise Unsupported(
                    f"layer {show(self.name)} ({self.key}) has {role} "
                    f"{self.shapes.get(role, 'nowhere')} in the file: expected {shape} from its "
                    "config; use an undamaged file"
                )

    def pick_normalization(self, size: tuple[int, ...], **others: tuple[int, ...]) -> dict:
        """Fields of a normalisation, after its scale and offset of `size` were expected."""
        fields = self.pick("epsilon", "center", "scale")
        weights = {"gamma": fields.get("scale", True), "beta": fields.get("center", True)}
        self.expect(**{role: size if used else None for role, used in weights.items()}, **others)
        return fields


def build_layer(entry: dict, name: str, inputs: list, context: Context) -> keras.layers.Layer:
    """Build one layer.

    Args:
        entry: Its class and fields, in any Keras version's spelling.
        name: Its name, which is kept.
        inputs: The tensors of its first call.
        context: Of the file; takes remarks on what was replaced.

    Raises:
        Unsupported: a class, field or value that is not known, or weights of other shapes.
    """
    key, replacements = class_key(entry["class_name"]), context.replacements
    if name in replacements:
        context.notes.append(f"{name} ({key}) replaced by {replacements[name]}, as asked")
        return _replace(name, replacements[name])
    if key == "Lambda":
        raise Unsupported(
            f"layer {show(name)} is a Lambda, whose code is never run: give what it does, as "
            f"--replace {name}=sampling or --replace {name}=scale:FACTOR,OFFSET, or build the "
            "model in code and call load_legacy_h5(model, path)"
        )
    if key == "Deconvolution2D":
        raise Unsupported(
            f"layer {show(name)} is a Deconvolution2D of Keras 1, which stored its kernel in "
            "another order: convert the file with Keras 2"
        )
    key = _OLD_CLASSES.get(key, key)
    builder = _BUILDERS.get(key)
    if builder is None:
        raise Unsupported(
            f"layer {show(name)} is of the unknown class {show(key)}: build the model in code and "
            "call load_legacy_h5(model, path)"
        )
    shapes = context.shapes.pop((context.outermost, name), {})
    request = _Request(key, name, _modernise(key, entry["config"]), inputs, shapes)
    is_old = not context.keras_version.startswith("3")
    if is_old and request.config.get("activation") == "hard_sigmoid":
        request.config["activation"] = "keras_vaegan>legacy_hard_sigmoid"
    if request.config.get("data_format") == "channels_first":
        raise Unsupported(f"layer {show(name)} is channels-first: expected channels last; "
                          "convert it with the Keras that wrote it")  # fmt: skip
    if key == "Sampling":
        context.notes.append(
            f"{name}: a custom Sampling layer is rebuilt as ours: the mean at inference"
        )
    return builder(request)


def class_key(class_name: str) -> str:
    """A class without its package: `Addons>GroupNormalization` -> `GroupNormalization`."""
    return str(class_name).rpartition(">")[2]


def _modernise(key: str, config: dict) -> dict:
    """Fields of Keras 1 under today's names."""
    result = {_OLD_FIELDS.get(name, name): value for name, value in config.items()}
    if "nb_row" in config:
        result["kernel_size"] = [config["nb_row"], config["nb_col"]]
    data_format = result.get("data_format")
    result["data_format"] = _OLD_VALUES.get(str(data_format), data_format)
    if key in ("GroupNormalization", "InstanceNormalization"):
        result.pop("data_format")
    return result


def _replace(name: str, what: str) -> keras.layers.Layer:
    """The registered layer that a replacement names."""
    kind, _, values = what.partition(":")
    if kind == "sampling" and not values:
        return Sampling(name=name)
    try:
        if kind == "scale":
            factor, _, offset = values.partition(",")
            return layers.Rescaling(float(factor), float(offset or 0), name=name)
    except ValueError:
        pass
    raise InputError(
        f"replacement {what!r} of {name}: expected sampling, scale:FACTOR or scale:FACTOR,OFFSET"
    )


def _activation(request: _Request) -> str | Callable:
    """A layer's activation: a known name, or our own function for one that has changed."""
    value = request.config.get("activation", "linear") or "linear"
    if isinstance(value, dict) and isinstance(value.get("config"), str):
        value = value["config"]  # Keras 3 writes functions as {"class_name": "function", ...}
    value = {"softmax_v2": "softmax", "swish": "silu"}.get(str(value), str(value))
    if value == "keras_vaegan>legacy_hard_sigmoid":
        return legacy_hard_sigmoid
    if value not in ACTIVATIONS:
        raise Unsupported(f"layer {show(request.name)} has the unknown activation {show(value)}")
    return value


def _build_conv(request: _Request) -> keras.layers.Layer:
    """Conv1D-3D, their transposes and depthwise convolution."""
    fields = request.pick(
        "filters", "kernel_size", "strides", "padding", "dilation_rate", "groups",
        "output_padding", "depth_multiplier",
    )  # fmt: skip
    channels, filters = request.inputs[0].shape[-1], fields.get("filters")
    groups = fields.pop("groups", 1)
    if request.key == "DepthwiseConv2D":
        depth = fields.get("depth_multiplier", 1)
        ends, filters = (channels, depth), channels * depth
    elif "Transpose" in request.key:
        ends = (filters, channels)
    else:
        ends, fields["groups"] = (channels // groups, filters), groups
    size, rank = fields["kernel_size"], len(request.inputs[0].shape) - 2
    size = (size,) * rank if isinstance(size, int) else size
    use_bias = request.config.get("use_bias", True)
    request.expect(kernel=(*size, *ends), bias=(filters,) if use_bias else None)
    cls = getattr(layers, request.key)
    return cls(**fields, use_bias=use_bias, activation=_activation(request), name=request.name)


def _build_dense(request: _Request) -> keras.layers.Layer:
    """Fully connected layer."""
    units, use_bias = request.config["units"], request.config.get("use_bias", True)
    request.expect(kernel=(request.inputs[0].shape[-1], units), bias=(units,) if use_bias else None)
    return layers.Dense(
        units, activation=_activation(request), use_bias=use_bias, name=request.name
    )


def _build_weight_norm(request: _Request) -> keras.layers.Layer:
    """tensorflow-addons WeightNormalization, as the plain layer with the effective kernel."""
    inner = request.config["layer"]
    key = _OLD_CLASSES.get(class_key(inner["class_name"]), class_key(inner["class_name"]))
    if key not in ("Conv1D", "Conv2D", "Conv3D", "Dense"):
        raise Unsupported(f"layer {show(request.name)} normalises the weights of a {show(key)}: "
                          "expected Conv1D-3D or Dense")  # fmt: skip
    plain = _Request(key, request.name, _modernise(key, inner["config"]), request.inputs,
                     request.shapes)  # fmt: skip
    return _BUILDERS[key](plain)


def _build_batch_norm(request: _Request) -> keras.layers.Layer:
    """Batch normalisation; Keras 1's mode 0 alone."""
    if request.config.get("mode", 0) != 0:
        raise Unsupported(f"layer {show(request.name)} is a BatchNormalization of mode "
                          f"{request.config['mode']}: expected 0")  # fmt: skip
    axis = request.config.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) else axis
    size = (request.inputs[0].shape[axis],)
    fields = request.pick_normalization(size, moving_mean=size, moving_variance=size)
    fields |= request.pick("momentum")
    return layers.BatchNormalization(axis=axis, name=request.name, **fields)


def _build_channel_norm(request: _Request) -> keras.layers.Layer:
    """Group and instance normalisation of tensorflow-addons, keras_contrib and Keras."""
    shape = request.inputs[0].shape
    axis = request.config.get("axis", -1)
    fields = request.pick_normalization((1,) if axis is None else (shape[axis],))
    is_instance = "Instance" in request.key
    if is_instance and "groups" not in request.config:  # keras_contrib
        return LegacyInstanceNormalization(axis=axis, name=request.name, **fields)
    if axis not in (-1, len(shape) - 1):
        raise Unsupported(f"layer {show(request.name)} normalises axis {axis}: expected the last")
    groups = -1 if is_instance else request.config.get("groups", 32)
    groups = shape[-1] if groups == -1 else groups
    return GroupNormalization(groups, name=request.name, **fields)


def _build_layer_norm(request: _Request) -> keras.layers.Layer:
    """Layer normalisation over trailing axes."""
    axis = request.config.get("axis", -1)
    axes = axis if isinstance(axis, list) else [axis]
    fields = request.pick_normalization(tuple(request.inputs[0].shape[a] for a in axes))
    return layers.LayerNormalization(axis=axes, name=request.name, **fields)


def _build_prelu(request: _Request) -> keras.layers.Layer:
    """PReLU."""
    shared = request.config.get("shared_axes") or []
    size = list(request.inputs[0].shape[1:])
    for axis in shared:
        size[axis - 1] = 1
    request.expect(alpha=tuple(size))
    return layers.PReLU(shared_axes=shared or None, name=request.name)


def _build_leaky(request: _Request) -> keras.layers.Layer:
    """LeakyReLU; "alpha" until Keras 3."""
    slope = request.config.get("negative_slope", request.config.get("alpha", 0.3))
    return layers.LeakyReLU(float(slope), name=request.name)


def _build_merge(request: _Request) -> keras.layers.Layer:
    """Keras 1's Merge."""
    mode = request.config.get("mode", "sum")
    kinds = {"sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum"}
    if mode == "concat":
        return layers.Concatenate(axis=request.config.get("concat_axis", -1), name=request.name)
    if mode not in kinds:
        raise Unsupported(f"layer {show(request.name)} merges by {show(str(mode))}")
    return getattr(layers, kinds[mode])(name=request.name)


def _plain(*fields: str) -> Callable[[_Request], keras.layers.Layer]:
    """Builder of a layer without weights from the fields named."""

    def build(request: _Request) -> keras.layers.Layer:
        cls = _OWN.get(request.key) or getattr(layers, request.key)
        return cls(**request.pick(*fields), name=request.name)

    return build


_OWN = {
    "ReflectionPadding2D": ReflectionPadding2D,
    "Sampling": Sampling,
    "SoftLimit": SoftLimit,
    "AverageChannels": AverageChannels,
}
_BUILDERS: dict[str, Callable[[_Request], keras.layers.Layer]] = {
    **dict.fromkeys(("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "Conv3DTranspose",
                     "DepthwiseConv2D"), _build_conv),
    "Dense": _build_dense,
    "WeightNormalization": _build_weight_norm,
    "BatchNormalization": _build_batch_norm,
    **dict.fromkeys(("GroupNormalization", "InstanceNormalization",
                     "LegacyInstanceNormalization"), _build_channel_norm),
    "LayerNormalization": _build_layer_norm,
    "PReLU": _build_prelu,
    "LeakyReLU": _build_leaky,
    "Reshape": _plain("target_shape"),
    "Merge": _build_merge,
    "Activation": lambda r: layers.Activation(_activation(r), name=r.name),
    "ReLU": _plain("max_value", "negative_slope", "threshold"),
    "ELU": _plain("alpha"),
    "Softmax": _plain("axis"),
    **dict.fromkeys(("ZeroPadding2D", "ReflectionPadding2D"), _plain("padding")),
    "Cropping2D": _plain("cropping"),
    "UpSampling2D": _plain("size", "interpolation"),
    **dict.fromkeys(("MaxPooling2D", "AveragePooling2D"),
                    _plain("pool_size", "strides", "padding")),
    **dict.fromkeys(("GlobalAveragePooling2D", "GlobalMaxPooling2D"), _plain("keepdims")),
    **dict.fromkeys(("Dropout", "SpatialDropout2D", "GaussianDropout"), _plain("rate")),
    "GaussianNoise": _plain("stddev"),
    "Flatten": _plain(),
    "Permute": _plain("dims"),
    "RepeatVector": _plain("n"),
    "Concatenate": _plain("axis"),
    **dict.fromkeys(("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"), _plain()),
    "Rescaling": _plain("scale", "offset"),
    "Sampling": _plain("seed"),
    "SoftLimit": _plain("limit"),
    "AverageChannels": _plain(),
}  # fmt: skip
