"""MRI volumes translated and compared with the true CT by the SynthRAD2023 protocol."""

from __future__ import annotations

import dataclasses
import json
import shutil

import nibabel
import numpy as np
import pytest

from keras_vaegan.data.volume import Volume
from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.synthrad import evaluate_volume
from keras_vaegan.models.build import build_model
from keras_vaegan.systems.cyclegan import volume_evaluation
from keras_vaegan.systems.cyclegan.translator import Translator
from keras_vaegan.systems.cyclegan.volume_evaluation import (
    evaluate_volume_run,
    evaluate_volumes,
    find_volume_pairs,
)
from keras_vaegan.systems.cyclegan.volumes import translate_volume
from keras_vaegan.systems.system import EvaluationOptions
from keras_vaegan.weights.legacy_h5 import save_legacy_h5
from keras_vaegan.weights.record import WeightsRecord

AXES = (-1, 1, 1)
OPTIONS = EvaluationOptions(protocol="synthrad2023")


@pytest.fixture(scope="module")
def weights(tmp_path_factory, tiny):
    """A tiny generator of CT that draws bone, air and what lies between."""
    folder = tmp_path_factory.mktemp("run")
    data = dataclasses.replace(tiny.RESNET.data, align="none", ct_window=(500.0, 2000.0))
    record = WeightsRecord(tiny.RESNET.generator, data)
    save_legacy_h5(build_model(tiny.RESNET.generator), folder / "g_target_weights.h5", record)
    return folder


@pytest.fixture(scope="module")
def translator(weights):
    """It, loaded once."""
    return Translator.load(weights, "mri2ct")


@pytest.fixture(scope="module")
def truths(translator, volumes):
    """By case: an MRI and the CT that the network makes of it, right, front and up."""
    pairs = {}
    for seed, name in enumerate(("ann", "bob", "cid")):
        mri = (volumes.draw_head((32, 36, 9), seed=seed) * 700).astype("int16")
        pairs[name] = mri, translate_volume(translator, volumes.store(mri), "mri").values
    return pairs


@pytest.fixture
def data(truths, volumes, tmp_path):
    """Three cases, stored in several ways; what is true of the last two is 100 HU off."""
    for folder in ("testA", "testB", "masks"):
        (tmp_path / folder).mkdir()
    for name, (mri, ct) in truths.items():
        wrong = ct if name == "ann" else ct + 100
        save(volumes.store(mri), tmp_path / "testB" / f"{name}.nii.gz")
        save(volumes.store(wrong, (1, 2, 0), AXES), tmp_path / "testA" / f"{name}.nii")
    shape = truths["bob"][0].shape
    save(volumes.store(np.ones(shape, "uint8")), tmp_path / "masks" / "bob.nii.gz")
    return tmp_path


@pytest.fixture
def run(weights, translator, monkeypatch):
    """Evaluate without loading the network anew."""
    monkeypatch.setattr(volume_evaluation.Translator, "load", lambda *_: translator)
    return lambda data, options=OPTIONS: evaluate_volumes(weights, data, options)


def save(volume, path):
    nibabel.save(nibabel.Nifti1Image(volume.values, volume.affine), path)


def test_figures_are_those_of_the_volumes_whatever_their_order_of_axes(run, data, truths):
    metrics, rows = run(data)
    assert [row["case"] for row in rows] == ["ann", "bob", "cid"]
    assert rows[0] == {"case": "ann", "mae": 0, "psnr": 100, "ssim": pytest.approx(1)}
    ct = truths["bob"][1]
    expected = evaluate_volume(ct + 100, ct, np.ones(ct.shape, bool))
    assert rows[1] == {"case": "bob", **expected} and expected["mae"] == 100
    assert rows[2]["mae"] == 100 and rows[2]["psnr"] == pytest.approx(20 * np.log10(40.24))
    told = json.loads(json.dumps(metrics, allow_nan=False))
    assert told["n_cases"] == 3 and told["masks"] == {"given": 1, "found": 2}
    assert told["ct_range"] == [-500, 1500] and told["definitions"]["data_range"] == 4024
    mae = told["translation"]["ct"]["mae"]
    assert mae["mean"] == pytest.approx(200 / 3) and mae["interval"] == [0, 100]
    assert set(told["translation"]["ct"]) == {"mae", "psnr", "ssim"}


