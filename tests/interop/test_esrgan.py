"""PyTorch checkpoints of ESRGAN: parity with an independent network, and refusals."""

import numpy as np
import pytest

from keras_vaegan.commands import convert
from keras_vaegan.errors import InputError
from keras_vaegan.interop.esrgan import load_esrgan
from keras_vaegan.interop.keras_h5.load import load_network

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

SIZES = {  # scale, channels, features, blocks, growth
    "x4": (4, 3, 16, 2, 8),
    "x4, gray": (4, 1, 8, 1, 8),
    "x4, narrow growth": (4, 3, 24, 3, 4),
    "x2": (2, 3, 16, 2, 8),
    "x2, gray": (2, 1, 12, 1, 6),
    "x1": (1, 3, 16, 1, 8),
    "published": (4, 3, 64, 23, 32),
}
TOLERANCE = 1e-4
SLOW = ("published", "basicsr")  # as the other family at this size, five seconds
NUMBERED = (
    ("blocks.{0}.{1}.convs.{2}", "model.1.sub.{0}.RDB{3}.conv{4}.0"),
    ("conv_first", "model.0"),
    ("conv_body", "model.1.sub.{blocks}"),
    ("conv_up1", "model.3"),
    ("conv_up2", "model.6"),
    ("conv_hr", "model.8"),
    ("conv_last", "model.10"),
)


def make_network(torch_rrdbnet, size):
    torch.manual_seed(0)
    scale, channels, features, blocks, growth = size
    network = torch_rrdbnet.RRDBNet(scale, channels, features, blocks, growth).eval()
    with torch.no_grad():
        for parameter in network.parameters():  # a dense block's share must be seen
            parameter.mul_(1.5)
    return network


def compare(network, model, channels):
    images = np.random.default_rng(1).uniform(0, 1, (1, 16, 24, channels)).astype("float32")
    with torch.no_grad():
        theirs = network(torch.tensor(images.transpose(0, 3, 1, 2))).numpy()
    theirs = theirs.transpose(0, 2, 3, 1)
    assert theirs.std() > 1e-3
    return float(np.abs(np.array(model(images)) - theirs).max())


CASES = [(name, family) for name in SIZES for family in ("esrgan", "basicsr")]


@pytest.mark.parametrize(("name", "family"), [case for case in CASES if case != SLOW])
def test_parity_with_pytorch(torch_rrdbnet, tmp_path, name, family):
    size = SIZES[name]
    network = make_network(torch_rrdbnet, size)
    torch.save(network.published_state(family), tmp_path / "net.pth")
    model, config = load_esrgan(tmp_path / "net.pth")
    fields = ("scale", "channels", "num_features", "num_blocks", "growth_channels")
    assert tuple(getattr(config, field) for field in fields) == size
    difference = compare(network, model, size[1])
    print(f"{family}, {name} {size}: largest difference {difference:.1e}")
    assert difference <= TOLERANCE


@pytest.mark.parametrize("nesting", ["params_ema", "params", "state_dict", "module.", "float16"])
def test_nestings(torch_rrdbnet, tmp_path, nesting):
    network = make_network(torch_rrdbnet, SIZES["x2"])
    state = network.published_state("basicsr")
    if nesting == "module.":
        state = {nesting + key: value for key, value in state.items()}
    elif nesting == "float16":
        state = {key: value.half() for key, value in state.items()}
    elif nesting == "params_ema":  # comes before the plain weights
        state = {"params": {k: v + 1 for k, v in state.items()}, "params_ema": state}
    else:
        state = {nesting: state, "epoch": 3}
    torch.save(state, tmp_path / "net.pth")
    difference = compare(network, load_esrgan(tmp_path / "net.pth")[0], 3)
    assert difference <= (0.05 if nesting == "float16" else TOLERANCE)


