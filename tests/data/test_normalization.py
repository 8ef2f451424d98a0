"""Every way to [0, 1] and back, against NumPy, and what a tumour does to it."""

import dataclasses

import numpy as np
import pytest

from keras_vaegan.config.base import config_from_dict, config_to_dict
from keras_vaegan.config.data import LANDMARK_PERCENTILES, LandmarkConfig, ModalityDataConfig
from keras_vaegan.config.networks import MODALITIES
from keras_vaegan.data.brats import find_segmentation, read_case, read_tumour
from keras_vaegan.data.normalization import (
    DEVIATIONS,
    WHITE_MATTER,
    describe_normalization,
    find_mode,
    interpolate,
    normalize_volumes,
)
from keras_vaegan.errors import InputError

LEVELS = (0.0, *np.linspace(0.2, 0.7, len(LANDMARK_PERCENTILES) - 2).tolist(), 1.0)
LANDMARKS = LandmarkConfig(LEVELS, LEVELS, LEVELS, LEVELS)
KINDS = ("percentile", "white_matter", "nyul", "zscore")
CONFIGS = {kind: ModalityDataConfig(normalization=kind, landmarks=LANDMARKS) for kind in KINDS}


def make_volume(seed=0, tumour=0):
    """Two tissues in a background of 0, and a bright tumour of so many voxels."""
    rng = np.random.default_rng(seed)
    values = np.zeros((24, 24, 16), "float32")
    inner = rng.normal(500, 20, (16, 16, 12))
    inner[:, :4] = rng.normal(250, 20, (16, 4, 12))
    inner.reshape(-1)[:tumour] = rng.normal(900, 20, tumour)
    values[4:20, 4:20, 2:14] = inner
    return values


def normalize(values, kind, name="flair"):
    """(brain, range, unit) of one volume."""
    brain, ranges, units = normalize_volumes(
        {name: values}, [name], CONFIGS[kind], lambda *arguments: arguments[-1]
    )
    return np.asarray(brain), ranges[name], np.asarray(units[name])


@pytest.mark.parametrize("kind", KINDS)
def test_a_volume_comes_back(kind):
    values = make_volume()
    brain, span, unit = normalize(values, kind)
    assert unit.min() >= 0 and unit.max() <= 1 and not unit[~brain].any()
    low, high = np.percentile(values[brain], (1, 99))
    inner = brain & (values > low) & (values < high)
    back = np.asarray(span.from_unit(unit, brain))
    np.testing.assert_allclose(back[inner], values[inner], rtol=1e-4)
    assert (back[~brain] == 0).all()


def test_levels_are_what_the_config_says():
    values = make_volume()
    inside = values[values > 0]
    _, span, _ = normalize(values, "white_matter")
    peak = float(span.high) * WHITE_MATTER["flair"]
    assert span.low == 0 and peak == pytest.approx(500, rel=0.02)
    _, span, _ = normalize(values, "zscore")
    assert float(span.low + span.high) / 2 == pytest.approx(inside.mean(), rel=1e-4)
    assert float(span.high - span.low) / 2 == pytest.approx(DEVIATIONS * inside.std(), rel=1e-4)
    _, _, unit = normalize(values, "nyul")
    found = np.percentile(unit[values > 0], LANDMARK_PERCENTILES)
    np.testing.assert_allclose(found, LEVELS, atol=1e-3)


def test_a_tumour_moves_percentiles_but_not_white_matter():
    small, large = (make_volume(tumour=count) for count in (20, 600))
    place = (10, 10, 13)  # no tumour there
    moved = {}
    for kind in ("percentile", "white_matter"):
        units = [normalize(values, kind)[2][place] for values in (small, large)]
        moved[kind] = abs(units[0] - units[1])
    assert moved["white_matter"] < 0.01 < 0.2 < moved["percentile"]


def test_negative_values_are_dark():
    values = make_volume()
    values[6:8, 6:8, 5:9] = -40
    brain, span, unit = normalize(values, "white_matter")
    assert float(span.low) <= 0 and unit[brain].min() == 0
    shifted = np.where(values == 0, 0, values - 2000).astype("float32")
    _, span, unit = normalize(shifted, "white_matter")
    assert span.low < -1700 and 0.2 < unit[10, 10, 13] < 0.5


def test_the_mode_is_the_highest_peak():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(30, 4, 4000), rng.normal(80, 4, 9000), [500.0]])
    assert float(find_mode(values.astype("float32"), 0.0, 120.0)) == pytest.approx(80, abs=1)


def test_interpolation_is_numpys():
    points, levels = (1.0, 2.0, 2.0, 5.0), (0.0, 0.3, 0.3, 1.0)
    values = np.linspace(0, 6, 50).astype("float32")
    expected = np.interp(values, points, levels)
    np.testing.assert_allclose(interpolate(values, points, levels), expected, atol=1e-6)


def test_landmarks_travel_and_are_checked(tmp_path, write_case):
    config, bare = CONFIGS["nyul"], ModalityDataConfig(normalization="nyul")
    assert config_from_dict(config_to_dict(config)) == config
    with pytest.raises(InputError, match="t2=.*rising levels"):
        dataclasses.replace(LANDMARKS, t2=(0.0, 0.7, 0.5, *LEVELS[3:]))
    with pytest.raises(InputError, match="without landmarks"):
        read_case(write_case(tmp_path / "case"), MODALITIES, None, bare)
    texts = {describe_normalization(config) for config in CONFIGS.values()}
    assert len(texts) == len(KINDS)


def test_earlier_files_are_percentiles():
    fields = {"kind": "ModalityDataConfig", "image_size": 32, "shift": 3, "intensity": 0.1}
    config = config_from_dict(fields)
    assert config.normalization == "percentile" and config.landmarks is None
    assert config.augmentation.shift == 3 and config.augmentation.intensity == 0.1


def test_a_segmentation_is_found_and_checked(tmp_path, write_case):
    arrays = write_case.draw()
    folder = write_case(tmp_path / "case", arrays)
    case = read_case(folder, MODALITIES)
    assert find_segmentation(folder) is None and read_tumour(folder, case) is None
    labels = np.zeros(case.brain.shape, "uint8")
    labels[10:14, 12:16, 5:8] = 4
    labels[0, 0, 0] = 1  # outside the brain
    write_case(folder, {"seg": labels}, np.diag([1.0, 1.0, 1.0, 1.0]), {"seg": "case-seg.nii.gz"})
    with pytest.raises(InputError, match="case-seg.nii.gz lies up to"):
        read_tumour(folder, case)
    write_case(folder, {"seg": labels[::-1, ::-1]}, names={"seg": "case-seg.nii.gz"})
    tumour = read_tumour(folder, case)
    np.testing.assert_array_equal(tumour, (labels > 0) & case.brain)
    assert tumour.sum() == 4 * 4 * 3
    write_case(folder, {"seg": labels}, names={"seg": "case_segmentation.nii.gz"})
    with pytest.raises(InputError, match="two segmentations"):
        find_segmentation(folder)