def test_one_case_has_no_interval(run, data):
    metrics, rows = run(data, dataclasses.replace(OPTIONS, limit=1))
    assert len(rows) == 1 and metrics["translation"]["ct"]["ssim"]["interval"] is None


def test_a_dicom_series_is_a_volume_of_its_folders_name(weights, volumes, tmp_path):
    head = volumes.draw_head((32, 36, 9))
    ct = np.where(head > 0, head * 80, -1000).astype("int16").T[:, ::-1]
    mri = np.maximum(ct, 0) * 5
    volumes.write_series_files(tmp_path / "testA" / "ann", volumes.build_series(ct))
    series = volumes.build_series(mri, modality="MR", series="1.2.5")
    volumes.write_series_files(tmp_path / "testB" / "ann", series)
    _, rows = evaluate_volumes(weights, tmp_path, OPTIONS)
    assert rows[0]["case"] == "ann" and 0 < rows[0]["mae"] < 2000


def test_missing_partners_are_counted_and_named(data):
    (data / "testB" / "ann.nii.gz").unlink()
    with pytest.raises(InputError, match="1 without a partner, such as ann;.*equal names"):
        find_volume_pairs(data)
    shutil.rmtree(data / "testB")
    with pytest.raises(InputError, match="3 without a partner"):
        find_volume_pairs(data)
    for file in (data / "testA").iterdir():
        file.rename(file.with_suffix(".png"))
    with pytest.raises(InputError, match="none; expected CT and MRI volumes"):
        find_volume_pairs(data)


def test_two_volumes_of_one_name_are_refused(data):
    shutil.copy(data / "testA" / "ann.nii", data / "testA" / "ann.nii.gz")
    with pytest.raises(InputError, match="ann.nii.*one volume a name"):
        find_volume_pairs(data)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda v: Volume(v.values[1:], v.affine), "voxels .*expected .* as .*resample it"),
        (lambda v: Volume(v.values, v.affine + 3 * np.eye(4, k=3)), "3 mm off .*one grid"),
        (lambda v: Volume(v.values + 1100, v.affine), "case ann: .*expected a body above -500"),
    ],
    ids=["shape", "place", "unit"],
)
def test_what_does_not_fit_is_refused_in_one_line(run, data, truths, volumes, change, told):
    save(change(volumes.store(truths["ann"][1])), data / "testA" / "ann.nii")
    with pytest.raises(InputError, match=told) as caught:
        run(data)
    assert "\n" not in str(caught.value)


def test_a_mask_on_another_grid_is_refused(run, data, truths, volumes):
    mask = np.ones(truths["ann"][0].shape, "uint8")[:, :, 1:]
    save(volumes.store(mask), data / "masks" / "ann.nii")
    with pytest.raises(InputError, match="masks/ann.nii has 32x36x8 voxels"):
        run(data)


def test_a_report_shows_the_best_the_median_and_the_worst_case(run, data, weights):
    result = evaluate_volume_run(weights, data, OPTIONS)
    table, spread, examples = result.content.sections
    assert [row[0] for row in table.rows] == ["ann", "bob", "cid"]
    assert len(spread.series["ct"]) == 3
    assert [example.rank for example in examples.examples] == ["best", "median", "worst"]
    best = examples.examples[0]
    assert best.caption.startswith("ann: 0.0 HU") and best.error.max() < 0.01
    assert "52.1" in result.content.tiles[0].published
    assert result.summary[0].startswith("ct: MAE [HU] ")
    assert result.pictures["grid"].ndim == 3
    with pytest.raises(InputError, match="--enhance given with --protocol synthrad2023"):
        evaluate_volume_run(weights, data, dataclasses.replace(OPTIONS, enhance=abs))
