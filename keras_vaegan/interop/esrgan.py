"""PyTorch checkpoints of ESRGAN and its family -> our RRDBNet.

Three namings of the same network are known: the published ESRGAN's, that of BasicSR and
Real-ESRGAN, and the numbered one of the first release. Sizes come from the tensors.
"""

from __future__ import annotations

import pickle
import re
import warnings
from pathlib import Path

import keras
import numpy as np

from keras_vaegan.config.networks import SCALES, RRDBNetConfig
from keras_vaegan.errors import InputError
from keras_vaegan.models.rrdbnet import build_rrdbnet

NESTINGS = ("params_ema", "params", "state_dict")
_BLOCK = re.compile(r"body_(\d+)_rdb([1-3])_conv([1-5])")
_PLACE = r"body_\1_rdb\2_conv\3"
_RENAMINGS = (  # (pattern of a key without .weight and .bias, our layer's name)
    (re.compile(r"(?:RRDB_trunk|body)\.(\d+)\.(?:RDB|rdb)([1-3])\.conv([1-5])"), _PLACE),
    (re.compile(r"model\.1\.sub\.(\d+)\.RDB([1-3])\.conv([1-5])\.0"), _PLACE),
    (re.compile(r"trunk_conv|conv_body|model\.1\.sub\.\d+"), "conv_body"),
    (re.compile(r"upconv([12])|conv_up([12])"), "conv_up"),
    (re.compile(r"HR_?conv|conv_hr|model\.8"), "conv_hr"),
    (re.compile(r"conv_first|model\.0"), "conv_first"),
    (re.compile(r"conv_last|model\.10"), "conv_last"),
    (re.compile(r"model\.3"), "conv_up1"),
    (re.compile(r"model\.6"), "conv_up2"),
)  # fmt: skip


def load_esrgan(path: str | Path) -> tuple[keras.Model, RRDBNetConfig]:
    """Rebuild the RRDBNet of a PyTorch checkpoint, weights included.

    Only tensors are read (`torch.load(weights_only=True)`): nothing in the file is executed.

    Args:
        path: `.pth` file: the tensors by name, or nested under "params_ema" (which comes first),
            "params" or "state_dict".

    Returns:
        (model, config): (N, H, W, channels) in [0, 1] -> the enlarged image.

    Raises:
        InputError: PyTorch is not installed, the file is unreadable, or it holds another
            network, in whole or in part.
    """
    tensors = read_torch_tensors(path)
    arrays = rename_tensors(tensors, path)
    config = infer_rrdbnet(arrays, path)
    model = build_rrdbnet(config)
    load_arrays(model, arrays, path)
    return model, config


def read_torch_tensors(path: str | Path) -> dict[str, np.ndarray]:
    """Read the tensors of a PyTorch checkpoint by name, as float32 arrays.

    Raises:
        InputError: see `load_esrgan`.
    """
    try:
        import torch
    except ImportError as error:
        raise InputError(
            f"{path} needs PyTorch to be read: pip install 'keras_vaegan[torch]'"
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old formats, read all the same
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror or error}; check the path"
        ) from error
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise InputError(
            f"{path} is no PyTorch checkpoint of plain tensors: {reason}; expected a whole .pth "
            "of RRDBNet weights"
        ) from error
    for key in NESTINGS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict) or not content:
        raise InputError(
            f"{path} holds a {type(content).__name__}: expected tensors by name, or under "
            f"{', '.join(NESTINGS)}"
        )
    odd = next((k for k, value in content.items() if not isinstance(value, torch.Tensor)), None)
    if odd is not None:
        raise InputError(
            f"{path} holds {odd!r}, which is no tensor: expected RRDBNet weights, or those under "
            f"{', '.join(NESTINGS)}"
        )
    return {str(name): value.to(torch.float32).numpy() for name, value in content.items()}


