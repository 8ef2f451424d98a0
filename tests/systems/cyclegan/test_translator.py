"""Drawing many translations of one encoding, and the deviation told of them."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from keras_vaegan.config.data import DataConfig
from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.error_map import describe_pixels
from keras_vaegan.models.build import build_model
from keras_vaegan.systems.cyclegan.translator import Translator

SIDE, BATCH = 32, 2


class LevelMap:
    """Stands in for an error map: a third of the translation, by its features."""

    def predict(self, features):
        return (features[..., 1] / 3).astype("float32")


@pytest.fixture(scope="module")
def networks(tiny):
    """An untrained generator with a latent and one without, their latent's width widened."""
    models = {name: build_model(getattr(tiny, name).generator) for name in ("VAE", "RESNET")}
    for layer in models["VAE"].layers:
        if layer.name == "z_log_var_raw":
            layer.bias.assign(layer.bias + 3.0)
    return models


@pytest.fixture(scope="module")
def shared(networks):
    """A translator by the latent, two images a pass; its programs are compiled once."""
    data = DataConfig(image_size=SIDE, channels=1)
    return Translator(networks["VAE"], data, batch_size=BATCH)


@pytest.fixture
def translator(shared, monkeypatch):
    """The same; `calls` counts the images that each of its programs gets, a number a pass."""
    calls: dict[str, list[int]] = {"_run": [], "_encode": [], "_decode": []}

    def count(name):
        program = getattr(shared, name)

        def call(first, *noise):
            calls[name].append(len(noise[0]) if noise else len(first))
            return program(first, *noise)

        monkeypatch.setattr(shared, name, call)

    for name in calls:
        count(name)
    monkeypatch.setattr(shared, "calls", calls, raising=False)
    monkeypatch.setattr(shared, "error_map", None)
    return shared


@pytest.fixture(scope="module")
def squares():
    return np.random.default_rng(0).uniform(0, 1, (3, SIDE, SIDE, 1)).astype("float32")


def test_threads_may_share_a_translator(networks):
    """A new one, so that they meet while its programs are traced; sizes and types are mixed."""

    def make():
        return Translator(networks["VAE"], DataConfig(image_size=SIDE, channels=1))

    rng = np.random.default_rng(1)
    images = [
        rng.integers(0, 250, (20 + step, 30 - step)).astype(kind)
        for step, kind in enumerate(("uint8", "uint16") * 4)
    ]
    alone, together = make(), make()
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(together.translate, images))
    for image, (translation, _) in zip(images, results, strict=True):
        expected = alone.translate(image)[0]
        assert translation.dtype == image.dtype
        assert np.abs(translation.astype(int) - expected.astype(int)).max() <= 1


def test_many_images_and_one_get_the_same_drawings(translator, squares):
    together = list(translator.draw_batch(squares, 3, seed=5))
    assert len(together) == 3 and together[0].shape == squares.shape
    for index in range(len(squares)):
        alone = translator.draw_one(squares[index : index + 1], 3, seed=5)
        np.testing.assert_allclose(alone, [drawn[index] for drawn in together], atol=2e-5)
    assert np.std(together, axis=0).max() > 1e-3