def test_the_numbered_names_of_the_first_release(torch_rrdbnet, tmp_path):
    network = make_network(torch_rrdbnet, SIZES["x4"])
    state = {}
    for key, value in network.state_dict().items():
        stem, _, kind = key.rpartition(".")
        parts = stem.split(".")
        names = dict(NUMBERED)
        if parts[0] == "blocks":
            block, dense, conv = int(parts[1]), int(parts[2]), int(parts[4])
            name = f"model.1.sub.{block}.RDB{dense + 1}.conv{conv + 1}.0"
        else:
            name = names[stem].format(blocks=2)
        state[f"{name}.{kind}"] = value
    torch.save(state, tmp_path / "net.pth")
    assert compare(network, load_esrgan(tmp_path / "net.pth")[0], 3) <= TOLERANCE


def test_convert_writes_a_file_that_tells_its_network(torch_rrdbnet, tmp_path, capsys):
    network = make_network(torch_rrdbnet, SIZES["x2"])
    torch.save(network.published_state("esrgan"), tmp_path / "net.pth")
    for name in ("net.h5", "net.keras"):
        assert convert.main(["esrgan", str(tmp_path / "net.pth"), str(tmp_path / name)]) == 0
    assert "x2, 3 -> 3 channels" in capsys.readouterr().out
    rebuilt = load_network(tmp_path / "net.h5")
    assert rebuilt.config.scale == 2
    assert compare(network, rebuilt.model, 3) <= TOLERANCE


def change(state, **changes):
    state = dict(state)
    for key, value in changes.items():
        key = key.replace("__", ".")
        if value is None:
            del state[key]
        else:
            state[key] = value
    return state


def test_other_files_are_refused_in_one_line(torch_rrdbnet, tmp_path, capsys):
    state = make_network(torch_rrdbnet, SIZES["x4"]).published_state("basicsr")
    kernel = state["conv_hr.weight"]
    contents = {
        "foreign": (change(state, layers__0__attn__weight=kernel), "layers.0.attn.weight"),
        "lacking": (change(state, conv_hr__weight=None), "conv_hr weight"),
        "headless": (change(state, conv_first__weight=None), "no conv_first"),
        "shape": (change(state, conv_hr__weight=kernel[:3]), "conv_hr weight"),
        "gap": (
            {k.replace("body.1.", "body.2."): v for k, v in state.items()},
            "body_1",
        ),
        "nan": (change(state, conv_hr__weight=kernel * float("nan")), "NaN"),
        "channels": (change(state, conv_last__weight=kernel[:2]), "gives 2"),
        "list": ([1, 2], "list"),
        "empty": ({}, "dict"),
        "numbers": ({"epoch": 3}, "epoch"),
        "twice": (change(state, HRconv__weight=kernel), "twice"),
        "dense": (change(state, conv_first__weight=kernel[:, :, 0, 0]), "two-dimensional"),
    }  # fmt: skip
    for name, (content, word) in contents.items():
        torch.save(content, tmp_path / f"{name}.pth")
        with pytest.raises(InputError, match=word) as caught:
            load_esrgan(tmp_path / f"{name}.pth")
        assert "\n" not in str(caught.value), name
    whole = (tmp_path / "shape.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.pth").write_text("hello")
    (tmp_path / "nothing.pth").write_bytes(b"")
    for name in ("cut", "text", "nothing", "absent"):
        with pytest.raises(SystemExit) as stopped:
            convert.main(["esrgan", str(tmp_path / f"{name}.pth"), str(tmp_path / "out.h5")])
        assert stopped.value.code == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not (tmp_path / "out.h5").exists()


class Trap:
    """What a hostile checkpoint would run on loading."""

    def __reduce__(self):
        return (open, ("trapped", "w"))


def test_nothing_in_a_checkpoint_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"conv_first.weight": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(InputError, match="plain tensors"):
        load_esrgan(tmp_path / "trap.pth")
    assert not (tmp_path / "trapped").exists()


def test_without_pytorch_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(InputError, match=r"keras_vaegan\[torch\]"):
        load_esrgan(tmp_path / "net.pth")
