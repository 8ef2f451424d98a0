"""What the host itself tells of its processor and memory."""

from __future__ import annotations

import os
from pathlib import Path

PROCESSOR = Path("/proc/cpuinfo")
# Values of ONEDNN_MAX_CPU_ISA under which oneDNN has no bfloat16 convolution.
WITHOUT_BFLOAT16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI")


def count_free_bytes() -> int | None:
    """Bytes of memory that Linux could give away; None elsewhere."""
    info = Path("/proc/meminfo")
    lines = info.read_text().splitlines() if info.exists() else []
    available = next((line.split()[1] for line in lines if line.startswith("MemAvailable")), None)
    return int(available) * 1024 if available else None


def has_bfloat16_instructions() -> bool:
    """Whether Linux lists a bfloat16 instruction set for this processor, and oneDNN may use it."""
    if os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in WITHOUT_BFLOAT16:
        return False
    text = PROCESSOR.read_text() if PROCESSOR.exists() else ""
    return "avx512_bf16" in text or "amx_bf16" in text


def count_slurm_tasks() -> int:
    """Tasks of the Slurm step that this process belongs to; 0 outside of one."""
    if "SLURM_JOB_ID" not in os.environ:
        return 0
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", 0))
