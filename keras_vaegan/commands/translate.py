"""Translate images or volumes: `keras-vaegan translate --weights RUN --input IN --output OUT`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from keras_vaegan.commands.folders import check_samples, plan_jobs, run_jobs
from keras_vaegan.commands.shell import CommandOptions, import_backend, run
from keras_vaegan.commands.volumes import (
    name_beside,
    plan_volumes,
    refuse_with_images,
    run_volumes,
    warn_of_series,
)
from keras_vaegan.errors import InputError
from keras_vaegan.systems.registry import open_predictor

if TYPE_CHECKING:
    import numpy as np

    from keras_vaegan.data.volume_files import Derivation, StoredVolume
    from keras_vaegan.systems.cyclegan.translator import Translator
    from keras_vaegan.systems.cyclegan.volumes import VolumeTranslation


@dataclass(frozen=True, kw_only=True)
class TranslateOptions(CommandOptions):
    """Options of `translate`."""

    weights: Path
    """Run folder, folder of published weight files, or one .h5 file."""
    input: Path
    """Image (PNG, JPEG, TIFF, BMP) or folder of images; NIfTI file or folder of them; folder of a
    DICOM series."""
    output: Path
    """File for a file, folder for a folder; NIfTI file or new folder for a DICOM series."""
    direction: Literal["mri2ct", "ct2mri"] | None = None
    """Which generator of a folder of weights to use."""
    samples: int = 0
    """Latent samples to average; also writes the deviation, of a calibrated run as --deviation."""
    deviation: bool = False
    """Also write how large an error to expect where (`calibrate` first), and a picture of it."""
    enhance: Path | None = None
    """RRDBNet weight file: the translation is enlarged by it, 4 times with the published one."""
    resize_back: bool = False
    """With --enhance: bring the result back to the input's size."""
    range: tuple[float, float] | None = None
    """Values of a volume that become black and white, in place of the run's CT window or MRI
    percentiles: for an MRI without scalp, whose brain would be far too bright, the second should
    be some 2.5 times the brain's."""
    series: str | None = None
    """SeriesInstanceUID, of a DICOM folder of several."""
    anonymize: bool = False
    """Leave out of a derived DICOM series or NIfTI file what tells the patient and the study."""


def translate(options: TranslateOptions) -> int:
    """Translate images, whose size and bit depth stay, or volumes, whose grid stays.

    Volumes go axial slice by slice, whatever the order of their axes. CT is taken and given in
    Hounsfield units, generated MRI runs from 0 to 1000. Unreadable images are named and skipped
    where at least 90 % of the folder is readable.

    Raises:
        InputError: bad weights, input or output, or too many unreadable images.
    """
    check_samples(options.samples)
    if options.resize_back and options.enhance is None:
        raise InputError("--resize-back without --enhance: expected both; add --enhance RRDB.h5")
    jobs = plan_volumes(options.input, options.output)
    if jobs is not None:
        return _translate_volumes(options, jobs)
    refuse_with_images(
        {"--range": options.range, "--series": options.series, "--anonymize": options.anonymize}
    )
    if options.samples or options.deviation:
        _check_deviation_names(options.input, options.output)

    def load() -> Callable:
        translator, samples = _open(options)
        enhancer = open_predictor("enhance", options.enhance) if options.enhance else None
        inspect = _make_inspection(options, translator, ratios)

        return lambda image: translator.translate(
            image, samples, enhancer, options.resize_back, inspect
        )

    ratios: list[float] = []
    done, total = run_jobs(options.input, options.output, load, write_answer)
    _warn_of_foreign(options.input, ratios)
    print(f"translated {done} of {total} images to {options.output}")
    return 0


