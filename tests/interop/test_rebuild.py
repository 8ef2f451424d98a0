"""Full-model files of Keras 1 and 2: every known layer, and what is refused."""

import json

import h5py
import keras
import numpy as np
import pytest

from keras_vaegan.errors import InputError
from keras_vaegan.interop.keras_h5.inspect import inspect_checkpoint
from keras_vaegan.interop.keras_h5.load import load_network
from keras_vaegan.models.layers import Sampling


def layer(class_name, name, *inputs, **config):
    """A layer's entry in a Keras 2 graph."""
    nodes = [[[source, 0, 0, {}] for source in inputs]] if inputs else []
    return {"class_name": class_name, "name": name, "config": {"name": name, **config},
            "inbound_nodes": nodes}  # fmt: skip


def image(shape=(8, 8, 4)):
    return layer("InputLayer", "image", batch_input_shape=[None, *shape], dtype="float32")


def graph(*layers, output=None):
    """A Functional model's config."""
    config = {
        "name": "model", "layers": list(layers), "input_layers": [["image", 0, 0]],
        "output_layers": [[output or layers[-1]["name"], 0, 0]],
    }  # fmt: skip
    return {"class_name": "Model", "config": config}


def write(path, config, weights=None):
    """A full-model file; weights by layer and weight name."""
    weights = weights or {}
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config).encode()
        file.attrs["keras_version"] = b"2.2.4"
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = np.array([n.encode() for n in weights] or [], "S99")
        for name, arrays in weights.items():
            part = group.create_group(name)
            part.attrs["weight_names"] = [f"{name}/{key}:0".encode() for key in arrays]
            for key, array in arrays.items():
                part[f"{name}/{key}:0"] = array
    return path


def run(path, x, **options):
    """Rebuild and apply."""
    network = load_network(path, **options)
    assert network.config is None
    return keras.ops.convert_to_numpy(network.model(x))


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(2, 8, 8, 4)).astype("float32")


@pytest.fixture
def file(tmp_path):
    return tmp_path / "model.h5"


PLAIN = {
    "LeakyReLU": ("alpha", 0.3, lambda x: np.where(x > 0, x, 0.3 * x)),
    "ReLU": ("max_value", 1.0, lambda x: np.clip(x, 0, 1)),
    "Activation": ("activation", "tanh", np.tanh),
    "ZeroPadding2D": (
        *("padding", [[1, 2], [0, 1]]),
        lambda x: np.pad(x, ((0, 0), (1, 2), (0, 1), (0, 0))),
    ),
    "ReflectionPadding2D": (
        *("padding", [2, 1]),
        lambda x: np.pad(x, ((0, 0), (2, 2), (1, 1), (0, 0)), mode="reflect"),
    ),
    "UpSampling2D": ("size", [2, 2], lambda x: x.repeat(2, 1).repeat(2, 2)),
    "Cropping2D": ("cropping", [[1, 1], [2, 0]], lambda x: x[:, 1:-1, 2:]),
    "Permute": ("dims", [3, 1, 2], lambda x: x.transpose(0, 3, 1, 2)),
    "Reshape": ("target_shape", [4, 64], lambda x: x.reshape(2, 4, 64)),
    "GlobalAveragePooling2D": ("data_format", "channels_last", lambda x: x.mean((1, 2))),
    "Dropout": ("rate", 0.5, lambda x: x),
    "Rescaling": ("scale", 2.0, lambda x: 2 * x),
}


@pytest.mark.parametrize("name", PLAIN)
def test_layers_without_weights(file, x, name):
    key, value, expected = PLAIN[name]
    write(file, graph(image(), layer(name, "it", "image", **{key: value})))
    np.testing.assert_allclose(run(file, x), expected(x), atol=1e-6)


@pytest.mark.parametrize("axis", [None, -1])
def test_keras_contrib_instance_normalization(file, x, axis):
    size = 1 if axis is None else 4
    gamma, beta = np.linspace(0.5, 1.5, size), np.linspace(-1, 1, size)
    entry = layer("InstanceNormalization", "norm", "image", axis=axis, epsilon=0.1)
    write(file, graph(image(), entry), {"norm": {"gamma": gamma, "beta": beta}})
    axes = (1, 2, 3) if axis is None else (1, 2)
    expected = (x - x.mean(axes, keepdims=True)) / (x.std(axes, keepdims=True) + 0.1)
    np.testing.assert_allclose(run(file, x), expected * gamma + beta, atol=1e-5)


