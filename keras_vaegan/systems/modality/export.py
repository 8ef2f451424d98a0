"""A missing-modality network as a TensorFlow module: three contrasts in, the fourth out."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf
from scipy import ndimage

from keras_vaegan.config.networks import MODALITIES
from keras_vaegan.data.brats import find_cases, find_scans
from keras_vaegan.data.folders import spread
from keras_vaegan.data.nifti import read_nifti
from keras_vaegan.data.normalization import describe_normalization, normalize_volumes
from keras_vaegan.data.volume import to_canonical
from keras_vaegan.errors import InputError
from keras_vaegan.interop.keras_h5.load import Network
from keras_vaegan.phantom.brats import render_case
from keras_vaegan.systems.graph import after, expect, graph_function, map_batches
from keras_vaegan.systems.modality.recipe import describe_preparation
from keras_vaegan.systems.modality.slices import (
    SliceWindows,
    find_closest,
    list_inputs,
    list_targets,
)
from keras_vaegan.systems.modality.synthesizer import Synthesizer
from keras_vaegan.systems.portable import PortableGraph
from keras_vaegan.systems.system import Exportable

FEW_SLICES = 8  # of a volume that an export is tried on
PHANTOM_SIDE = 48  # of a drawn case before it is enlarged


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


def make_whole(synthesizer: Synthesizer, target: str) -> PortableGraph:
    """Volumes in, the target's out, all windows in one pass."""
    config, data, names = synthesizer.config, synthesizer.data, list_inputs(target)

    def synthesize(*volumes):
        inputs = dict(zip(names, volumes, strict=True))
        brain, ranges, units = normalize_volumes(inputs, names, data, _take_as_it_is)
        windows = SliceWindows(brain, config.image_size)
        pictures = synthesizer.network(windows.cut_inputs(units, target, config), training=False)
        unit = windows.blend(pictures[..., 0])
        return ranges[find_closest(target, ranges)].from_unit(unit, brain)

    def read_volumes(folder: Path | None, count: int) -> list[dict[str, np.ndarray]]:
        return [
            {name: case[name][..., :: max(1, case[name].shape[2] // FEW_SLICES)] for name in names}
            for case in _read_cases(folder, count, names, config.image_size)
        ]

    only = len(list_targets(config)) == 1
    return PortableGraph(
        "synthesize" if only else f"synthesize_{target}",
        synthesize,
        {name: ("right", "front", "up") for name in names},
        "synthesis",
        None,
        "Volumes on one grid, axes right, front and up, skull-stripped in a constant background of "
        f"any value; the result is {target} on that grid, in the unit of "
        f"{find_closest(target, names)}. Nothing is checked: empty volumes, NaN and volumes of "
        "different shapes give errors or nonsense.",
        read_volumes,
    )


def make_square(synthesizer: Synthesizer) -> PortableGraph:
    """The network on one slice."""
    config, data = synthesizer.config, synthesizer.data
    targets = list_targets(config)

    def read_slices(folder: Path | None, count: int) -> list[dict[str, np.ndarray]]:
        wanted = list_inputs(config.target) if len(targets) == 1 else MODALITIES
        cases = _read_cases(folder, -(-count // FEW_SLICES), wanted, config.image_size)
        slices: list[dict[str, np.ndarray]] = []
        for number, case in enumerate(cases):
            target = targets[number % len(targets)]
            names = list_inputs(target)
            volumes = {name: tf.constant(case[name]) for name in names}
            brain, _, units = normalize_volumes(volumes, names, data, _take_as_it_is)
            cut = SliceWindows(brain, config.image_size).cut_inputs(units, target, config).numpy()
            slices += [{"images": part[None]} for part in spread(cut, FEW_SLICES)]
        return slices[:count]

    side = config.image_size
    return PortableGraph(
        "slice",
        partial(synthesizer.network, training=False),
        {"images": (1, side, side, config.channels)},
        "synthesis",
        (0.0, 1.0),
        "The network alone: one prepared slice in [0, 1] in, the target's in [0, 1] out.",
        read_slices,
        describe_preparation(config, data),
    )


def _read_cases(folder: Path | None, count: int, names, side: int) -> list[dict[str, np.ndarray]]:
    """Cases as (X, Y, Z) float32 by contrast, axes right, front and up."""
    if folder is None:
        return [_draw_case(case, side) for case in range(count)]
    cases = []
    for case in spread(find_cases(folder), count):
        found = find_scans(case)
        if set(names) - set(found):
            raise InputError(
                f"{case} lacks {', '.join(sorted(set(names) - set(found)))}: expected "
                f"{', '.join(names)}; choose other cases for --data"
            )
        volumes = {name: to_canonical(read_nifti(path)[0]) for name, path in found.items()}
        cases.append({name: volume.values.astype("float32") for name, volume in volumes.items()})
    return cases


def _draw_case(case: int, side: int) -> dict[str, np.ndarray]:
    """A phantom case whose brain is larger than a window of `side` pixels, and of odd sides."""
    factors = (1.5 * side / PHANTOM_SIDE, (1.5 * side + 5) / PHANTOM_SIDE, 1)
    return {
        name: ndimage.zoom(to_canonical(volume).values.astype("float32"), factors, order=1)
        for name, volume in render_case(0, case, PHANTOM_SIDE).items()
    }


def _take_as_it_is(condition, name: str, message: str, received, result):
    """`normalize_volumes`'s check where there are no refusals."""
    return result


def open_synthesis(network: Network) -> Exportable:
    """A missing-modality network as a graph: `System.open_export`."""
    synthesizer = Synthesizer.from_network(network, "float32")
    targets = list_targets(synthesizer.config)
    closest = ", ".join(f"{find_closest(name, list_inputs(name))} for {name}" for name in targets)
    what = targets[0] if len(targets) == 1 else "one missing contrast"
    return Exportable(
        network.file,
        SynthesisModule(synthesizer),
        tuple(make_whole(synthesizer, target) for target in targets),
        make_square(synthesizer),
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
