"""Cases: told by words, on one grid, with their brain and their range."""

import numpy as np
import pytest
from scipy.ndimage import binary_fill_holes

from keras_vaegan.config.networks import MODALITIES
from keras_vaegan.data.brats import find_cases, find_scans, identify_modality, read_case
from keras_vaegan.data.intensity import (
    find_background,
    find_box,
    find_brain,
    find_percentiles,
    measure_range,
)
from keras_vaegan.errors import InputError

LPS, RAS = np.diag([-1.0, -1.0, 1.0, 1.0]), np.eye(4)


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        ("Brats18_2013_2_1_t1ce.nii.gz", "t1ce"),
        ("Brats18_2013_2_1_t1.nii.gz", "t1"),
        ("BraTS20_Training_001_flair.nii", "flair"),
        ("BraTS2021_00000_t2.nii.gz", "t2"),
        ("BraTS-GLI-00001-000-t1c.nii.gz", "t1ce"),
        ("BraTS-GLI-00001-000-t1n.nii.gz", "t1"),
        ("BraTS-GLI-00001-000-t2f.nii.gz", "flair"),
        ("BraTS-GLI-02405-100-t2w.nii.gz", "t2"),
        ("t1c.nii.gz", "t1ce"),
        ("T1.nii", "t1"),
        ("FLAIR.nii.gz", "flair"),
        ("case.T2-FLAIR.nii.gz", "flair"),
        ("T1_Gd.nii.gz", "t1ce"),
        ("BraTS20_Training_001_seg.nii.gz", None),
        ("t1_mask.nii.gz", None),
        ("dwi.nii.gz", None),
        ("at1b.nii.gz", None),
    ],
)
def test_contrasts_are_told_by_words(name, modality):
    assert identify_modality(name) == modality


def test_a_name_of_two_contrasts_is_refused():
    with pytest.raises(InputError, match="t1 and flair"):
        identify_modality("flair_to_t1.nii.gz")


def test_two_candidates_are_refused_by_name(tmp_path, write_case):
    case = write_case(tmp_path / "a")
    (case / "other_t1c.nii").write_bytes(b"")
    with pytest.raises(InputError, match="a_t1ce.nii.gz and other_t1c.nii"):
        find_scans(case)