def _open(options: TranslateOptions) -> tuple[Translator, int]:
    """Load the translator, with its error map where a deviation is asked for, and the samples: as
    many as that map was learnt with, where no number is given."""
    import_backend()
    from keras_vaegan.evaluation.uncertainty import read_calibration

    translator = open_predictor("translate", options.weights, direction=options.direction)
    translator.check_samples(options.samples)
    if options.deviation or options.samples:
        translator.error_map = read_calibration(options.weights, translator.direction)
    if options.deviation and translator.error_map is None and not options.samples:
        raise InputError(
            f"--deviation with {options.weights}, which was never calibrated: expected --samples "
            "too, or a run that `calibrate` was run on; add --samples 8"
        )
    if options.deviation and translator.error_map and translator.latent:
        return translator, options.samples or translator.error_map.samples
    return translator, options.samples


def _translate_volumes(options: TranslateOptions, jobs: list[tuple[Path, Path]]) -> int:
    """Translate NIfTI files or a DICOM series."""
    if options.range is not None and not options.range[0] < options.range[1]:
        raise InputError(f"--range {options.range}: expected two rising values, such as 0 1200")
    if options.enhance is not None:
        raise InputError(
            "--enhance with a volume: expected images; translate first, then run `enhance` on "
            "the result"
        )
    if options.samples or options.deviation:
        _check_volume_names(jobs)

    def load() -> Callable:
        translator, samples = _open(options)
        if translator.direction is None:
            raise InputError(
                f"{options.weights} tells no direction: expected --direction mri2ct or ct2mri for "
                "a volume, whose unit depends on it; add it"
            )
        return partial(_translate_volume, options, translator, samples)

    run_volumes(jobs, options.series, load)
    return 0


def _translate_volume(
    options: TranslateOptions,
    translator: Translator,
    samples: int,
    stored: StoredVolume,
    target: Path,
) -> None:
    """Translate one volume and write what belongs to it."""
    from keras_vaegan.data.volume_files import write_like
    from keras_vaegan.progress import show_progress
    from keras_vaegan.systems.cyclegan.derivation import MODALITIES, describe_translation
    from keras_vaegan.systems.cyclegan.volumes import translate_volume
    from keras_vaegan.weights.manifest import digest_weights

    assert translator.direction is not None
    domain = translator.direction[: translator.direction.index("2")]
    warn_of_series(stored, MODALITIES[domain])
    result = translate_volume(
        translator,
        stored.volume,
        domain,
        samples,
        limits=options.range,
        progress=show_progress,
    )
    digest = digest_weights(options.weights, translator.direction)
    made = describe_translation(translator, domain, digest, options.anonymize)
    write_like(target, result.values, stored, made)
    if result.deviation is not None:
        _write_deviation(target, result, stored, made, translator.error_map is not None)
    flicker = result.figures["flicker"]
    told = "not measured" if flicker is None else f"{flicker:.2f} times the input's"
    print(f"translated {stored.path} to {target}: variation from slice to slice {told}")
    ratios: list[float] = []
    inspect = _make_inspection(options, translator, ratios)
    if inspect is not None and result.squares is not None:
        inspect(result.squares)
    _warn_of_foreign(stored.path, ratios)


def _write_deviation(
    target: Path,
    result: VolumeTranslation,
    stored: StoredVolume,
    made: Derivation,
    calibrated: bool,
) -> None:
    """Write a volume's deviation beside its translation, and a picture of both."""
    from keras_vaegan.data.image import write_image
    from keras_vaegan.data.planes import cut_middle
    from keras_vaegan.data.volume import Volume
    from keras_vaegan.data.volume_files import write_like
    from keras_vaegan.evaluation.overlay import draw_uncertainty
    from keras_vaegan.systems.cyclegan.derivation import describe_deviation

    assert result.deviation is not None
    deviation = result.deviation
    write_like(name_beside(target, "std"), deviation, stored, describe_deviation(made, calibrated))
    panels = [
        (picture, spread, aspect)
        for (picture, aspect), (spread, _) in zip(
            *(cut_middle(Volume(v, stored.volume.affine)) for v in (result.values, deviation)),
            strict=True,
        )
    ]
    unit = "HU" if made.modality == "CT" else "of 1000"
    level, width = made.window or (500.0, 1000.0)  # of generated MRI, all of its range
    picture = draw_uncertainty(panels, unit, (level - width / 2, level + width / 2))
    write_image(name_beside(target, "std", ".png"), picture)


