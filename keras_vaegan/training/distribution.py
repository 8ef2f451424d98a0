"""Hardware choices: strategy, numeric precision and compilation."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import tensorflow as tf

from keras_vaegan.errors import InputError, first_line

STRATEGIES = ("auto", "single", "mirrored", "multi_worker", "tpu")


def make_strategy(name: str) -> tf.distribute.Strategy:
    """Make the `tf.distribute` strategy of a name.

    Call it before any other TensorFlow operation: several workers and TPUs are set up once a
    process, at its start.

    Args:
        name: "single" for one device; "mirrored" for all GPUs of this machine (or its logical
            CPUs); "multi_worker" for all GPUs of several machines, as `TF_CONFIG` or Slurm's
            environment describes them; "tpu" for a TPU; "auto" for multi_worker where TF_CONFIG
            names several workers, tpu where the environment names one, mirrored where there are
            several GPUs, else single.

    Raises:
        InputError: unknown name, or hardware and environment that do not fit it.
    """
    if name not in STRATEGIES:
        raise InputError(f"--strategy {name!r}: expected one of {', '.join(STRATEGIES)}")
    name = _choose_strategy() if name == "auto" else name
    try:
        if name == "multi_worker":
            return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=find_cluster())
        if name == "tpu":
            resolver = tf.distribute.cluster_resolver.TPUClusterResolver(
                os.environ.get("TPU_NAME", "")
            )
            tf.config.experimental_connect_to_cluster(resolver)
            tf.tpu.experimental.initialize_tpu_system(resolver)
            return tf.distribute.TPUStrategy(resolver)
        if name == "mirrored":
            return tf.distribute.MirroredStrategy(_list_devices())
    except InputError:
        raise
    except (ValueError, KeyError, RuntimeError, tf.errors.OpError) as error:
        raise InputError(
            f"--strategy {name} cannot start: {first_line(error)}; expected the hardware and "
            "environment that docs/scaling.md describes, or --strategy single"
        ) from error
    return tf.distribute.get_strategy()


def is_chief() -> bool:
    """Whether this process writes files: the only one, or the first of several workers."""
    resolver = tf.distribute.get_strategy().cluster_resolver
    if resolver is None or not hasattr(resolver, "task_type"):
        return True
    if resolver.task_type == "worker" and "chief" not in resolver.cluster_spec().jobs:
        return resolver.task_id == 0
    return resolver.task_type in (None, "chief", "")


def is_multi_worker() -> bool:
    """Whether several processes train together."""
    strategy = tf.distribute.get_strategy()
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def use_determinism(seed: int) -> None:
    """Make every operation of this process give the same bits in every run."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def check_global_batch(batch_size: int, strategy: tf.distribute.Strategy) -> None:
    """Refuse a global batch that the replicas cannot share evenly.

    Raises:
        InputError: they cannot.
    """
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise InputError(
            f"a global batch of {batch_size} over {replicas} replicas: expected a multiple of "
            f"{replicas}; set --batch-size"
        )


def _choose_strategy() -> str:
    """What "auto" means here."""
    cluster = _read_tf_config().get("cluster", {})
    if sum(len(cluster.get(kind, ())) for kind in ("chief", "worker")) > 1:
        return "multi_worker"
    if os.environ.get("TPU_NAME") or os.environ.get("COLAB_TPU_ADDR"):
        return "tpu"
    return "mirrored" if len(tf.config.list_logical_devices("GPU")) > 1 else "single"


def _read_tf_config() -> dict:
    """TF_CONFIG as a dict, or a refusal where it is none; empty where it is not set."""
    text = os.environ.get("TF_CONFIG", "")
    try:
        config = json.loads(text) if text else {}
    except ValueError as error:
        raise InputError(f"TF_CONFIG is no JSON ({error}): expected cluster and task") from error
    if not isinstance(config, dict):
        raise InputError(f"TF_CONFIG is {text[:60]!r}: expected a JSON object, cluster and task")
    return config


def find_cluster():
    """Find the cluster of TF_CONFIG, else of Slurm.

    Raises:
        InputError: neither describes one.
    """
    resolvers = tf.distribute.cluster_resolver
    if _read_tf_config().get("cluster"):
        return resolvers.TFConfigClusterResolver()
    if "SLURM_JOB_ID" in os.environ and "SLURM_STEP_NUM_TASKS" in os.environ:
        # Slurm itself gives each task its GPUs; counting them here fails on nodes without any.
        tasks = int(os.environ["SLURM_STEP_NUM_TASKS"])
        return resolvers.SlurmClusterResolver(
            gpus_per_node=tasks, gpus_per_task=1, auto_set_gpu=False
        )
    raise InputError(
        "--strategy multi_worker without a cluster: expected TF_CONFIG with cluster and task, or "
        "a start through srun"
    )


def _list_devices() -> list[str] | None:
    """All GPUs (None: MirroredStrategy's own choice), else the logical CPUs."""
    if tf.config.list_logical_devices("GPU"):
        return None
    return [device.name for device in tf.config.list_logical_devices("CPU")]


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
