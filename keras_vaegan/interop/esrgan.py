"""PyTorch checkpoints of ESRGAN and its family -> our RRDBNet.

Three namings of the same network are known: the published ESRGAN's, that of BasicSR and
Real-ESRGAN, and the numbered one of the first release. Sizes come from the tensors.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from pathlib import Path

import keras
import numpy as np

from keras_vaegan.config.networks import SCALES, RRDBNetConfig, Scale
from keras_vaegan.errors import InputError, first_line, show
from keras_vaegan.models.rrdbnet import build_rrdbnet
from keras_vaegan.weights.claims import check_claim

CLAIM_LIMIT = 8  # bytes that a checkpoint's tensors may take for each of its own
MAX_TENSORS = 5_000
MAX_LIST = 2**22  # bytes of the pickled list of tensors; one of 5,000 takes half a MiB
NESTINGS = ("params_ema", "params", "state_dict")
_BLOCK = re.compile(r"body_(\d+)_rdb([1-3])_conv([1-5])")
_PLACE = r"body_\1_rdb\2_conv\3"
_RENAMINGS = (  # (pattern of a key without .weight and .bias, our layer's name)
    (r"(?:RRDB_trunk|body)\.(\d+)\.(?:RDB|rdb)([1-3])\.conv([1-5])", _PLACE),
    (r"model\.1\.sub\.(\d+)\.RDB([1-3])\.conv([1-5])\.0", _PLACE),
    (r"conv_first|model\.0", "conv_first"),
    (r"trunk_conv|conv_body|model\.1\.sub\.\d+", "conv_body"),
    (r"upconv1|conv_up1|model\.3", "conv_up1"),
    (r"upconv2|conv_up2|model\.6", "conv_up2"),
    (r"HR_?conv|conv_hr|model\.8", "conv_hr"),
    (r"conv_last|model\.10", "conv_last"),
)


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
    check_claim(path, config, len(arrays) // 2, sum(array.size for array in arrays.values()))
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
            _check_archive(Path(path))
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror or error}; check the path"
        ) from error
    except InputError:
        raise
    except Exception as error:  # a damaged file may raise anything
        raise InputError(
            f"{path} is no PyTorch checkpoint of plain tensors: {first_line(error)}; expected a "
            "whole .pth of RRDBNet weights"
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
    _check_tensors(content, Path(path))
    return {name: value.detach().to(torch.float32).numpy() for name, value in content.items()}


def _check_archive(path: Path) -> None:
    """Refuse an archive whose records unpack to far more than it has bytes (PyTorch packs none), or
    whose list of tensors takes long to read."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        records = archive.infolist()
    _check_size(path, sum(record.file_size for record in records))
    listed = max((r.file_size for r in records if r.filename.endswith("data.pkl")), default=0)
    if listed > MAX_LIST:
        raise InputError(
            f"{path} lists its tensors in {listed:,} bytes: expected at most {MAX_LIST:,}; convert "
            "an RRDBNet's file"
        )


def _check_size(path: Path, claimed: int) -> None:
    """Refuse more bytes than a checkpoint of half or quarter precision takes as float32."""
    stored = path.stat().st_size
    if claimed > CLAIM_LIMIT * stored:
        raise InputError(
            f"{path} claims {claimed:,} bytes of tensors in a file of {stored:,}: use an undamaged "
            "file"
        )


def _check_tensors(content: dict, path: Path) -> None:
    """Refuse what is no plain tensor by name, and values that take more bytes than the file has."""
    import torch

    if len(content) > MAX_TENSORS:
        raise InputError(
            f"{path} holds {len(content):,} tensors: expected at most {MAX_TENSORS:,}; convert an "
            "RRDBNet's file"
        )
    for name, value in content.items():
        is_plain = (
            isinstance(name, str)
            and type(value) in (torch.Tensor, torch.nn.Parameter)
            and value.device.type == "cpu"
            and value.layout is torch.strided
            and not (value.is_nested or value.is_quantized or value.is_complex())
        )
        if not is_plain:
            received = show(name) if isinstance(name, str) else "a key that is no name"
            raise InputError(
                f"{path} holds {received}, which is no tensor: expected RRDBNet weights, or those "
                f"under {', '.join(NESTINGS)}"
            )
    _check_size(path, sum(4 * value.numel() for value in content.values()))


