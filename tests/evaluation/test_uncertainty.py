"""Figures of a predicted deviation against closed forms and plain loops; the file that keeps it."""

import json

import numpy as np
import pytest

from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.error_map import FEATURES, HIDDEN, ErrorMap
from keras_vaegan.evaluation.uncertainty import (
    SHARES,
    UNCERTAINTY_FILE,
    fit_scale,
    measure_uncertainty,
    read_calibration,
    write_calibration,
)

COUNT = 20_000


def draw(seed=0, count=COUNT):
    """Deviations, and Gaussian errors of just those."""
    rng = np.random.default_rng(seed)
    deviations = rng.uniform(0.02, 0.3, count)
    return deviations, rng.normal(size=count) * deviations


def sparsify_plainly(order, sizes):
    """Mean error of what is left, share by share."""
    ranked = [size for _, size in sorted(zip(order, sizes, strict=True), key=lambda pair: pair[0])]
    means = []
    for share in SHARES:
        kept = ranked[: max(1, round(len(ranked) * (1 - share)))]
        means.append(sum(kept) / len(kept))
    return means


def integrate_plainly(upper, lower):
    """Trapezoids between two curves over the shares."""
    gaps = [a - b for a, b in zip(upper, lower, strict=True)]
    widths = np.diff(SHARES)
    return sum(w * (a + b) / 2 for w, a, b in zip(widths, gaps, gaps[1:], strict=False))


@pytest.mark.parametrize("factor", [0.1, 1.0, 7.0])
def test_the_scale_is_the_ratio_of_root_mean_squares(factor):
    deviations, errors = draw()
    expected = np.sqrt((errors**2).sum() / (deviations**2).sum())
    assert fit_scale(deviations / factor, errors) == pytest.approx(expected * factor)
    scaled = deviations.astype("float32") * fit_scale(deviations.astype("float32"), errors)
    assert np.mean(scaled**2) == pytest.approx(np.mean(errors**2), rel=1e-5)


def test_samples_that_never_differ_have_no_scale():
    with pytest.raises(InputError, match="do not differ"):
        fit_scale(np.zeros(5), np.ones(5))


def test_a_perfect_deviation_has_perfect_figures():
    _, errors = draw()
    told = measure_uncertainty(np.abs(errors), errors)
    assert told["spearman"] == pytest.approx(1) and told["ause"] == pytest.approx(0, abs=1e-12)
    assert told["calibration_error"] == pytest.approx(0, abs=1e-12)
    assert told["deviation"] == pytest.approx(told["error"])


@pytest.mark.parametrize("factor", [0.25, 1.0, 3.0])
def test_the_calibration_error_is_what_the_size_is_off_by(factor):
    deviations, errors = draw()
    told = measure_uncertainty(factor * deviations, errors)
    parts = np.array_split(np.sort(deviations), 15)
    sizes = np.mean([np.sqrt(np.mean(part**2)) for part in parts])
    assert told["calibration_error"] == pytest.approx(abs(factor - 1) * sizes, abs=4e-3)
    assert told["deviation"] == pytest.approx(factor * np.sqrt(np.mean(deviations**2)))
    assert told["error"] == pytest.approx(np.sqrt(np.mean(errors**2)))


def test_no_order_and_a_wrong_order_sort_nothing_out():
    deviations, errors = draw()
    right, wrong = (measure_uncertainty(x, errors) for x in (deviations, 1 - deviations))
    assert right["spearman"] > 0.3 and wrong["spearman"] == pytest.approx(-right["spearman"])
    assert 0 < right["ause"] < right["ause_random"] < wrong["ause"]
    shuffled = np.random.default_rng(1).permutation(deviations)
    told = measure_uncertainty(shuffled, errors)
    assert told["spearman"] == pytest.approx(0, abs=0.03)
    assert told["ause"] == pytest.approx(told["ause_random"], abs=0.02)


@pytest.mark.parametrize("level", [0.0, 0.1])
def test_a_constant_deviation_tells_no_order(level):
    _, errors = draw()
    told = measure_uncertainty(np.full(COUNT, level), errors)
    assert told["spearman"] == 0 and told["deviation"] == pytest.approx(level)
    assert told["ause"] == pytest.approx(told["ause_random"], abs=0.02)
    assert told["calibration_error"] == pytest.approx(abs(level - told["error"]), abs=3e-3)