@pytest.mark.parametrize("class_name", ["Addons>GroupNormalization", "GroupNormalization"])
def test_group_normalization_by_either_name(file, x, class_name):
    entry = layer(class_name, "norm", "image", groups=2, axis=-1, epsilon=1e-3)
    write(file, graph(image(), entry), {"norm": {"gamma": np.ones(4), "beta": np.zeros(4)}})
    grouped = x.reshape(2, 8, 8, 2, 2)
    mean, variance = grouped.mean((1, 2, 4), keepdims=True), grouped.var((1, 2, 4), keepdims=True)
    expected = ((grouped - mean) / np.sqrt(variance + 1e-3)).reshape(x.shape)
    np.testing.assert_allclose(run(file, x), expected, atol=1e-5)


def test_weight_normalization_gives_the_effective_kernel(file, x):
    rng = np.random.default_rng(1)
    v, g, bias = rng.normal(size=(1, 1, 4, 3)), rng.uniform(1, 2, 3), rng.normal(size=3)
    inner = {"class_name": "Conv2D", "config": {"name": "c", "filters": 3, "kernel_size": [1, 1]}}
    entry = layer("Addons>WeightNormalization", "wn", "image", layer=inner, data_init=True)
    weights = {"g": g, "kernel": v, "bias": bias, "initialized": np.array(True),
               "data_dep_init/kernel": v, "data_dep_init/bias": bias}  # fmt: skip
    write(file, graph(image(), entry), {"wn": weights})
    kernel = (v / np.linalg.norm(v[0, 0], axis=0) * g)[0, 0]
    np.testing.assert_allclose(run(file, x), x @ kernel + bias, atol=1e-5)


def test_merges_of_keras_1_and_shared_layers(file, x):
    dense = layer("Dense", "shared", "image", output_dim=4, bias=True)
    dense["inbound_nodes"].append([["twice", 0, 0, {}]])
    twice = layer("Activation", "twice", "shared", activation="relu")
    merge = layer("Merge", "merge", "shared", "shared", mode="sum")
    merge["inbound_nodes"] = [[["shared", 0, 0], ["shared", 1, 0]]]
    weights = {"shared": {"kernel": np.eye(4) * 2, "bias": np.ones(4)}}
    once = 2 * x + 1
    for order in ((merge, dense, twice), (dense, twice, merge)):
        write(file, graph(image(), *order, output="merge"), weights)
        np.testing.assert_allclose(run(file, x), once + 2 * np.maximum(once, 0) + 1, atol=1e-5)


def test_what_changed_since_keras_2_keeps_its_old_meaning(file, x):
    """hard_sigmoid's slope, a list of constants as an operand."""
    write(file, graph(image(), layer("Activation", "a", "image", activation="hard_sigmoid")))
    np.testing.assert_allclose(run(file, x), np.clip(0.2 * x + 0.5, 0, 1), atol=1e-6)
    means = [1.0, 2.0, 3.0, 4.0]
    write(file, graph(image(), op_layer("Sub", ["image"], {"1": means})))
    np.testing.assert_allclose(run(file, x), x - np.array(means), atol=1e-6)


def test_equal_names_inside_two_nested_models(file, x):
    kernels = {"first": np.full((1, 1, 4, 2), 0.5), "last": np.full((1, 1, 2, 4), 2.0)}

    def nested(name, source, call):
        _, _, channels, filters = kernels[name].shape
        conv = layer("Conv2D", "conv", "image", filters=filters, kernel_size=[1, 1])
        return {**graph(image((8, 8, channels)), conv), "name": name,
                "inbound_nodes": [[[source, call, 0, {}]]]}  # fmt: skip

    config = graph(image(), nested("first", "image", 0), nested("last", "first", 1))
    config["config"]["output_layers"] = [["last", 1, 0]]
    write(file, config, {"first": {}, "last": {}})
    with h5py.File(file, "r+") as opened:
        for name, kernel in kernels.items():
            group = opened["model_weights"][name]
            group.attrs["weight_names"] = [b"conv/kernel:0", b"conv/bias:0"]
            group["conv/kernel:0"], group["conv/bias:0"] = kernel, np.ones(kernel.shape[-1])
    inner = x @ kernels["first"][0, 0] + 1
    np.testing.assert_allclose(run(file, x), inner @ kernels["last"][0, 0] + 1, atol=1e-4)


