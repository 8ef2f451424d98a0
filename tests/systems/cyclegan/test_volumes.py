"""Volumes through a generator of slices: their values, order and smoothness."""

import dataclasses

import keras
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from keras_vaegan.config.data import DataConfig
from keras_vaegan.data.planes import cut_axial
from keras_vaegan.data.volume import Volume
from keras_vaegan.errors import InputError
from keras_vaegan.models.build import build_model
from keras_vaegan.systems.cyclegan.translator import Translator
from keras_vaegan.systems.cyclegan.volumes import (
    AIR,
    Differences,
    find_limits,
    plan_regions,
    translate_volume,
)

SIZE = 32
WHOLE = DataConfig(image_size=SIZE, channels=1, align="none")
HEAD = dataclasses.replace(WHOLE, align="head")
WIDE = dataclasses.replace(WHOLE, ct_window=(500.0, 2000.0))


def make_identity(data):
    inputs = keras.Input((SIZE, SIZE, data.channels))
    return Translator(keras.Model(inputs, keras.layers.Activation("linear")(inputs)), data)


@pytest.fixture(scope="module")
def identity():
    """A translator by config that gives back what the network gets."""
    made = {}
    return lambda data: made.setdefault(data, make_identity(data))


@pytest.fixture(scope="module")
def sampling(tiny):
    """A tiny network with a latent whose translations depend on it."""
    generator = build_model(tiny.VAE.generator)
    generator.set_weights([2 * weights for weights in generator.get_weights()])
    return Translator(generator, WHOLE)


@pytest.fixture(scope="module")
def head(volumes):
    return volumes.draw_head()


# -- values ------------------------------------------------------------------------------------


def test_mri_becomes_hounsfield_units_of_the_window(identity, head, volumes):
    volume = volumes.store(head * 700 + 40)
    result = translate_volume(identity(WIDE), volume, "mri")
    low, high = np.percentile(volume.values, (0.5, 99.5))
    expected = np.clip((volume.values - low) / (high - low), 0, 1) * 2000 - 500
    assert result.values.dtype == np.int16 and result.deviation is None
    inside = head > 0
    assert np.abs(result.values - expected)[inside].max() <= 0.5001
    assert (result.values[0, 0] == AIR).all()  # outside the head
    assert (result.values[..., [0, -1]] == AIR).all()  # blank slices
    assert result.values[inside].min() >= -500


def test_ct_becomes_0_to_1000(identity, head, volumes):
    volume = volumes.store(np.where(head > 0, head * 80, -1000).astype("int16"))
    result = translate_volume(identity(WHOLE), volume, "ct").values
    expected = np.clip(volume.values / 80, 0, 1) * 1000
    assert result.dtype == np.int16 and result.min() == 0 and result.max() == 950
    assert np.abs(result - expected).max() <= 0.5001


@pytest.mark.parametrize("align", ["head", "none"])
def test_any_size_follows_its_input(identity, volumes, align):
    data = dataclasses.replace(WIDE, align=align)
    head = gaussian_filter(volumes.draw_head((45, 60, 12)), (2, 2, 0))
    volume = volumes.store(head * 300, spacing=(1, 0.75, 3))
    for domain in ("mri", "ct"):
        result = translate_volume(identity(data), volume, domain).values
        inside = volume.values > 60
        assert result.shape == volume.values.shape
        assert np.corrcoef(result[inside], volume.values[inside])[0, 1] > 0.95


def test_the_range_replaces_percentiles_and_window(identity, head, volumes):
    for domain, data in (("mri", WHOLE), ("ct", WHOLE)):
        result = translate_volume(
            identity(data), volumes.store(head * 100), domain, limits=(0.0, 200.0)
        ).values
        unit = result / 1000 if domain == "ct" else result / 80
        assert np.abs(unit - head / 2)[head > 0].max() < 0.01


def test_one_normalisation_serves_all_slices(identity, volumes):
    head = volumes.draw_head()
    head[..., 7] /= 2
    result = translate_volume(identity(WIDE), volumes.store(head), "mri").values + 500.0
    ratio = result / np.where(head > 0, head, np.nan)
    assert np.nanmean(ratio[..., 7]) == pytest.approx(np.nanmean(ratio[..., 6]), rel=0.01)


