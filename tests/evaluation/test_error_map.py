"""The map of expected errors, on made pixels whose error is known."""

import json

import numpy as np
import pytest
from scipy.stats import spearmanr

from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.error_map import FEATURES, SMALLEST, ErrorMap, describe_pixels


def draw_pixels(seed, count=20_000):
    """Features, the error's deviation that hangs on two of them, and errors of it."""
    rng = np.random.default_rng(seed)
    features = rng.normal((0.5, 0.5, -5, 2, 2, 0.1), (0.2, 0.2, 1, 1, 1, 0.05), (count, FEATURES))
    deviations = 0.02 + 0.5 * np.abs(features[:, 0] - 0.5) + 0.02 * np.maximum(features[:, 3], 0)
    errors = rng.normal(size=count) * deviations
    return features.astype("float32"), deviations, errors.astype("float32")


@pytest.fixture(scope="module")
def fitted():
    """A map fitted on made pixels."""
    features, _, errors = draw_pixels(0)
    return ErrorMap.fit(features, errors)


def test_the_map_finds_what_errors_hang_on(fitted):
    features, deviations, errors = draw_pixels(1)
    found = fitted.predict(features)
    assert found.dtype == "float32" and found.shape == errors.shape
    assert spearmanr(found, deviations).statistic > 0.88
    assert np.sqrt(np.mean(found**2)) == pytest.approx(np.sqrt(np.mean(errors**2)), rel=0.03)
    assert np.mean(np.abs(found - deviations)) < 0.025


def test_a_file_gives_the_same_map(fitted):
    again = ErrorMap.from_json(json.loads(json.dumps(fitted.to_json())))
    features, _, _ = draw_pixels(2, 500)
    np.testing.assert_array_equal(again.predict(features), fitted.predict(features))
    images = features.reshape(5, 10, 10, FEATURES)
    np.testing.assert_allclose(again.predict(images).ravel(), again.predict(features), atol=1e-5)


def test_equal_seeds_fit_equal_maps():
    features, _, errors = draw_pixels(0, 2000)
    first, again, other = (ErrorMap.fit(features, errors, seed).to_json() for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("level", [0.0, 1e-6, 0.1])
def test_few_pixels_of_one_error_can_be_kept(level):
    features, _, _ = draw_pixels(0, 40)
    found = ErrorMap.from_json(ErrorMap.fit(features, np.full(40, level)).to_json())
    assert (found.predict(features) >= SMALLEST).all()


def test_far_off_pixels_get_a_bounded_deviation(fitted):
    for value in (-1e9, 0, 1e9):
        found = fitted.predict(np.full((3, FEATURES), value))
        assert np.isfinite(found).all() and (found >= SMALLEST).all() and (found <= 1).all()


@pytest.mark.parametrize("field", ["centre", "width", "layers", "scale"])
def test_a_map_lacking_a_field_is_refused(fitted, field):
    data = fitted.to_json()
    del data[field]
    with pytest.raises(InputError, match="damaged error map"):
        ErrorMap.from_json(data)


def draw_picture(side):
    """A smooth head, its translation and their spread, (1, side, side) in [0, 1]."""
    place = (np.arange(side) + 0.5) / side - 0.5
    radius = np.hypot(place[:, None] / 0.45, place / 0.35)
    head = 1 / (1 + np.exp((radius - 1) * 40))
    inside = 0.3 * head * np.sin(9 * place) ** 2
    return (0.6 * head + inside)[None], (0.9 * head - inside)[None], 0.1 * inside[None]


def test_pixels_are_described_alike_at_any_size():
    small, large = (describe_pixels(*draw_picture(side))[0] for side in (64, 128))
    assert small.shape == (64, 64, FEATURES) and small.dtype == "float32"
    halved = large.reshape(64, 2, 64, 2, FEATURES).mean(axis=(1, 3))
    for index in range(FEATURES):
        one, two = small[..., index], halved[..., index]
        np.testing.assert_allclose(one, two, atol=0.1 * np.ptp(large[..., index]) + 1e-6)
        assert abs(one.mean() - two.mean()) <= 0.1 * abs(two.mean()), index


@pytest.mark.parametrize("side", [16, 64])
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_blank_images_are_described(side, level):
    image = np.full((2, side, side), level)
    found = describe_pixels(image, image, np.zeros_like(image))
    assert found.shape == (2, side, side, FEATURES) and np.isfinite(found).all()
