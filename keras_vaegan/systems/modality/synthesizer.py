"""Whole volumes from a missing-modality network."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_vaegan.config.data import ModalityDataConfig
from keras_vaegan.config.networks import ModalityUNetConfig
from keras_vaegan.data.brats import Case, Scan, find_scans, read_case
from keras_vaegan.data.nifti import write_nifti
from keras_vaegan.data.volume import Volume, from_canonical
from keras_vaegan.errors import InputError
from keras_vaegan.interop.keras_h5.load import Network, load_network
from keras_vaegan.kernels.random import draw_standard_normal
from keras_vaegan.models.latent import find_latent_model
from keras_vaegan.models.layers import reparameterize
from keras_vaegan.models.modality_unet import fold_normalization
from keras_vaegan.systems.modality.slices import (
    SliceWindows,
    find_closest,
    list_inputs,
    list_targets,
)
from keras_vaegan.systems.modality.system import ModalitySystem
from keras_vaegan.training.backend import should_compile_with_xla
from keras_vaegan.training.distribution import dtype_policy, resolve_precision
from keras_vaegan.weights.names import MODALITY_FILE, find_weight_file


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
            self.network = fold_normalization(network, config)
        self.network.compile(jit_compile=should_compile_with_xla())

    @classmethod
    def load(cls, path: str | Path, precision: str = "auto") -> Synthesizer:
        """Load from a run folder or a bare `.h5` file.

        Raises:
            InputError: no weights of such a network there.
        """
        return cls.from_network(load_network(find_weight_file(path, name=MODALITY_FILE)), precision)

    @classmethod
    def from_network(cls, network: Network, precision: str = "auto") -> Synthesizer:
        """Take a network as its weight file tells it; otherwise as `load`."""
        ModalitySystem.check_network(network)
        config: Any = network.config
        data = network.data
        if not isinstance(data, ModalityDataConfig):
            data = ModalityDataConfig(image_size=config.image_size)
        return cls(network.model, config, data, precision)

    def synthesize_folder(
        self, folder: Path, output: Path, target: str | None = None, samples: int = 0
    ) -> tuple[str, Path]:
        """Synthesise the contrast that a case folder lacks, NIfTI in, NIfTI out.

        Args:
            folder: A NIfTI file a contrast, named as BraTS names them; a file of the target is
                not looked at. A network that was trained with `drop_inputs` takes what is there.
            output: File to write, .nii or .nii.gz, in the grid and header of the closest input.
            target: As `choose_target`'s.
            samples: As `synthesize`'s; the deviation goes to NAME_std.nii.gz, as float32.

        Returns:
            (target, file of the closest input).

        Raises:
            InputError: bad case, output or target.
        """
        found = find_scans(folder)
        _check_output(output, found.values())
        target = self.choose_target(set(found), target)
        case = read_case(folder, self.choose_inputs(set(found), target), config=self.data)
        image, deviation = self.synthesize(case, target, samples)
        reference = choose_reference(case, target)
        write_nifti(output, restore_volume(image, case, reference), reference.header)
        if deviation is not None:
            header = reference.header.copy()
            header.set_data_dtype("float32")
            header.set_slope_inter(1, 0)
            volume = restore_deviation(deviation, reference)
            write_nifti(_name_deviation(output), volume, header)
        return target, reference.path

    def choose_target(self, found: set[str], target: str | None = None) -> str:
        """The contrast to synthesise for a case.

        Args:
            found: Contrasts that the case has.
            target: The contrast asked for; None takes the network's own, or for a network of any
                target the one that is missing.

        Raises:
            InputError: the network does not synthesise it, or it takes a choice.
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

    def choose_inputs(self, found: Container[str], target: str) -> tuple[str, ...]:
        """The contrasts to read: those that a case has, where the network does without the others.

        Args:
            found: Contrasts that the case has.
            target: The contrast to synthesise.
        """
        inputs = list_inputs(target)
        if not self.data.augmentation.drop_inputs:
            return inputs
        return tuple(name for name in inputs if name in found) or inputs

    def synthesize(
        self, case: Case, target: str, samples: int = 0, seed: int = 0
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Synthesise a contrast of a whole case, slice by slice.

        Where the brain is larger than the network's slice, overlapping windows are blended.

        Args:
            case: With the inputs of the target, or those of them that `choose_inputs` gives.
            target: A contrast that the network synthesises.
            samples: Draw this many latents a slice; 0 takes the latent's mean once.
            seed: Of the latents' noise, with which alone they vary.

        Returns:
            (image, deviation): the synthesis, or the samples' mean, (X, Y, Z) float32 in [0, 1]
            on the case's canonical grid, 0 outside the brain; the samples' standard deviation on
            the same scale, or None.
        """
        windows = SliceWindows(case.brain, self.config.image_size)
        units = {name: scan.unit for name, scan in case.scans.items()}
        inputs = np.asarray(windows.cut_inputs(units, target, self.config))

        def place(values: np.ndarray) -> np.ndarray:
            """The values of the brain's voxels -> the whole grid."""
            volume = np.zeros(case.brain.shape, "float32")
            volume[case.brain] = values
            return volume

        def blend(pictures: np.ndarray) -> np.ndarray:
            """The windows' pictures -> the values of the brain's voxels."""
            return np.asarray(windows.blend(pictures[..., 0]))[case.brain]

        if not samples:
            pictures = [self.network.predict_on_batch(part) for part in self._split(inputs)]
            return place(blend(np.concatenate(pictures)[: len(inputs)])), None
        drawn = [blend(sample) for sample in self._sample(inputs, samples, seed)]
        return place(np.mean(drawn, axis=0)), place(np.std(drawn, axis=0))

    def _sample(self, inputs: np.ndarray, samples: int, seed: int) -> np.ndarray:
        """(J, S, S, C) -> (samples, J, S, S, 1): encoded once, decoded with every latent."""
        latent = find_latent_model(self.network)
        assert latent is not None
        drawn: list[list] = [[] for _ in range(samples)]
        shape = (len(inputs) + self.batch_size, self.config.latent_channels)
        noises = [draw_standard_normal(shape, (seed, number)) for number in range(samples)]
        for first, part in enumerate(self._split(inputs)):
            mean, log_var, skips = latent.encode(part)
            chosen = slice(first * self.batch_size, (first + 1) * self.batch_size)
            for noise, pictures in zip(noises, drawn, strict=True):
                z = reparameterize(mean, log_var, noise[chosen])
                pictures.append(np.asarray(latent.decode(z, skips)))
        return np.stack([np.concatenate(pictures)[: len(inputs)] for pictures in drawn])

    def _split(self, inputs: np.ndarray) -> Iterator[np.ndarray]:
        """Batches of one size, the last one filled up: a network is compiled for one."""
        missing = -len(inputs) % self.batch_size
        inputs = np.pad(inputs, [(0, missing), (0, 0), (0, 0), (0, 0)])
        return iter(inputs.reshape(-1, self.batch_size, *inputs.shape[1:]))


def choose_reference(case: Case, target: str) -> Scan:
    """The input whose grid, header and intensity range a synthetic contrast takes."""
    return case.scans[find_closest(target, case.scans)]


def restore_volume(unit: np.ndarray, case: Case, reference: Scan) -> Volume:
    """Bring a synthetic image into a scan's stored grid, and its unit: float32.

    Args:
        unit: (X, Y, Z) in [0, 1] on the case's canonical grid.
        case: Its `brain` tells where the background lies.
        reference: The scan.
    """
    values = np.asarray(reference.range.from_unit(unit, case.brain))
    return _place_as_stored(values, reference)


def restore_deviation(deviation: np.ndarray, reference: Scan) -> Volume:
    """Bring a standard deviation into a scan's stored grid and unit; 0 outside the brain."""
    values = deviation * np.float32(reference.range.high - reference.range.low)
    return _place_as_stored(values, reference)


def _place_as_stored(values: np.ndarray, reference: Scan) -> Volume:
    """An array on the canonical grid -> a volume on a scan's own."""
    stored = reference.stored
    return Volume(from_canonical(values, stored.affine), stored.affine, stored.unit)


def _check_output(output: Path, inputs: Iterable[Path]) -> None:
    """Refuse an output that is no NIfTI name or that is one of the case's own files."""
    if not output.name.lower().endswith((".nii.gz", ".nii")) or output.is_dir():
        raise InputError(f"--output {output}: expected a file name ending in .nii.gz or .nii")
    taken = [path.resolve() for path in inputs]
    for path in (output, _name_deviation(output)):
        if path.resolve() in taken:
            raise InputError(f"--output {path} is one of the inputs: choose another name")


def _name_deviation(output: Path) -> Path:
    """NAME.nii.gz -> NAME_std.nii.gz."""
    suffix = output.name[len(output.name.lower().removesuffix(".gz").removesuffix(".nii")) :]
    return output.with_name(output.name.removesuffix(suffix) + "_std" + suffix)
