"""A portable graph as a LiteRT (TensorFlow Lite) file of smaller numbers, and its interpreter."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_vaegan.systems.portable import PortableGraph

# What normalisations are made of stays float32 in "int8": worth 7 dB of a translation.
_FLOAT_OPERATIONS = ("MEAN", "RSQRT", "SQUARED_DIFFERENCE", "SQUARE", "MUL", "ADD", "SUB", "TANH")


def write_litert(
    graph: PortableGraph, path: Path, quantize: str, examples: Sequence[dict[str, np.ndarray]]
) -> None:
    """Convert a graph of fixed sizes, weights included.

    Args:
        graph: Of one input.
        path: File to write; its input and result are float32 in any case.
        quantize: "float16" weights; "int8_weights", features float32 between layers; or "int8":
            the features between convolutions too, whose ranges the examples tell.
        examples: Inputs by name.

    Raises:
        Exception: of many kinds, where the graph holds what LiteRT lacks.
    """
    ((name, axes),) = graph.inputs.items()
    spec = tf.TensorSpec(axes, tf.float32, name)

    def run(images):
        # Behind a free batch normalisations take plain operations: LiteRT lacks the fused ones.
        free = tf.raw_ops.PlaceholderWithDefault(input=images, shape=(None, *axes[1:]))
        return {graph.output: graph.function(free)}

    concrete = tf.function(run, autograph=False).get_concrete_function(spec)
    # Without the object that holds the weights they are constants, which convolutions need.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the old interpreter, which TensorFlow itself calls
        if quantize == "int8":
            content = _quantize_features(converter, [[example[name]] for example in examples])
        else:
            kinds = {"float16": [tf.float16], "int8_weights": []}
            converter.target_spec.supported_types = kinds[quantize]
            content = converter.convert()
    path.write_bytes(content)


def open_litert(path: Path) -> Callable[[dict[str, np.ndarray]], np.ndarray]:
    """Load a file into the LiteRT interpreter: its input by name -> the result."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=path.read_bytes())
    interpreter.allocate_tensors()
    ((given,), (result,)) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(inputs: dict[str, np.ndarray]) -> np.ndarray:
        (values,) = inputs.values()
        interpreter.set_tensor(given["index"], values)
        interpreter.invoke()
        return interpreter.get_tensor(result["index"])

    return run


def _quantize_features(converter, examples: list) -> bytes:
    """Convert with integer features, whose ranges come from the examples."""
    converter.representative_dataset = lambda: iter(examples)
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter,
        debug_dataset=lambda: iter(examples[:1]),
        debug_options=tf.lite.experimental.QuantizationDebugOptions(
            denylisted_ops=list(_FLOAT_OPERATIONS)
        ),
    )
    return debugger.get_nondebug_quantized_model()
