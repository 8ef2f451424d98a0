"""A missing-modality network as a TensorFlow module: three contrasts in, the fourth out."""

from __future__ import annotations

from functools import partial

import tensorflow as tf

from keras_vaegan.data.normalization import describe_normalization, normalize_volumes
from keras_vaegan.interop.keras_h5.load import Network
from keras_vaegan.systems.graph import after, expect, graph_function, map_batches
from keras_vaegan.systems.modality.slices import (
    SliceWindows,
    find_closest,
    list_inputs,
    list_targets,
)
from keras_vaegan.systems.modality.synthesizer import Synthesizer
from keras_vaegan.systems.system import Exportable


class SynthesisModule(tf.Module):
    """`Synthesizer.synthesize` of whole volumes, in a graph.

    `synthesize_TARGET(t1=..., t2=..., ...)` takes the three other contrasts, (X, Y, Z) float32 on
    one grid with the axes right, front and up, skull-stripped in a constant background, and gives
    (X, Y, Z) float32 in the intensity range of the contrast closest to the target.
    """

    def __init__(self, synthesizer: Synthesizer) -> None:
        super().__init__(name="synthesis")
        network = synthesizer.network
        self.config, self.data = synthesizer.config, synthesizer.data
        self.batch_size = synthesizer.batch_size
        self.weights = [variable.value for variable in network.variables]
        self._call = lambda images: network(images, training=False)[..., 0]

    def make_signatures(self) -> dict:
        """A concrete function per target; the plain name where there is one target."""
        targets = list_targets(self.config)
        signatures = {}
        for target in targets:
            name = "synthesize" if len(targets) == 1 else f"synthesize_{target}"
            specs = [tf.TensorSpec((None,) * 3, tf.float32, name) for name in list_inputs(target)]
            function = graph_function(partial(self._synthesize, target))
            signatures[name] = function.get_concrete_function(*specs)
            setattr(self, name, function)
        return {**signatures, "serving_default": next(iter(signatures.values()))}

    def _synthesize(self, target: str, *inputs) -> dict:
        """Three volumes -> {"synthesis"}: (X, Y, Z) in the closest input's unit."""
        size, names = self.config.image_size, list_inputs(target)
        volumes = check_volumes(dict(zip(names, inputs, strict=True)))
        brain, ranges, units = normalize_volumes(volumes, names, self.data, _check)
        windows = SliceWindows(brain, size)
        squares = windows.cut_inputs(units, target, self.config)
        pictures = map_batches(self._call, squares, self.batch_size, (size, size))
        unit = windows.blend(pictures)
        return {"synthesis": ranges[find_closest(target, ranges)].from_unit(unit, brain)}


def open_synthesis(network: Network) -> Exportable:
    """A missing-modality network as a graph: `System.open_export`."""
    synthesizer = Synthesizer.from_network(network, "float32")
    targets = list_targets(synthesizer.config)
    closest = ", ".join(f"{find_closest(name, list_inputs(name))} for {name}" for name in targets)
    what = targets[0] if len(targets) == 1 else "one missing contrast"
    return Exportable(
        network.file,
        SynthesisModule(synthesizer),
        f"Synthesis of {what} from other MRI contrasts",
        f"Makes {what} of a skull-stripped brain from {', '.join(list_inputs(targets[0]))}"
        f"{'' if len(targets) == 1 else ' and so on'}: whole volumes, slice by slice.",
        "Volumes are (X, Y, Z) float32 on one grid, axes right, front and up, in a constant "
        f"background of any value. In each volume {describe_normalization(synthesizer.data)}; the "
        f"result takes the range of the input closest to it ({closest}), and its background "
        "outside the brain.",
        (
            "A synthetic contrast shows what the network expects to see. It can leave out or "
            "invent a lesion.",
        ),
        synthesizer.config,
    )


def check_volumes(volumes: dict) -> dict:
    """Refuse volumes that are empty, of different shapes or not finite; returns them."""
    first, *_ = volumes
    shape = tf.shape(volumes[first])
    checks = [expect(tf.reduce_min(shape) >= 2, f"{first} is too small: got the shape", shape)]
    for name, values in volumes.items():
        same = tf.reduce_all(tf.equal(tf.shape(values), shape))
        text = f"{name} differs in shape from {first}: expected one grid; got"
        checks.append(expect(same, text, tf.shape(values)))
        finite = tf.reduce_all(tf.math.is_finite(values))
        checks.append(expect(finite, f"{name} holds NaN or infinite values", shape))
    return {name: after(checks, values) for name, values in volumes.items()}


def _check(condition, name: str, message: str, received, result):
    """`normalize_volumes`'s check as an assertion of the graph."""
    message = f"{name}: {message}" if name else message
    return after([expect(condition, message, received)], result)
