"""The architecture that a weight file tells, and the model rebuilt from it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from keras_vaegan.config.base import config_from_dict
from keras_vaegan.config.networks import (
    DiscriminatorConfig,
    ModalityUNetConfig,
    PatchDiscriminatorConfig,
    ResnetGeneratorConfig,
    RRDBNetConfig,
    VAEUNetConfig,
)
from keras_vaegan.errors import InputError
from keras_vaegan.interop.keras_h5.infer import infer_config
from keras_vaegan.interop.keras_h5.rebuild import rebuild_model
from keras_vaegan.models.build import build_model
from keras_vaegan.weights.h5_file import (
    CONFIG_ATTRIBUTE,
    WeightFile,
    open_h5,
    read_text_attribute,
    read_weight_file,
)
from keras_vaegan.weights.legacy_h5 import load_weight_file
from keras_vaegan.weights.names import GENERATOR_FILES, find_in_folder
from keras_vaegan.weights.record import WeightsRecord

DISCRIMINATORS = (DiscriminatorConfig, PatchDiscriminatorConfig)
GENERATORS = (VAEUNetConfig, ResnetGeneratorConfig)
CLAIM_LIMIT = 200  # a crude upper estimate of a network's weights over those of its file


def read_config(path: str | Path) -> Any:
    """Read the config that `save_legacy_h5` embedded in a weight file.

    Args:
        path: The `.h5` file.

    Returns:
        The config dataclass, such as a `WeightsRecord` (files of `train`) or a model's config.

    Raises:
        InputError: the file is unreadable, or holds no config or a damaged one.
    """
    with open_h5(path) as file:
        text = read_text_attribute(file, CONFIG_ATTRIBUTE, path)
    if text is None:
        raise InputError(
            f"{path} holds no {CONFIG_ATTRIBUTE}: expected a file as `train` writes it; build its "
            "model with build_generator(config) and call load_legacy_h5(model, path)"
        )
    return parse_config(text, path)


def parse_config(text: str, path: str | Path) -> Any:
    """The config behind an embedded text.

    Raises:
        InputError: it is damaged.
    """
    try:
        return config_from_dict(json.loads(text))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{path}: its {CONFIG_ATTRIBUTE} is unusable: {reason}; build the model with "
            "build_generator(config) and call load_legacy_h5(model, path)"
        ) from error


def check_claim(config: Any, file: WeightFile) -> None:
    """Refuse a config whose network would be far larger than the file's weights.

    Raises:
        InputError: it is; or the config describes no network.
    """
    kind = config.model if isinstance(config, WeightsRecord) else config
    if not isinstance(kind, (*GENERATORS, *DISCRIMINATORS, RRDBNetConfig, ModalityUNetConfig)):
        raise InputError(
            f"{file.path}: its {CONFIG_ATTRIBUTE} is a {type(kind).__name__}, which describes no "
            "network: expected a generator's, discriminator's or RRDBNet's config"
        )
    claim = _estimate_parameters(kind)
    if claim > CLAIM_LIMIT * (file.parameters + 10_000):
        raise InputError(
            f"{file.path}: its {CONFIG_ATTRIBUTE} asks for a network far larger than its "
            f"{file.parameters:,} parameters: use an undamaged file"
        )


def _estimate_parameters(kind: Any) -> int:
    """A crude upper estimate of the weights that a network's config asks for."""
    if isinstance(kind, ModalityUNetConfig):
        bottleneck = (kind.image_size // kind.stride) ** 2 * kind.filters[-1]
        widest = max(kind.filters)
        return 3 * bottleneck * kind.latent_channels + 36 * widest**2 * len(kind.filters)
    if isinstance(kind, RRDBNetConfig):
        read = kind.channels * kind.unshuffle**2
        widest = kind.num_features + 4 * kind.growth_channels + read + kind.made_channels
        return 9 * widest**2 * (kind.num_blocks + 1)
    widest = max(*kind.filters, getattr(kind, "latent_channels", 1))
    layers = len(kind.filters) + getattr(kind, "trunk_depth", 1)
    if isinstance(kind, VAEUNetConfig):
        kernel, layers = max(kind.kernel_sizes), layers + sum(kind.num_residual_blocks)
    elif isinstance(kind, ResnetGeneratorConfig):
        kernel = max(3, kind.kernel_size)
        layers += kind.num_residual_blocks * kind.convs_per_block
    elif isinstance(kind, DiscriminatorConfig):
        kernel = max(kind.head_kernel_size, 4)
    else:
        kernel = kind.kernel_size
    return widest**2 * kernel**2 * layers


def find_generator_file(path: str | Path, direction: str | None = None) -> Path:
    """The generator file that a path and a direction mean; in a run folder, `best/` comes first.

    Args:
        path: A weight file (the direction is then ignored), or a folder that holds such files.
        direction: "mri2ct" (`g_target_weights.h5`) or "ct2mri" (`g_source_weights.h5`).

    Raises:
        InputError: nothing there, or a folder without a direction.
    """
    path = Path(path)
    if not path.is_dir():
        return path
    if direction not in GENERATOR_FILES:
        raise InputError(
            f"direction {direction!r} for the folder {path}: expected "
            f"{' or '.join(GENERATOR_FILES)}; add --direction"
        )
    name = GENERATOR_FILES[direction]
    found = find_in_folder(path, name)
    if found:
        return found
    raise InputError(
        f"no {name} in {path}: expected a run folder or a weight file; check --weights"
    )


def load_generator(
    path: str | Path,
    direction: str | None = None,
    replacements: Mapping[str, str] | None = None,
    assume: Mapping[str, object] | None = None,
) -> keras.Model:
    """Rebuild a generator, weights included, from its file alone.

    The architecture comes from the config that this package embeds, else from a full-model
    file's own config, else from the kinds and shapes of the weights.

    Args:
        path: Weight file or full-model file (`.h5`) of Keras 1, 2 or 3, or a run folder.
        direction: "mri2ct" or "ct2mri"; needed for a folder.
        replacements: What stands for Lambda layers; see `legacy_config.rebuild_model`.
        assume: Fields that weights alone do not tell; see `infer.infer_config`.

    Returns:
        A Functional model, (N, H, W, C) -> (N, H, W, C) in the network's own value range.

    Raises:
        InputError: no such file, no generator, an architecture that cannot be told, or weights
            that do not fit.
    """
    return load_generator_record(path, direction, replacements, assume)[0]


def load_generator_record(
    path: str | Path,
    direction: str | None = None,
    replacements: Mapping[str, str] | None = None,
    assume: Mapping[str, object] | None = None,
) -> tuple[keras.Model, WeightsRecord | VAEUNetConfig | ResnetGeneratorConfig | None]:
    """Rebuild a generator as `load_generator` does; also give what its file says of itself.

    Returns:
        (model, config): the config that was embedded or inferred, or None for a full model's
            own architecture.
    """
    file = find_generator_file(path, direction)
    model, config = load_model(file, replacements, assume)
    kind = config.model if isinstance(config, WeightsRecord) else config
    if isinstance(kind, DISCRIMINATORS):
        raise InputError(
            f"{file} holds a discriminator: expected a generator; use "
            f"{' or '.join(GENERATOR_FILES.values())}"
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1 or len(model.input_shape) != 4:
        raise InputError(
            f"{file} holds a model of {len(model.inputs)} inputs and {len(model.outputs)} "
            "outputs: expected one image in, one image out"
        )
    return model, config


def load_model(
    path: str | Path,
    replacements: Mapping[str, str] | None = None,
    assume: Mapping[str, object] | None = None,
) -> tuple[keras.Model, Any]:
    """Rebuild any model from its file alone; arguments and errors as `load_generator`'s.

    Returns:
        (model, config): the model with its weights, and our config where one was embedded or
        inferred, else None.
    """
    file = read_weight_file(path)
    model, config = build_from_file(file, replacements, assume)
    load_weight_file(model, file, check_order=config is not None)
    return model, config


def build_from_file(
    file: WeightFile,
    replacements: Mapping[str, str] | None = None,
    assume: Mapping[str, object] | None = None,
) -> tuple[keras.Model, Any]:
    """Build the model that a file tells, without its weights; as `load_model` otherwise.

    What had to be assumed of a weights-only file is said on standard error.
    """
    if assume and (file.own_config is not None or file.model_config is not None):
        raise InputError(
            f"{file.path} holds its own config: expected no assumed values beside it, got "
            f"{', '.join(assume)}"
        )
    if file.own_config is not None:
        config = parse_config(file.own_config, file.path)
        check_claim(config, file)
        return build_model(config), config
    if file.model_config is not None:
        model, notes = rebuild_model(file, replacements)
        for note in notes:
            print(f"warning: {file.path}: {note}", file=sys.stderr)
        return model, None
    found = infer_config(file, dict(assume or {}))
    untold = {name: v for name, v in found.assumed.items() if name not in (assume or {})}
    if untold:
        guesses = ", ".join(f"{name}={value}" for name, value in untold.items())
        print(f"warning: {file.path} does not tell {guesses}: assumed", file=sys.stderr)
    return build_model(found.config), found.config
