"""The generators' loss terms: which there are, their values and their weights by the step."""

import numpy as np
import pytest

from keras_vaegan.losses.weighted_sum import LossTerm, read_values, sum_terms
from keras_vaegan.systems.cyclegan.config import CycleGANConfig, LossConfig
from keras_vaegan.systems.cyclegan.terms import DomainPass, make_terms, to_unit

SIDE, START = 32, np.float32(0)
ALL = {
    "ssim_weight": 1.0, "identity_weight": 0.5, "background_weight": 2.0, "anchor_weight": 5.0,
    "kl_warmup_steps": 10, "structure_weight": 3.0,
}  # fmt: skip


def make_pass(**changes):
    """One image a kind, gray levels that make every term a simple number."""

    def flat(value):
        return np.full((1, SIDE, SIDE, 1), value, "float32")

    parts = {
        "domain": "target", "real": flat(0.0), "origin": flat(-1.0), "fake": flat(0.5),
        "cycled": flat(0.25), "same": flat(-0.5), "scores": [flat(0.0), flat(3.0)],
        "latents": [(flat(2.0), flat(0.0)), (flat(0.0), flat(0.0))],
    }  # fmt: skip
    return DomainPass(**(parts | changes))


def test_values_have_their_closed_forms():
    terms = make_terms(CycleGANConfig(losses=LossConfig(**ALL)), START, make_pass())
    found = {name: float(term.value) for name, term in terms.items()}
    first, second = 0.5, 0.625  # of `real` and `cycled` in [0, 1]
    luminance = (2 * first * second + 1e-4) / (first**2 + second**2 + 1e-4)
    assert found == {
        "adversarial": pytest.approx((1 + 4) / 2),  # two heads
        "cycle": pytest.approx(0.25),
        "ssim": pytest.approx(1 - luminance, abs=2e-4),
        "background": pytest.approx(0.75),  # the input is air alone
        "anchor": pytest.approx(0.75),
        "identity": pytest.approx(0.5),
        "structure": pytest.approx(1.0),  # a flat translation has no edge
        "kl": pytest.approx((2 + 0) / 2),
    }


@pytest.mark.parametrize(
    ("losses", "changes", "expected"),
    [
        ({}, {"same": None, "latents": []}, {"adversarial", "cycle"}),
        ({}, {"same": None}, {"adversarial", "cycle", "kl"}),
        ({"ssim_weight": 1.0}, {"same": None, "latents": []}, {"adversarial", "cycle", "ssim"}),
        ({"anchor_weight": 1.0}, {"latents": []}, {"adversarial", "cycle", "anchor", "identity"}),
    ],
    ids=["plain", "latent", "ssim", "start"],
)
def test_what_has_no_weight_is_no_term(losses, changes, expected):
    config = CycleGANConfig(losses=LossConfig(**losses))
    assert set(make_terms(config, START, make_pass(**changes))) == expected


@pytest.mark.parametrize(
    ("step", "free", "start", "kl"),
    [(0, 0, 1, 0.1), (4, 0, 1, 0.5), (150, 0, 1, 1), (225, 0.5, 0.5, 1), (10**6, 1, 0, 1)],
)
def test_weights_follow_the_step(step, free, start, kl):
    """The start stands alone in its first half and fades in its second; KL rises over 10 steps."""
    terms = make_terms(CycleGANConfig(losses=LossConfig(**ALL)), np.float32(step), make_pass())
    expected = {
        "adversarial": free, "cycle": 10 * free, "ssim": free, "identity": 0.5 * free,
        "structure": 3 * free,
        "background": 2, "anchor": 5 * start, "kl": 0.01 * kl,
    }  # fmt: skip
    weights = {name: float(term.weight) for name, term in terms.items()}
    assert weights == pytest.approx(expected)


def test_a_run_that_skips_its_start_has_no_anchor():
    losses = LossConfig(**ALL, anchor_steps=0)
    terms = make_terms(CycleGANConfig(losses=losses), START, make_pass())
    assert float(terms["adversarial"].weight) == 1 and "anchor" not in terms