def test_a_keras_1_sequential_with_a_nested_one(file, x):
    conv = {"class_name": "Convolution2D", "config": {
        "name": "convolution2d_1", "batch_input_shape": [None, 8, 8, 4], "nb_filter": 2,
        "nb_row": 1, "nb_col": 1, "border_mode": "same", "subsample": [1, 1],
        "dim_ordering": "tf", "bias": True, "activation": "relu",
    }}  # fmt: skip
    inner = {"class_name": "Sequential", "config": [conv], "name": "inner"}
    pool = {"class_name": "MaxPooling2D", "config": {"name": "pool", "pool_size": [2, 2]}}
    kernel, bias = np.random.default_rng(1).normal(size=(1, 1, 4, 2)), np.ones(2)
    weights = {"inner": {"W": kernel, "b": bias}}
    write(file, {"class_name": "Sequential", "config": [inner, pool]}, weights)
    with h5py.File(file, "r+") as opened:
        group = opened["model_weights/inner"]
        group.attrs["weight_names"] = [b"convolution2d_1_W", b"convolution2d_1_b"]
        group["convolution2d_1_W"], group["convolution2d_1_b"] = kernel, bias
    expected = np.maximum(x @ kernel[0, 0] + bias, 0)
    expected = expected.reshape(2, 4, 2, 4, 2, 2).max((2, 4))
    np.testing.assert_allclose(run(file, x), expected, atol=1e-5)


def op_layer(op, inputs, constants=None, **attributes):
    """A TensorFlowOpLayer entry as Keras 2.3 wrote it."""
    node = {"name": op, "op": op, "input": list(inputs), "attr": attributes}
    return layer("TensorFlowOpLayer", f"tf_op_layer_{op}", *inputs,
                 node_def=json.dumps(node), constants=constants or {})  # fmt: skip


OPS = {
    "DepthToSpace": (op_layer("DepthToSpace", ["image"], block_size={"i": "2"}),
                     lambda x: x.reshape(2, 8, 8, 2, 2, 1).transpose(0, 1, 3, 2, 4, 5)
                     .reshape(2, 16, 16, 1)),
    "AddV2": (op_layer("AddV2", ["image"], {"1": 0.5}), lambda x: x + 0.5),
    "Sub": (op_layer("Sub", ["image"], {"0": 1.0}), lambda x: 1.0 - x),
    "Mul": (op_layer("Mul", ["image", "image"]), lambda x: x * x),
    "Minimum": (op_layer("Minimum", ["image"], {"1": 0.2}), lambda x: np.minimum(x, 0.2)),
    "Mean": (op_layer("Mean", ["image"], {"1": [1, 2]}, keep_dims={"b": True}),
             lambda x: x.mean((1, 2), keepdims=True)),
    "ConcatV2": (op_layer("ConcatV2", ["image", "image"], {"2": -1}),
                 lambda x: np.concatenate([x, x], -1)),
    "ResizeNearestNeighbor": (
        op_layer("ResizeNearestNeighbor", ["image"], {"1": [16, 16]},
                 half_pixel_centers={"b": True}), lambda x: x.repeat(2, 1).repeat(2, 2)),
    "MirrorPad": (op_layer("MirrorPad", ["image"], {"1": [[0, 0], [1, 1], [2, 2], [0, 0]]},
                           mode={"s": "UkVGTEVDVA=="}),
                  lambda x: np.pad(x, ((0, 0), (1, 1), (2, 2), (0, 0)), mode="reflect")),
}  # fmt: skip


@pytest.mark.parametrize("op", OPS)
def test_tensorflow_operations(file, x, op):
    entry, expected = OPS[op]
    write(file, graph(image(), entry))
    np.testing.assert_allclose(run(file, x), expected(x), atol=1e-5)


def lambda_entry(*inputs):
    code = "4wEAAAAAAAAAAAAAAAIAAAADAAAA8wwAAACXAHwAZAF6BQAAUwA="
    return layer("Lambda", "secret", *inputs, function=[code, None, None], function_type="lambda")


def test_a_lambda_is_refused_and_replaced_on_request(file, x):
    write(file, graph(image(), lambda_entry("image")))
    with pytest.raises(
        InputError, match="'secret' is a Lambda, whose code is never run.*--replace"
    ):
        load_network(file)
    np.testing.assert_allclose(
        run(file, x, replacements={"secret": "scale:2,-1"}), 2 * x - 1, atol=1e-6
    )
    assert "does not rebuild by itself: layer 'secret' is a Lambda" in str(inspect_checkpoint(file))
    for bad in ("scale:x", "sampling:2", "exec"):
        with pytest.raises(InputError, match="expected sampling, scale:FACTOR"):
            load_network(file, replacements={"secret": bad})


