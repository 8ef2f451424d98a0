"""The hardware as JAX sees it: devices of one process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import jax
import keras

from keras_vaegan.errors import InputError
from keras_vaegan.training.backend.host import count_free_bytes, count_slurm_tasks

OUT_OF_MEMORY = (jax.errors.JaxRuntimeError, MemoryError)


class DataParallel:
    """One device, or several that share every batch by rows.

    Args:
        devices: JAX's names of them, such as "gpu:0".
    """

    def __init__(self, devices: list[str]) -> None:
        self.devices = devices

    @property
    def num_replicas_in_sync(self) -> int:
        """Devices that share a batch."""
        return len(self.devices)

    @contextmanager
    def scope(self) -> Iterator[None]:
        """What is built inside is held by all devices."""
        before = keras.distribution.distribution()
        if len(self.devices) > 1:
            keras.distribution.set_distribution(
                keras.distribution.DataParallel(devices=self.devices)
            )
        try:
            yield
        finally:
            keras.distribution.set_distribution(before)


def start_strategy(name: str) -> DataParallel:
    """Choose devices by a strategy's name: `distribution.make_strategy`.

    "auto" and "tpu" take all accelerators of this machine; "mirrored" all devices, which on a CPU
    are as many as XLA_FLAGS=--xla_force_host_platform_device_count says.

    Raises:
        InputError: "multi_worker", "auto" as one of several tasks of a Slurm step, which would
            all train alone into one folder, or a TPU that is not there.
    """
    if name == "auto" and count_slurm_tasks() > 1:
        raise InputError(
            f"a Slurm step of {count_slurm_tasks()} tasks under JAX: expected one task; start one, "
            "or set KERAS_BACKEND=tensorflow"
        )
    if name == "multi_worker":
        raise InputError(
            "--strategy multi_worker under JAX: expected devices of one machine; drop it, or set "
            "KERAS_BACKEND=tensorflow"
        )
    if name == "tpu" and jax.default_backend() != "tpu":
        raise InputError(
            f"--strategy tpu on a {jax.default_backend()}: expected a TPU that JAX sees; choose "
            "--strategy auto"
        )
    devices = keras.distribution.list_devices()
    everything = name in ("mirrored", "tpu") or jax.default_backend() != "cpu"
    return DataParallel(devices if everything and name != "single" else devices[:1])


def current_strategy() -> DataParallel:
    """What the scope around says."""
    distribution = keras.distribution.distribution()
    names = keras.distribution.list_devices()[:1]
    if distribution is not None:
        names = [str(name) for name in distribution.device_mesh.devices.flatten()]
    return DataParallel(names)


def is_chief() -> bool:
    """There is one process."""
    return True


def is_multi_worker() -> bool:
    """There is one process."""
    return False


def use_determinism(seed: int) -> None:
    """Make a run repeatable: XLA's programs are, beside some of its GPU kernels.

    Those follow XLA_FLAGS=--xla_gpu_deterministic_ops=true, which JAX reads at its start.
    """
    keras.utils.set_random_seed(seed)


def has_bfloat16() -> bool | None:
    """Whether the accelerator computes bfloat16 fast; None where there is none."""
    device = jax.devices()[0]
    if device.platform == "cpu":
        return None
    capability = getattr(device, "compute_capability", None)
    return capability is None or float(capability) >= 8


def find_free_memory() -> int | None:
    """Bytes free where steps run; None where JAX cannot tell."""
    if jax.default_backend() == "cpu":
        return count_free_bytes()
    facts = jax.devices()[0].memory_stats() or {}
    return facts["bytes_limit"] - facts["bytes_in_use"] if "bytes_limit" in facts else None


def should_compile_with_xla() -> bool:
    """There is nothing else; Keras asks its own loop alone."""
    return False