def rename_tensors(tensors: dict[str, np.ndarray], path: str | Path) -> dict[str, np.ndarray]:
    """Give every tensor its place in our network: "conv_first/weight" and so on.

    Raises:
        InputError: a name that is none of an RRDBNet's, or two for one place.
    """
    arrays: dict[str, np.ndarray] = {}
    for key, value in tensors.items():
        stem, _, kind = key.removeprefix("module.").rpartition(".")
        matches = ((re.fullmatch(pattern, stem), name) for pattern, name in _RENAMINGS)
        place = next((found.expand(name) for found, name in matches if found), None)
        if place is None or kind not in ("weight", "bias"):
            raise InputError(
                f"{path} holds {show(key)}, which is no RRDBNet's: expected conv_first, "
                "RRDB_trunk.N.RDBk.convk or body.N.rdbk.convk, ... and conv_last; convert another "
                "file"
            )
        if f"{place}/{kind}" in arrays:
            raise InputError(f"{path} holds {place} {kind} twice ({show(key)} is the second)")
        if not np.isfinite(value).all():
            raise InputError(
                f"{path}: {show(key)} holds NaN or infinite values: use an undamaged file"
            )
        arrays[f"{place}/{kind}"] = value
    return arrays


def infer_rrdbnet(arrays: dict[str, np.ndarray], path: str | Path) -> RRDBNetConfig:
    """Tell an RRDBNet's size from its tensors.

    Raises:
        InputError: they are not those of one whole RRDBNet that enlarges 1, 2 or 4 times.
    """
    blocks = {found[1] for name in arrays if (found := _BLOCK.match(name))}
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
        num_blocks=len(blocks),
        growth_channels=arrays["body_0_rdb1_conv1/weight"].shape[0],
    )


def load_arrays(model: keras.Model, arrays: dict[str, np.ndarray], path: str | Path) -> None:
    """Assign every tensor to its layer, each exactly once, after all shapes were compared.

    Raises:
        InputError: a tensor is missing, left over, or of another shape.
    """
    layers = [layer for layer in model.layers if layer.weights]
    variables = {f"{layer.name}/weight": layer.kernel for layer in layers}
    variables |= {f"{layer.name}/bias": layer.bias for layer in layers}
    kernels = {n: a.transpose(2, 3, 1, 0) if a.ndim == 4 else a for n, a in arrays.items()}
    for name, variable in variables.items():
        received = kernels[name].shape if name in kernels else "nothing"
        if received != tuple(variable.shape):
            raise InputError(
                f"{path} has {received} for {name.replace('/', ' ')}: expected "
                f"{tuple(variable.shape)} (rows, columns, in, out); convert a whole RRDBNet's file"
            )
    foreign = [name for name in arrays if name not in variables]
    if foreign:
        raise InputError(
            f"{path} holds {foreign[0]!r} and {len(foreign) - 1} more that no layer of the "
            "network takes: convert a plain RRDBNet's file"
        )
    for name, variable in variables.items():
        variable.assign(kernels[name])


def _find_scale(read: int, given: int, path: str | Path) -> Scale:
    """The scale of a network that reads so many channels, unshuffled or not."""
    for scale in SCALES[::-1]:
        unshuffled = (4 // scale) ** 2
        if read == given * unshuffled:
            return scale
    if read in (1, 3) and given in (1, 3):
        return 4
    raise InputError(
        f"{path} reads {read} channels and gives {given}: expected as many (x4), 4 times (x2) or "
        "16 times as many (x1)"
    )
