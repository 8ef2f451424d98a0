"""Weight files whose embedded config holds one hostile value in one field, or hostile JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np

SUFFIX = ".h5"
READER = "keras_vaegan.interop.keras_h5.load"
CONFIGS = {
    "vae": {
        "kind": "VAEUNetConfig", "image_size": 16, "channels": 1, "filters": [4, 8],
        "kernel_sizes": [3, 3], "num_residual_blocks": [0, 1], "skip_levels": 1, "groups": 4,
        "latent": "spatial", "latent_channels": 4, "upsampling": "nearest",
        "output_activation": "tanh", "gray_output": True, "seed": 0,
    },
    "discriminator": {
        "kind": "DiscriminatorConfig", "image_size": 16, "channels": 1, "filters": [4, 8],
        "num_heads": 1, "head_kernel_size": 3, "trunk_depth": 1, "groups": 4, "seed": 0,
    },
    "resnet": {
        "kind": "ResnetGeneratorConfig", "image_size": 16, "channels": 1, "filters": [4, 8],
        "num_residual_blocks": 1, "convs_per_block": 2, "activate_block_output": False,
        "output_activation": "tanh", "seed": 0, "kernel_size": 7,
    },
    "patch": {
        "kind": "PatchDiscriminatorConfig", "image_size": 32, "channels": 1, "filters": [4, 8],
        "instance_norm": True, "seed": 0, "kernel_size": 4, "spectral_norm": True,
    },
    "rrdbnet": {
        "kind": "RRDBNetConfig", "scale": 4, "channels": 1, "output_channels": 0,
        "num_features": 4, "num_blocks": 1, "growth_channels": 2, "residual_scale": 0.2, "seed": 0,
    },
    "modality": {
        "kind": "ModalityUNetConfig", "image_size": 16, "target": "flair", "neighbours": 0,
        "filters": [4, 8], "latent_channels": 4, "normalization": "batch", "seed": 0,
    },
}  # fmt: skip
DATA = {
    "data": {
        "kind": "DataConfig", "image_size": 16, "channels": 1, "resize": "pad", "align": "none",
        "value_range": "tanh", "validation_images": 4, "ct_window": [40.0, 80.0],
        "mri_percentiles": [0.5, 99.5],
    },
    "modality data": {
        "kind": "ModalityDataConfig", "image_size": 16, "normalization": "percentile",
        "percentiles": [1.0, 99.0], "landmarks": None, "neighbours": 0, "slice_stride": 2,
        "tumour_share": 0.0, "validation_share": 0.1, "test_share": 0.1, "leave_out": "",
        "shift": 0, "flip": 0.0,
    },
}  # fmt: skip
VALUES = {
    "[]": "[]", "{}": "{}", "null": "null", "true": "true", "text": '"x"', "empty": '""',
    "2.5": "2.5", "-1": "-1", "0": "0", "1e308": "1e308", "inf": "Infinity", "-inf": "-Infinity",
    "nan": "NaN", "2**31 - 1": str(2**31 - 1), "2**31": str(2**31),
    "2**62": str(2**62), "2**63": str(2**63),
    "10**400": str(10**400), "-2**63": str(-(2**63)), "1e5 ones": json.dumps([1] * 100_000),
    "1e4 ones": json.dumps([1] * 10_000), "30 ones": json.dumps([1] * 30),
    "[2.5]": "[2.5, 2.5]", "[-1]": "[-1, -1]", "[inf]": "[Infinity, 1.0]", "[[1]]": "[[1], [1]]",
    "[2**40]": f"[{2**40}, {2**40}]", "40 levels": json.dumps([4] * 40),
    "kind": '{"kind": "DataConfig"}', "long text": json.dumps("x" * 100_000),
    "lines": json.dumps("a\nb\r\nc"),
}  # fmt: skip
TEXTS: dict[str, Callable[[], str]] = {
    "deep list": lambda: "[" * 50_000,
    "deep object": lambda: '{"a":' * 50_000,
    "deep model": lambda: '{"kind": "WeightsRecord", "model":' * 900 + "{}" + "}" * 900,
    "megabytes of spaces": lambda: " " * 30_000_000,
    "megabytes of lists": lambda: "[" + "[]," * 10_000_000 + "[]]",
    "million fields": lambda: json.dumps({f"f{i}": 0 for i in range(10**6)}),
    "thousands of fields": lambda: json.dumps(
        {"kind": "RRDBNetConfig", **{f"f{i}": 0 for i in range(5_000)}}
    ),
    "kind of megabytes": lambda: json.dumps({"kind": "K" * 5_000_000}),
    "kind of many letters": lambda: json.dumps({"kind": "K" * 60_000}),
    "field of many letters": lambda: json.dumps({"kind": "RRDBNetConfig", "f" * 60_000: 0}),
    "kind of lines": lambda: json.dumps({"kind": "a\nb"}),
    "field of lines": lambda: json.dumps({"kind": "RRDBNetConfig", "a\nb": 0}),
    "kind is a list": lambda: '{"kind": []}',
    "run of 0.1": lambda: json.dumps(
        {"kind": "CycleGANConfig", "epoch_steps": 10**11, "optimizer": {"cosine_epochs": [0]}}
    ),
    "run of 0.1, text": lambda: json.dumps(
        {"kind": "CycleGANConfig", "epoch_steps": "a", "validation_epochs": "b"}
    ),
    "enhancer of 0.1": lambda: json.dumps({"kind": "SuperResolutionConfig", "network": 0}),
    "modality of 0.1": lambda: json.dumps({"kind": "ModalityConfig", "model": []}),
    "two kinds": lambda: '{"kind": "RRDBNetConfig", "kind": "DataConfig"}',
    "surrogate": lambda: '{"kind": "\\ud800"}',
    "no JSON": lambda: "{'kind': 1}",
}
LARGE = {
    "resnet of 20,000 blocks": ("resnet", {"num_residual_blocks": 20_000, "filters": [1]}),
    "resnet of 20,000 convolutions": ("resnet", {"convs_per_block": 20_000, "filters": [1]}),
    "resnet of 500 x 500": ("resnet", {"convs_per_block": 500, "num_residual_blocks": 500}),
    "rrdbnet of 3,000 blocks": (
        "rrdbnet",
        {"num_blocks": 3_000, "num_features": 1, "growth_channels": 1},
    ),
    "discriminator of depth 20,000": ("discriminator", {"trunk_depth": 20_000, "groups": 0}),
    "vae of 10,000 blocks": ("vae", {"num_residual_blocks": [0, 10_000], "groups": 0}),
    "wide vae": ("vae", {"filters": [4, 4096], "latent_channels": 4096}),
    "vae of large kernels": ("vae", {"kernel_sizes": [2049, 2049]}),
    "dense vae of 2**14 pixels": ("vae", {"latent": "dense", "image_size": 2**14}),
    "modality of 10**6 neighbours": ("modality", {"neighbours": 10**6}),
    "modality of 2**14 pixels": ("modality", {"image_size": 2**14}),
    "rrdbnet of 10**7 channels": ("rrdbnet", {"channels": 10**7, "scale": 1}),
    "heads of kernel 10,001": ("discriminator", {"head_kernel_size": 10_001}),
    "2**40 pixels": ("vae", {"image_size": 2**40}),
    "2**15 pixels": ("vae", {"image_size": 2**15}),
}
HONEST = tuple(f"honest {name}" for name in CONFIGS)


def list_cases() -> dict[str, Callable[[Path], None]]:
    """Every field with every value, odd JSON, and configs far larger than their files."""
    cases: dict[str, Callable[[Path], None]] = {}
    for name, config in {**CONFIGS, **DATA}.items():
        for field in config:
            for label, value in VALUES.items():
                text = _set_field(name, field, value)
                cases[f"{name} {field} {label}"] = partial(_write, network=name, text=text)
    for label, (name, fields) in LARGE.items():
        text = json.dumps({**CONFIGS[name], **fields})
        cases[label] = partial(_write, network=name, text=text)
    for label, make in TEXTS.items():
        cases[label] = partial(_write_text, make=make)
    for name, label in zip(CONFIGS, HONEST, strict=True):
        cases[label] = partial(_write, network=name, text=json.dumps(CONFIGS[name]))
    return cases


def read(path: Path) -> None:
    """What a command does with such a file first."""
    from keras_vaegan.interop.keras_h5.load import load_network

    load_network(path)


def _set_field(name: str, field: str, value: str) -> str:
    """The JSON of a config, or of a record with such data, with one value written as it is."""
    config = json.dumps({**{**CONFIGS, **DATA}[name], field: "@"}).replace('"@"', value)
    if name in CONFIGS:
        return config
    model = CONFIGS["modality" if name == "modality data" else "vae"]
    return f'{{"kind": "WeightsRecord", "model": {json.dumps(model)}, "data": {config}}}'


def _write_text(path: Path, make: Callable[[], str]) -> None:
    """A file with a text that is made now."""
    _write(path, "rrdbnet", make())


def _write(path: Path, network: str, text: str) -> None:
    """A file of the network's weights, whatever the config in it."""
    shapes = _read_shapes(network)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.encode() for layer in shapes]
        file.attrs["keras_vaegan_config"] = text
        for layer, weights in shapes.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = [name.encode() for name in weights]
            for name, shape in weights.items():
                group.create_dataset(name, data=np.full(shape, 0.01, "float32"))


def _read_shapes(network: str) -> dict[str, dict[str, list[int]]]:
    """Shapes of a network's weights by layer; of the data configs, those of their network."""
    name = {"modality data": "modality", "data": "vae"}.get(network, network)
    shapes = json.loads((Path(__file__).parent / "shapes.json").read_text())
    return shapes[name]
