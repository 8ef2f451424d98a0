"""RRDBNet: size, shapes of any image, the unshuffled scales."""

import numpy as np
import pytest

from keras_vaegan.config.networks import RRDBNetConfig
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
    enlarged = model(make_images(*size))
    assert enlarged.shape == (2, size[0] * scale, size[1] * scale, 3)
    assert model.output_shape == (None, None, None, 3) and np.isfinite(enlarged).all()


@pytest.mark.parametrize(("channels", "output_channels"), [(1, 1), (4, 4), (3, 1)])
def test_any_channel_count(channels, output_channels):
    model = build_rrdbnet(TINY, channels=channels, output_channels=output_channels)
    assert model(make_images(8, 8, channels)).shape == (2, 32, 32, output_channels)


def test_dense_blocks_begin_small_as_published():
    model = build_rrdbnet(num_features=64, num_blocks=1, growth_channels=32)
    kernel = np.array(model.get_layer("body_0_rdb1_conv1").kernel)
    assert kernel.std() == pytest.approx(0.1 * np.sqrt(2 / (9 * 64)), rel=0.05)


def test_unshuffling_has_the_order_of_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    images = make_images(8, 12)
    theirs = torch.nn.functional.pixel_unshuffle(torch.tensor(images.transpose(0, 3, 1, 2)), 4)
    ours = np.array(PixelUnshuffle(4)(images))
    np.testing.assert_array_equal(ours, theirs.numpy().transpose(0, 2, 3, 1))
    assert PixelUnshuffle(4)(make_images(9, 10)).shape == (2, 3, 3, 48)
