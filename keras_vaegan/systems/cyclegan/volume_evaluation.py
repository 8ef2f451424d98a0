"""Whole MRI volumes translated to CT and compared with the true CT, in Hounsfield units."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_vaegan.data.brats import GRID_TOLERANCE_MM
from keras_vaegan.data.dicom_series import is_dicom_folder
from keras_vaegan.data.folders import TEST_FOLDERS, find_image_root, spread
from keras_vaegan.data.nifti import SUFFIXES, list_nifti_files
from keras_vaegan.data.volume import Volume, measure_grid_distance, to_canonical
from keras_vaegan.data.volume_files import read_volume
from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.confidence import bootstrap_mean
from keras_vaegan.evaluation.metrics import summarise
from keras_vaegan.evaluation.pictures import draw_sample_grid
from keras_vaegan.evaluation.report.content import (
    Content,
    Distribution,
    Example,
    Examples,
    Table,
    Tile,
    choose_examples,
)
from keras_vaegan.evaluation.synthrad import RULES, evaluate_volume, find_body
from keras_vaegan.progress import show_progress
from keras_vaegan.systems.cyclegan.translator import Translator
from keras_vaegan.systems.cyclegan.volumes import find_limits, translate_volume
from keras_vaegan.systems.system import Evaluation, EvaluationOptions

MASK_FOLDER = "masks"
MEASURES = ("mae", "psnr", "ssim")
UNITS = {"mae": ("MAE [HU]", "{:.1f}"), "psnr": ("PSNR [dB]", "{:.2f}"), "ssim": ("SSIM", "{:.3f}")}
PUBLISHED = {  # of networks trained without pairs, on other paired adult brains
    "mae": "52.1 (CycleGAN), 45.1 (MaskGAN), other data",
    "psnr": "21.43 (CycleGAN), 22.45 (MaskGAN), other data",
}


@dataclass(frozen=True)
class VolumePair:
    """The files of one case: NIfTI files, or folders of a DICOM series.

    Attributes:
        name: What they are all called.
        ct: The true CT.
        mri: What is translated.
        mask: NIfTI file of the body, or None.
    """

    name: str
    ct: Path
    mri: Path
    mask: Path | None


def evaluate_volume_run(weights: Path, data: Path, options: EvaluationOptions) -> Evaluation:
    """Evaluate a folder of weights on volumes; as `System.evaluate`.

    Raises:
        InputError: as `evaluate_volumes`; or a super-resolution, which volumes have no use for.
    """
    if options.enhance is not None:
        raise InputError(
            f"--enhance given with --protocol {RULES.name}: expected it with images; drop it"
        )
    metrics, rows = evaluate_volumes(weights, data, options)
    figures = metrics["translation"]["ct"]
    summary = [
        f"ct: {UNITS[name][0]} "
        + " +- ".join(UNITS[name][1].format(figures[name][part]) for part in ("mean", "std"))
        for name in MEASURES
    ]
    pairs = {pair.name: pair for pair in find_volume_pairs(find_image_root(data))}
    translator = Translator.load(weights, "mri2ct")
    shown = [
        _show(translator, pairs[rows[i]["case"]], rank, rows[i])
        for rank, i in choose_examples([-row["mae"] for row in rows]).items()
    ]
    grid = draw_sample_grid(
        [list(example.pictures.values()) for example in shown], list(shown[0].pictures)
    )
    content = _describe(metrics, rows, shown)
    return Evaluation(metrics, rows, {"grid": grid}, summary, content)


def evaluate_volumes(
    weights: Path, data: Path, options: EvaluationOptions
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Translate every MRI volume of a test set to CT, and compare by the SynthRAD2023 protocol.

    Only this way: Hounsfield units exist for CT alone. A generated CT holds the run's `ct_window`
    and air, so what the true CT has beyond the window counts as an error.

    Args:
        weights: Run folder, folder of published names, or weight file of MRI to CT.
        data: Folder of testA (CT in HU) and testB (MRI), whose volumes of one name (NIfTI, or a
            folder of a DICOM series) share one grid; masks of the body may lie in `masks/` as
            NIfTI files of the same names, else `find_body` of the true CT is taken.
        options: Of these `limit` (cases) and `seed` (of the intervals) count.

    Returns:
        ({"protocol", "definitions", "data", "seed", "n_cases", "masks": {"given", "found"},
        "ct_range": [low, high] in HU that the network can draw, "translation": {"ct": {"mae" (HU),
        "psnr", "ssim": {"mean", "std", "interval"} each}}}, rows of {"case", "mae", "psnr",
        "ssim"}); intervals over cases, None where there is but one.

    Raises:
        InputError: no volumes, missing partners, other grids, or files that cannot be read.
    """
    cases = spread(find_volume_pairs(find_image_root(data)), options.limit)
    translator = Translator.load(weights, "mri2ct")
    rows = [evaluate_case(translator, case) for case in show_progress(cases, "volumes")]
    given = sum(case.mask is not None for case in cases)
    columns = {name: [row[name] for row in rows] for name in MEASURES}
    metrics = {
        "protocol": RULES.name,
        "definitions": dataclasses.asdict(RULES),
        "data": dataclasses.asdict(translator.data),
        "seed": options.seed,
        "n_cases": len(cases),
        "masks": {"given": given, "found": len(cases) - given},
        "ct_range": list(find_limits(np.empty(0), "ct", translator.data)),
        "translation": {
            "ct": {
                name: {**summarise(values), "interval": bootstrap_mean(values, seed=options.seed)}
                for name, values in columns.items()
            }
        },
    }
    return metrics, rows


