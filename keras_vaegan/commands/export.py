"""Write a network for other programs: `python -m keras_vaegan.export --weights RUN --out DIR`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from keras_vaegan.commands.shell import CommandOptions, hold_back_stderr, import_tensorflow, run
from keras_vaegan.errors import InputError
from keras_vaegan.files import check_new_folder


@dataclass(frozen=True, kw_only=True)
class ExportOptions(CommandOptions):
    """Options of `export`."""

    weights: Path
    """Run folder, folder of published weight files, or one .h5 file."""
    out: Path
    """New folder."""
    format: Literal["savedmodel", "onnx", "litert"] = "savedmodel"
    """savedmodel and onnx: any size, preparation inside; litert: the network alone."""
    quantize: Literal["float16", "int8", "int8_weights"] | None = None
    """litert: 16-bit weights (the default), 8-bit weights and features, or 8-bit weights alone."""
    data: Path | None = None
    """onnx, litert: images, or cases, to compare and calibrate with; phantoms without."""
    direction: Literal["mri2ct", "ct2mri"] | None = None
    """Which generator of a folder of CycleGAN weights to export."""
    tile: int = 256
    """Tile of an enlarging network in input pixels; 0 for the whole image at once."""
    training_data: str | None = None
    """What the network was trained on, for the model card."""


def export(options: ExportOptions) -> int:
    """Write a network as a SavedModel, ONNX or LiteRT file, with its model card.

    A SavedModel needs TensorFlow alone, an ONNX file no Python at all: resizing, alignment,
    normalisation and their inverse are inside. A LiteRT file holds the network for one size, and
    export.json beside it says how images are prepared. ONNX and LiteRT files are compared with
    Python, ONNX files that differ refused.

    Raises:
        InputError: options of another format, bad weights, an output folder that holds something,
            a missing package, or a file that differs from Python.
    """
    _check_options(options)
    check_new_folder(options.out)
    import_tensorflow()
    from keras_vaegan.export.model_card import MODEL_CARD

    write = _write_saved_model if options.format == "savedmodel" else _write_portable
    for line in write(options):
        print(line)
    print(f"model card: {options.out / MODEL_CARD}")
    return 0


def _check_options(options: ExportOptions) -> None:
    """Refuse options that a format has no use for."""
    if options.quantize and options.format != "litert":
        raise InputError(
            f"--quantize {options.quantize} with --format {options.format}: expected --format "
            "litert, whose files alone are quantized; drop one"
        )
    if options.data and options.format == "savedmodel":
        raise InputError(
            f"--data {options.data} with --format savedmodel: expected it with onnx or litert, "
            "which are compared with Python; drop it"
        )


def _write_saved_model(options: ExportOptions) -> list[str]:
    """Write a SavedModel; what to say of it."""
    from keras_vaegan.export.saved_model import export_saved_model

    signatures = export_saved_model(
        options.weights, options.out, options.direction, options.tile, options.training_data
    )
    size = sum(path.stat().st_size for path in options.out.rglob("*") if path.is_file())
    return [f"wrote {options.out}: {size / 1e6:.1f} MB, signatures {', '.join(signatures)}"]


def _write_portable(options: ExportOptions) -> list[str]:
    """Write ONNX or LiteRT files; what to say of them."""
    from keras_vaegan.export.portable import (
        RECORD,
        check_packages,
        describe_comparison,
        export_portable,
    )
    from keras_vaegan.export.saved_model import open_network

    check_packages(options.format)
    network = open_network(options.weights, options.direction, options.tile)
    with hold_back_stderr():  # the converters' logs
        record = export_portable(
            network,
            options.out,
            options.format,
            options.quantize or "float16",
            options.data,
            options.training_data,
        )
    lines = [
        f"wrote {options.out / file['file']}: {file['bytes'] / 1e6:.1f} MB; from Python "
        f"{describe_comparison(file)}"
        for file in record["files"]
    ]
    told = "how to prepare images" if record["preparation"] else "inputs and results"
    return [*lines, f"{told}: {options.out / RECORD}"]


main = partial(run, export, prog="python -m keras_vaegan.export")
