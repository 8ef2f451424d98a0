"""A buffer of past translations, so that discriminators do not chase only the latest ones."""

from __future__ import annotations

import keras
from keras import ops

from keras_vaegan.kernels.random import draw_uniform
from keras_vaegan.training.backend import gather_batch, take_own_part


class ImagePool(keras.layers.Layer):
    """Hold up to `capacity` images; half of each answer comes from the past.

    Until it is full the pool stores and returns what it is given. Then every image is, with
    probability 1/2, exchanged for a random older one. Its content and count are variables and
    so belong to the run's resumable state.

    Args:
        capacity: Images kept; 0 returns the input unchanged.
        image_shape: (H, W, C).

    Reference: Shrivastava et al. 2017, section 2.3; size 50 as in Zhu et al. 2017 (CycleGAN).
    """

    def __init__(self, capacity: int, image_shape: tuple[int, int, int], **kwargs) -> None:
        super().__init__(trainable=False, dtype="float32", **kwargs)
        self.capacity = capacity
        if capacity:
            shared = {
                "initializer": "zeros",
                "trainable": False,
                "aggregation": "only_first_replica",
            }
            self.images = self.add_weight(
                shape=(capacity, *image_shape), dtype="float16", name="images", **shared
            )
            self.count = self.add_weight(shape=(), dtype="int32", name="count", **shared)
        self.built = True

    def query(self, images, seed, num_views: int = 1):
        """Exchange a batch. Several replicas exchange the global batch in one common pool.

        Args:
            images: (N, H, W, C) float32; at most `capacity` over all replicas.
            seed: (2,) integer tensor for this call.
            num_views: As in `gather_batch`.

        Returns:
            (N, H, W, C) float32.
        """
        if not self.capacity:
            return images
        images = gather_batch(images, num_views)
        count = ops.shape(images)[0]
        stored, filled = ops.convert_to_tensor(self.images), ops.convert_to_tensor(self.count)
        is_full = filled >= self.capacity
        shuffled = ops.cast(ops.argsort(draw_uniform((self.capacity,), seed))[:count], "int32")
        in_turn = (filled + ops.arange(count, dtype="int32")) % self.capacity
        positions = ops.where(is_full, shuffled, in_turn)
        old = ops.cast(ops.take(stored, positions, axis=0), images.dtype)
        swap = ops.logical_and(draw_uniform((count, 1, 1, 1), seed + 1) < 0.5, is_full)
        answer = ops.where(swap, old, images)
        kept = ops.where(ops.logical_and(is_full, ops.logical_not(swap)), old, images)
        updated = ops.scatter_update(
            stored, ops.expand_dims(positions, 1), ops.cast(kept, stored.dtype)
        )
        self.images.assign(updated)
        self.count.assign(ops.minimum(filled + count, self.capacity))
        return take_own_part(answer, num_views)
