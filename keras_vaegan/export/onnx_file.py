"""A portable graph as an ONNX file, and ONNX Runtime to check it with."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_vaegan.systems.portable import PortableGraph

OPSET = 18
NOTICE = "Research use only: not for diagnosis."
_CATCH_ERRORS = "TF2ONNX_CATCH_ERRORS"


def write_onnx(graph: PortableGraph, path: Path) -> None:
    """Convert a graph, weights included, by tf2onnx.

    Args:
        graph: Its free axes stay free.
        path: File to write.

    Raises:
        Exception: of many kinds, where the graph holds what ONNX lacks.
    """
    import onnx
    import tf2onnx

    specs = [
        tf.TensorSpec([None if isinstance(axis, str) else axis for axis in axes], tf.float32, name)
        for name, axes in graph.inputs.items()
    ]
    traced = tf.function(
        lambda *inputs: {graph.output: graph.function(*inputs)}, specs, autograph=False
    )
    with _quiet_tf2onnx():
        model, _ = tf2onnx.convert.from_function(traced, specs, opset=OPSET)
    _name_axes(model.graph.input, graph.inputs)
    _name_axes(model.graph.output, {})
    onnx.helper.set_model_props(model, {"notice": NOTICE, "meaning": graph.meaning})
    path.write_bytes(model.SerializeToString())


def open_onnx(path: Path) -> Callable[[dict[str, np.ndarray]], np.ndarray]:
    """Load a file into ONNX Runtime on the CPU: inputs by name -> the result.

    Raises:
        Exception: of many kinds, where the file is none that ONNX Runtime knows.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        path.read_bytes(), options, providers=["CPUExecutionProvider"]
    )
    return lambda inputs: session.run(None, inputs)[0]


def _name_axes(values, names: Mapping) -> None:
    """Give free axes the names that the graph has for them; the converter numbers them."""
    for value in values:
        axes = value.type.tensor_type.shape.dim
        for number, axis in enumerate(axes):
            if axis.dim_param:
                named = names.get(value.name)
                axis.dim_param = named[number] if named else f"{value.name}_{number}"


@contextmanager
def _quiet_tf2onnx() -> Iterator[None]:
    """Let tf2onnx raise its errors, instead of a copy of the graph before each step, and no log."""
    logger, before = logging.getLogger("tf2onnx"), os.environ.get(_CATCH_ERRORS)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    os.environ[_CATCH_ERRORS] = "FALSE"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        if before is None:
            del os.environ[_CATCH_ERRORS]
        else:
            os.environ[_CATCH_ERRORS] = before
