"""Hardware choices: numeric precision and compilation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import tensorflow as tf


def resolve_precision(precision: str) -> str:
    """Turn "auto" into the fastest safe precision of this machine.

    Returns:
        "mixed_bfloat16" on TPUs, on GPUs of compute capability 8 or more and on CPUs with
        AVX512-BF16 or AMX-BF16 instructions; "float32" elsewhere; any other value unchanged.
    """
    if precision != "auto":
        return precision
    if tf.config.list_logical_devices("TPU"):
        return "mixed_bfloat16"
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        has_bfloat16 = details.get("compute_capability", (0, 0))[0] >= 8
    else:
        has_bfloat16 = _cpu_has_bfloat16()
    return "mixed_bfloat16" if has_bfloat16 else "float32"


def _cpu_has_bfloat16() -> bool:
    """Whether Linux lists a bfloat16 instruction set for this CPU."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    return "avx512_bf16" in text or "amx_bf16" in text


@contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Build layers under a dtype policy, and put the caller's back afterwards."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def should_compile_with_xla() -> bool:
    """XLA is required on TPU, and slower than oneDNN for these convolutions on CPU."""
    return bool(tf.config.list_logical_devices("TPU"))
