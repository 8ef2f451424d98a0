"""The hardware as TensorFlow sees it: strategies, workers, precision."""

from __future__ import annotations

import json
import os

import keras
import tensorflow as tf

from keras_vaegan.errors import InputError, first_line
from keras_vaegan.training.backend.host import count_free_bytes, count_slurm_tasks

OUT_OF_MEMORY = (tf.errors.ResourceExhaustedError, MemoryError)


def start_strategy(name: str) -> tf.distribute.Strategy:
    """Start the `tf.distribute` strategy of a name: `distribution.make_strategy`.

    Call it before any other TensorFlow operation: several workers and TPUs are set up once a
    process, at its start.
    """
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


def current_strategy() -> tf.distribute.Strategy:
    """The strategy of the scope around."""
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


def _choose_strategy() -> str:
    """What "auto" means here."""
    cluster = _read_tf_config().get("cluster", {})
    workers = sum(len(cluster.get(kind, ())) for kind in ("chief", "worker"))
    if workers > 1 or (not cluster and count_slurm_tasks() > 1):
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
    tasks = count_slurm_tasks()
    if tasks:
        # Slurm itself gives each task its GPUs; counting them here fails on nodes without any.
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


def has_bfloat16() -> bool | None:
    """Whether the accelerator computes bfloat16 fast; None where there is none."""
    if tf.config.list_logical_devices("TPU"):
        return True
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return None
    details = tf.config.experimental.get_device_details(gpus[0])
    return details.get("compute_capability", (0, 0))[0] >= 8


def find_free_memory() -> int | None:
    """Bytes free where steps run; None on an accelerator, of which TensorFlow tells nothing."""
    if tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("TPU"):
        return None
    return count_free_bytes()


def should_compile_with_xla() -> bool:
    """XLA is required on TPU, and slower than oneDNN for these convolutions on CPU."""
    return bool(tf.config.list_logical_devices("TPU"))
