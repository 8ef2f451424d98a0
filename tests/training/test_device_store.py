"""Images in the device's memory: batches by their places, and what does not fit."""

import numpy as np
import pytest

from keras_vaegan.config.data import DataConfig
from keras_vaegan.errors import InputError
from keras_vaegan.systems.cyclegan.images import UnpairedSampler
from keras_vaegan.training import device_store
from keras_vaegan.training.device_store import DeviceStore


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("value_range", ["tanh", "sigmoid"])
def test_places_give_the_batch_of_the_sampler(dtype, value_range):
    top = np.iinfo(dtype).max
    images = np.random.default_rng(0).integers(0, top + 1, (2, 9, 8, 8, 1)).astype(dtype)
    sampler = UnpairedSampler(*images, 4, 3, DataConfig(image_size=16, value_range=value_range))
    store = DeviceStore(sampler.domains, sampler.limits)
    assert len(store.variables) == 2 and not store.trainable_variables
    for step in (0, 5):
        fetched = store.fetch(sampler.read_places(step))
        for one, other in zip(fetched, sampler.read_batch(step), strict=True):
            np.testing.assert_allclose(np.array(one), other, atol=2e-7)


def test_more_than_the_device_holds_is_refused(monkeypatch):
    images = [np.zeros((64, 32, 32, 1), "uint8")] * 2
    monkeypatch.setattr(device_store, "find_free_memory", lambda: 200_000)
    with pytest.raises(InputError, match="--device-data: .* GiB free") as caught:
        DeviceStore(images, (0.0, 1.0))
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(device_store, "find_free_memory", lambda: None)
    DeviceStore(images, (0.0, 1.0))

    def fail(*arguments, **options):
        raise MemoryError("Out of memory\nallocating")

    monkeypatch.setattr(device_store.DeviceStore, "add_weight", fail)
    with pytest.raises(InputError, match="Out of memory") as caught:
        DeviceStore(images, (0.0, 1.0))
    assert "\n" not in str(caught.value)