def test_the_result_lies_as_the_input(identity, head, volumes):
    plain = translate_volume(identity(HEAD), volumes.store(head), "mri").values
    assert len(np.unique(plain)) > 20
    for order, signs in volumes.FEW[1:]:
        volume = volumes.store(head, order, signs)
        result = translate_volume(identity(HEAD), volume, "mri").values
        np.testing.assert_array_equal(result, volumes.store(plain, order, signs).values)


@pytest.mark.parametrize("resize", ["pad", "stretch"])
@pytest.mark.parametrize("channels", [1, 3])
def test_three_channels_and_stretching_serve_too(identity, volumes, channels, resize):
    data = dataclasses.replace(WHOLE, channels=channels, resize=resize)
    head = volumes.draw_head((32, 20, 4))
    result = translate_volume(identity(data), volumes.store(head), "ct", limits=(0, 1)).values
    assert np.corrcoef(result.ravel(), head.ravel())[0, 1] > 0.9


@pytest.mark.parametrize(
    ("domain", "value", "limits"),
    [("mri", 7, None), ("ct", 40, None), ("ct", -1000, None), ("ct", 3000, None),
     ("mri", 7, (0.0, 10.0))],
)  # fmt: skip
def test_a_constant_volume_is_refused(identity, domain, value, limits):
    volume = Volume(np.full((20, 20, 5), value, "int16"), np.eye(4))
    with pytest.raises(InputError, match="contrast"):
        translate_volume(identity(WHOLE), volume, domain, limits=limits)


def test_a_range_beside_all_values_is_refused(identity, head, volumes):
    for limits in ((2.0, 3.0), (-3.0, -2.0)):
        with pytest.raises(InputError, match="check the file, its unit and --range"):
            translate_volume(identity(WHOLE), volumes.store(head), "mri", limits=limits)


def test_one_slice_is_a_volume(identity, head, volumes):
    volume = volumes.store(head[..., 7:8])
    result = translate_volume(identity(HEAD), volume, "mri")
    assert result.values.shape == (32, 32, 1)
    assert result.figures["flicker"] is None and result.squares.shape == (1, SIZE, SIZE, 1)


def test_limits_are_the_window_or_percentiles():
    values = np.arange(201.0)
    assert find_limits(values, "ct", WHOLE) == (0, 80)
    assert find_limits(values, "mri", WHOLE) == (1, 199)


def test_progress_sees_every_batch(identity, head, volumes):
    seen = []

    def progress(items, what, total):
        seen.append((what, total))
        for item in items:
            seen.append(len(item))
            yield item

    translate_volume(identity(WHOLE), volumes.store(head), "mri", progress=progress)
    assert seen == [("translating", 2), 8, 6]  # 14 of 16 slices show a head


# -- regions -----------------------------------------------------------------------------------


def plan(volume, data, batch=8):
    slices = cut_axial(volume)
    return plan_regions(
        slices, lambda start, stop: slices.pictures[start:stop, ..., None].astype("float32"),
        batch, data,
    )  # fmt: skip


def test_a_slice_whose_box_is_wrong_changes_nothing(volumes):
    head = volumes.draw_head((64, 64, 31), radius=0.5)
    volume = volumes.store(head, spacing=(2, 2, 3))
    regions, shown = plan(volume, HEAD)
    assert shown[0] > 0 and shown[-1] < 30 and len(shown) == shown[-1] - shown[0] + 1
    steps = np.abs(np.diff(regions[shown], axis=0))
    assert steps.max() < 4 and np.ptp(regions[:, 2]) > 5  # it follows the head, smoothly
    spoilt = head.copy()
    spoilt[2:62, 29:35, 15] = 0.9
    other, _ = plan(volumes.store(spoilt, spacing=(2, 2, 3)), HEAD)
    np.testing.assert_allclose(other, regions, atol=1)
    middle = regions[15]
    assert middle[0] < 64 * 0.27 and sum(middle[[0, 2]]) > 64 * 0.73


@pytest.mark.parametrize("data", [HEAD, WHOLE], ids=["head", "none"])
def test_squares_are_square_in_millimetres(volumes, data):
    head = volumes.draw_head((32, 64, 9))
    regions, _ = plan(volumes.store(head, spacing=(2, 0.8, 3)), data)
    np.testing.assert_allclose(regions[:, 2] * 0.8, regions[:, 3] * 2, rtol=1e-5)
    centre = regions[:, :2] + regions[:, 2:] / 2
    np.testing.assert_allclose(centre[4], (32, 16), atol=1)


