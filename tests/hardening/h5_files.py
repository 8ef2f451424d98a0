"""Weight files of a hostile structure: counts, names, links, texts, chunks, foreign models."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np

SUFFIX = ".h5"
READER = "keras_vaegan.interop.keras_h5.inspect"
COUNTS = (2_000, 9_000, 49_999, 200_000)


def list_cases() -> dict[str, Callable[[Path], None]]:
    """One function a case, by name."""
    cases: dict[str, Callable[[Path], None]] = {"honest": _write_honest}
    for count in COUNTS:
        number = f"{count:,}"
        cases |= {
            f"one layer under {number} names": partial(_write_links, count=count),
            f"one array under {number} names": partial(_write_array_links, count=count),
            f"{number} empty layers": partial(_write_layers, count=count),
            f"{number} layers of equal names apart": partial(_write_layers, count=count, weight=1),
            f"{number} pieces of names": partial(_write_pieces, count=count),
            f"optimizer of {number} links": partial(_write_optimizer, count=count),
            f"optimizer of {number} nested groups": partial(_write_nested, count=count),
            f"model of {number} relus": partial(_write_chain, count=count),
            f"model of {number} convolutions": partial(_write_convolutions, count=count),
            f"model of {number} calls": partial(_write_calls, count=count),
            f"sum of {number}": partial(_write_sum, count=count),
            f"path of {number} slashes": partial(_write_name, name="layer" + "/" * count + "x"),
        }
    for size in (1_000, 60_000, 1_000_000, 5_000_000, 50_000_000):
        cases |= {
            f"a layer name of {_show(size)}": partial(_write_name, name="n" * size),
            f"a layer name of {_show(size)} in all": partial(_write_name, name="_1" * (size // 2)),
            f"a weight name of {_show(size)}": partial(
                _write_name, name="layer", weight="w" * size
            ),
            f"ten names of {_show(size)}": partial(_write_long_names, size=size),
            f"config of {_show(size)}": partial(_write_text, size=size),
            f"model_config of {_show(size)}": partial(_write_text, size=size, name="model_config"),
        }
    for depth in (20, 500, 5_000):
        cases[f"models {depth} deep"] = partial(_write_model, layers=_make_nested(depth))
        cases[f"arguments {depth} deep"] = partial(_write_model, layers=_make_arguments(depth))
    cases |= _list_arrays() | _list_layers() | _list_oddities()
    return cases


def read(path: Path) -> None:
    """Describe the file, then load it: whatever one refuses, the other does."""
    from keras_vaegan.errors import InputError
    from keras_vaegan.interop.keras_h5.inspect import inspect_checkpoint
    from keras_vaegan.interop.keras_h5.load import load_network

    with contextlib.suppress(InputError):
        str(inspect_checkpoint(path))
    load_network(path)


# -- arrays ---------------------------------------------------------------------------------------


def _list_arrays() -> dict[str, Callable[[Path], None]]:
    """Arrays that claim more than they hold, or hold it in hostile pieces."""
    cases: dict[str, Callable[[Path], None]] = {}
    for power in (20, 28, 34, 40, 60):
        cases[f"claims of 2**{power} values"] = partial(_write_array, shape=(2**power,))
        cases[f"claims of 2**{power} values in chunks"] = partial(
            _write_array, shape=(2**power,), chunks=(2**16,)
        )
    for count in (10**4, 10**6, 4 * 10**6):
        cases[f"{count:,} chunks"] = partial(
            _write_array, shape=(count,), chunks=(1,), padding=4 * count // 64 + 10**5
        )
    for ratio in (10, 1000):
        cases[f"gzip of {ratio} MB of zeros"] = partial(_write_zeros, count=ratio * 2**18)
    for dtype in ("complex64", "S10", "bool", "uint64", "float64", "float16", "datetime"):
        cases[f"values of {dtype}"] = partial(_write_dtype, dtype=dtype)
    for rank in (0, 8, 32):
        cases[f"rank {rank}"] = partial(_write_array, shape=(1,) * rank)
    cases["empty side"] = partial(_write_array, shape=(0, 2**40))
    return cases


def _write_array(path, shape, chunks=None, padding=0) -> None:
    """A layer of one array without values, in a file as long as asked."""
    with h5py.File(path, "w") as file:
        group = _begin(file, ["layer"])["layer"]
        group.attrs["weight_names"] = [b"kernel"]
        group.create_dataset("kernel", shape, "float32", chunks=chunks)
        if padding:
            file.create_dataset("padding", data=np.zeros(padding, "uint8"))


def _write_zeros(path, count) -> None:
    """An array that compresses a thousand times."""
    with h5py.File(path, "w") as file:
        group = _begin(file, ["layer"])["layer"]
        group.attrs["weight_names"] = [b"kernel"]
        data = group.create_dataset(
            "kernel", (count,), "float32", chunks=(2**18,), compression="gzip"
        )
        for start in range(0, count, 2**18):
            data[start : start + 2**18] = 0


def _write_dtype(path, dtype) -> None:
    """An array of another type."""
    with h5py.File(path, "w") as file:
        group = _begin(file, ["layer"])["layer"]
        group.attrs["weight_names"] = [b"kernel"]
        if dtype == "datetime":
            group.create_dataset("kernel", (3,), h5py.opaque_dtype(np.dtype("M8[s]")))
        else:
            group.create_dataset("kernel", data=np.ones((3, 3, 1, 2), dtype))


# -- names and links ------------------------------------------------------------------------------


def _begin(file, names: list[str]) -> h5py.File:
    """Layers of these names without weights, listed in pieces that HDF5 takes."""
    encoded = np.array([name.encode() for name in names])
    pieces = np.array_split(encoded, max(1, encoded.nbytes // 50_000 + 1))
    for index, piece in enumerate(pieces):
        file.attrs[f"layer_names{index}" if len(pieces) > 1 else "layer_names"] = piece
    for name in names:
        if name not in file:
            file.create_group(name).attrs["weight_names"] = np.zeros(0, "S1")
    return file


def _write_honest(path) -> None:
    """A file of another network: read, described and refused for what it is."""
    with h5py.File(path, "w") as file:
        group = _begin(file, ["dense", "activation"])["dense"]
        group.attrs["weight_names"] = [b"dense/kernel:0", b"dense/bias:0"]
        group.create_dataset("dense/kernel:0", data=np.ones((4, 2), "float32"))
        group.create_dataset("dense/bias:0", data=np.ones(2, "float32"))


def _write_links(path, count) -> None:
    """One layer's group linked under many names."""
    with h5py.File(path, "w") as file:
        group = file.create_group("l0")
        group.attrs["weight_names"] = [b"kernel"]
        group.create_dataset("kernel", data=np.ones((3, 3, 1, 1), "float32"))
        for index in range(1, count):
            file[f"l{index}"] = group
        _begin(file, [f"l{index}" for index in range(count)])