def _make_inspection(
    options: TranslateOptions, translator: Translator, ratios: list[float]
) -> Callable[[np.ndarray], None] | None:
    """A function that adds to `ratios` how unlike the training images squares are; None where
    neither the run nor the direction tells."""
    from keras_vaegan.evaluation.domain import read_statistics

    if translator.direction is None:
        return None
    statistics = read_statistics(options.weights, translator.direction.split("2")[0])
    if statistics is None:
        return None
    return lambda squares: ratios.extend(statistics.measure(squares).tolist())


def _warn_of_foreign(source: Path, ratios: list[float]) -> None:
    """Warn of an input much of which is unlike what the network was trained on."""
    from keras_vaegan.evaluation.domain import find_foreign_share

    share = find_foreign_share(ratios)
    if share:
        print(
            f"warning: {source}: {share:.0%} of it is unlike what the network was trained on; "
            "check --direction, the input and, of a volume, its intensities (--range)",
            file=sys.stderr,
            flush=True,
        )


def _check_deviation_names(source: Path, destination: Path) -> None:
    """Refuse two outputs of one name, where a.png and a.jpg would both write a_std.tiff."""
    outputs: dict[Path, Path] = {}
    for path, target in plan_jobs(source, destination):
        for output in (target, _name_deviation(target), _name_picture(target)):
            other = outputs.setdefault(output, path)
            if other != path:
                raise InputError(
                    f"{other} and {path} would both write {output}: expected names that differ; "
                    "rename one"
                )


def _check_volume_names(jobs: list[tuple[Path, Path]]) -> None:
    """Refuse outputs of one name, an output that is an input, and a deviation's folder in use."""
    from keras_vaegan.data.volume_files import is_nifti_name
    from keras_vaegan.files import check_new_folder

    inputs = {path.resolve() for path, _ in jobs}
    owners: dict[Path, Path] = {}
    for path, target in jobs:
        deviation, picture = name_beside(target, "std"), name_beside(target, "std", ".png")
        if not is_nifti_name(deviation):
            check_new_folder(deviation)
        for file in (picture, *((deviation,) if is_nifti_name(deviation) else ())):
            if file.is_dir():
                raise InputError(f"{file} is a folder: expected a file's place; rename it")
        for output in (target, deviation, picture):
            other = owners.setdefault(output, path)
            if other != path:
                raise InputError(
                    f"{other} and {path} would both write {output}: expected names that differ; "
                    "rename one"
                )
            if output.resolve() in inputs:
                raise InputError(
                    f"{path} would write {output}, which is an input: expected another --output; "
                    "choose another"
                )


def _name_deviation(target: Path) -> Path:
    """Where the deviation of a translation's samples goes."""
    return target.with_name(f"{target.stem}_std.tiff")


def _name_picture(target: Path) -> Path:
    """Where the picture of it goes."""
    return target.with_name(f"{target.stem}_std.png")


def write_answer(destination: Path, translation: Any, deviation: Any = None) -> None:
    """Write a translation, and its samples' deviation: NAME_std.tiff (float32, [0, 1] scale), and
    as a picture NAME_std.png.

    Raises:
        InputError: a file cannot be written.
    """
    from keras_vaegan.data.image import write_image

    write_image(destination, translation)
    if deviation is None:
        return
    from keras_vaegan.evaluation.overlay import draw_uncertainty

    write_image(_name_deviation(destination), deviation)
    gray = translation if translation.ndim == 2 else translation.mean(axis=-1)
    factor = gray.shape[0] // deviation.shape[0]
    panel = (gray[::factor, ::factor], deviation, 1.0)
    write_image(_name_picture(destination), draw_uncertainty([panel], "of 1"))


main = partial(run, translate, prog="python -m keras_vaegan.translate")
