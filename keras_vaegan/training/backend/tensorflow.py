"""The TensorFlow side of a training step: `GradientTape`, `tf.function`, `tf.distribute`.

A step runs once per replica, on its share of the global batch, and gives the update of one device:
losses are divided by the number of replicas, since optimisers add gradients up; random numbers are
drawn for the global batch, and each replica takes its rows; what looks at single images of the
past sees the global batch. On one device all of these are the plain thing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vaegan.kernels.random import draw_standard_normal

# -- gradients ------------------------------------------------------------------------------------


def compute_gradients(
    function: Callable[[], tuple], variables: list, optimizer: keras.optimizers.Optimizer
) -> tuple[list, Any]:
    """Differentiate a loss.

    Args:
        function: () -> (loss, anything): this replica's mean loss, a scalar.
        variables: What it is differentiated by.
        optimizer: Scales the loss where its precision needs it.

    Returns:
        (gradients, anything): this replica's part of the global mean's gradients, for
        `optimizer.apply`.
    """
    with tf.GradientTape() as tape:
        loss, rest = function()
        scaled = optimizer.scale_loss(loss / count_replicas())
    return tape.gradient(scaled, [variable.value for variable in variables]), rest


def compute_separate_gradients(
    function: Callable[[], tuple], variables: list, optimizer: keras.optimizers.Optimizer
) -> tuple[list[list], Any]:
    """Differentiate several losses that share one forward pass, each on its own.

    Args:
        function: () -> (list of losses, anything).
        variables, optimizer: As for `compute_gradients`.

    Returns:
        (gradients, anything): for every loss the global mean's gradients, 0 where it does not
        depend on a variable. Divide their sum by `count_replicas()` before `optimizer.apply`.
    """
    values = [variable.value for variable in variables]
    none = tf.UnconnectedGradients.ZERO
    with tf.GradientTape(persistent=True) as tape:
        losses, rest = function()
        scaled = [optimizer.scale_loss(loss) for loss in losses]
    gradients = [tape.gradient(loss, values, unconnected_gradients=none) for loss in scaled]
    return [average_over_replicas(parts) for parts in gradients], rest


def clip_by_global_norm(gradients: list, limit) -> list:
    """Scale gradients down together so that their common norm is at most `limit`."""
    return tf.clip_by_global_norm(gradients, limit)[0]


def recompute(function: Callable) -> Callable:
    """The same function, run again for its gradient instead of keeping what lies between."""
    return tf.recompute_grad(function)


def compile_inference(network: keras.Model) -> Callable[[Any], np.ndarray]:
    """A network as a compiled function of one batch, on this process's first device alone.

    `predict_on_batch` would run on every replica, and join what all of them give.
    """
    compiled = tf.function(partial(network, training=False), reduce_retracing=True)
    return lambda images: compiled(tf.convert_to_tensor(images)).numpy()


class StepRunner:
    """How a trainer runs its `train_step` under TensorFlow: Keras's own loop, which is compiled."""

    train_function: Any

    def reset_step(self) -> None:
        """Compile the step anew, for another stage."""
        self.train_function = None

    def _maybe_symbolic_build(self, iterator=None, data_batch=None) -> None:
        """Everything is built. Keras's own reduces a batch to see its shape: two workers' fails."""


def make_stream(read_batch: Callable[[int], tuple], first_step: int) -> tf.data.Dataset:
    """Stream batches without end, read ahead.

    Args:
        read_batch: Step -> tuple of arrays, always of the same shapes.
        first_step: Where to begin.

    Returns:
        Dataset of tuples. Each of several workers computes its rows of a batch.
    """
    specs = [tf.TensorSpec(part.shape, part.dtype) for part in read_batch(first_step)]

    def read(step) -> tuple:
        parts = tf.numpy_function(
            lambda number: read_batch(int(number)), [step], [spec.dtype for spec in specs]
        )
        return tuple(tf.ensure_shape(part, s.shape) for part, s in zip(parts, specs, strict=True))

    options = tf.data.Options()
    options.autotune.enabled = True
    policy = tf.data.experimental.AutoShardPolicy.DATA
    options.experimental_distribute.auto_shard_policy = policy
    steps = tf.data.Dataset.range(first_step, np.iinfo(np.int64).max)
    batches = steps.map(read, num_parallel_calls=tf.data.AUTOTUNE)
    return batches.with_options(options).prefetch(tf.data.AUTOTUNE)


