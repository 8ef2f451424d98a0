"""Weight files: `python -m keras_vaegan.convert inspect FILE | keras SRC DST | esrgan SRC DST`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from keras_vaegan.commands.shell import CommandOptions, import_backend, read_pairs, run
from keras_vaegan.config.changes import parse_value
from keras_vaegan.errors import InputError

SUFFIXES = (".h5", ".keras")


@dataclass(frozen=True, kw_only=True)
class RewriteOptions(CommandOptions):
    """Options of `convert keras`."""

    replace: tuple[str, ...] = ()
    """What stands for a Lambda layer: LAYER=sampling or LAYER=scale:FACTOR,OFFSET; repeatable."""
    assume: tuple[str, ...] = ()
    """Field of the config that weights do not tell: groups=8, image_size=128; repeatable."""


NO_OPTIONS = CommandOptions()
NO_REWRITE_OPTIONS = RewriteOptions()


def inspect(file: Path, options: CommandOptions = NO_OPTIONS) -> int:
    """Say what a weight file is, what it holds, and what can be done with it.

    Args:
        file: Keras HDF5 file: weights only or full model.
        options: None of its own.

    Raises:
        InputError: it is no Keras HDF5 file, or is damaged.
    """
    import_backend()
    from keras_vaegan.interop.keras_h5.inspect import inspect_checkpoint

    print(inspect_checkpoint(file))
    return 0


def rewrite(source: Path, target: Path, options: RewriteOptions = NO_REWRITE_OPTIONS) -> int:
    """Rebuild the model of a weight file, and write it as .keras or as a legacy .h5.

    Args:
        source: Keras HDF5 file: weights only or full model.
        target: File to write: NAME.keras (model and weights) or NAME.h5 (published layout).
        options: What the file does not tell.

    Raises:
        InputError: bad source, target or options.
    """
    check_target(target)
    replacements = read_pairs(options.replace, "--replace", "LAYER=sampling")
    assume = read_pairs(options.assume, "--assume", "groups=8")
    import_backend()
    from keras_vaegan.interop.keras_h5.load import load_network

    fields = {name: parse_value(text) for name, text in assume.items()}
    network = load_network(source, replacements, fields)
    write_model(network.model, network.record, target)
    return 0


def convert_esrgan(source: Path, target: Path, options: CommandOptions = NO_OPTIONS) -> int:
    """Turn a PyTorch checkpoint of ESRGAN's RRDBNet into a Keras weight file.

    Args:
        source: PyTorch checkpoint (.pth) of ESRGAN, Real-ESRGAN or BasicSR.
        target: File to write: NAME.h5 (legacy layout, config inside) or NAME.keras.
        options: None of its own.

    Raises:
        InputError: bad source or target, or no PyTorch to read the source with.
    """
    check_target(target)
    import_backend()
    from keras_vaegan.interop.esrgan import load_esrgan

    model, config = load_esrgan(source)
    write_model(model, config, target)
    print(
        f"x{config.scale}, {config.channels} -> {config.generated_channels} channels, "
        f"{config.num_blocks} blocks of {config.num_features} features, growth "
        f"{config.growth_channels}"
    )
    return 0


def check_target(target: Path) -> None:
    """Refuse a name that tells no format.

    Raises:
        InputError: it does not end in .h5 or .keras.
    """
    if target.suffix not in SUFFIXES:
        raise InputError(f"{target}: expected a name ending in .keras or .h5")


def write_model(model: Any, config: Any, target: Path) -> None:
    """Write a model as legacy .h5 with its config, or as .keras, and say so."""
    from keras_vaegan.files import atomic_path
    from keras_vaegan.weights.legacy_h5 import save_legacy_h5

    if target.suffix == ".h5":
        save_legacy_h5(model, target, config)
    else:
        with atomic_path(target) as temporary:
            model.save(temporary)
    print(f"wrote {target}: {model.count_params():,} parameters")


ACTIONS: dict[str, Callable[..., int]] = {
    "inspect": inspect,
    "keras": rewrite,
    "esrgan": convert_esrgan,
}
main = partial(run, ACTIONS, prog="python -m keras_vaegan.convert")
