"""An input through a network, and the files that come of it."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from keras_vaegan.app.networks import Network
from keras_vaegan.app.sources import Source
from keras_vaegan.app.views import Layer, Views
from keras_vaegan.data import image as images
from keras_vaegan.data.planes import cut_axial
from keras_vaegan.data.volume import Volume
from keras_vaegan.data.volume_files import is_nifti_name, write_like
from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.domain import find_foreign_share
from keras_vaegan.evaluation.overlay import TOP_PERCENTILE
from keras_vaegan.systems.cyclegan import volumes
from keras_vaegan.systems.cyclegan.config import OTHER
from keras_vaegan.systems.cyclegan.derivation import (
    MODALITIES,
    describe_deviation,
    describe_translation,
)

ENHANCED_SIDE = 4096
CT_WINDOW = (40.0, 80.0)  # by which a CT is shown before a network is chosen
SHOWN_PERCENTILES = (0.5, 99.5)
VALUES_LOOKED_AT = 200_000
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Request:
    """How an input shall be translated.

    Attributes:
        network: The generator.
        samples: Latents to draw, 0 or at least 2.
        enhancer: Enlarges an image's translation; None leaves it.
        anonymize: Leave out of a volume's file what tells the patient and the study.
    """

    network: Network
    samples: int = 0
    enhancer: Any = None
    anonymize: bool = False


@dataclass(frozen=True)
class Answer:
    """A translation.

    Attributes:
        views: Input, translation and deviation to look at.
        names: What input and translation are.
        top: The deviation that is drawn brightest, with its unit; empty without a deviation.
        meaning: What kind of deviation it is.
        file: The translation in the input's format.
        deviation_file: The deviation in the same, of an image as TIFF; or None.
        warnings: What the user must be told.
        notes: What the user may be told.
    """

    views: Views
    names: tuple[str, str]
    top: str
    meaning: str
    file: Path
    deviation_file: Path | None
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


def preview(source: Source) -> Views:
    """An input to look at before it is translated."""
    if source.image is not None:
        return Views(_show_image(source.image, images.find_limits(source.image)))
    assert source.stored is not None
    slices = cut_axial(source.stored.volume)
    if source.domain == "ct":
        low, high = CT_WINDOW[0] - CT_WINDOW[1] / 2, CT_WINDOW[0] + CT_WINDOW[1] / 2
    else:
        low, high = np.percentile(_thin(source.stored.volume.values), SHOWN_PERCENTILES)
    layer = Layer(slices.pictures, float(low), float(high))
    return Views(layer, aspect=slices.spacing[0] / slices.spacing[1])


def translate(
    source: Source, request: Request, folder: Path, report: Report = lambda done, total: None
) -> Answer:
    """Translate an input and write the result as the command `translate` does.

    Args:
        source: The input.
        request: How.
        folder: Where the files go.
        report: Called with how many batches of a volume are done, and of how many; it may raise.

    Raises:
        InputError: samples of a network without a latent, an enhanced volume, an image too small
            or too large, or a volume without contrast.
    """
    if request.samples < 0 or request.samples == 1:
        raise InputError(f"{request.samples} samples: expected 0, or at least 2; choose again")
    if source.image is not None:
        return _translate_image(source, request, folder)
    if request.enhancer is not None:
        raise InputError("enhancement of a volume: expected an image; switch it off")
    return _translate_volume(source, request, folder, report)


def _translate_image(source: Source, request: Request, folder: Path) -> Answer:
    """Translate an image; its size and bit depth stay."""
    assert source.image is not None
    image, network, enhancer = source.image, request.network, request.enhancer
    if enhancer is not None and max(image.shape[:2]) * enhancer.scale > ENHANCED_SIDE:
        raise InputError(
            f"an image of {image.shape[1]}x{image.shape[0]} to be enlarged {enhancer.scale} times: "
            f"expected at most {ENHANCED_SIDE} pixels a side after it; switch enhancement off"
        )
    ratios: list[float] = []
    statistics = network.statistics

    def inspect(squares: np.ndarray) -> None:
        if statistics is not None:
            ratios.extend(statistics.measure(squares).tolist())

    made, deviation = network.translator.translate(
        image, request.samples, enhancer, inspect=inspect
    )
    file = folder / _name_result(source, network)
    images.write_image(file, made)
    limits = images.find_limits(image)
    views = Views(_show_image(image, limits), _show_image(made, limits))
    warnings = tuple(_tell_foreign(ratios, "image"))
    names = _name_pictures(network)
    if deviation is None:
        return Answer(views, names, "", "", file, None, warnings, ())
    spread = _show_spread(deviation[None])
    deviation_file = file.with_name(f"{file.stem}_std.tiff")
    images.write_image(deviation_file, deviation)
    top = f"{_round(100 * spread.white)} % of the gray scale"
    views = Views(views.source, views.generated, spread)
    meaning = _tell_meaning(request)
    return Answer(views, names, top, meaning, file, deviation_file, warnings, ())


def _translate_volume(source: Source, request: Request, folder: Path, report: Report) -> Answer:
    """Translate a volume; its grid stays."""
    assert source.stored is not None
    stored, network = source.stored, request.network
    translator, to = network.translator, OTHER[network.domain]
    result = volumes.translate_volume(
        translator,
        stored.volume,
        network.domain,
        request.samples,
        progress=partial(_count, report),
    )
    made = describe_translation(translator, network.domain, network.digest, request.anonymize)
    file = folder / _name_result(source, network)
    _write_volume(file, result.values, source, made)
    level, width = made.window or (volumes.MRI_SCALE / 2, volumes.MRI_SCALE)
    affine = stored.volume.affine
    slices = cut_axial(stored.volume)
    shown = Layer(
        slices.pictures, *volumes.find_limits(stored.volume.values, network.domain, translator.data)
    )
    generated = Layer(
        cut_axial(Volume(result.values, affine)).pictures, level - width / 2, level + width / 2
    )
    spread, top, deviation_file = None, "", None
    if result.deviation is not None:
        spread = _show_spread(cut_axial(Volume(result.deviation, affine)).pictures)
        top = f"{_round(spread.white)} {'HU' if to == 'ct' else 'of 1000'}"
        deviation_file = folder / _name_result(source, network, "_std")
        derivation = describe_deviation(made, translator.error_map is not None)
        _write_volume(deviation_file, result.deviation, source, derivation)
    views = Views(shown, generated, spread, slices.spacing[0] / slices.spacing[1])
    ratios: list[float] = []
    if network.statistics is not None and result.squares is not None:
        ratios = network.statistics.measure(result.squares).tolist()
    warnings = (*_tell_modality(source, network), *_tell_foreign(ratios, "volume"))
    notes, names = tuple(_tell_flicker(result)), _name_pictures(network)
    meaning = _tell_meaning(request)
    return Answer(views, names, top, meaning, file, deviation_file, warnings, notes)


def _count(report: Report, batches: Iterator, what: str, total: int) -> Iterator:
    """Yield the batches, and report each before it is done."""
    for done, batch in enumerate(batches):
        report(done, total)
        yield batch


def _name_pictures(network: Network) -> tuple[str, str]:
    """What is seen of the input and of its translation."""
    return network.domain.upper(), f"Synthetic {OTHER[network.domain].upper()}"


def _name_result(source: Source, network: Network, ending: str = "") -> str:
    """scan.nii.gz -> scan_synthetic_ct.nii.gz."""
    path = source.path
    stem, suffix = path.stem, path.suffix
    if is_nifti_name(path):
        stem = path.name[: path.name.lower().rindex(".nii")]
        suffix = path.name[len(stem) :]
    elif source.image is None:
        suffix = ".zip"
    elif suffix.lower() not in images.SUFFIXES:
        suffix = ".tiff" if source.image.dtype.kind == "f" else ".png"
    return f"{stem}_synthetic_{OTHER[network.domain]}{ending}{suffix}"


def _write_volume(file: Path, values: np.ndarray, source: Source, made: Any) -> None:
    """Write a NIfTI file, or a series into a zip."""
    assert source.stored is not None
    if is_nifti_name(file):
        write_like(file, values, source.stored, made)
        return
    folder = file.with_suffix("")
    shutil.rmtree(folder, ignore_errors=True)
    write_like(folder, values, source.stored, made)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, f"{folder.name}/{path.name}")
    shutil.rmtree(folder)


def _show_image(image: np.ndarray, limits: tuple[float, float]) -> Layer:
    """An image as one picture."""
    picture = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
    return Layer(picture[None], *limits)


def _show_spread(pictures: np.ndarray) -> Layer:
    """Deviations, nearly the largest white."""
    top = float(np.percentile(_thin(pictures), TOP_PERCENTILE)) or float(pictures.max())
    return Layer(pictures, 0.0, top or 1.0)


def _round(value: float) -> str:
    """Two digits, or all before the point."""
    return f"{value:.{0 if value >= 10 else 1}f}"


def _thin(values: np.ndarray) -> np.ndarray:
    """Enough of an array's values for percentiles."""
    return values.reshape(-1)[:: max(1, values.size // VALUES_LOOKED_AT)]


def _tell_foreign(ratios: list[float], what: str) -> Iterator[str]:
    """Whether an input is unlike what the network was trained on."""
    share = find_foreign_share(ratios)
    if share and what == "image":
        yield (
            "This image is unlike what the network was trained on: do not trust the result. "
            "Is the direction right?"
        )
    elif share:
        yield (
            f"{share:.0%} of this volume is unlike what the network was trained on: do not trust "
            "the result. Is the direction right?"
        )


def _tell_meaning(request: Request) -> str:
    """What the deviation of a translation is."""
    if request.network.translator.error_map is not None:
        return "Standard deviation of the error to expect, as learnt on pairs."
    return (
        f"Standard deviation of {request.samples} drawn translations. It shows where the network "
        "wavers, not how wrong it is."
    )


def _tell_modality(source: Source, network: Network) -> Iterator[str]:
    """Whether a series calls itself something else than the network takes."""
    assert source.stored is not None
    told, expected = source.stored.modality, MODALITIES[network.domain]
    if told and told != expected:
        yield f"The series says it is {told}, this direction takes {expected}."


def _tell_flicker(result: volumes.VolumeTranslation) -> Iterator[str]:
    """How smooth a volume is along the body."""
    flicker = result.figures.get("flicker")
    if flicker is not None:
        yield f"Variation from slice to slice: {flicker:.2f} times the input's."