def make_run_callbacks(folder: Path) -> list[keras.callbacks.Callback]:
    """What a run's folder gets beyond the recorder's files: TensorBoard's logs."""
    return [keras.callbacks.TensorBoard(str(folder / "logs"))]


# -- replicas -------------------------------------------------------------------------------------


def count_replicas() -> int:
    """Replicas in sync."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def _context():
    """The replica's context where there are several replicas, else None."""
    return tf.distribute.get_replica_context() if count_replicas() > 1 else None


def average_over_replicas(tensors: list) -> list:
    """Mean of every tensor over the replicas, in one collective."""
    context = _context()
    if context is None:
        return tensors
    return context.all_reduce(tf.distribute.ReduceOp.MEAN, tensors)


def sum_over_workers(value):
    """Sum of a scalar over the replicas of all workers, inside a step."""
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)


def fix_batch_size(data, batch_size: int):
    """Give a replica's tensors the static batch size that cutting the global batch lost.

    Args:
        data: Nested tensors (N, ...).
        batch_size: Of the global batch.
    """
    if count_replicas() == 1:
        return data
    count = batch_size // count_replicas()
    return tf.nest.map_structure(lambda part: tf.ensure_shape(part, (count, *part.shape[1:])), data)


def gather_batch(images, num_views: int = 1):
    """(N, ...) of each replica -> (N * replicas, ...), the global batch, on all of them.

    Args:
        images: Of this replica.
        num_views: Equal parts that `images` joins, such as samples and their augmented copies:
            each is gathered by itself, so that the order is that of one device.
    """
    context = _context()
    if context is None:
        return images
    parts = [context.all_gather(part, axis=0) for part in tf.split(images, num_views)]
    shape = (images.shape[0] * count_replicas(), *images.shape[1:])
    return tf.ensure_shape(tf.concat(parts, axis=0), shape)


def find_own_rows(images) -> tuple:
    """(first row, rows in all) of a replica's images in the global batch."""
    context, count = _context(), images.shape[0]
    if context is None:
        return 0, tf.shape(images)[0] if count is None else count
    part = tf.convert_to_tensor(context.replica_id_in_sync_group)
    return part * count, count * count_replicas()


def take_own_part(images, num_views: int = 1):
    """(N * replicas, ...) -> this replica's (N, ...): of each of the equal `num_views` its rows."""
    context = _context()
    if context is None:
        return images
    count = images.shape[0] // count_replicas() // num_views
    first = count * tf.convert_to_tensor(context.replica_id_in_sync_group)
    parts = [part[first : first + count] for part in tf.split(images, num_views)]
    return tf.ensure_shape(tf.concat(parts, axis=0), (num_views * count, *images.shape[1:]))


def draw_normal(like, seed, num_views: int = 1):
    """Standard normal noise of a replica's (N, ...): its rows of the global batch's noise.

    Args:
        like: The tensor whose shape and dtype the noise has.
        seed: (2,) integer tensor.
        num_views: As in `gather_batch`.
    """
    count, *rest = like.shape
    if count is None:
        return tf.cast(draw_standard_normal((tf.shape(like)[0], *rest), seed), like.dtype)
    noise = draw_standard_normal((count * count_replicas(), *rest), seed)
    return take_own_part(tf.cast(noise, like.dtype), num_views)


def move_averages(pairs: Iterable[tuple[keras.Model, keras.Model]], decay) -> None:
    """Move averaged models towards the current ones: mean * decay + value * (1 - decay).

    Every replica holds the same values, and moves its own copy.

    Args:
        pairs: (model, averaged model) of equal architecture.
        decay: Scalar in [0, 1); None copies, without arithmetic.
    """
    variables = [
        (mean.value, value.value)
        for model, average in pairs
        for value, mean in zip(
            model.trainable_variables, average.trainable_variables, strict=True
        )
    ]  # fmt: skip

    def move(mean, value, decay=None):
        mean.assign(value if decay is None else mean * decay + value * (1 - decay))

    def move_all(strategy, *decay) -> None:
        for mean, value in variables:
            strategy.extended.update(mean, move, args=(value, *decay), group=False)

    if not tf.distribute.has_strategy():
        for mean, value in variables:
            move(mean, value, decay)
    else:
        arguments = () if decay is None else (decay,)
        tf.distribute.get_replica_context().merge_call(move_all, args=arguments)
