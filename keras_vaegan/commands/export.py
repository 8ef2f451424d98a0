"""Write a SavedModel: `python -m keras_vaegan.export --weights RUN --out DIR`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from keras_vaegan.commands.shell import CommandOptions, import_tensorflow, run
from keras_vaegan.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ExportOptions(CommandOptions):
    """Options of `export`."""

    weights: Path
    """Run folder, folder of published weight files, or one .h5 file."""
    out: Path
    """New folder."""
    format: Literal["savedmodel", "onnx", "tflite"] = "savedmodel"
    """Only savedmodel is written."""
    direction: Literal["mri2ct", "ct2mri"] | None = None
    """Which generator of a folder of CycleGAN weights to export."""
    tile: int = 256
    """Tile of an enlarging network in input pixels; 0 for the whole image at once."""
    training_data: str | None = None
    """What the network was trained on, for the model card."""


def export(options: ExportOptions) -> int:
    """Write a network as a TensorFlow SavedModel with its model card.

    The SavedModel needs TensorFlow alone. Resizing, alignment, normalisation and their inverse
    are inside.

    Raises:
        InputError: another format, bad weights, or an output folder that holds something.
    """
    if options.format != "savedmodel":
        raise InputError(
            f"--format {options.format} is not written: expected savedmodel; convert its folder "
            "with tf2onnx, or the TensorFlow Lite converter with its select operations"
        )
    import_tensorflow()
    from keras_vaegan.export.saved_model import MODEL_CARD, export_saved_model

    signatures = export_saved_model(
        options.weights, options.out, options.direction, options.tile, options.training_data
    )
    size = sum(path.stat().st_size for path in options.out.rglob("*") if path.is_file())
    print(f"wrote {options.out}: {size / 1e6:.1f} MB, signatures {', '.join(signatures)}")
    print(f"model card: {options.out / MODEL_CARD}")
    return 0


main = partial(run, export, prog="python -m keras_vaegan.export")
