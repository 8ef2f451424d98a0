"""Weight files: `python -m keras_vaegan.convert inspect FILE | keras SRC DST | esrgan SRC DST`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tyro

from keras_vaegan.commands import shell
from keras_vaegan.errors import InputError

SUFFIXES = (".h5", ".keras")


@dataclass(frozen=True)
class InspectArguments:
    """Say what a weight file is, what it holds, and what can be done with it."""

    file: tyro.conf.Positional[Path]
    """Keras HDF5 file: weights only or full model."""


@dataclass(frozen=True)
class KerasArguments:
    """Rebuild the model of a weight file, and write it as .keras or as a legacy .h5."""

    source: tyro.conf.Positional[Path]
    """Keras HDF5 file: weights only or full model."""
    target: tyro.conf.Positional[Path]
    """File to write: NAME.keras (model and weights) or NAME.h5 (published weight layout)."""
    replace: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """What stands for a Lambda layer: LAYER=sampling or LAYER=scale:FACTOR,OFFSET; repeatable."""
    assume: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Field of the config that weights do not tell: groups=8, image_size=128; repeatable."""


@dataclass(frozen=True)
class EsrganArguments:
    """Turn a PyTorch checkpoint of ESRGAN's RRDBNet into a Keras weight file."""

    source: tyro.conf.Positional[Path]
    """PyTorch checkpoint (.pth) of ESRGAN, Real-ESRGAN or BasicSR."""
    target: tyro.conf.Positional[Path]
    """File to write: NAME.h5 (legacy layout, config inside) or NAME.keras."""


def main(argv: list[str] | None = None) -> int:
    """Run the command. Returns the exit status."""
    argv = sys.argv[1:] if argv is None else list(argv)
    prog = "python -m keras_vaegan.convert"
    if argv and argv[0] in COMMANDS:
        return shell.run(COMMANDS[argv[0]], argv[1:], prog=f"{prog} {argv[0]}")
    if argv and argv[0] in ("-h", "--help"):
        print(f"usage: {prog} {{{','.join(COMMANDS)}}} ...\n")
        for name, function in COMMANDS.items():
            print(f"  {name:<8} {function.__doc__.splitlines()[0]}")
        print(f"\n`{prog} NAME --help` lists its arguments.")
        return 0
    received = f"unknown action {argv[0]!r}" if argv else "no action given"
    shell.fail(f"{received}: expected {' or '.join(COMMANDS)}; run `{prog} --help`")


def inspect(arguments: InspectArguments) -> int:
    """Print format, layers and totals of a weight file, and what can be done with it.

    Raises:
        InputError: it is no Keras HDF5 file, or is damaged.
    """
    from keras_vaegan.interop.keras_h5.inspect import inspect_checkpoint

    print(inspect_checkpoint(arguments.file))
    return 0


def rewrite(arguments: KerasArguments) -> int:
    """Write a weight file's rebuilt model as .keras or legacy .h5.

    Raises:
        InputError: bad source, target or options.
    """
    check_target(arguments.target)
    replacements = _read_pairs(arguments.replace, "--replace", "LAYER=sampling")
    assume = _read_pairs(arguments.assume, "--assume", "groups=8")
    from keras_vaegan.interop.keras_h5.load import load_model

    fields = {name: _read_value(text) for name, text in assume.items()}
    write_model(*load_model(arguments.source, replacements, fields), arguments.target)
    return 0


def convert_esrgan(arguments: EsrganArguments) -> int:
    """Write the RRDBNet of a PyTorch checkpoint as legacy .h5 or .keras.

    Raises:
        InputError: bad source or target, or no PyTorch to read the source with.
    """
    check_target(arguments.target)
    from keras_vaegan.interop.esrgan import load_esrgan

    model, config = load_esrgan(arguments.source)
    write_model(model, config, arguments.target)
    print(
        f"x{config.scale}, {config.channels} -> {config.made_channels} channels, "
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


def write_model(model, config, target: Path) -> None:
    """Write a model as legacy .h5 with its config, or as .keras, and say so."""
    from keras_vaegan.files import atomic_path
    from keras_vaegan.weights.legacy_h5 import save_legacy_h5

    if target.suffix == ".h5":
        save_legacy_h5(model, target, config)
    else:
        with atomic_path(target) as temporary:
            model.save(temporary)
    print(f"wrote {target}: {model.count_params():,} parameters")


COMMANDS: dict[str, Callable] = {
    "inspect": inspect,
    "keras": rewrite,
    "esrgan": convert_esrgan,
}


def _read_value(text: str) -> object:
    """A field's value: a number, numbers with commas, true, false or a word."""
    if "," in text:
        return tuple(_read_value(part) for part in text.strip("()").split(",") if part)
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    return int(text) if text.lstrip("-").isdigit() else text


def _read_pairs(items: tuple[str, ...], option: str, example: str) -> dict[str, str]:
    """NAME=VALUE items as a dict."""
    pairs = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not (name and equals and value):
            raise InputError(f"{option} {item!r}: expected NAME=VALUE, such as {example}")
        pairs[name] = value
    return pairs


if __name__ == "__main__":
    raise SystemExit(main())