def _write_array_links(path, count) -> None:
    """One array linked under many names of one layer."""
    with h5py.File(path, "w") as file:
        group = _begin(file, ["layer"])["layer"]
        data = group.create_dataset("kernel_0", data=np.ones((3, 3, 1, 1), "float32"))
        for index in range(1, count):
            group[f"kernel_{index}"] = data
        _list_weights(group, [f"kernel_{index}" for index in range(count)])


def _list_weights(group, names) -> None:
    """The names of a layer's weights, in pieces."""
    encoded = np.array([name.encode() for name in names])
    del group.attrs["weight_names"]
    for index, piece in enumerate(np.array_split(encoded, encoded.nbytes // 50_000 + 1)):
        group.attrs[f"weight_names{index}"] = piece


def _write_layers(path, count, weight=0) -> None:
    """Many layers, empty or with a small convolution."""
    with h5py.File(path, "w", libver="latest") as file:
        _begin(file, [f"conv2d_{index}" for index in range(count)])
        for index in range(count * weight):
            group = file[f"conv2d_{index}"]
            group.attrs["weight_names"] = [b"kernel"]
            group.create_dataset("kernel", data=np.ones((3, 3, 1, 1), "float32"))


def _write_pieces(path, count) -> None:
    """A list of names in as many pieces."""
    with h5py.File(path, "w", libver="latest") as file:
        for index in range(count):
            file.attrs[f"layer_names{index}"] = np.array([f"l{index}".encode()])


def _write_optimizer(path, count) -> None:
    """An honest layer, and an optimizer whose group has many links to groups of many links."""
    _write_honest(path)
    with h5py.File(path, "r+", libver="latest") as file:
        group = file.create_group("optimizer_weights")
        for index in range(20):
            inner = group.create_group(f"inner{index}")
            for number in range(count // 20):
                inner[f"l{number}"] = group


def _write_nested(path, count) -> None:
    """Groups inside groups."""
    _write_honest(path)
    with h5py.File(path, "r+", libver="latest") as file:
        group = file.create_group("optimizer_weights")
        for _ in range(min(count, 20_000)):
            group = group.create_group("g")


def _write_name(path, name, weight="kernel") -> None:
    """A name of any length, which only a text of variable length can hold."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([name], object)
        try:
            group = file.create_group(name)
        except (ValueError, RuntimeError, OSError):
            return
        group.attrs["weight_names"] = np.array([weight], object)
        if len(weight) < 60_000:
            group.create_dataset(weight, data=np.ones((3, 3, 1, 1), "float32"))


def _write_long_names(path, size) -> None:
    """Many references to one long text."""
    with h5py.File(path, "w") as file:
        names = [f"{index}" + "n" * size for index in range(10)]
        file.attrs["layer_names"] = np.array(names, object)


def _write_text(path, size, name="keras_vaegan_config") -> None:
    """A config that is a long list."""
    _write_honest(path)
    with h5py.File(path, "r+") as file:
        file.attrs[name] = "[" + "{}," * (size // 3) + "1]"


def _list_oddities() -> dict[str, Callable[[Path], None]]:
    """Links out, circles, names that mean the same, attributes of odd types."""

    def change(path, make) -> None:
        _write_honest(path)
        with h5py.File(path, "r+") as file:
            make(file)

    def replace(name, value):
        def make(file):
            del file[name]
            file[name] = value

        return make

    def set_attribute(name, value, where="/"):
        def make(file):
            file[where].attrs[name] = value

        return make

    def circle(file):
        file["dense/dense"] = file["/"]
        file["optimizer_weights"] = file["/"]
        file["dense"].attrs["weight_names"] = [b"dense/dense/" * 3 + b"dense/kernel:0"]

    kernel = "dense/dense/kernel:0"
    makes = {
        "a soft link": replace("dense", h5py.SoftLink("/activation")),
        "an external link": replace("dense", h5py.ExternalLink("other.h5", "/")),
        "a dangling link": replace(kernel, h5py.SoftLink("/nowhere")),
        "a circle": circle,
        "names of one group": set_attribute("layer_names", [b"dense", b"dense/", b"/dense"]),
        "layer is an array": set_attribute("layer_names", [kernel.encode()]),
        "weight is a group": set_attribute("weight_names", [b"dense"], "dense"),
        "dots": set_attribute("layer_names", [b"../dense", b"."]),
        "empty name": set_attribute("layer_names", [b""]),
        "zero bytes": set_attribute("layer_names", [b"den\0se"]),
        "names of no UTF-8": set_attribute("layer_names", [b"\xff\xfe"]),
        "names are numbers": set_attribute("layer_names", [1, 2]),
        "names of rank 2": set_attribute("layer_names", [[b"dense"], [b"activation"]]),
        "names are a number": set_attribute("layer_names", 3.5),
        "names are empty": set_attribute("layer_names", h5py.Empty("S1")),
        "names are a reference": lambda f: f.attrs.__setitem__("layer_names", f.ref),
        "config is a number": set_attribute("keras_vaegan_config", 3),
        "config is empty": set_attribute("keras_vaegan_config", h5py.Empty("f")),
        "config of no UTF-8": set_attribute("keras_vaegan_config", np.bytes_(b"\xff\xfe")),
        "backend of lines": set_attribute("backend", "a\nb"),
        "name of lines": set_attribute("layer_names", [b"dense\nnot"]),
        "version is a list": set_attribute("keras_version", [b"2", b"3"]),
    }
    cases = {name: partial(change, make=make) for name, make in makes.items()}
    cases["an external file"] = _write_external
    cases["a virtual array"] = _write_virtual
    return cases


def _write_external(path) -> None:
    """An array whose values lie in another file."""
    with h5py.File(path, "w") as file:
        group = _begin(file, ["layer"])["layer"]
        group.attrs["weight_names"] = [b"kernel"]
        group.create_dataset("kernel", (8,), "uint8", external=[("/etc/passwd", 0, 8)])


def _write_virtual(path) -> None:
    """An array that is a view of other files."""
    with h5py.File(path, "w") as file:
        group = _begin(file, ["layer"])["layer"]
        group.attrs["weight_names"] = [b"kernel"]
        layout = h5py.VirtualLayout((4,), "float32")
        layout[:] = h5py.VirtualSource("other.h5", "x", (4,))
        group.create_virtual_dataset("kernel", layout)


# -- full models of other code --------------------------------------------------------------------


def _write_model(path, layers, weights=()) -> None:
    """A full model of a config's layers."""
    last = layers[-1]["name"]
    config = {
        "class_name": "Functional",
        "config": {
            "name": "m", "layers": layers, "input_layers": [["image", 0, 0]],
            "output_layers": [[last, 0, 0]],
        },
    }  # fmt: skip
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["model_config"] = json.dumps(config)
        root = _begin(file.create_group("model_weights"), list(weights))
        for name, shape in dict(weights).items():
            root[name].attrs["weight_names"] = [f"{name}/kernel:0".encode()]
            root[name].create_dataset(f"{name}/kernel:0", data=np.ones(shape, "float32"))


def _make_layer(name, source, kind="ReLU", **config) -> dict:
    """One layer with one call."""
    return {
        "class_name": kind, "name": name, "config": {"name": name, **config},
        "inbound_nodes": [[[source, 0, 0, {}]]] if source else [],
    }  # fmt: skip


IMAGE = _make_layer("image", None, "InputLayer", batch_input_shape=[None, 16, 16, 1])


def _write_chain(path, count) -> None:
    """Layers without weights, one after the other."""
    names = ["image", *(f"r{index}" for index in range(count))]
    _write_model(path, [IMAGE, *map(_make_layer, names[1:], names)])


def _write_convolutions(path, count) -> None:
    """A chain of convolutions; the file holds the first thousand of them."""
    names = ["image", *(f"c{index}" for index in range(count))]
    fields = {"filters": 1, "kernel_size": [1, 1], "use_bias": False}
    layers = [IMAGE] + [
        _make_layer(name, source, "Conv2D", **fields)
        for name, source in zip(names[1:], names, strict=False)
    ]
    _write_model(path, layers, {name: (1, 1, 1, 1) for name in names[1:1001]})


def _write_calls(path, count) -> None:
    """One layer that is called many times."""
    layer = _make_layer("r", "image")
    layer["inbound_nodes"] = [[["image", 0, 0, {}]]] * count
    _write_model(path, [IMAGE, layer])


def _write_sum(path, count) -> None:
    """One sum of many times the same tensor."""
    layer = _make_layer("r", "image", "Add")
    layer["inbound_nodes"] = [[["image", 0, 0, {}]] * count]
    _write_model(path, [IMAGE, layer])


def _make_nested(depth) -> list[dict]:
    """Models inside models; the JSON's own depth stays below Python's limit where it can."""
    layers = [IMAGE, _make_layer("r", "image")]
    for level in range(min(depth, 150)):
        inner = _make_layer(f"m{level}", "image", "Functional")
        inner["config"] = {
            "name": f"m{level}", "layers": layers, "input_layers": [["image", 0, 0]],
            "output_layers": [[layers[-1]["name"], 0, 0]],
        }  # fmt: skip
        layers = [IMAGE, inner]
    return layers


def _make_arguments(depth) -> list[dict]:
    """A call of Keras 3 with lists inside lists."""
    layer, argument = _make_layer("r", None), []
    for _ in range(min(depth, 900)):
        argument = [argument]
    layer["inbound_nodes"] = [{"args": argument, "kwargs": {}}]
    return [IMAGE, layer]


def _list_layers() -> dict[str, Callable[[Path], None]]:
    """One hostile field of one layer."""
    values = (-1, 0, 2.5, 2**40, 2**63, "x", None, [], [[1]], {"a": 1}, [2**40] * 2, 1e308, [0, 0])
    fields = {
        "UpSampling2D": "size", "ZeroPadding2D": "padding", "Cropping2D": "cropping",
        "MaxPooling2D": "pool_size", "Reshape": "target_shape", "Permute": "dims",
        "RepeatVector": "n", "Dropout": "rate", "Conv2D": "filters", "Dense": "units",
        "Softmax": "axis", "Rescaling": "scale", "ReLU": "max_value", "Concatenate": "axis",
        "PReLU": "shared_axes", "LayerNormalization": "axis", "ReflectionPadding2D": "padding",
    }  # fmt: skip
    return {
        f"{kind} {field} {str(value)[:20]}": partial(
            _write_model, layers=[IMAGE, _make_layer("r", "image", kind, **{field: value})]
        )
        for kind, field in fields.items()
        for value in values
    }


def _show(size: int) -> str:
    """Bytes in words."""
    return f"{size // 10**6} MB" if size >= 10**6 else f"{size // 1000} kB"
