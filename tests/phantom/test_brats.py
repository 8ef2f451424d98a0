"""Phantom cases: layout, determinism, and contrasts that are no copies of each other."""

import nibabel
import numpy as np
import pytest

from keras_vaegan.config.networks import MODALITIES
from keras_vaegan.data.brats import find_cases, read_case
from keras_vaegan.errors import InputError
from keras_vaegan.phantom.brats import (
    BratsPhantomSet,
    _with_tumour,
    make_head,
    render_case,
    write_phantom_cases,
)
from keras_vaegan.phantom.heads import Tissue
from keras_vaegan.systems.modality.figures import fit_copy

SIZE = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantom") / "cases"
    assert write_phantom_cases(folder, BratsPhantomSet(count=2, size=SIZE)) == 2
    return folder


def test_cases_are_read_like_real_ones(folder):
    cases = [read_case(path, MODALITIES) for path in find_cases(folder)]
    assert [case.name for case in cases] == ["phantom-00000", "phantom-00001"]
    for case in cases:
        assert case.brain.shape == (SIZE, SIZE, 26)
        for scan in case.scans.values():
            image = nibabel.load(scan.path)
            assert "".join(nibabel.aff2axcodes(image.affine)) == "LPS"
            assert image.get_data_dtype() == np.int16
            assert image.header.get_zooms() == pytest.approx((6, 6, 6))
        share = case.brain.mean()
        assert 0.12 < share < 0.22  # as in real cases
        for axes in ((1, 2), (0, 2), (0, 1)):
            line = case.brain.any(axis=axes)
            assert not line[0] and not line[-1]


def test_files_depend_on_the_seed_and_the_case_alone(folder, tmp_path):
    write_phantom_cases(tmp_path / "more", BratsPhantomSet(count=3, size=SIZE), processes=2)
    for path in sorted(folder.rglob("*.nii.gz")):
        assert (tmp_path / "more" / path.relative_to(folder)).read_bytes() == path.read_bytes()
    first, other = (render_case(seed, 0, SIZE)["t1"].values for seed in (0, 1))
    assert not np.array_equal(first, other)


def test_no_contrast_is_a_linear_copy_of_another(folder):
    for path in find_cases(folder):
        case = read_case(path, MODALITIES)
        units = {name: scan.unit for name, scan in case.scans.items()}
        for source in ("t1", "t1ce", "t2"):
            error = fit_copy(units[source], units["flair"], case.brain) - units["flair"]
            assert np.sqrt(np.mean(error[case.brain] ** 2)) > 0.08, source
        assert np.corrcoef(units["t1"][case.brain], units["t2"][case.brain])[0, 1] < -0.3


def test_fluid_is_bright_in_t2_alone():
    volumes = {name: v.values.astype(float) for name, v in render_case(3, 0, 80).items()}
    brain = volumes["t1"] > 0
    fluid = brain & (volumes["t2"] > 0.95 * np.percentile(volumes["t2"][brain], 99))
    rest = brain & ~fluid
    for name in ("t1", "t1ce", "flair"):
        assert volumes[name][fluid].mean() < 0.6 * volumes[name][rest].mean(), name


def test_most_heads_have_a_tumour_and_some_have_none():
    rng = np.random.default_rng(0)
    lesions = [_with_tumour(make_head(np.random.default_rng(i)), rng).lesion for i in range(60)]
    tumours = sum(lesion is not None and lesion.core == Tissue.TUMOUR for lesion in lesions)
    assert 35 <= tumours <= 58
    assert sum(lesion is None for lesion in lesions) >= 4


def test_bad_settings_and_full_folders_are_refused(folder, tmp_path):
    for change, word in (({"count": 0}, "count"), ({"size": 8}, "size"), ({"seed": -1}, "seed")):
        with pytest.raises(InputError, match=word):
            BratsPhantomSet(**change)
    with pytest.raises(InputError, match="not empty"):
        write_phantom_cases(folder, BratsPhantomSet(count=1, size=SIZE))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        write_phantom_cases(tmp_path / "file" / "x", BratsPhantomSet(count=1, size=SIZE))
