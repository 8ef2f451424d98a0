"""Learning rates: decay, halving, cosine, stages."""

import math

import pytest

from keras_vaegan.config.run import OptimizerConfig
from keras_vaegan.training.schedules import AnnealedRate, StagedRate, make_schedule


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (AnnealedRate(8.0), {0: 8, 1000: 8}),
        (AnnealedRate(8.0, decay=0.5), {0: 8, 2: 4, 6: 2}),
        (AnnealedRate(8.0, halving_steps=4), {0: 8, 3: 8, 4: 4, 7: 4, 8: 2}),
        (AnnealedRate(8.0, cosine_steps=10), {0: 8, 5: 4, 10: 0, 15: 4, 20: 8}),
        (AnnealedRate(8.0, decay=0.5, halving_steps=2, cosine_steps=4), {0: 8, 2: 1, 4: 0}),
        (StagedRate(AnnealedRate(8.0), AnnealedRate(4.0, halving_steps=4), 10),
         {0: 8, 9: 8, 10: 4, 13: 4, 14: 2}),
        (StagedRate(AnnealedRate(8.0, cosine_steps=10), AnnealedRate(4.0, cosine_steps=20), 10),
         {0: 8, 5: 4, 10: 4, 20: 2, 30: 0}),
    ],
)  # fmt: skip
def test_rates_follow_their_formula(rate, expected):
    for step, value in expected.items():
        assert float(rate(step)) == pytest.approx(value, abs=1e-6), step
        assert float(type(rate).from_config(rate.get_config())(step)) == float(rate(step))


def test_a_config_describes_its_schedule():
    rates = OptimizerConfig(decay=6e-8, halving_steps=7, cosine_steps=5450)
    schedule = make_schedule(rates, 2e-4)
    for step in (0, 6, 7, 1090, 5449):
        expected = 1e-4 * (1 + math.cos(math.pi * step / 5450)) / (1 + 6e-8 * step)
        assert float(schedule(step)) == pytest.approx(expected * 0.5 ** (step // 7), rel=1e-4)
