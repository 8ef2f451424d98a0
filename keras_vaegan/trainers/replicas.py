"""What a training step needs to give the same update on one device as on many.

A step runs once per replica, on its share of the global batch. Losses are divided by the number
of replicas, since optimisers add gradients up; random numbers are drawn for the global batch, and
each replica takes its rows; what looks at single images of the past sees the global batch. On one
device all of these are the plain thing.
"""

from __future__ import annotations

import tensorflow as tf

from keras_vaegan.data.draws import draw_standard_normal


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


def gather_batch(images):
    """(N, ...) of each replica -> (N * replicas, ...), the global batch, on all of them."""
    context = _context()
    return images if context is None else context.all_gather(images, axis=0)


def find_own_rows(images) -> tuple | None:
    """(first row, rows in all) of a replica's images in the global batch; None on one device."""
    context = _context()
    if context is None:
        return None
    count = images.shape[0]
    part = tf.convert_to_tensor(context.replica_id_in_sync_group)
    return part * count, count * count_replicas()


def take_own_part(images):
    """(N * replicas, ...) -> this replica's (N, ...)."""
    context = _context()
    if context is None:
        return images
    count = images.shape[0] // count_replicas()
    first = count * tf.convert_to_tensor(context.replica_id_in_sync_group)
    return tf.ensure_shape(images[first : first + count], (count, *images.shape[1:]))


def draw_normal(like, seed):
    """Standard normal noise of a replica's (N, ...): its rows of the global batch's noise."""
    count, *rest = like.shape
    shape = tf.shape(like) if count is None else (count * count_replicas(), *rest)
    noise = tf.cast(draw_standard_normal(shape, seed), like.dtype)
    return noise if count is None else take_own_part(noise)
