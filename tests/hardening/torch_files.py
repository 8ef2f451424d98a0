"""PyTorch checkpoints whose tensors claim what their storage lacks, or a network without end."""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

SUFFIX = ".pth"
READER = "keras_vaegan.interop.esrgan"


def list_cases() -> dict[str, Callable[[Path], None]]:
    """One function a case, by name."""
    cases: dict[str, Callable[[Path], None]] = {
        "honest": partial(_save, change=lambda state: state),
        "honest, legacy": partial(_save, change=lambda state: state, legacy=True),
        "honest, half": partial(_save, change=lambda s: {k: v.half() for k, v in s.items()}),
    }
    for key in make_state():
        for label, make in _TENSORS.items():
            cases[f"{label.replace('@', key)}"] = partial(_save_tensor, key=key, make=make)
    for count in (23, 150, 3_000, 20_000):
        cases[f"{count:,} blocks"] = partial(_save_blocks, numbers=range(count))
    for number in (1_000_000, 10**30):
        cases[f"blocks numbered {number}"] = partial(_save_blocks, numbers=[0, number])
    for side in (0, 2**10, 2**20):
        cases[f"conv_first of {side} features"] = partial(
            _save_tensor,
            key="conv_first.weight",
            make=lambda _, side=side: torch.ones(side, 1, 3, 3),
        )
    cases |= {
        "tensors that require grad": partial(
            _save, change=lambda s: {k: v.clone().requires_grad_() for k, v in s.items()}
        ),
        "parameters": partial(
            _save, change=lambda s: {k: torch.nn.Parameter(v) for k, v in s.items()}
        ),
    }
    for name, make in _CONTENTS.items():
        cases[name] = partial(_save, change=lambda _, make=make: make())
    return cases | _list_archives() | _list_pickles()


def read(path: Path) -> None:
    """What `convert esrgan` does first."""
    from keras_vaegan.interop.esrgan import load_esrgan

    load_esrgan(path)


def make_state(blocks=(0,), features: int = 2) -> dict[str, torch.Tensor]:
    """The tensors of an RRDBNet of one channel, growth 1."""

    def conv(given, taken):
        return {"weight": torch.full((given, taken, 3, 3), 0.01), "bias": torch.zeros(given)}

    layers = {"conv_first": conv(features, 1)}
    for block in blocks:
        for dense in (1, 2, 3):
            for number in range(1, 6):
                given = features if number == 5 else 1
                place = f"body.{block}.rdb{dense}.conv{number}"
                layers[place] = conv(given, features + number - 1)
    for name in ("conv_body", "conv_up1", "conv_up2", "conv_hr"):
        layers[name] = conv(features, features)
    layers["conv_last"] = conv(1, features)
    return {f"{n}.{kind}": value for n, pair in layers.items() for kind, value in pair.items()}


_TENSORS = {
    "expanded @ of 2**40": lambda t: t.reshape(-1)[:1].expand(2**40),
    "expanded @ of its shape": lambda t: t.reshape(-1)[:1].expand(t.numel()).reshape(t.shape),
    "@ of 2**33 by stride 0": lambda t: t.reshape(-1)[:1].expand(2**33),
    "@ empty": lambda t: t[:0],
    "@ of rank 64": lambda t: t.reshape(-1)[:1].reshape((1,) * 64),
    "@ of complex": lambda t: t.to(torch.complex64),
    "@ of bool": lambda t: t.bool(),
    "@ of infinity": lambda t: t * float("inf"),
}  # fmt: skip


def _save(path, change, legacy: bool = False) -> None:
    """A checkpoint of changed content."""
    torch.save(change(make_state()), path, _use_new_zipfile_serialization=not legacy)


def _save_tensor(path, key, make) -> None:
    """A checkpoint with one tensor of another make."""
    state = make_state()
    torch.save({**state, key: make(state[key])}, path)


def _save_blocks(path, numbers) -> None:
    """A network of these blocks; one storage serves all, so that the file stays small."""
    one = torch.zeros(64)
    state = {
        key: one[: value.numel()].reshape(value.shape)
        for key, value in make_state(numbers, 1).items()
    }
    torch.save(state, path)


def _make_pairs() -> dict:
    """A key whose hash and text take time by the power of its depth."""
    pair: tuple = ()
    for _ in range(20):
        pair = (pair, pair)
    return {pair: 1}


def _make_nested() -> dict:
    """State dicts inside state dicts."""
    deep: object = torch.ones(2, 2)
    for _ in range(300):
        deep = {"params": deep}
    return deep


def _name(value) -> dict:
    """A value in place of a tensor."""
    return {"conv_first.weight": value}


_CONTENTS = {  # what is no state of plain tensors
    "a sparse tensor": lambda: _name(torch.ones(2, 2).to_sparse()),
    "a quantised tensor": lambda: _name(
        torch.quantize_per_tensor(torch.ones(2, 2), 0.1, 0, torch.qint8)
    ),
    "a meta tensor": lambda: _name(torch.ones(2, 2, device="meta")),
    "a nested tensor": lambda: _name(torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])),
    "a key of megabytes": lambda: {"k" * 5_000_000: torch.ones(2)},
    "a key of lines": lambda: {"a\nb": torch.ones(2)},
    "a key of pairs": _make_pairs,
    "keys are numbers": lambda: {1: torch.ones(2), 10**5000: torch.ones(2)},
    "params 300 deep": _make_nested,
    "a set": lambda: {1, 2},
    "a tensor": lambda: torch.ones(2),
    "nothing": lambda: None,
    "text": lambda: "text",
    "ordered": lambda: OrderedDict(params=OrderedDict()),
    "a size": lambda: _name(torch.Size([1, 2])),
    "100,000 tensors": lambda: {f"t{i}": torch.ones(()) for i in range(100_000)},
    "100,000 numbers": lambda: {f"t{i}": i for i in range(100_000)},
    "float8": lambda: _name(torch.ones(2, 2).to(torch.float8_e4m3fn)),
}