def find_volume_pairs(root: Path) -> list[VolumePair]:
    """The volumes of testA and testB that share a name, by name.

    Raises:
        InputError: none, or some without a partner.
    """
    ct, mri = (_list_volumes(root / name) for name in TEST_FOLDERS)
    alone = sorted(ct.keys() ^ mri.keys())
    if alone or not ct:
        found = f"{len(alone)} without a partner, such as {alone[0]}" if alone else "none"
        raise InputError(
            f"volumes in {TEST_FOLDERS[0]} and {TEST_FOLDERS[1]} of {root}: {found}; expected CT "
            "and MRI volumes (NIfTI files or folders of DICOM series) of equal names; add the "
            "missing ones"
        )
    masks = _list_volumes(root / MASK_FOLDER)
    return [VolumePair(name, ct[name], mri[name], masks.get(name)) for name in sorted(ct)]


def evaluate_case(translator: Translator, case: VolumePair) -> dict[str, Any]:
    """One row: the case's name, MAE in HU, PSNR and SSIM of its translation.

    Raises:
        InputError: other grids, or files that cannot be used, by their name.
    """
    mri, ct = (_read(path) for path in (case.mri, case.ct))
    _check_grid(case.mri, mri, case.ct, ct)
    try:
        if case.mask is None:
            body = find_body(ct.values)
        else:
            mask = _read(case.mask)
            _check_grid(case.mask, mask, case.ct, ct)
            body = mask.values > 0
        made = translate_volume(translator, mri, "mri").values
        return {"case": case.name, **evaluate_volume(ct.values, made, body)}
    except InputError as error:
        told = any(str(path) in str(error) for path in (case.mri, case.ct, case.mask) if path)
        raise (error if told else InputError(f"case {case.name}: {error}")) from error


def _describe(metrics: dict[str, Any], rows: list[dict], shown: list[Example]) -> Content:
    """What the report says."""
    low, high = metrics["ct_range"]
    tiles = []
    for name, (title, form) in UNITS.items():
        part = metrics["translation"]["ct"][name]
        sure = part["interval"] and "95 %: " + " to ".join(map(form.format, part["interval"]))
        detail = sure or "one case: no interval"
        tiles.append(
            Tile(f"CT: {title}", form.format(part["mean"]), detail, PUBLISHED.get(name, ""))
        )
    cells = [
        [row["case"], *(form.format(row[name]) for name, (_, form) in UNITS.items())]
        for row in rows
    ]
    note = (
        f"SynthRAD2023: inside the body. The network draws {low:g} to {high:g} HU; what the true "
        "CT has beyond counts as an error."
    )
    masks = metrics["masks"]
    return Content(
        f"Translation of {len(rows)} volumes to CT",
        {"Volumes": str(len(rows)), "Masks": f"{masks['given']} given, {masks['found']} found"},
        tiles,
        sections=[
            Table("Synthetic CT against the true one", ["case", *(u[0] for u in UNITS.values())],
                  cells, note),
            Distribution("MAE of each case [HU]", {"ct": [row["mae"] for row in rows]}),
            Examples("Best, median and worst case by MAE", shown,
                     "The axial slice with the most of the body."),
        ],
    )  # fmt: skip


def _show(translator: Translator, case: VolumePair, rank: str, row: dict[str, Any]) -> Example:
    """The slice of a case that shows the most of its body, in the window of the network's CT."""
    mri, ct = (_read(path) for path in (case.mri, case.ct))
    made = translate_volume(translator, mri, "mri").values
    level = int(find_body(ct.values).sum(axis=(0, 1)).argmax())
    window = find_limits(np.empty(0), "ct", translator.data)
    limits = (find_limits(mri.values, "mri", translator.data), window, window)
    input_, generated, truth = (
        np.rot90(np.clip((values[..., level] - low) / (high - low), 0, 1))
        for values, (low, high) in zip((mri.values, made, ct.values), limits, strict=True)
    )
    return Example(
        rank, f"{row['case']}: {row['mae']:.1f} HU, {row['psnr']:.2f} dB, {row['ssim']:.3f}",
        {"input": input_, "translation": generated, "truth": truth},
        np.abs(generated - truth), error_of="|translation - truth|, in the network's window",
    )  # fmt: skip


def _list_volumes(folder: Path) -> dict[str, Path]:
    """NIfTI files and folders of DICOM series of a folder, by name without suffix."""
    if not folder.is_dir():
        return {}
    series = [path for path in sorted(folder.iterdir()) if is_dicom_folder(path)]
    volumes: dict[str, Path] = {}
    for path in [*list_nifti_files(folder), *series]:
        suffix = next((s for s in SUFFIXES if path.name.lower().endswith(s)), "")
        other = volumes.setdefault(path.name[: len(path.name) - len(suffix)], path)
        if other != path:
            raise InputError(f"{other} and {path.name}: expected one volume a name; remove one")
    return volumes


def _read(path: Path) -> Volume:
    """A volume whose axes run right, front and up."""
    return to_canonical(read_volume(path).volume)


def _check_grid(path: Path, volume: Volume, reference_path: Path, reference: Volume) -> None:
    """Refuse a volume of another shape or place than the true CT."""
    shapes = ["x".join(map(str, part.values.shape)) for part in (volume, reference)]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"{path} has {shapes[0]} voxels (right, front, up): expected {shapes[1]} as "
            f"{reference_path}; resample it"
        )
    distance = measure_grid_distance(reference, volume)
    if distance > GRID_TOLERANCE_MM:
        raise InputError(
            f"{path} lies up to {distance:.3g} mm off {reference_path}: expected one grid within "
            f"{GRID_TOLERANCE_MM} mm; register and resample it"
        )