def test_seeds_decide_the_drawings(translator, squares):
    first, again, other = (translator.draw_one(squares[:1], 2, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3
    noise = translator.draw_noise(4, seed=7)
    np.testing.assert_array_equal(noise[:2], translator.draw_noise(2, seed=7))
    assert noise.shape[1:] == translator.latent.encoder.outputs[0].shape[1:]
    assert abs(noise.mean()) < 0.3 and 0.7 < noise.std() < 1.3
    assert not np.array_equal(noise[0], noise[1])


def test_no_noise_is_the_latents_mean(translator, squares):
    encoded = translator.encode(squares)
    zero = np.zeros_like(translator.draw_noise(1))
    expected = translator.translate_batch(squares)
    np.testing.assert_allclose(translator.decode(encoded, zero), expected, atol=2e-5)
    np.testing.assert_allclose(translator.run(squares), expected, atol=2e-5)
    np.testing.assert_allclose(translator.draw_one(squares[:1], 0), expected[:1], atol=2e-5)


def test_many_samples_average_to_nearly_the_mean_and_stay_in_range(translator, squares):
    drawn = translator.draw_one(squares[:1], 40)
    assert drawn.min() >= 0 and drawn.max() <= 1
    gap = np.abs(drawn.mean(axis=0) - translator.translate_batch(squares[:1])[0])
    assert gap.mean() < drawn.std(axis=0).mean()


def test_an_image_is_encoded_once(translator, squares):
    list(translator.draw_batch(squares, 4))
    assert translator.calls["_encode"] == [2, 1] and len(translator.calls["_decode"]) == 2 * 4
    translator.calls["_encode"].clear(), translator.calls["_decode"].clear()
    assert len(translator.draw_one(squares[:1], 16)) == 16
    assert translator.calls["_encode"] == [1] and translator.calls["_decode"] == [BATCH] * 8
    assert not translator.calls["_run"]


def test_samples_of_a_translation_encode_once(translator):
    image = np.tile(np.arange(48, dtype="uint8") * 5, (48, 1))
    translation, deviation = translator.translate(image, samples=16)
    assert translation.shape == deviation.shape == image.shape and deviation.max() > 0
    assert translator.calls["_encode"] == [1] and not translator.calls["_run"]


def test_the_deviation_is_the_samples_or_the_error_maps(translator, squares):
    drawn = translator.draw_one(squares[:1], 3)
    mean, spread = drawn.mean(axis=0), drawn.std(axis=0)
    told = translator.tell_deviation(squares[:1], mean, spread)
    assert told.shape == (1, SIDE, SIDE, 1)
    np.testing.assert_allclose(told[0], spread)
    translator.error_map = LevelMap()
    features = describe_pixels(squares[:1, ..., 0], mean[None, ..., 0], spread[None, ..., 0])
    told = translator.tell_deviation(squares[:1], mean, spread)
    np.testing.assert_allclose(told[..., 0], features[..., 1] / 3)
    many = np.stack(list(translator.draw_batch(squares, 2)))
    told = translator.tell_deviation(squares, many.mean(axis=0), many.std(axis=0))
    assert told.shape == squares.shape


@pytest.mark.parametrize("samples", [0, 2])
def test_a_translation_tells_the_error_maps_deviation(translator, samples):
    """Of an image of the network's size without a head's box, which nothing is cut from."""
    translator.error_map = LevelMap()
    image = np.tile(np.arange(SIDE, dtype="uint8") * 8, (SIDE, 1))
    seen = []
    translation, deviation = translator.translate(image, samples, inspect=seen.append)
    (square,) = seen
    assert square.shape == (1, SIDE, SIDE, 1) and square.dtype == "float32"
    drawn = translator.draw_one(square, samples)
    told = translator.tell_deviation(square, drawn.mean(axis=0), drawn.std(axis=0))[0, ..., 0]
    np.testing.assert_allclose(deviation, told, atol=1e-3)
    assert translation.dtype == "uint8" and deviation.dtype == "float32"


def test_nothing_is_told_without_samples_and_error_map(translator):
    image = np.tile(np.arange(SIDE, dtype="uint8") * 8, (SIDE, 1))
    assert translator.translate(image)[1] is None


def test_a_network_without_a_latent_tells_by_its_error_map(networks):
    translator = Translator(networks["RESNET"], DataConfig(image_size=SIDE, channels=1))
    image = np.tile(np.arange(SIDE, dtype="uint8") * 8, (SIDE, 1))
    assert translator.translate(image)[1] is None
    with pytest.raises(InputError, match="without a latent"):
        translator.translate(image, samples=2)
    translator.error_map = LevelMap()
    translation, deviation = translator.translate(image)
    assert translation.shape == deviation.shape == image.shape and deviation.max() > 0


def test_a_translation_is_black_far_from_its_inputs_head(networks):
    """By the mean and by samples; near the head it is as without."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    squares = (0.8 * (np.hypot(rows - 16, columns - 15) < 6)).astype("float32")[None, ..., None]
    keep, black = (
        Translator(networks["VAE"], DataConfig(SIDE, 1, surroundings=kind), batch_size=BATCH)
        for kind in ("keep", "black")
    )
    for draw in (Translator.translate_batch, lambda t, images: t.draw_one(images, 2)):
        whole, inside = draw(keep, squares), draw(black, squares)
        np.testing.assert_allclose(inside[:, 10:22, 9:21], whole[:, 10:22, 9:21], atol=1e-5)
        assert whole[:, :5].max() > 0.1 and inside[:, :5].max() == inside[:, :, 27:].max() == 0