@pytest.mark.parametrize("count", [1, 2, 14, 333])
def test_ause_agrees_with_plain_loops(count):
    deviations, errors = draw(seed=count, count=count)
    sizes = np.abs(errors)
    told, mean = measure_uncertainty(deviations, errors), sizes.mean()
    oracle = sparsify_plainly(sizes, sizes)
    expected = integrate_plainly(sparsify_plainly(deviations, sizes), oracle) / mean
    assert told["ause"] == pytest.approx(expected, abs=1e-12)
    expected = integrate_plainly([mean] * len(SHARES), oracle) / mean
    assert told["ause_random"] == pytest.approx(expected, abs=1e-12)


def test_translations_without_errors_have_figures():
    told = measure_uncertainty(draw()[0], np.zeros(COUNT))
    assert told["ause"] == told["ause_random"] == told["error"] == 0


def make_map():
    """An error map of random weights, in the file's form."""
    rng = np.random.default_rng(0)
    sizes = (FEATURES, *HIDDEN, 1)
    layers = tuple(
        (rng.normal(size=(a, b)), rng.normal(size=b))
        for a, b in zip(sizes, sizes[1:], strict=False)
    )
    return ErrorMap(rng.normal(size=FEATURES), rng.uniform(1, 2, FEATURES), layers, 0.5).to_json()


@pytest.fixture
def folder(tmp_path):
    """A calibrated run folder, of one direction."""
    folder = tmp_path / "run"
    (folder / "best").mkdir(parents=True)
    write_calibration(folder, {"mri2ct": {"error_map": make_map()}})
    return folder


@pytest.mark.parametrize("place", [".", "best", "g.h5", "best/g.h5"])
def test_a_calibration_is_found_beside_weights(folder, place):
    assert read_calibration(folder / place, "mri2ct").to_json() == make_map()
    assert read_calibration(folder / place, "ct2mri") is None
    assert read_calibration(folder / place, None) is None


def test_a_calibration_of_best_itself_comes_first(folder):
    own = make_map() | {"scale": 0.7}
    write_calibration(folder / "best", {"mri2ct": {"error_map": own}})
    assert read_calibration(folder / "best", "mri2ct").scale == 0.7
    assert read_calibration(folder, "mri2ct").scale == 0.5


def test_a_run_that_was_never_calibrated_has_none(folder, tmp_path):
    for weights in (tmp_path, tmp_path / "g.h5", folder / "other" / "g.h5"):
        assert read_calibration(weights, "mri2ct") is None


def change(**fields):
    """A file's content with other fields of its error map."""
    return {"mri2ct": {"error_map": make_map() | fields}}


SHORT = make_map()["layers"][:-1]
UNFIT = [[np.array(kernel).T.tolist(), bias] for kernel, bias in make_map()["layers"]]


@pytest.mark.parametrize(
    "content",
    [
        "", "not\nJSON", b"\xff\xfe\x00", [], ["mri2ct"], "null", '"mri2ct"', 3, {"mri2ct": None},
        {"mri2ct": {}}, {"mri2ct": {"error_map": []}}, {"mri2ct": {"error_map": {}}},
        change(layers=None), change(layers=[]), change(layers=SHORT), change(layers=UNFIT),
        change(centre=[0.0] * 5), change(centre=[float("nan")] * 6), change(centre="abcdef"),
        change(centre=[10**400] * 6), change(width=[0.0] * 6), change(width=[[1.0], [1.0, 2.0]]),
        change(scale=-1.0), change(scale=0), change(scale=float("nan")), change(scale=None),
        change(scale=float("inf")), change(scale=[1.0]), change(scale=10**400),
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused(folder, content):
    text = content if isinstance(content, str | bytes) else json.dumps(content)
    (folder / UNCERTAINTY_FILE).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=f"{UNCERTAINTY_FILE} is damaged.*again") as caught:
        read_calibration(folder, "mri2ct")
    assert "\n" not in str(caught.value)


def test_a_scale_in_quotes_is_a_number(folder):
    write_calibration(folder, change(scale="0.5"))
    assert read_calibration(folder, "mri2ct").predict(np.zeros((2, 6))).shape == (2,)
