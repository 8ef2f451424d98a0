"""The two-way evaluation, with translators whose answer is known."""

from types import SimpleNamespace

import numpy as np
import pytest

from keras_vaegan.evaluation.report.content import Distribution, Examples
from keras_vaegan.systems.cyclegan.evaluation import evaluate_translation
from keras_vaegan.systems.cyclegan.paired import Intensities
from keras_vaegan.systems.cyclegan.report import describe_result, list_figures
from keras_vaegan.systems.cyclegan.two_way import TwoWay, draw_grid


def make_sets(count=8, size=32):
    """Noisy discs on black, and their negatives inside: a known one-to-one translation."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:size, :size] - size / 2
    discs = [np.hypot(rows, columns) < rng.uniform(8, 13) for _ in range(count)]
    mri = np.stack([d * rng.uniform(0.2, 0.4, d.shape) for d in discs])[..., None]
    return mri.astype("float32"), np.where(mri > 0, 1 - mri, 0).astype("float32")


def evaluate(to_ct, to_mri, mri, ct, pairs=None, names=None):
    """Evaluate two plain functions."""
    return evaluate_translation(TwoWay(to_ct, to_mri, mri, ct, pairs, names or {}))


def negate(images):
    return np.where(images > 0.1, 1 - images, 0).astype("float32")


def test_a_perfect_translator_has_no_error_and_a_copy_has_the_identitys():
    mri, ct = make_sets()
    pairs = [(i, i) for i in range(len(mri))]
    perfect = evaluate(negate, negate, mri, ct, pairs).metrics
    assert perfect["translation"]["ct"]["mae"] == pytest.approx(0, abs=1e-6)
    copy = evaluate(lambda x: x, lambda x: x, mri, ct, pairs).metrics
    expected = np.abs(mri - ct).mean()
    assert copy["translation"]["ct"]["mae"] == pytest.approx(expected, rel=1e-5)
    assert copy["translation"]["ct"]["identity"]["mae"] == pytest.approx(expected, rel=1e-5)
    assert copy["cycle"]["mri"]["psnr"]["mean"] == 100
    assert copy["realism"]["ct"]["copy"] == 0
    assert copy["realism"]["ct"]["gap"]["histogram"] == pytest.approx(1, abs=0.05)
    assert perfect["realism"]["ct"]["gap"]["histogram"] < 0.1


def test_the_honest_cycle_exposes_what_is_hidden():
    """A translator that hides its input in the eighth decimal place cycles perfectly only once."""
    mri, ct = make_sets()

    def hide(images):
        return (np.full(images.shape, 0.5) + 1e-6 * images).astype("float64")

    def reveal(images):
        return np.clip((images.astype("float64") - 0.5) * 1e6, 0, 1)

    metrics = evaluate(hide, reveal, mri, ct).metrics
    assert metrics["cycle"]["mri"]["psnr"]["mean"] > 60
    assert metrics["honest_cycle"]["mri"]["psnr"]["mean"] < 10
    assert metrics["translation"] is None


def test_pairs_may_be_in_any_order_and_are_drawn_with_their_truth():
    mri, ct = make_sets()
    order = np.random.default_rng(1).permutation(len(ct))
    pairs = [(int(m), c) for c, m in enumerate(order)]
    result = evaluate(negate, negate, mri, ct[order], pairs)
    assert result.metrics["translation"]["mri"]["mae"] == pytest.approx(0, abs=1e-6)
    np.testing.assert_array_equal(result.sets.find_truth("mri", int(order[2])), ct[order[2]])
    np.testing.assert_array_equal(result.sets.find_truth("ct", 2), mri[order[2]])
    assert draw_grid(result.sets, 2).shape[-1] == 3


def test_pairs_are_compared_in_the_head_by_tissue_and_by_case():
    mri, ct = make_sets()
    files = [f"{'ab'[i // 4]}{i:03}.png" for i in range(8)]
    pairs = [(i, i) for i in range(6)]  # two images of each have no partner
    result = evaluate(negate, lambda x: x, mri, ct, pairs, {"mri": files, "ct": files})
    inside = result.metrics["translation_in_head"]
    assert inside["ct"]["mae"] == pytest.approx(0, abs=1e-6)
    heads = mri[:6, ..., 0] > 0
    wanted = np.mean(
        [np.abs(m - c)[h].mean() for m, c, h in zip(mri[:6], ct[:6], heads[..., None], strict=True)]
    )
    assert inside["mri"]["mae"] == pytest.approx(wanted, rel=0.02)
    assert inside["mri"]["identity"]["mae"] == pytest.approx(inside["mri"]["mae"])
    by_case = inside["mri"]["mae_by_case"]
    assert {case: part["n"] for case, part in by_case.items()} == {"a": 4, "b": 2}
    low, high = inside["mri"]["intervals"]["mae"]
    assert low <= inside["mri"]["mae"] <= high
    assert inside["ct"]["constant"]["mae"] > 0.02
    air = result.metrics["tissues"]["ct"]["air"]
    assert air["made"] == pytest.approx(0, abs=1e-6) and air["pixels"] > 0
    by_name = {row["name"]: row for row in result.rows if row["domain"] == "ct"}
    assert by_name["a002.png"]["translation_mae"] == pytest.approx(inside["mri"]["mae"], rel=0.2)
    assert "translation_mae" not in by_name["b007.png"]
    text = "\n".join(list_figures(result.metrics))
    assert "in the head 0.0000" in text and "air 0.00 (0.00)" in text


def test_a_copy_raises_its_alarm_and_keeps_all_edges():
    mri, ct = make_sets()
    result = evaluate(lambda x: x, negate, mri, ct)
    assert result.metrics["edges"]["ct"] == pytest.approx(1, abs=1e-3)
    kinds = {(alarm["domain"], alarm["kind"]) for alarm in result.metrics["alarms"]}
    assert ("ct", "copy") in kinds and ("mri", "copy") not in kinds
    assert ("mri", "start") in kinds  # the negative is one of the hand-drawn starts
    assert any(line.startswith("alarm: generated CT") for line in list_figures(result.metrics))


def test_rows_name_every_image():
    mri, ct = make_sets()
    names = {"mri": [f"m{i}" for i in range(8)], "ct": [f"c{i}" for i in range(8)]}
    rows = evaluate(negate, negate, mri, ct, names=names).rows
    assert [row["name"] for row in rows] == names["mri"] + names["ct"]
    assert {"cycle_psnr", "honest_cycle_ssim"} <= set(rows[0])


def test_integers_give_the_figures_of_floats():
    """Images stay integers until their turn comes; a second batch is measured as the first."""
    mri, ct = (np.round(images * 255).astype("uint16") * 257 for images in make_sets(count=20))
    pairs = [(i, i) for i in range(20)]
    whole, metrics = (
        evaluate(negate, negate, *sets, pairs).metrics
        for sets in ((mri / np.float32(65535), ct / np.float32(65535)), (mri, ct))
    )
    for kind in ("cycle", "honest_cycle"):
        means = [part[kind]["ct"]["psnr"]["mean"] for part in (metrics, whole)]
        assert means[0] == pytest.approx(means[1])
    errors = [part["translation_in_head"]["mri"]["mae"] for part in (metrics, whole)]
    assert errors[0] == pytest.approx(errors[1])


@pytest.mark.parametrize("paired", [True, False])
def test_the_report_shows_truth_first_or_says_that_there_is_none(paired):
    mri, ct = make_sets()
    result = evaluate(negate, lambda x: x, mri, ct, [(i, i) for i in range(8)] if paired else None)
    result.metrics["leaks"] = {"testB": {"found": 1, "of": 9, "left_out": 1, "examples": []}}
    network = SimpleNamespace(
        generator=SimpleNamespace(name="resnet_generator"), latent=None, error_map=None
    )
    content = describe_result(result, {"ct": network, "mri": network})
    assert ("error in the head" in content.tiles[0].label) == paired
    assert bool(content.missing) != paired
    assert content.facts["Left out of testB"] == "1 of 9, as training images"
    assert sum(isinstance(part, Distribution) for part in content.sections) == 1 + paired
    shown = [part for part in content.sections if isinstance(part, Examples)]
    assert [example.rank for example in shown[0].examples] == ["best", "median", "worst"]
    assert ("truth" in shown[0].examples[0].pictures) == paired
    if paired:
        assert content.tiles[0].tone == "good" and shown[0].examples[0].error.max() < 1e-6


def test_histogram_matching_gives_the_references_distribution():
    rng = np.random.default_rng(2)
    images = rng.uniform(0, 0.5, (3, 40, 40)).astype("float32")
    reference = rng.beta(2, 5, (5, 40, 40))
    known = Intensities()
    for part in np.array_split(reference[..., None], 2):
        known.add(part)
    matched = known.match(images)
    for image, result in zip(images, matched, strict=True):
        order = np.argsort(image.ravel())
        assert (np.diff(result.ravel()[order]) >= 0).all()
        np.testing.assert_allclose(
            np.quantile(result, [0.1, 0.5, 0.9]), np.quantile(reference, [0.1, 0.5, 0.9]), atol=0.01
        )
