"""Intensities of MRI volumes: background, brain, percentiles, and a range that becomes [0, 1].

In `keras.ops`: the Python path runs these functions on arrays, an export holds them as a graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras import ops

BACKGROUND_SHARE = 0.5
SMALLEST_BRAIN = 64
BUCKETS = 65_536


@dataclass(frozen=True)
class IntensityRange:
    """How one volume's values map to [0, 1] and back.

    Attributes:
        low, high: Values, in the volume's unit, that become 0 and 1.
        background: Value outside the brain.
    """

    low: Any
    high: Any
    background: Any

    def to_unit(self, values, brain):
        """Values -> float32 in [0, 1], clipped; 0 outside the brain."""
        unit = (ops.cast(values, "float32") - self.low) / (self.high - self.low)
        return ops.where(brain, ops.clip(unit, 0.0, 1.0), 0.0)

    def from_unit(self, unit, brain):
        """[0, 1] -> float32 in the volume's unit, its background outside the brain."""
        values = ops.cast(unit, "float32") * (self.high - self.low) + self.low
        return ops.where(brain, values, self.background)


def find_background(values):
    """The value that most voxels of a volume's six faces have, where one holds half of them.

    A brain without its skull lies in a constant background, of any value: 0 is common, but real
    volumes also hold negative values inside the brain, or a negative background.

    Args:
        values: (X, Y, Z) float32.

    Returns:
        (background, share): the median of the faces, and the share of them that it holds.
    """
    faces = [values[0], values[-1], values[:, 0], values[:, -1], values[..., 0], values[..., -1]]
    faces = ops.concatenate([ops.reshape(face, (-1,)) for face in faces])
    (background,) = find_percentiles(faces, (50.0,))
    return background, ops.mean(ops.cast(ops.equal(faces, background), "float32"))


def find_brain(foregrounds: list):
    """What is foreground in every volume, with the holes inside it filled.

    A hole is what no path along the axes connects to the outside.

    Args:
        foregrounds: (X, Y, Z) bool, one a volume.

    Returns:
        (X, Y, Z) bool; empty where nothing is common.
    """
    common = foregrounds[0]
    for foreground in foregrounds[1:]:
        common = ops.logical_and(common, foreground)
    (x, x_end), (y, y_end), (z, z_end) = box = find_box(common)
    brain = common[x:x_end, y:y_end, z:z_end]
    # Only what lies between foreground along all three axes can be a hole: some thousand voxels.
    enclosed = ops.logical_not(brain)
    for axis in range(3):
        enclosed = ops.logical_and(enclosed, _lies_between(brain, axis))
    flat = ops.reshape(brain, (-1,))
    places = ops.cast(ops.nonzero(ops.reshape(enclosed, (-1,)))[0], "int32")
    is_open = _reach_from_outside(flat, places, ops.shape(brain))
    filled = ops.scatter_update(flat, places[:, None], ops.logical_not(is_open))
    pads = [(first, ops.shape(common)[axis] - end) for axis, (first, end) in enumerate(box)]
    return ops.pad(ops.reshape(filled, ops.shape(brain)), pads)


def find_box(mask) -> list[tuple]:
    """The (first, last + 1) of a mask's true voxels along every axis; the mask is not empty."""
    box = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        filled = ops.cast(ops.any(mask, axis=others), "int32")
        length = ops.shape(mask)[axis]
        box.append((ops.argmax(filled), length - ops.argmax(ops.flip(filled))))
    return box


def measure_range(values, brain, percentiles: tuple[float, float], background) -> IntensityRange:
    """The range between two percentiles of a volume's brain.

    Args:
        values: (X, Y, Z) float32.
        brain: (X, Y, Z) bool.
        percentiles: Those that become 0 and 1.
        background: Value outside the brain.
    """
    places = ops.nonzero(ops.reshape(brain, (-1,)))[0]
    inside = ops.take(ops.reshape(values, (-1,)), places)
    low, high = find_percentiles(inside, percentiles)
    return IntensityRange(low, high, background)


def find_percentiles(values, percentiles: tuple[float, ...]) -> list:
    """Percentiles, interpolated linearly.

    Only the values in the bucket of a percentile are sorted: of a million values TensorFlow's
    sort takes a second.

    Args:
        values: (N,) float32, N up to 2**24.
        percentiles: From 0 to 100.

    Returns:
        A float32 scalar each.
    """
    low, last = ops.min(values), ops.size(values) - 1
    scale = (BUCKETS - 1) / ops.maximum(ops.max(values) - low, 1e-30)
    buckets = ops.clip(ops.cast((values - low) * scale, "int32"), 0, BUCKETS - 1)
    counts = ops.bincount(buckets, minlength=BUCKETS)
    up_to = ops.cumsum(counts)
    found = []
    for percentile in percentiles:
        place = ops.cast(last, "float32") * (percentile / 100)
        rank = ops.cast(place, "int32")
        first, second = (
            ops.sum(ops.cast(up_to <= ops.minimum(rank + step, last), "int32")) for step in (0, 1)
        )
        is_near = ops.logical_and(buckets >= first, buckets <= second)
        near = ops.sort(ops.take(values, ops.nonzero(is_near)[0]))
        offset = rank - (up_to[first] - counts[first])
        value, above = near[offset], near[ops.minimum(offset + 1, ops.size(near) - 1)]
        found.append(value + (place - ops.floor(place)) * (above - value))
    return found


def _lies_between(mask, axis: int):
    """Which voxels lie between true ones of their line along an axis."""
    shape = [1, 1, 1]
    shape[axis] = -1
    length = ops.shape(mask)[axis]
    places = ops.reshape(ops.arange(length, dtype="int32"), shape)
    first = ops.min(ops.where(mask, places, length), axis=axis, keepdims=True)
    last = ops.max(ops.where(mask, places, -1), axis=axis, keepdims=True)
    return ops.logical_and(places > first, places < last)


def _reach_from_outside(brain, enclosed, shape):
    """Which of the (K,) places, none on the frame, a path around the brain leads out of: bool."""
    count = ops.size(enclosed)
    # Every voxel has a state: the enclosed ones their own, then all the brain's and all others'.
    numbers = ops.where(brain, count, count + 1)
    numbers = ops.scatter_update(numbers, enclosed[:, None], ops.arange(count, dtype="int32"))
    steps = ops.stack([shape[1] * shape[2], shape[2], 1])
    around = enclosed[:, None] + ops.concatenate([steps, -steps])
    around = ops.take(numbers, around)

    def spread(states, _):
        reached = ops.any(ops.take(states, around), axis=1)
        new = ops.concatenate([ops.logical_or(states[:count], reached), states[count:]])
        return new, ops.any(new != states)

    others = ops.convert_to_tensor([False, True])
    states = ops.concatenate([ops.zeros((count,), "bool"), others])
    states, _ = ops.while_loop(lambda _, changed: changed, spread, (states, others[1]))
    return states[:count]