def rename_tensors(tensors: dict[str, np.ndarray], path: str | Path) -> dict[str, np.ndarray]:
    """Give every tensor its place in our network: "conv_first/weight" and so on.

    Raises:
        InputError: a name that is none of an RRDBNet's, or two for one place.
    """
    arrays: dict[str, np.ndarray] = {}
    for key, value in tensors.items():
        stem, _, kind = key.removeprefix("module.").rpartition(".")
        place = _find_place(stem) if kind in ("weight", "bias") else None
        if place is None:
            raise InputError(
                f"{path} holds {key!r}, which is no RRDBNet's: expected conv_first, "
                "RRDB_trunk.N.RDBk.convk or body.N.rdbk.convk, ... and conv_last; convert another "
                "file"
            )
        if f"{place}/{kind}" in arrays:
            raise InputError(f"{path} holds {place} {kind} twice ({key!r} is the second)")
        if not np.isfinite(value).all():
            raise InputError(f"{path}: {key!r} holds NaN or infinite values: use an undamaged file")
        arrays[f"{place}/{kind}"] = value
    return arrays


def infer_rrdbnet(arrays: dict[str, np.ndarray], path: str | Path) -> RRDBNetConfig:
    """Tell an RRDBNet's size from its tensors.

    Raises:
        InputError: they are not those of one whole RRDBNet that enlarges 1, 2 or 4 times.
    """
    blocks = [int(found[1]) for name in arrays if (found := _BLOCK.match(name))]
    names = ("conv_first", "conv_last", "body_0_rdb1_conv1")
    missing = next((name for name in names if f"{name}/weight" not in arrays), None)
    if missing or any(arrays[f"{name}/weight"].ndim != 4 for name in names):
        place = f"no {missing}" if missing else "a convolution that is not two-dimensional"
        raise InputError(f"{path} has {place}: expected a whole RRDBNet; convert another file")
    features, read = arrays["conv_first/weight"].shape[:2]
    channels_out = arrays["conv_last/weight"].shape[0]
    scale = _find_scale(read, channels_out, path)
    return RRDBNetConfig(
        scale=scale,
        channels=read // (4 // scale) ** 2,
        output_channels=0 if read // (4 // scale) ** 2 == channels_out else channels_out,
        num_features=features,
        num_blocks=max(blocks) + 1,
        growth_channels=arrays["body_0_rdb1_conv1/weight"].shape[0],
    )


def load_arrays(model: keras.Model, arrays: dict[str, np.ndarray], path: str | Path) -> None:
    """Assign every tensor to its layer, each exactly once, after all shapes were compared.

    Raises:
        InputError: a tensor is missing, left over, or of another shape.
    """
    left, values = dict(arrays), []
    for layer in model.layers:
        if not layer.weights:
            continue
        for kind, variable in (("weight", layer.kernel), ("bias", layer.bias)):
            array = left.pop(f"{layer.name}/{kind}", None)
            expected = tuple(variable.shape)
            if array is not None and array.ndim == 4:
                array = array.transpose(2, 3, 1, 0)
            if array is None or array.shape != expected:
                received = "nothing" if array is None else f"shape {array.shape}"
                raise InputError(
                    f"{path} has {received} for {layer.name} {kind}: expected {expected} (rows, "
                    "columns, in, out); convert a whole RRDBNet's file"
                )
            values.append((variable, array))
    if left:
        raise InputError(
            f"{path} holds {next(iter(left))!r} and {len(left) - 1} more that no layer of the "
            "network takes: convert a plain RRDBNet's file"
        )
    for variable, array in values:
        variable.assign(array)


def _find_place(stem: str) -> str | None:
    """Our layer's name for a key without its .weight or .bias; None for a foreign one."""
    for pattern, name in _RENAMINGS:
        found = pattern.fullmatch(stem)
        if found:
            name = found.expand(name)
            return name + next(filter(None, found.groups())) if name == "conv_up" else name
    return None


def _find_scale(read: int, made: int, path: str | Path) -> int:
    """The scale of a network that reads `read` channels, unshuffled or not, and makes `made`."""
    for scale in SCALES[::-1]:
        unshuffled = (4 // scale) ** 2
        if read == made * unshuffled:
            return scale
    if read in (1, 3) and made in (1, 3):
        return 4
    raise InputError(
        f"{path} reads {read} channels and makes {made}: expected as many (x4), 4 times (x2) or 16 "
        "times as many (x1)"
    )
