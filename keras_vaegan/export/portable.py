"""Write a network as ONNX or LiteRT: converted, compared with Python, described."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from keras_vaegan import __version__
from keras_vaegan.errors import InputError, first_line
from keras_vaegan.evaluation.metrics import to_decibel
from keras_vaegan.export.model_card import MODEL_CARD, write_model_card
from keras_vaegan.files import atomic_folder, write_json
from keras_vaegan.systems.portable import PortableGraph
from keras_vaegan.systems.system import Exportable

RECORD = "export.json"
# Of an ONNX file's results, as a share of their range: half an 8-bit step. Rounding alone makes
# 1e-6 to 1e-3 of it.
LARGEST_DIFFERENCE = 2e-3
EXAMPLES = {"onnx": 1, "litert": 12, "int8": 48}  # a third is compared, int8 calibrated on the rest
_PACKAGES = {"onnx": ("tf2onnx", "onnx", "onnxruntime"), "litert": ("ai_edge_litert",)}
_SNIPPETS = {
    "onnx": """import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("{file}")
inputs = {inputs}
{output} = session.run(["{output}"], inputs)[0]""",
    "litert": """import numpy as np
from ai_edge_litert.interpreter import Interpreter

interpreter = Interpreter("{file}")
interpreter.allocate_tensors()
inputs = {inputs}
given, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
interpreter.set_tensor(given["index"], inputs[given["name"]])
interpreter.invoke()
{output} = interpreter.get_tensor(result["index"])""",
}


def check_packages(kind: str) -> None:
    """Refuse to go on without the packages of a format.

    Raises:
        InputError: one is not installed.
    """
    for name in _PACKAGES[kind]:
        if importlib.util.find_spec(name) is None:
            raise InputError(
                f"{name} is not installed: expected it for --format {kind}; run "
                f"`pip install 'keras_vaegan[{kind}]'`"
            )


def export_portable(
    network: Exportable,
    out: str | Path,
    kind: str,
    quantize: str = "float16",
    data: Path | None = None,
    training_data: str | None = None,
) -> dict[str, Any]:
    """Write a network's ONNX or LiteRT files, what they are as `export.json`, and a model card.

    Args:
        network: As `open_network` gives it.
        out: New or empty folder.
        kind: "onnx": any size, preparation inside; or "litert": the network alone at one size,
            with its preparation in `export.json`.
        quantize: Of LiteRT: "float16", "int8" or "int8_weights".
        data: Images, or cases, to compare and calibrate with; phantoms where not given.
        training_data: What the network was trained on, for the model card.

    Returns:
        The content of `export.json`.

    Raises:
        InputError: missing packages, an output folder that holds something, bad data, a network
            that cannot be converted, or an ONNX file whose results are not Python's.
    """
    check_packages(kind)
    graphs = network.whole if kind == "onnx" else (network.square,)
    with atomic_folder(out) as folder:
        files = [_write_graph(graph, folder, kind, quantize, data) for graph in graphs]
        record = {
            "title": network.title,
            "notice": "Research use only: not for diagnosis.",
            "format": kind,
            "weights": network.file.name,
            "keras_vaegan": __version__,
            "files": files,
            "preparation": graphs[0].preparation,
        }
        write_json(folder / RECORD, record)
        sections = _describe_files(graphs, files, kind)
        write_model_card(folder / MODEL_CARD, network, sections, training_data)
    return record


def _write_graph(
    graph: PortableGraph, folder: Path, kind: str, quantize: str, data: Path | None
) -> dict[str, Any]:
    """Convert one graph and compare it; what became of it."""
    calibrated = kind == "litert" and quantize == "int8"
    examples = graph.read_examples(data, EXAMPLES["int8" if calibrated else kind])
    tried = examples[::3]
    others = [example for number, example in enumerate(examples) if number % 3] or tried
    file = folder / f"{graph.name}.{'onnx' if kind == 'onnx' else 'tflite'}"
    try:
        run = _convert(graph, file, kind, quantize, others)
        comparison = compare(graph, run, tried)
    except Exception as error:  # the converters raise whatever they meet
        raise InputError(
            f"{graph.name} cannot be written as {kind} ({first_line(error)}): expected operations "
            "that it has; use --format savedmodel"
        ) from error
    largest = comparison["largest_difference"]
    if kind == "onnx" and not largest <= LARGEST_DIFFERENCE:
        raise InputError(
            f"{file.name} differs from Python by {largest:.2g} of its range: expected at most "
            f"{LARGEST_DIFFERENCE:g}; nothing is written, use --format savedmodel"
        )
    return {
        "file": file.name,
        "bytes": file.stat().st_size,
        **({"quantize": quantize} if kind == "litert" else {}),
        "inputs": {name: list(axes) for name, axes in graph.inputs.items()},
        "output": graph.output,
        "output_range": graph.output_range,
        "meaning": graph.meaning,
        "compared_with_python": {**comparison, "on": "phantoms" if data is None else "given data"},
    }


def _convert(
    graph: PortableGraph, file: Path, kind: str, quantize: str, examples: Sequence[dict]
) -> Callable[[dict[str, np.ndarray]], np.ndarray]:
    """Write a graph's file; what runs it."""
    if kind == "onnx":
        from keras_vaegan.export.onnx_file import open_onnx, write_onnx

        write_onnx(graph, file)
        return open_onnx(file)
    from keras_vaegan.export.litert_file import open_litert, write_litert

    write_litert(graph, file, quantize, examples)
    return open_litert(file)