def test_without_any_head_nothing_is_shown(volumes):
    regions, shown = plan(volumes.store(np.zeros((20, 20, 3))), HEAD)
    assert not len(shown) and np.isfinite(regions).all()


# -- samples -----------------------------------------------------------------------------------


def test_samples_differ_but_share_their_noise(sampling, head, volumes):
    slices = np.repeat(head[..., 7:8], 11, axis=-1)  # in two batches
    volume = volumes.store(slices)
    result = translate_volume(sampling, volume, "ct", samples=3, limits=(0, 1))
    assert result.deviation.dtype == np.float32 and result.deviation.max() > 0.01
    assert np.ptp(result.values, axis=-1).max() <= 1
    np.testing.assert_allclose(np.ptp(result.deviation, axis=-1), 0, atol=1e-3)
    again = translate_volume(sampling, volume, "ct", samples=3, limits=(0, 1))
    np.testing.assert_array_equal(again.deviation, result.deviation)
    other = translate_volume(sampling, volume, "ct", samples=3, seed=1, limits=(0, 1))
    assert np.abs(other.deviation - result.deviation).max() > 0.01


def test_the_deviation_is_in_the_results_unit_and_order(sampling, head, volumes):
    deviations = [
        translate_volume(sampling, volumes.store(head, *stored), "ct", 2, limits=(0, 1)).deviation
        for stored in volumes.FEW[:3]
    ]
    for deviation, stored in zip(deviations, volumes.FEW, strict=False):
        expected = volumes.store(deviations[0], *stored).values
        np.testing.assert_allclose(deviation, expected, atol=1e-4)
    squares = np.flip(head.transpose(2, 1, 0), (1, 2))[7:8, ..., None].astype("float32")
    spread = np.std(list(sampling.draw_batch(squares, 2)), axis=0)[0, ..., 0]
    told, drawn = deviations[0][..., 7], spread[::-1, ::-1].T * 1000
    np.testing.assert_allclose(told[told > 0], drawn[told > 0], atol=0.01)
    assert (told > 0).mean() > 0.3
    hounsfield = translate_volume(sampling, volumes.store(head), "mri", 2, limits=(0, 1)).deviation
    both = (hounsfield > 0) & (deviations[0] > 0)
    assert both.mean() > 0.2
    np.testing.assert_allclose(hounsfield[both], deviations[0][both] * 0.08, atol=1e-4)


def test_an_error_map_tells_the_deviation_with_and_without_samples(tiny, head, volumes):
    class Map:
        def predict(self, told):
            return np.full(told.shape[:-1], 0.25, "float32")

    translator = Translator(build_model(tiny.VAE.generator), WHOLE, error_map=Map())
    for samples in (0, 2):
        result = translate_volume(translator, volumes.store(head), "mri", samples)
        np.testing.assert_allclose(result.deviation[..., 1:-1], 20, atol=1e-3)
        assert (result.deviation[..., 0] == 0).all()


def test_samples_without_a_latent_are_refused(identity, head, volumes):
    with pytest.raises(InputError, match="2 samples of a network without a latent"):
        translate_volume(identity(WHOLE), volumes.store(head), "mri", samples=2)


# -- flicker -----------------------------------------------------------------------------------


def test_the_identity_does_not_flicker(identity, head, volumes):
    figures = translate_volume(identity(WHOLE), volumes.store(head), "mri").figures
    assert figures["flicker"] == pytest.approx(1, abs=1e-4)
    assert figures["through_plane"]["input"] > 0 < figures["in_plane"]["output"]


def test_slices_that_alternate_flicker():
    pictures = np.random.default_rng(0).uniform(0.4, 0.6, (6, 20, 20))
    head = np.ones(pictures.shape, bool)
    changed = pictures * np.where(np.arange(6) % 2, 1, 0.7)[:, None, None]

    def measure(outputs, places=range(6), cut=4):
        differences = Differences()
        for part in (slice(cut), slice(cut, None)):
            differences.add(np.array(places)[part], pictures[part], outputs[part], head[part])
        return differences.summarise()

    assert measure(pictures)["flicker"] == pytest.approx(1)
    assert measure(changed)["flicker"] > 1.5
    assert measure(changed, cut=3) == measure(changed)
    assert measure(changed, range(0, 12, 2))["flicker"] is None  # none are neighbours
    through = measure(changed)["through_plane"]["output"]
    assert through == pytest.approx(np.abs(np.diff(changed, axis=0)).mean())
