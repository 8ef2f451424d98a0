"""A missing-modality network as a TensorFlow module: three contrasts in, the fourth out."""

from __future__ import annotations

import tensorflow as tf

from keras_vaegan.config.networks import MODALITIES
from keras_vaegan.data.brats import Case
from keras_vaegan.data.intensity import BACKGROUND_SHARE, SMALLEST_BRAIN
from keras_vaegan.export.images import expect, graph_function
from keras_vaegan.export.pieces import fill_holes
from keras_vaegan.systems.modality.slices import list_inputs, list_targets, make_blending_weights
from keras_vaegan.systems.modality.synthesizer import choose_reference


class SynthesisModule(tf.Module):
    """`Synthesizer.synthesize` of whole volumes, in a graph.

    `synthesize_TARGET(t1=..., t2=..., ...)` takes the three other contrasts, (X, Y, Z) float32 on
    one grid with the axes right, front and up, skull-stripped in a constant background, and gives
    (X, Y, Z) float32 in the intensity range of the contrast closest to the target.

    Args:
        network: Model (N, S, S, config.channels) -> (N, S, S, 1) in [0, 1].
        config: Its architecture.
        data: How its slices were prepared.
        batch_size: Slices per forward pass.
    """

    def __init__(self, network, config, data, batch_size: int = 8) -> None:
        super().__init__(name="synthesis")
        self.config, self.data, self.batch_size = config, data, batch_size
        self.weights = [variable.value for variable in network.variables]
        self._call = lambda images: network(images, training=False)
        self._targets = list_targets(config)

    def make_signatures(self) -> dict:
        """A concrete function per target; the plain name where there is one target."""
        volume = (None, None, None)
        signatures = {}
        for target in self._targets:
            name = "synthesize" if len(self._targets) == 1 else f"synthesize_{target}"
            specs = [tf.TensorSpec(volume, tf.float32, name) for name in list_inputs(target)]
            function = graph_function(self._make_function(target))
            signatures[name] = function.get_concrete_function(*specs)
            setattr(self, name, function)
        return {**signatures, "serving_default": next(iter(signatures.values()))}

    def _make_function(self, target: str):
        """The synthesis of one target as a function of its three inputs."""

        def synthesize(*volumes):
            return self._synthesize(target, dict(zip(list_inputs(target), volumes, strict=True)))

        return synthesize

    def _synthesize(self, target: str, volumes: dict) -> dict:
        """Three volumes -> {"synthesis"}: (X, Y, Z) in the closest input's unit."""
        volumes = check_volumes(volumes)
        backgrounds = {name: find_background(values) for name, values in volumes.items()}
        common = [tf.not_equal(values, backgrounds[name]) for name, values in volumes.items()]
        brain = fill_holes(tf.reduce_all(tf.stack(common), axis=0))
        check = expect(
            tf.math.count_nonzero(brain) >= SMALLEST_BRAIN,
            "the volumes have no foreground in common: expected registered, skull-stripped ones",
            tf.shape(brain),
        )
        with tf.control_dependencies([check]):
            brain = tf.identity(brain)
            ranges = {
                name: measure_range(tf.boolean_mask(values, brain), self.data.percentiles)
                for name, values in volumes.items()
            }
        units = []
        for modality in MODALITIES:
            if modality in volumes:
                low, high = ranges[modality]
                unit = tf.clip_by_value((volumes[modality] - low) / (high - low), 0.0, 1.0)
                units.append(tf.where(brain, unit, 0.0))
            else:
                units.append(tf.zeros(tf.shape(brain)))
        made = self._run(tf.stack(units, axis=-1), brain, target)
        closest = find_closest(target)
        low, high = ranges[closest]
        return {"synthesis": tf.where(brain, made * (high - low) + low, backgrounds[closest])}

    def _run(self, stack, brain, target: str):
        """(X, Y, Z, 4) in [0, 1] -> (X, Y, Z): the brain's slices, window by window."""
        corner, shape = find_box(brain)
        stack = tf.transpose(tf.slice(stack, [*corner, 0], [*shape, 4]), [2, 0, 1, 3])
        mask = tf.transpose(tf.slice(brain, corner, shape), [2, 0, 1])
        jobs = plan_jobs(mask, self.config.image_size)
        size = self.config.image_size
        frame = tf.shape(mask)[1:]
        blending = tf.constant(make_blending_weights(size))

        def cut(job):
            return cut_window(stack[job[0]], job[1:], size)

        def place(pair):
            return place_window(pair[0], pair[1][1:], frame)

        window = tf.TensorSpec((size, size, len(MODALITIES)), tf.float32)
        made = self._call_in_batches(tf.map_fn(cut, jobs, fn_output_signature=window), target)
        whole = tf.TensorSpec((None, None), tf.float32)
        levels = tf.shape(mask)[0]
        sums = [
            tf.math.unsorted_segment_sum(
                tf.map_fn(place, (pictures, jobs), fn_output_signature=whole), jobs[:, 0], levels
            )
            for pictures in (made * blending, tf.ones_like(made) * blending)
        ]
        result = tf.where(mask, sums[0] / tf.maximum(sums[1], 1e-6), 0.0)
        before = tf.stack(corner)
        after = tf.shape(brain) - before - tf.stack(shape)
        return tf.pad(tf.transpose(result, [1, 2, 0]), tf.stack([before, after], axis=1))

    def _call_in_batches(self, windows, target: str):
        """(J, S, S, 4) -> (J, S, S), `batch_size` at a time."""
        size = self.config.image_size
        count = tf.shape(windows)[0]
        results = tf.TensorArray(
            tf.float32, 0, dynamic_size=True, infer_shape=False, element_shape=(None, size, size)
        )

        def step(start, results):
            inputs = self._encode(windows[start : start + self.batch_size], target)
            made = tf.cast(self._call(inputs), tf.float32)[..., 0]
            return start + self.batch_size, results.write(start // self.batch_size, made)

        return tf.while_loop(
            lambda start, _: start < count, step, (0, results), parallel_iterations=1
        )[1].concat()

    def _encode(self, images, target: str):
        """The network's input, as `data.slices.encode_inputs`."""
        index = MODALITIES.index(target)
        planes = tf.unstack(images, axis=-1)
        if len(self._targets) == 1:
            return tf.stack([plane for k, plane in enumerate(planes) if k != index], axis=-1)
        code = [tf.fill(tf.shape(planes[0]), float(k == index)) for k in range(len(MODALITIES))]
        return tf.stack([*planes, *code], axis=-1)


def find_closest(target: str) -> str:
    """The input whose intensity range a made contrast takes."""
    names = {name: name for name in list_inputs(target)}
    return choose_reference(Case("", None, names), target)


def check_volumes(volumes: dict) -> dict:
    """Refuse volumes that are empty, of different shapes or not finite; returns them."""
    names = list(volumes)
    shape = tf.shape(volumes[names[0]])
    checks = [expect(tf.reduce_min(shape) >= 2, f"{names[0]} is too small: got the shape", shape)]
    for name, values in volumes.items():
        same = tf.reduce_all(tf.equal(tf.shape(values), shape))
        text = f"{name} differs in shape from {names[0]}: expected one grid; got"
        checks.append(expect(same, text, tf.shape(values)))
        finite = tf.reduce_all(tf.math.is_finite(values))
        checks.append(expect(finite, f"{name} holds NaN or infinite values", shape))
    with tf.control_dependencies(checks):
        return {name: tf.identity(values) for name, values in volumes.items()}


def find_background(values):
    """The value that most voxels of a volume's six faces have, as `data.intensity`'s."""
    faces = [
        tf.reshape(tf.gather(values, index, axis=axis), [-1])
        for axis in range(3)
        for index in (0, tf.shape(values)[axis] - 1)
    ]
    found, _, counts = tf.unique_with_counts(tf.concat(faces, axis=0))
    best = tf.argmax(counts)
    share = tf.cast(counts[best], tf.float64) / tf.cast(tf.reduce_sum(counts), tf.float64)
    text = "the border has no constant background: expected a skull-stripped volume; its share is"
    with tf.control_dependencies([expect(share >= BACKGROUND_SHARE, text, share)]):
        return tf.identity(found[best])


def measure_range(values, percentiles):
    """(low, high) float32: two percentiles of (n,) values, interpolated linearly."""
    ordered = tf.cast(tf.sort(values), tf.float64)
    last = tf.cast(tf.size(values) - 1, tf.float64)
    found = []
    for percentile in percentiles:
        place = last * (percentile / 100)
        below = tf.cast(tf.floor(place), tf.int32)
        above = tf.minimum(below + 1, tf.size(values) - 1)
        share = place - tf.floor(place)
        found.append(ordered[below] + share * (ordered[above] - ordered[below]))
    low, high = (tf.cast(value, tf.float32) for value in found)
    text = "the brain holds one value between its percentiles: expected an image with contrast"
    with tf.control_dependencies([expect(high > low, text, low)]):
        return tf.identity(low), tf.identity(high)


def find_box(mask):
    """First corner and shape of the box of a 3-D mask's true voxels, two lists of int32."""
    places = tf.cast(tf.where(mask), tf.int32)
    low, high = tf.reduce_min(places, axis=0), tf.reduce_max(places, axis=0)
    return tf.unstack(low, 3), tf.unstack(high - low + 1, 3)


def plan_jobs(mask, size: int):
    """Which windows to process, as `data.slices.choose_windows` over a box.

    Args:
        mask: (Z, X, Y) bool, the brain in its box.
        size: Side of a window.

    Returns:
        (J, 3) int32: slice, first row and first column of each window.
    """
    shape = tf.shape(mask)
    middle = tf.stack([tf.math.floordiv(shape[axis] - size, 2) for axis in (1, 2)])
    fits = []
    for axis in (1, 2):
        filled = tf.reduce_any(mask, axis=3 - axis)
        places = tf.range(shape[axis])
        start = middle[axis - 1]
        outside = tf.logical_or(places < start, places >= start + size)
        fits.append(tf.logical_not(tf.reduce_any(tf.logical_and(filled, outside), axis=1)))
    filled = tf.reduce_any(mask, axis=[1, 2])
    fits = tf.logical_and(fits[0], fits[1])
    rows, columns = (_plan_starts(shape[axis], size) for axis in (1, 2))
    grid = tf.reshape(tf.stack(tf.meshgrid(rows, columns, indexing="ij"), axis=-1), [-1, 2])
    jobs = []
    for chosen, starts in (
        (tf.logical_and(filled, fits), middle[None]),
        (tf.logical_and(filled, tf.logical_not(fits)), grid),
    ):
        levels = tf.cast(tf.where(chosen)[:, 0], tf.int32)
        count, windows = tf.shape(levels)[0], tf.shape(starts)[0]
        pairs = [tf.repeat(levels, windows)[:, None], tf.tile(starts, [count, 1])]
        jobs.append(tf.concat(pairs, axis=1))
    return tf.concat(jobs, axis=0)


def cut_window(picture, start, size: int):
    """(H, W, C) -> (size, size, C) from `start`, with 0 where the window leaves the picture."""
    shape = tf.shape(picture)[:2]
    low, high = tf.clip_by_value(start, 0, shape), tf.clip_by_value(start + size, 0, shape)
    inside = picture[low[0] : high[0], low[1] : high[1]]
    pads = tf.stack([low - start, start + size - high], axis=1)
    return tf.ensure_shape(
        tf.pad(inside, tf.concat([pads, [[0, 0]]], axis=0)), (size, size, picture.shape[-1])
    )


def place_window(window, start, shape):
    """(S, S) -> (H, W) of `shape`, the window at `start`, what lies outside left out."""
    size = tf.shape(window)
    low, high = tf.clip_by_value(start, 0, shape), tf.clip_by_value(start + size, 0, shape)
    inner = low - start
    inside = window[inner[0] : inner[0] + high[0] - low[0], inner[1] : inner[1] + high[1] - low[1]]
    return tf.pad(inside, tf.stack([low, shape - high], axis=1))


def _plan_starts(length, size: int):
    """First pixels of as few windows as cover an axis, evenly spaced; the middle for one."""
    count = tf.maximum(1, -tf.math.floordiv(-length, size))
    middle = tf.math.floordiv(length - size, 2)[None]

    def spread():
        last = tf.cast(length - size, tf.float64)
        places = tf.linspace(tf.constant(0.0, tf.float64), last, count)
        return tf.cast(tf.round(places), tf.int32)

    return tf.cond(tf.equal(count, 1), lambda: middle, spread)