def compare(
    graph: PortableGraph,
    run: Callable[[dict[str, np.ndarray]], np.ndarray],
    examples: Sequence[dict[str, np.ndarray]],
) -> dict[str, Any]:
    """How far another runtime's results are from Python's.

    Args:
        graph: What Python runs, in float32.
        run: The same inputs by name -> the other's result.
        examples: Inputs by name.

    Returns:
        {"examples", "largest_difference", "psnr_db"}: how many; the largest difference and the
        peak signal-to-noise ratio over all of them, where 1 is the result's range.
    """
    largest, squares = 0.0, []
    for example in examples:
        given = [ops.convert_to_tensor(example[name]) for name in graph.inputs]
        expected = ops.convert_to_numpy(graph.function(*given))
        result = run(example)
        if result.shape != expected.shape:
            raise ValueError(f"results of {result.shape} where Python's are {expected.shape}")
        low, high = graph.output_range or (expected.min(), expected.max())
        difference = (result.astype("float64") - expected) / max(high - low, 1e-12)
        largest = max(largest, float(np.abs(difference).max()))
        squares.append(np.mean(difference**2))
    psnr = float(to_decibel(np.mean(squares)))
    return {"examples": len(squares), "largest_difference": largest, "psnr_db": round(psnr, 2)}


def _describe_files(graphs: Sequence[PortableGraph], files: list, kind: str) -> dict[str, str]:
    """The model card's sections of a format: what its files take and give, and how to run them."""
    head = ("file", "inputs, float32", "result, float32", "size", "from Python")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for file in files:
        inputs = "; ".join(
            f"{name} ({', '.join(map(str, axes))})" for name, axes in file["inputs"].items()
        )
        size = f"{file['bytes'] / 1e6:.1f} MB"
        size += f", {file['quantize']}" if "quantize" in file else ""
        cells = (f"`{file['file']}`", inputs, file["output"], size, describe_comparison(file))
        lines.append(f"| {' | '.join(cells)} |")
    graph = graphs[0]
    text = _SNIPPETS[kind].format(
        file=files[0]["file"], output=graph.output, inputs=_show_inputs(graph)
    )
    inside = (
        f"Preparation and its inverse are not inside: `{RECORD}` says what to do before and after."
        if graph.preparation
        else "Preparation and its inverse are inside."
    )
    body = [*lines, "", graph.meaning, "", inside, "", "```python", text, "```"]
    return {"Files": "\n".join(body)}


def describe_comparison(file: dict[str, Any]) -> str:
    """How far a file of `export.json` is from Python, in words."""
    compared = file["compared_with_python"]
    loss = f"{compared['psnr_db']:.1f} dB, " if "quantize" in file else ""
    largest = f"at most {compared['largest_difference']:.2g} of the range"
    return f"{loss}{largest}, on {compared['on']} ({compared['examples']})"


def _show_inputs(graph: PortableGraph) -> str:
    """Python code of a graph's inputs, as zeros of a possible shape."""
    lengths = {"images": 2, "channels": 1, "up": 24}
    shapes = {
        name: tuple(lengths.get(axis, 200) if isinstance(axis, str) else axis for axis in axes)
        for name, axes in graph.inputs.items()
    }
    items = ", ".join(f'"{name}": np.zeros({shape}, "float32")' for name, shape in shapes.items())
    return f"{{{items}}}"