def test_white_fluid_costs_and_dark_does_not():
    """A T1 with a dark ventricle, in a CT drawn with it white, dark, and as the brain."""
    rows, columns = np.mgrid[:96, :96] - 48
    radius = np.hypot(rows, columns)
    mri = np.where(radius < 44, 0.5, 0.0)
    mri[radius < 5] = 0.1
    config = CycleGANConfig(losses=LossConfig(tissue_weight=3.0))

    def compute(fluid, domain="target"):
        ct = np.where(radius < 44, 0.4, 0.0)
        ct[radius < 5] = fluid
        images = ((2 * x - 1).astype("float32")[None, ..., None] for x in (mri, ct))
        parts = dict(zip(("origin", "fake"), images, strict=True))
        return make_terms(config, START, make_pass(domain=domain, **parts)).get("tissue")

    share = (radius < 5).sum() / 96**2
    assert compute(1.0).weight == 3
    assert float(compute(1.0).value) == pytest.approx(share * (1 - 0.12 - 0.15), rel=0.2)
    assert float(compute(0.2).value) == pytest.approx(0, abs=1e-5)
    assert compute(1.0, "source") is None


def test_white_matter_as_bright_as_fluid_costs_and_bright_fluid_does_not():
    """A CT with a ventricle and a skull, in MRI of several brains and ventricles."""
    rows, columns = np.mgrid[:96, :96] - 48
    radius = np.hypot(rows, columns)
    ct = np.select([radius < 8, radius < 40, radius < 44], [0.3, 0.5, 1.0], 0.0)
    config = CycleGANConfig(losses=LossConfig(brain_weight=3.0))

    def compute(brain, fluid, domain="source"):
        mri = np.select([radius < 8, radius < 40], [fluid, brain], 0.0)
        images = ((2 * x - 1).astype("float32")[None, ..., None] for x in (ct, mri))
        parts = dict(zip(("origin", "fake"), images, strict=True))
        return make_terms(config, START, make_pass(domain=domain, **parts)).get("brain")

    assert compute(0.4, 0.9).weight == 3
    for fluid in (0.0, 0.9):
        assert float(compute(0.4, fluid).value) == pytest.approx(0, abs=1e-5)
    assert float(compute(0.9, 0.9).value) > 0.05
    assert compute(0.9, 0.9, "target") is None


def test_without_an_anchor_all_begin_at_once():
    terms = make_terms(CycleGANConfig(), START, make_pass())
    assert (terms["adversarial"].weight, terms["cycle"].weight) == (1, 10)


@pytest.mark.parametrize(("anchor", "expected"), [("negative", 0.2), ("copy", 0.8)])
def test_the_anchor_and_the_air(anchor, expected):
    """A head of 0.8 on black: where a translation is at no cost."""
    unit = np.zeros((1, SIDE, SIDE, 1), "float32")
    unit[:, 8:24, 8:24] = 0.8
    start = np.where(unit > 0, expected, 0).astype("float32")
    config = CycleGANConfig(losses=LossConfig(**ALL, anchor=anchor))

    def compute(fake):
        terms = make_terms(config, START, make_pass(origin=2 * unit - 1, fake=2 * fake - 1))
        return [float(terms[name].value) for name in ("anchor", "background")]

    assert compute(start) == pytest.approx([0, 0], abs=1e-6)
    off = 0.5 * (1 - 0.25) + abs(0.5 - expected) * 0.25
    assert compute(np.full_like(unit, 0.5)) == pytest.approx([off, 0.5 * (1 - 0.25)], rel=1e-5)


def test_terms_add_up_by_weight_and_are_logged_without():
    terms = {"a": LossTerm(2.0, 3.0), "b": LossTerm(5.0)}
    assert sum_terms(terms) == 11.0 and read_values(terms) == {"a": 2.0, "b": 5.0}


@pytest.mark.parametrize(("value_range", "low"), [("tanh", -1), ("sigmoid", 0)])
def test_to_unit_maps_the_value_range(value_range, low):
    np.testing.assert_allclose(to_unit(np.array([low, 1.0]), value_range), [0, 1])
