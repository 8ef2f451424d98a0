"""A missing MRI contrast: `python -m keras_vaegan.synthesize --weights RUN --input CASE`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from keras_vaegan.commands.folders import check_samples
from keras_vaegan.commands.shell import CommandOptions, import_backend, run
from keras_vaegan.systems.registry import open_predictor


@dataclass(frozen=True, kw_only=True)
class SynthesizeOptions(CommandOptions):
    """Options of `synthesize`."""

    weights: Path
    """Run folder, or its modality_unet_weights.h5."""
    input: Path
    """Case folder with a NIfTI file a contrast, named as BraTS names them."""
    output: Path
    """File to write (.nii.gz or .nii), in the grid and header of the closest input."""
    target: Literal["flair", "t1", "t1ce", "t2"] | None = None
    """Contrast to generate; by default the one that the weights generate, or what is missing."""
    samples: int = 0
    """Latent samples to average; also writes their deviation as NAME_std.nii.gz."""
    precision: Literal["auto", "float32", "mixed_bfloat16"] = "auto"
    """Numeric precision; auto picks bfloat16 where the hardware has it."""


def synthesize(options: SynthesizeOptions) -> int:
    """Generate the contrast that a case lacks from its other three; NIfTI in, NIfTI out.

    A file of the target in the folder is not looked at.

    Raises:
        InputError: bad weights, case or output.
    """
    check_samples(options.samples)
    import_backend()
    synthesizer = open_predictor("synthesize", options.weights, precision=options.precision)
    target, reference = synthesizer.synthesize_folder(
        options.input, options.output, options.target, options.samples
    )
    print(f"wrote {target} to {options.output}, in the range of {reference.name}")
    return 0


main = partial(run, synthesize, prog="python -m keras_vaegan.synthesize")
