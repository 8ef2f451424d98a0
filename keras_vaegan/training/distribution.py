"""Hardware choices: strategy and numeric precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from keras_vaegan.errors import InputError
from keras_vaegan.training.backend import (
    current_strategy,
    has_bfloat16,
    start_strategy,
)
from keras_vaegan.training.backend.host import has_bfloat16_instructions

STRATEGIES = ("auto", "single", "mirrored", "multi_worker", "tpu")


def make_strategy(name: str) -> Any:
    """Make the strategy of a name: how devices share a step.

    Call it before any other operation: several workers and TPUs are set up once a process, at its
    start.

    Args:
        name: "single" for one device; "mirrored" for all GPUs of this machine (or its logical
            CPUs); "multi_worker" for all GPUs of several machines, as `TF_CONFIG` or Slurm's
            environment describes them (TensorFlow alone); "tpu" for a TPU; "auto" for
            multi_worker where TF_CONFIG names several workers or a Slurm step has several tasks,
            tpu where the environment names one, mirrored where there are several GPUs, else single.

    Returns:
        Has `scope()`, in which to build and train, and `num_replicas_in_sync`.

    Raises:
        InputError: unknown name, or hardware and environment that do not fit it.
    """
    if name not in STRATEGIES:
        raise InputError(f"--strategy {name!r}: expected one of {', '.join(STRATEGIES)}")
    return start_strategy(name)


def check_global_batch(batch_size: int, strategy: Any = None) -> None:
    """Refuse a global batch that the replicas cannot share evenly.

    Raises:
        InputError: they cannot.
    """
    strategy = strategy or current_strategy()
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise InputError(
            f"a global batch of {batch_size} over {replicas} replicas: expected a multiple of "
            f"{replicas}; set --batch-size"
        )


def resolve_precision(precision: str) -> str:
    """Turn "auto" into the fastest safe precision of this machine.

    Returns:
        "mixed_bfloat16" on TPUs, on GPUs of compute capability 8 or more and on CPUs with
        AVX512-BF16 or AMX-BF16 instructions; "float32" elsewhere; any other value unchanged.

    Raises:
        InputError: mixed_float16 under JAX, where nothing scales its losses.
    """
    if precision == "mixed_float16" and keras.backend.backend() == "jax":
        raise InputError(
            "precision mixed_float16 under JAX: expected float32 or mixed_bfloat16; set --precision"
        )
    if precision != "auto":
        return precision
    accelerated = has_bfloat16()
    has_it = has_bfloat16_instructions() if accelerated is None else accelerated
    return "mixed_bfloat16" if has_it else "float32"


@contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Build layers under a dtype policy, and put the caller's back afterwards."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
