"""What a training step needs to give the same update on one device as on many.

A step runs once per replica, on its share of the global batch. Losses are divided by the number
of replicas, since optimisers add gradients up; random numbers are drawn for the global batch, and
each replica takes its rows; what looks at single images of the past sees the global batch. On one
device all of these are the plain thing.
"""

from __future__ import annotations

import tensorflow as tf

from keras_vaegan.kernels.random import draw_standard_normal


def count_replicas() -> int:
    """Replicas in sync."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def _context():
    """The replica's context where there are several replicas, else None."""
    return tf.distribute.get_replica_context() if count_replicas() > 1 else None


def share_loss(loss):
    """A replica's mean loss -> its part of the global mean."""
    return loss / count_replicas()


def average_over_replicas(tensors: list) -> list:
    """Mean of every tensor over the replicas, in one collective."""
    context = _context()
    if context is None:
        return tensors
    return context.all_reduce(tf.distribute.ReduceOp.MEAN, tensors)


def gather_batch(images, blocks: int = 1):
    """(N, ...) of each replica -> (N * replicas, ...), the global batch, on all of them.

    Args:
        images: Of this replica.
        blocks: Equal parts that `images` joins, such as samples and their variants: each is
            gathered by itself, so that the order is that of one device.
    """
    context = _context()
    if context is None:
        return images
    parts = [context.all_gather(part, axis=0) for part in tf.split(images, blocks)]
    shape = (images.shape[0] * count_replicas(), *images.shape[1:])
    return tf.ensure_shape(tf.concat(parts, axis=0), shape)


def find_own_rows(images) -> tuple | None:
    """(first row, rows in all) of a replica's images in the global batch; None on one device."""
    context = _context()
    if context is None:
        return None
    count = images.shape[0]
    part = tf.convert_to_tensor(context.replica_id_in_sync_group)
    return part * count, count * count_replicas()


def take_own_part(images, blocks: int = 1):
    """(N * replicas, ...) -> this replica's (N, ...): of each of the equal `blocks` its rows."""
    context = _context()
    if context is None:
        return images
    count = images.shape[0] // count_replicas() // blocks
    first = count * tf.convert_to_tensor(context.replica_id_in_sync_group)
    parts = [part[first : first + count] for part in tf.split(images, blocks)]
    return tf.ensure_shape(tf.concat(parts, axis=0), (blocks * count, *images.shape[1:]))


def draw_normal(like, seed, blocks: int = 1):
    """Standard normal noise of a replica's (N, ...): its rows of the global batch's noise.

    Args:
        like: The tensor whose shape and dtype the noise has.
        seed: (2,) integer tensor.
        blocks: As in `gather_batch`.
    """
    count, *rest = like.shape
    shape = tf.shape(like) if count is None else (count * count_replicas(), *rest)
    noise = tf.cast(draw_standard_normal(shape, seed), like.dtype)
    return noise if count is None else take_own_part(noise, blocks)
