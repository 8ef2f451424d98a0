"""RRDBNet: size, shapes of any image, gradients, names, the unshuffled scales."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vaegan.config.networks import RRDBNetConfig
from keras_vaegan.errors import InputError
from keras_vaegan.models.pixel_layers import PixelUnshuffle
from keras_vaegan.models.rrdbnet import build_rrdbnet

TINY = RRDBNetConfig(num_features=8, num_blocks=2, growth_channels=4)


def make_images(height, width, channels=3, count=2):
    return np.random.default_rng(0).uniform(0, 1, (count, height, width, channels)).astype("f4")


def test_the_published_size():
    model = build_rrdbnet()
    assert model.count_params() == 16_697_987
    assert sum("conv" in layer.name and bool(layer.weights) for layer in model.layers) == 351


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("size", [(4, 4), (5, 7), (16, 13)], ids=str)
def test_any_height_and_width(scale, size):
    model = build_rrdbnet(TINY, scale=scale)
    made = model(make_images(*size))
    assert made.shape == (2, size[0] * scale, size[1] * scale, 3)
    assert model.output_shape == (None, None, None, 3) and np.isfinite(made).all()


@pytest.mark.parametrize(("channels", "made"), [(1, 1), (4, 4), (3, 1)])
def test_any_channel_count(channels, made):
    model = build_rrdbnet(TINY, channels=channels, output_channels=made)
    assert model(make_images(8, 8, channels)).shape == (2, 32, 32, made)


def test_every_variable_gets_a_finite_gradient():
    model = build_rrdbnet(TINY, scale=2)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(make_images(8, 8), training=True)))
    for gradient in tape.gradient(loss, model.trainable_variables):
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


def test_dense_blocks_begin_small_as_published():
    model = build_rrdbnet(num_features=64, num_blocks=1, growth_channels=32)
    kernel = np.array(model.get_layer("body_0_rdb1_conv1").kernel)
    assert kernel.std() == pytest.approx(0.1 * np.sqrt(2 / (9 * 64)), rel=0.05)


def test_names_and_weights_follow_from_the_config():
    first, second = build_rrdbnet(TINY), build_rrdbnet(TINY)
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    other = build_rrdbnet(TINY, seed=1)
    assert not np.array_equal(first.get_weights()[0], other.get_weights()[0])


def test_the_keras_format_keeps_it(tmp_path):
    model, images = build_rrdbnet(TINY, scale=2), make_images(9, 10)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(np.array(again(images)), np.array(model(images)), atol=1e-6)


def test_unshuffling_has_the_order_of_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    images = make_images(8, 12)
    theirs = torch.nn.functional.pixel_unshuffle(torch.tensor(images.transpose(0, 3, 1, 2)), 4)
    ours = np.array(PixelUnshuffle(4)(images))
    np.testing.assert_array_equal(ours, theirs.numpy().transpose(0, 2, 3, 1))
    assert PixelUnshuffle(4)(make_images(9, 10)).shape == (2, 3, 3, 48)


@pytest.mark.parametrize(
    ("change", "word"),
    [({"scale": 3}, "1, 2 or 4"), ({"num_blocks": 0}, "at least 1"), ({"channels": 0}, "at least")],
    ids=str,
)
def test_bad_configs_are_refused(change, word):
    with pytest.raises(InputError, match=word):
        build_rrdbnet(TINY, **change)
