"""Forms that need TensorFlow's own operations."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable

import keras
import tensorflow as tf

from keras_vaegan.kernels import plain

_LOCK = threading.Lock()


def normalize_instances(images, epsilon: float):
    """Normalise each image by the fused batch-normalisation kernel, as a batch of one.

    It reads the image twice and writes it once, with float32 sums in any precision; the formula
    in separate operations goes over memory seven times. An unknown batch size takes the formula.
    """
    count, channels = images.shape[0], images.shape[-1]
    is_fusible = images.dtype in (tf.float32, tf.bfloat16, tf.float16)
    if not count or not is_fusible:
        return plain.normalize_instances(images, epsilon)
    one, zero, none = tf.ones(channels), tf.zeros(channels), tf.zeros(0)
    parts = [
        tf.raw_ops.FusedBatchNormV3(
            x=part, scale=one, offset=zero, mean=none, variance=none, epsilon=epsilon
        ).y
        for part in tf.split(images, count)
    ]
    return parts[0] if count == 1 else tf.concat(parts, axis=0)


def call_compiled(function: Callable, arguments: tuple, options: dict):
    """`kernels.call_compiled` of NumPy arrays, by a graph that knows their types and ranks."""
    return _find_graph(function, arguments, options)(*arguments)


def call_shared(function: Callable, arguments: tuple):
    """`kernels.call_shared`: one operation, which calls the function's graph."""
    return _find_graph(function, arguments, {})(*arguments)


def _find_graph(function: Callable, arguments: tuple, options: dict):
    """The graph of a function for arguments of these types and ranks, on any device."""
    specs = keras.tree.map_structure(
        lambda array: tf.TensorSpec((None,) * len(array.shape), array.dtype), arguments
    )
    # The lock: threads that come first together would compile one graph each. The scope: a graph
    # that is being built, of one replica, say, would pass its device on.
    with _LOCK, tf.init_scope():
        return _compile(function, specs, tuple(options.items()))


@functools.lru_cache(maxsize=64)
def _compile(function: Callable, specs: tuple, options: tuple):
    """A graph of a function for arrays of any size."""
    bound = functools.partial(function, **dict(options))
    # A method's `self` is an argument as any other: TensorFlow must not see its name.
    graph = tf.function(lambda *args: bound(*args), autograph=False)
    return graph.get_concrete_function(*specs)  # which no warning of many graphs counts


def compile_function(function: Callable):
    """A graph of a function, for any sizes from the second one on."""
    return tf.function(function, reduce_retracing=True, autograph=False)
