"""A buffer of past translations, so that discriminators do not chase only the latest ones."""

from __future__ import annotations

import keras
import tensorflow as tf

from keras_vaegan.kernels.random import draw_uniform
from keras_vaegan.training.replicas import gather_batch, take_own_part


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
        self.image_shape = image_shape
        if capacity:
            self.images = self.add_weight(
                shape=(capacity, *image_shape),
                initializer="zeros",
                trainable=False,
                dtype="float16",
                aggregation="only_first_replica",
                name="images",
            )
            self.count = self.add_weight(
                shape=(), initializer="zeros", trainable=False, dtype="int32", name="count",
                aggregation="only_first_replica",
            )  # fmt: skip
        self.built = True

    def query(self, images: tf.Tensor, seed: tf.Tensor, blocks: int = 1) -> tf.Tensor:
        """Exchange a batch. Several replicas exchange the global batch in one common pool.

        Args:
            images: (N, H, W, C) float32; at most `capacity` over all replicas.
            seed: (2,) integer tensor for this call.
            blocks: As in `gather_batch`.

        Returns:
            (N, H, W, C) float32.
        """
        if not self.capacity:
            return images
        images = gather_batch(images, blocks)
        count = tf.shape(images)[0]
        stored, filled = self.images.value, self.count.value
        is_full = filled >= self.capacity
        shuffled = tf.argsort(draw_uniform((self.capacity,), seed))[:count]
        positions = tf.where(is_full, shuffled, (filled + tf.range(count)) % self.capacity)
        old = tf.cast(tf.gather(stored, positions), images.dtype)
        swap = draw_uniform((count, 1, 1, 1), seed + 1) < 0.5
        swap = tf.logical_and(swap, is_full)
        answer = tf.where(swap, old, images)
        kept = tf.where(tf.logical_and(is_full, ~swap), old, images)
        updated = tf.tensor_scatter_nd_update(
            stored, positions[:, None], tf.cast(kept, stored.dtype)
        )
        self.images.assign(updated)
        self.count.assign(tf.minimum(filled + count, self.capacity))
        return take_own_part(answer, blocks)