# -- archives and pickles -------------------------------------------------------------------------


def _list_archives() -> dict[str, Callable[[Path], None]]:
    """Records of other lengths than the pickle says, and deflated ones."""
    return {
        "a record of 4 bytes for 2**30 values": partial(
            _rewrite, record=bytes(4), size=2**30, shape=(2**30,)
        ),
        "a record of 4 bytes for 2**20 values": partial(
            _rewrite, record=bytes(4), size=2**20, shape=(2**20,)
        ),
        "a record of 4 bytes for 4 values": partial(
            _rewrite, record=bytes(4), size=4, shape=(2, 2)
        ),
        "strides past the end": partial(_rewrite, record=bytes(16), size=4, shape=(2**15, 2**15)),
        "strides past the end, 2**40": partial(
            _rewrite, record=bytes(16), size=4, shape=(2**20, 2**20)
        ),
        "an offset past the end": partial(
            _rewrite, record=bytes(16), size=4, shape=(2, 2), offset=2**40
        ),
        "a negative offset": partial(
            _rewrite, record=bytes(16), size=4, shape=(2, 2), offset=-2
        ),
        "a negative size": partial(_rewrite, record=bytes(16), size=-4, shape=(2, 2)),
        "negative strides": partial(
            _rewrite, record=bytes(16), size=4, shape=(2, 2), strides=(-2, -1)
        ),
        "strides of 2**60": partial(
            _rewrite, record=bytes(16), size=4, shape=(2, 2), strides=(2**60, 2**60)
        ),
        "deflated zeros of 4 GB": partial(_deflate, size=2**32),
        "deflated zeros of 1 GB": partial(_deflate, size=2**30),
        "deflated zeros of 64 MB": partial(_deflate, size=2**26),
        "a deflated pickle of 1 GB": partial(_deflate, size=2**30, name="data.pkl"),
        "a cut archive": _cut,
    }  # fmt: skip


class _Storage:
    """What stands for a storage in the pickle."""

    def __init__(self, size: int) -> None:
        self.size = size


class _Tensor:
    """A tensor that is pickled with any size, strides and offset."""

    def __init__(self, storage, offset, shape, strides) -> None:
        self.fields = storage, offset, shape, strides, False, OrderedDict()

    def __reduce__(self):
        return torch._utils._rebuild_tensor_v2, self.fields


class _Pickler(pickle.Pickler):
    """Writes storages the way PyTorch does."""

    def persistent_id(self, item):
        if isinstance(item, _Storage):
            return "storage", torch.FloatStorage, "0", "cpu", item.size
        return None


def _rewrite(path, record, size, shape, offset=0, strides=None) -> None:
    """An archive of one tensor whose pickle says what it likes."""
    strides = strides or tuple(range(len(shape), 0, -1))
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("archive/data.pkl", "w") as file:
            tensor = _Tensor(_Storage(size), offset, shape, strides)
            _Pickler(file, 2).dump({"conv_first.weight": tensor})
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/data/0", record)
        archive.writestr("archive/version", "3\n")


def _deflate(path, size, name="data/0") -> None:
    """An archive whose one record is a deflated bomb."""
    _rewrite(path, bytes(16), 4, (2, 2))
    with zipfile.ZipFile(path) as archive:
        records = {item.filename: archive.read(item) for item in archive.infolist()}
    if name == "data/0":
        _rewrite(path, b"", size // 4, (size // 4,))
        with zipfile.ZipFile(path) as archive:
            records["archive/data.pkl"] = archive.read("archive/data.pkl")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, value in records.items():
            if key != f"archive/{name}":
                archive.writestr(key, value)
        with archive.open(f"archive/{name}", "w", force_zip64=True) as file:
            for _ in range(size // 2**20):
                file.write(bytes(2**20))


def _cut(path) -> None:
    """Half of an honest file."""
    torch.save(make_state(), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _list_pickles() -> dict[str, Callable[[Path], None]]:
    """Bare pickles, as the legacy layout has them."""

    def write(path, parts) -> None:
        path.write_bytes(b"".join(parts))

    head = [pickle.dumps(torch.serialization.MAGIC_NUMBER, 2), pickle.dumps(1001, 2)]
    head.append(pickle.dumps({"protocol_version": 1001, "little_endian": True}, 2))
    huge = b"\x80\x02\x8a\x04\xff\xff\xff\x7f."
    return {
        "legacy, no object": partial(write, parts=head),
        "legacy, deep": partial(write, parts=[*head, b"\x80\x02" + b"]" * 10**6 + b"."]),
        "legacy, a text of 2 GB": partial(write, parts=[*head, b"\x80\x02X\xff\xff\xff\x7fabc."]),
        "legacy, a bare memo": partial(write, parts=[*head, b"\x80\x02h\x05."]),
        "legacy, a number": partial(write, parts=[*head, huge]),
        "legacy, code": partial(write, parts=[*head, b"\x80\x02cos\nsystem\nX\x02\0\0\0id\x85R."]),
        "a pickle of code": partial(write, parts=[b"cos\nsystem\n(S'id'\ntR."]),
    }
