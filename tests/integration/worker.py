"""One process of a tiny training run: `train` on a preset of tiny.py, then the state to a file.

    python worker.py FAMILY STATE.npz TRAIN-OPTIONS...

With TF_CONFIG in the environment it is one of several workers, with LOGICAL_CPUS=2 it has two.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))


def main(family: str, state: Path, options: list[str]) -> int:
    """Register the tiny preset, train, keep the state."""
    from tiny import TINY, read_state

    from keras_vaegan.commands import train
    from keras_vaegan.systems.registry import PRESETS
    from keras_vaegan.training.callbacks import StopOnSignalOrLimit

    if os.environ.get("LOGICAL_CPUS"):
        import tensorflow as tf

        devices = [tf.config.LogicalDeviceConfiguration()] * int(os.environ["LOGICAL_CPUS"])
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0], devices
        )
    PRESETS["tiny"] = lambda: TINY[family]

    def keep_state(self, logs=None):
        np.savez(state, **{k.replace("/", "|"): v for k, v in read_state(self.model).items()})

    StopOnSignalOrLimit.on_train_end = keep_state
    return train.main(["--preset", "tiny", *options])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:]))
