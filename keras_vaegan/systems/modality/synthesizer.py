"""Whole volumes from a missing-modality network."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from keras_vaegan.config.data import ModalityDataConfig
from keras_vaegan.config.networks import MODALITIES, ModalityUNetConfig
from keras_vaegan.data.brats import Case, Scan
from keras_vaegan.data.intensity import find_box
from keras_vaegan.data.volume import Volume, from_canonical
from keras_vaegan.errors import InputError
from keras_vaegan.models.modality_unet import fold_normalization
from keras_vaegan.systems.modality.slices import (
    add_window,
    choose_windows,
    cut_window,
    encode_inputs,
    list_inputs,
    list_targets,
    make_blending_weights,
)
from keras_vaegan.systems.modality.weights import load_modality_unet
from keras_vaegan.training.distribution import (
    dtype_policy,
    resolve_precision,
    should_compile_with_xla,
)

# The contrast whose intensities and header a made one borrows: the one it resembles most.
_CLOSEST = {
    "t1": ("t1ce", "t2", "flair"),
    "t1ce": ("t1", "t2", "flair"),
    "t2": ("flair", "t1", "t1ce"),
    "flair": ("t2", "t1", "t1ce"),
}


class Synthesizer:
    """A network with the preparation of its slices and their way back into a volume.

    Args:
        network: Model of `build_modality_unet`.
        config: Its architecture.
        data: How its slices were prepared.
        precision: "auto" computes in bfloat16 where the hardware has it; "float32" elsewhere.
        batch_size: Slices per forward pass.
    """

    def __init__(
        self,
        network: keras.Model,
        config: ModalityUNetConfig,
        data: ModalityDataConfig,
        precision: str = "auto",
        batch_size: int = 8,
    ) -> None:
        self.config, self.data, self.batch_size = config, data, batch_size
        with dtype_policy(resolve_precision(precision)):
            self._mean = fold_normalization(network, config)
        self._sample = LatentSampler(self._mean)
        for model in (self._mean, self._sample):
            model.compile(jit_compile=should_compile_with_xla())

    @classmethod
    def load(cls, path: str | Path, precision: str = "auto", batch_size: int = 8) -> Synthesizer:
        """Load from a run folder or a bare `.h5` file.

        Raises:
            InputError: no weights of such a network there.
        """
        return cls(*load_modality_unet(path), precision, batch_size)

    def choose_target(self, found: set[str], target: str | None = None) -> str:
        """The contrast to make of a case.

        Args:
            found: Contrasts that the case has.
            target: The contrast asked for; None takes the network's own, or for a network of any
                target the one that is missing.

        Raises:
            InputError: the network does not make it, or it takes a choice.
        """
        targets = list_targets(self.config)
        if target is not None and target not in targets:
            raise InputError(
                f"--target {target}: expected {' or '.join(targets)}, which these weights make; "
                "choose other weights or another target"
            )
        missing = [modality for modality in targets if modality not in found]
        if target is None and len(targets) > 1 and len(missing) != 1:
            raise InputError(
                f"the case lacks {', '.join(missing) or 'no contrast'}: expected --target, one of "
                f"{', '.join(targets)}; add it"
            )
        return target or (targets if len(targets) == 1 else missing)[0]

    def synthesize(
        self, case: Case, target: str, samples: int = 0
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Make a contrast of a whole case, slice by slice.

        Where the brain is larger than the network's slice, overlapping windows are blended.

        Args:
            case: With all inputs of the target.
            target: A contrast that the network makes.
            samples: Draw this many latents a slice; 0 takes the latent's mean once.

        Returns:
            (image, deviation): the synthesis, or the samples' mean, (X, Y, Z) float32 in [0, 1]
            on the case's canonical grid, 0 outside the brain; the samples' standard deviation on
            the same scale, or None.
        """
        box = find_box(case.brain)
        region = tuple(slice(first, last) for first, last in box)
        brain = np.ascontiguousarray(np.moveaxis(case.brain[region], 2, 0))
        stack = np.zeros((*brain.shape, len(MODALITIES)), "float32")
        for modality in list_inputs(target):
            unit = np.moveaxis(case.scans[modality].unit[region], 2, 0)
            stack[..., MODALITIES.index(modality)] = unit
        if not samples:
            return self._place(self._run(stack, brain, target, self._mean), case, region), None
        drawn = [self._run(stack, brain, target, self._sample) for _ in range(samples)]
        mean, deviation = np.mean(drawn, axis=0), np.std(drawn, axis=0)
        return self._place(mean, case, region), self._place(deviation, case, region)

    def _run(self, stack: np.ndarray, brain: np.ndarray, target: str, model) -> np.ndarray:
        """One forward pass over a box: (Z, X, Y, 4) -> (Z, X, Y)."""
        size = self.config.image_size
        box = [(0, side) for side in brain.shape[1:]]
        jobs = [
            (level, start)
            for level, mask in enumerate(brain)
            for start in choose_windows(mask, box, size)
        ]
        blending = make_blending_weights(size)
        total, weight = np.zeros(brain.shape, "float32"), np.zeros(brain.shape, "float32")
        batch = np.zeros((self.batch_size, size, size, len(MODALITIES)), "float32")
        for first in range(0, len(jobs), self.batch_size):
            chosen = jobs[first : first + self.batch_size]
            for row, (level, start) in enumerate(chosen):
                batch[row] = cut_window(stack[level], start, size)
            made = model.predict_on_batch(encode_inputs(batch, target, self.config))
            for (level, start), picture in zip(chosen, made, strict=False):
                add_window(total[level], picture[..., 0] * blending, start)
                add_window(weight[level], blending, start)
        return np.where(brain, total / np.maximum(weight, 1e-6), 0)

    @staticmethod
    def _place(values: np.ndarray, case: Case, region) -> np.ndarray:
        """A box (Z, X, Y) -> the case's whole grid (X, Y, Z)."""
        whole = np.zeros(case.brain.shape, "float32")
        whole[region] = np.moveaxis(values, 0, 2)
        return whole


class LatentSampler(keras.Model):
    """A network whose latent is drawn at inference too; it has no other layer that trains."""

    def __init__(self, network: keras.Model) -> None:
        super().__init__()
        self.network = network

    def call(self, inputs):
        return self.network(inputs, training=True)


def choose_reference(case: Case, target: str) -> Scan:
    """The input whose grid, header and intensity range a made contrast takes."""
    return next(case.scans[modality] for modality in _CLOSEST[target] if modality in case.scans)


def restore_volume(unit: np.ndarray, case: Case, reference: Scan) -> Volume:
    """Bring a made image into a scan's stored grid and intensity range.

    Args:
        unit: (X, Y, Z) in [0, 1] on the case's canonical grid.
        case: Its `brain` tells where the background lies.
        reference: The scan.

    Returns:
        Volume of the scan's shape, axis order and affine, float32 in the scan's unit.
    """
    values = reference.range.from_unit(unit, case.brain)
    stored = reference.stored
    return Volume(from_canonical(values, stored.affine), stored.affine, stored.unit)


def restore_deviation(deviation: np.ndarray, reference: Scan) -> Volume:
    """Bring a standard deviation into a scan's stored grid and unit; 0 outside the brain."""
    values = deviation * np.float32(reference.range.high - reference.range.low)
    stored = reference.stored
    return Volume(from_canonical(values, stored.affine), stored.affine, stored.unit)
