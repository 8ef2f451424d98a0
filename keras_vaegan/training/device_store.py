"""A run's decoded images in the accelerator's memory, so that no step waits for the host."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from keras_vaegan.data.sampling import find_scale
from keras_vaegan.errors import InputError, first_line
from keras_vaegan.training.backend import OUT_OF_MEMORY, find_free_memory

RESERVE = 0.5  # of the free memory, which the step needs


class DeviceStore(keras.layers.Layer):
    """Images that a step takes its batch from, by their places. Every device holds all of them.

    Args:
        domains: Arrays (N, S, S, C), uint8 or uint16, one for each part of a batch.
        limits: What 0 and the type's largest value become.

    Raises:
        InputError: more than half of what the device has free.
    """

    def __init__(self, domains: Sequence[np.ndarray], limits: tuple[float, float]) -> None:
        super().__init__(trainable=False, dtype="float32", name="device_store")
        self.limits = limits
        size, free = sum(images.nbytes for images in domains), find_free_memory()
        if free is not None and size > RESERVE * free:
            raise _refuse(f"{size / 2**30:.1f} GiB of images, {free / 2**30:.1f} GiB free")
        try:
            self.domains = [self._hold(images) for images in domains]
        except OUT_OF_MEMORY as error:
            raise _refuse(f"{size / 2**30:.1f} GiB of images: {first_line(error)}") from error
        self.built = True

    def _hold(self, images: np.ndarray) -> keras.Variable:
        """One domain as a variable, which a compiled step takes as an argument."""
        return self.add_weight(
            shape=images.shape,
            dtype=str(images.dtype),
            initializer=lambda shape, dtype: ops.convert_to_tensor(images),
            trainable=False,
            aggregation="only_first_replica",
            name="images",
        )

    def fetch(self, places: Sequence) -> tuple:
        """A batch: (B,) integers of each domain -> (B, S, S, C) float32 of each."""
        batch = []
        for images, place in zip(self.domains, places, strict=True):
            scale, low = find_scale(images.dtype, self.limits)
            part = ops.take(ops.convert_to_tensor(images), place, axis=0)
            batch.append(ops.cast(part, "float32") * scale + low)
        return tuple(batch)


def _refuse(received: str) -> InputError:
    """The refusal of more than the device holds."""
    return InputError(
        f"--device-data: {received}: expected at most {RESERVE:.0%} of the device's free memory; "
        "drop it, or train on smaller images"
    )