def test_cases_are_found_at_their_level(tmp_path, write_case):
    for name in ("b", "a"):
        write_case(tmp_path / "set" / "train" / name)
    assert [f.name for f in find_cases(tmp_path)] == ["a", "b"]
    assert find_cases(tmp_path / "set" / "train" / "a") == [tmp_path / "set" / "train" / "a"]
    write_case(tmp_path / "set" / "test" / "a")
    with pytest.raises(InputError, match="two cases named a"):
        find_cases(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no case in"):
        find_cases(tmp_path / "empty")
    with pytest.raises(InputError, match="is no folder"):
        find_cases(tmp_path / "absent")


def test_a_case_is_normalised_within_its_brain(tmp_path, write_case):
    arrays = write_case.draw()
    case = read_case(write_case(tmp_path / "a", arrays), MODALITIES)
    brain = np.logical_and.reduce([values > 0 for values in arrays.values()])[::-1, ::-1]
    np.testing.assert_array_equal(case.brain, brain)
    for modality, scan in case.scans.items():
        values = arrays[modality][::-1, ::-1].astype("float64")
        low, high = np.percentile(values[brain], (1, 99))
        expected = np.where(brain, np.clip((values - low) / (high - low), 0, 1), 0)
        np.testing.assert_allclose(scan.unit, expected, atol=1e-6)
        back = np.asarray(scan.range.from_unit(scan.unit, case.brain))
        inside = brain & (values >= low) & (values <= high)
        np.testing.assert_allclose(back[inside], values[inside], atol=1e-3)
        assert (back[~brain] == 0).all()


def test_orders_may_differ_between_the_files_of_a_case(tmp_path, write_case):
    arrays = write_case.draw()
    expected = read_case(write_case(tmp_path / "a", arrays, LPS), MODALITIES)
    folder = write_case(tmp_path / "b", {k: v for k, v in arrays.items() if k != "t2"}, LPS)
    moved = RAS.copy()
    moved[:2, 3] = [1 - side for side in arrays["t2"].shape[:2]]
    write_case(folder, {"t2": arrays["t2"][::-1, ::-1]}, moved)
    case = read_case(folder, MODALITIES)
    np.testing.assert_array_equal(case.scans["t2"].unit, expected.scans["t2"].unit)


@pytest.mark.parametrize("background", [0, -1000, -37.25])
def test_negative_intensities_belong_to_the_brain(tmp_path, write_case, background):
    arrays = write_case.draw()
    shifted = {
        name: np.where(values > 0, values - 400.5, background).astype("float32")
        for name, values in arrays.items()
    }
    assert (shifted["t1"][arrays["t1"] > 0] < 0).mean() > 0.2
    plain = read_case(write_case(tmp_path / "a", arrays), MODALITIES)
    case = read_case(write_case(tmp_path / "b", shifted), MODALITIES)
    np.testing.assert_array_equal(case.brain, plain.brain)
    for name in MODALITIES:
        np.testing.assert_allclose(case.scans[name].unit, plain.scans[name].unit, atol=1e-5)
    assert case.scans["t1"].range.background == background


def test_the_target_has_no_say_in_the_brain(tmp_path, write_case):
    arrays = write_case.draw()
    cut = {**arrays, "flair": np.where(np.arange(24)[:, None, None] < 12, arrays["flair"], 0)}
    full = read_case(write_case(tmp_path / "a", arrays), MODALITIES[:3], "flair")
    case = read_case(write_case(tmp_path / "b", cut), MODALITIES[:3], "flair")
    np.testing.assert_array_equal(case.brain, full.brain)


def refuse(folder, word):
    with pytest.raises(InputError, match=word) as caught:
        read_case(folder, MODALITIES)
    assert "\n" not in str(caught.value)


def test_unfit_cases_are_refused_by_name(tmp_path, write_case):
    arrays = write_case.draw()

    def change(name, **changed):
        return write_case(tmp_path / name, {**arrays, **changed})

    missing = change("missing")
    (missing / "missing_t2.nii.gz").unlink()
    refuse(missing, "lacks t2.*found flair, t1, t1ce")
    refuse(change("shape", t2=arrays["t2"][:-1]), "shape_t2.nii.gz is 23x30x12: expected 24x30x12")
    zero = change("zero", flair=np.zeros_like(arrays["t1"]))
    refuse(zero, "zero_flair.nii.gz: it holds one value almost everywhere.* 0$")
    noise = np.random.default_rng(0).normal(size=arrays["t1"].shape).astype("float32")
    refuse(change("noise", t1=noise), "noise_t1.nii.gz: its border has no constant background")
    flat = np.where(arrays["t1"] > 0, 7, 0).astype("int16")
    refuse(change("flat", t1=flat), "flat_t1.nii.gz: its brain holds one value.* 7$")
    apart = {n: np.zeros_like(v) for n, v in arrays.items()}
    for index, values in enumerate(apart.values()):
        values[5 * index + 2 : 5 * index + 6, 5:25, 2:10] = arrays["t1"][10:14, 5:25, 2:10] + 1
    refuse(write_case(tmp_path / "apart", apart), "no foreground in common")
    shifted = write_case(tmp_path / "moved", {k: v for k, v in arrays.items() if k != "t2"})
    affine = LPS.copy()
    affine[0, 3] = 0.5
    write_case(shifted, {"t2": arrays["t2"]}, affine)
    refuse(shifted, "moved_t2.nii.gz lies up to 0.5 mm off moved_t1.nii.gz")
    refuse(tmp_path / "nowhere", "is no folder")


def test_a_small_difference_of_affines_is_tolerated(tmp_path, write_case):
    arrays = write_case.draw()
    folder = write_case(tmp_path / "a", {k: v for k, v in arrays.items() if k != "t2"})
    affine = LPS.copy()
    affine[0, 3] = 0.05
    write_case(folder, {"t2": arrays["t2"]}, affine)
    assert set(read_case(folder, MODALITIES).scans) == set(MODALITIES)


def test_holes_inside_the_common_brain_are_filled():
    first = np.zeros((9, 9, 9), bool)
    first[2:7, 2:7, 2:7] = True
    second = first.copy()
    first[4, 4, 4] = False
    second[2, 4, 4] = False  # open to the outside
    expected = np.zeros((9, 9, 9), bool)
    expected[2:7, 2:7, 2:7] = True
    expected[2, 4, 4] = False
    np.testing.assert_array_equal(find_brain([first, second]), expected)
    assert not np.any(find_brain([first, ~first & False]))


def test_holes_are_what_no_path_reaches():
    """Against SciPy, from sponges that are all open to sponges with many closed holes."""
    rng = np.random.default_rng(0)
    for share in np.linspace(0.1, 0.95, 12):
        mask = rng.random((9, 7, 8)) < share
        np.testing.assert_array_equal(find_brain([mask]), binary_fill_holes(mask))
    snail = np.zeros((11, 11, 3), bool)  # a spiral furrow, open at its end only
    for turn, (start, stop) in enumerate([(0, 11), (2, 9), (4, 7)]):
        snail[start:stop, start:stop] = turn % 2 == 0
    snail[2:9, 5, 1] = False
    snail[0:3, 2, 1] = False
    np.testing.assert_array_equal(find_brain([snail]), binary_fill_holes(snail))


@pytest.mark.parametrize("count", [1, 2, 64, 101, 5000])
def test_percentiles_are_numpys(count):
    wanted = (0.0, 1.0, 33.0, 50.0, 99.0, 100.0)
    values = np.random.default_rng(count).normal(100, 30, count).astype("float32")
    outlier = np.append(values, np.float32(1e7))
    for array in (values, np.round(values), -np.abs(values), np.ones_like(values), outlier):
        found = [float(value) for value in find_percentiles(array, wanted)]
        np.testing.assert_allclose(found, np.percentile(array, wanted), rtol=2e-5)


def test_background_box_and_range():
    values = np.full((6, 6, 6), -3.0, "float32")
    values[1:5, 1:5, 1:4] = np.arange(48).reshape(4, 4, 3)
    background, share = find_background(values)
    assert (float(background), float(share)) == (-3, 1)
    assert [(int(a), int(b)) for a, b in find_box(values >= 0)] == [(1, 5), (1, 5), (1, 4)]
    found = measure_range(values, values >= 0, (0, 100), -3)
    assert (float(found.low), float(found.high), found.background) == (0, 47, -3)


def test_the_real_cases_are_read(real_data):
    """LPS and RAS, two naming schemes, brains beyond the published crop."""
    folder = real_data / "brats"
    if not folder.is_dir():
        pytest.skip(f"no cases at {folder}")
    names = [path.name for path in find_cases(folder)]
    assert {"AURORA", "BraTS-GLI-00001-000"} <= set(names)
    for name in ("AURORA", "BraTS-GLI-00001-000"):
        case = read_case(folder / name, MODALITIES[:3])
        assert case.brain.shape == (240, 240, 155)
        assert 1.2e6 < case.brain.sum() < 1.8e6
        assert all(s.unit.min() >= 0 and s.unit.max() <= 1 for s in case.scans.values())