def test_a_sampling_lambda_becomes_our_layer(file):
    write(file, graph(image(), lambda_entry("image", "image")))
    model = load_network(file, replacements={"secret": "sampling"}).model
    assert isinstance(model.get_layer("secret"), Sampling)


def conv(**changes):
    fields = {"filters": 2, "kernel_size": [1, 1], **changes}
    return layer("Conv2D", "conv", "image", **fields)


KERNEL = {"conv": {"kernel": np.zeros((1, 1, 4, 2)), "bias": np.zeros(2)}}


def deep(depth):
    """Models in models."""
    relu = {"class_name": "ReLU", "config": {"name": "r", "batch_input_shape": [None, 4]}}
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": [relu]}}
    for level in range(depth):
        config = {"class_name": "Sequential",
                  "config": {"name": f"s{level}", "layers": [config],
                             "build_input_shape": [None, 4]}}  # fmt: skip
    return config


def repeated(depth):
    """Models that call the next one four times each: 4^depth calls from a small file."""
    entry = {"class_name": "Sequential", "config": {"name": "s", "layers": [
        {"class_name": "ReLU", "config": {"name": "r", "batch_input_shape": [None, None, None, 4]}}
    ]}}  # fmt: skip
    for level in range(depth):
        name = f"inner_{level}"
        calls = [["image", 0, 0, {}], *([name, i, 0, {}] for i in range(1, 4))]
        inner = {**entry, "name": name, "inbound_nodes": [[call] for call in calls]}
        entry = graph(image((None, None, 4)), inner)
        entry["config"]["output_layers"] = [[name, 4, 0]]
    return entry


REFUSED = {
    "huge filters": (graph(image(), conv(filters=10**9)), KERNEL, "'conv' .*expected"),
    "huge kernel": (graph(image(), conv(kernel_size=[10**6, 10**6])), KERNEL, "'conv' .*expected"),
    "huge dense": (graph(image(), layer("Dense", "conv", "image", units=10**12)), KERNEL, "'conv'"),
    "no weights": (graph(image(), conv()), {}, "nowhere"),
    "channels first": (graph(image(), conv(data_format="channels_first")), KERNEL, "ls-first"),
    "unknown class": (graph(image(), layer("Evil", "e", "image")), {}, "unknown class 'Evil'"),
    "unknown activation": (graph(image(), conv(activation="os.system")), KERNEL, "activation"),
    "unknown operation": (graph(image(), op_layer("PyFunc", ["image"])), {}, "'PyFunc'"),
    "missing source": (graph(image(), layer("ReLU", "r", "absent")), {}, "not there"),
    "circle": (graph(image(), layer("ReLU", "a", "b"), layer("ReLU", "b", "a")), {}, "not there"),
    "another network": ({"class_name": "Subclass", "config": {}}, {}, "'Subclass'"),
    "too deep": (deep(40), {}, "nested more than"),
    "too many": (graph(image(), *[layer("ReLU", f"r{i}", "image") for i in range(20_001)]), {},
                 "20002 layers"),
    "constants alone": (graph(image(), {**op_layer("Pad", [], {"0": [1.0], "1": [[0, 10**9]]}),
                                         "inbound_nodes": [[]]}), {}, "of constants alone"),
    "old resize": (graph(image(), layer("TFOpLambda", "r", "image",
                                        function="compat.v1.image.resize")), {}, "other points"),
    "deconvolution": (graph(image(), layer("Deconvolution2D", "d", "image")), {}, "another order"),
    "calls without end": (repeated(9), {}, "layers and calls"),
    "no object": ([1, 2], {}, "cannot be rebuilt"),
    "no shape": (graph({**image(), "config": {"name": "image"}}, conv()), KERNEL, "rebuilt"),
    "numbers as names": (graph(image(), layer("ReLU", 7, "image")), {}, "without a name"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_rebuilt_is_one_line(file, case):
    config, weights, message = REFUSED[case]
    write(file, config, weights)
    with pytest.raises(InputError, match=message) as caught:
        load_network(file)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 600 and str(file) in text
    assert "does not rebuild by itself" in inspect_checkpoint(file).verdict


@pytest.mark.parametrize("text", ["", "{", "null", "[" * 100_000, '{"class_name": "Model"}'])
def test_a_damaged_config_is_one_line(file, text):
    write(file, graph(image(), conv()), KERNEL)
    with h5py.File(file, "r+") as opened:
        opened.attrs["model_config"] = text
    with pytest.raises(InputError) as caught:
        load_network(file)
    assert "\n" not in str(caught.value)
