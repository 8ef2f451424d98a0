"""One process of tiny training runs: `train` on presets of tiny.py, then their states to files.

    python worker.py FAMILY[,FAMILY...] FOLDER TRAIN-OPTIONS...

Each family trains in turn; its run lies in FOLDER/FAMILY, its state in FOLDER/FAMILY.N.npz, N the
worker's number. "IMAGES" in --data may be followed by "+CASES", where modality finds its data. With
TF_CONFIG in the environment it is one of several workers, with LOGICAL_CPUS=2 it has two devices.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))


def main(families: list[str], folder: Path, data: str, options: list[str]) -> int:
    """Register the tiny presets, train each, keep the states."""
    from tiny import TINY, Blank, read_state, run_graphs_as_traced

    from keras_vaegan.commands import train
    from keras_vaegan.evaluation import pictures
    from keras_vaegan.systems.registry import PRESETS
    from keras_vaegan.training import distribution
    from keras_vaegan.training.callbacks import StopOnSignalOrLimit

    # Several workers are set up once a process, however many families train.
    distribution.make_strategy = functools.cache(distribution.make_strategy)

    if os.environ.get("LOGICAL_CPUS"):
        import tensorflow as tf

        devices = [tf.config.LogicalDeviceConfiguration()] * int(os.environ["LOGICAL_CPUS"])
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0], devices
        )
    if os.environ.get("KERAS_BACKEND") != "jax":
        run_graphs_as_traced()
    pictures.FigureCanvasAgg = Blank
    number = json.loads(os.environ.get("TF_CONFIG") or "{}").get("task", {}).get("index", 0)
    number = os.environ.get("SLURM_PROCID", number)
    images, _, cases = data.partition("+")
    for family in families:
        PRESETS["tiny"] = lambda family=family: TINY[family]

        def keep_state(self, logs=None, family=family):
            arrays = {k.replace("/", "|"): v for k, v in read_state(self.model).items()}
            np.savez(folder / f"{family}.{number}.npz", **arrays)

        StopOnSignalOrLimit.on_train_end = keep_state
        source = cases if family == "modality" else images
        places = ["--data", source, "--out", str(folder / family)]
        status = train.main(["--preset", "tiny", *places, *options])
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1].split(","), Path(sys.argv[2]), sys.argv[3], sys.argv[4:]))
