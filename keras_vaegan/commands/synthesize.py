"""A missing MRI contrast: `python -m keras_vaegan.synthesize --weights RUN --input CASE`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from keras_vaegan.commands.folders import check_samples
from keras_vaegan.commands.shell import CommandOptions, import_tensorflow, run
from keras_vaegan.errors import InputError


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
    import_tensorflow()
    from keras_vaegan.data.brats import find_scans, read_case
    from keras_vaegan.data.nifti import write_nifti
    from keras_vaegan.systems.modality.slices import list_inputs

    found = find_scans(options.input)
    check_output(options.output, list(found.values()))
    from keras_vaegan.systems.modality.synthesizer import (
        Synthesizer,
        choose_reference,
        restore_deviation,
        restore_volume,
    )

    synthesizer = Synthesizer.load(options.weights, options.precision)
    target = synthesizer.choose_target(set(found), options.target)
    case = read_case(options.input, list_inputs(target), percentiles=synthesizer.data.percentiles)
    image, deviation = synthesizer.synthesize(case, target, options.samples)
    reference = choose_reference(case, target)
    write_nifti(options.output, restore_volume(image, case, reference), reference.header)
    if deviation is not None:
        header = reference.header.copy()
        header.set_data_dtype("float32")
        header.set_slope_inter(1, 0)
        path = name_deviation(options.output)
        write_nifti(path, restore_deviation(deviation, reference), header)
    print(f"wrote {target} to {options.output}, in the range of {reference.path.name}")
    return 0


def check_output(output: Path, inputs: list[Path]) -> None:
    """Refuse an output that is no NIfTI name or that is one of the case's own files.

    Raises:
        InputError: it is.
    """
    if not output.name.lower().endswith((".nii.gz", ".nii")) or output.is_dir():
        raise InputError(f"--output {output}: expected a file name ending in .nii.gz or .nii")
    for path in (output, name_deviation(output)):
        if path.resolve() in [other.resolve() for other in inputs]:
            raise InputError(f"--output {path} is one of the inputs: choose another name")


def name_deviation(output: Path) -> Path:
    """NAME.nii.gz -> NAME_std.nii.gz."""
    suffix = output.name[len(output.name.lower().removesuffix(".gz").removesuffix(".nii")) :]
    return output.with_name(output.name.removesuffix(suffix) + "_std" + suffix)


main = partial(run, synthesize, prog="python -m keras_vaegan.synthesize")
