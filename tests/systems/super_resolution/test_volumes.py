"""Volumes through an RRDBNet: grid, types and order kept."""

import numpy as np
import pytest

from keras_vaegan.config.networks import RRDBNetConfig
from keras_vaegan.data.volume import Volume
from keras_vaegan.errors import InputError
from keras_vaegan.models.rrdbnet import build_rrdbnet
from keras_vaegan.systems.super_resolution.enhancer import Enhancer
from keras_vaegan.systems.super_resolution.volumes import enhance_volume


class Repeat:
    """A network that repeats pixels."""

    input_shape = (None, None, None, 1)

    def predict_on_batch(self, images):
        return images.repeat(2, 1).repeat(2, 2)


REPEAT = Enhancer(Repeat(), 2)
VALUES = np.random.default_rng(0).integers(-1000, 3000, (24, 20, 3))


@pytest.fixture(scope="module")
def enhancer():
    config = RRDBNetConfig(channels=1, num_features=8, num_blocks=1, growth_channels=4, scale=2)
    return Enhancer(build_rrdbnet(config), 2)


@pytest.mark.parametrize("resize_back", [False, True])
@pytest.mark.parametrize("dtype", ["int16", ">i2", "int32", "float32", "float64"])
def test_values_and_types_are_kept(volumes, dtype, resize_back):
    for order, signs in volumes.FEW:
        volume = volumes.store(VALUES.astype(dtype), order, signs)
        made = enhance_volume(REPEAT, volume, resize_back)
        fine = VALUES if resize_back else VALUES.repeat(2, 0).repeat(2, 1)
        np.testing.assert_allclose(made, volumes.store(fine, order, signs).values, atol=1e-3)
        assert made.dtype == ("float32" if dtype == "float64" else dtype)


def test_unsigned_values_are_mapped_by_the_volumes_range():
    for top in (255, 60):
        values = np.array(VALUES % (top + 1), "uint8")
        made = enhance_volume(REPEAT, Volume(values, np.eye(4)))
        np.testing.assert_array_equal(made, values.repeat(2, 0).repeat(2, 1))


def test_a_network_follows_the_stored_order(enhancer, volumes):
    plain = enhance_volume(enhancer, volumes.store(VALUES / 1000))
    assert plain.shape == (48, 40, 3) and plain.dtype == np.float32
    assert np.ptp(plain) > 0.1 and np.abs(plain).max() <= np.abs(VALUES / 1000).max()
    for order, signs in volumes.FEW:
        made = enhance_volume(enhancer, volumes.store(VALUES / 1000, order, signs))
        np.testing.assert_array_equal(made, volumes.store(plain, order, signs).values)
    back = enhance_volume(enhancer, volumes.store(VALUES / 1000), resize_back=True)
    blocks = plain.reshape(24, 2, 20, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(back, blocks, atol=1e-5)


def test_one_mapping_serves_all_slices():
    values = np.linspace(0, 1, 20 * 20 * 4, dtype="float32").reshape(4, 20, 20).transpose(1, 2, 0)
    made = enhance_volume(REPEAT, Volume(values, np.eye(4)))
    np.testing.assert_allclose(made[::2, ::2], values, atol=1e-6)


@pytest.mark.parametrize("value", [0, 7.5])
def test_a_constant_volume_is_refused(value):
    with pytest.raises(InputError, match=f"the volume holds {value:g} everywhere"):
        enhance_volume(REPEAT, Volume(np.full((20, 20, 3), value), np.eye(4)))


def test_progress_sees_every_slice():
    seen = []

    def progress(items, what, total):
        seen.append((what, total))
        yield from items

    enhance_volume(REPEAT, Volume(VALUES, np.eye(4)), progress=progress)
    assert seen == [("enhancing", 3)]
