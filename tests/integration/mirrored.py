"""Train every tiny config on one device and on two logical CPUs; print the differences as JSON.

    python mirrored.py [NAME ...]

The devices have to be made before TensorFlow starts, hence a process of its own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import tensorflow as tf

sys.path.insert(0, str(Path(__file__).parents[1]))
STEPS = 3


def train(config, strategy) -> dict:
    """Train `STEPS` steps on fixed batches, through `fit` as a run does."""
    from tiny import make_batch, read_state

    from keras_vaegan.systems.registry import build_trainer

    with strategy.scope():
        trainer = build_trainer(config)
        batches = [make_batch(config, seed) for seed in range(STEPS)]
        signature = tuple(tf.TensorSpec(part.shape) for part in batches[0])
        stream = tf.data.Dataset.from_generator(lambda: iter(batches), output_signature=signature)
        trainer.fit(stream, steps_per_epoch=STEPS, verbose=0, shuffle=False)
    assert int(trainer.trained_steps.numpy()) == STEPS
    return read_state(trainer)


def main(names: list[str]) -> None:
    """Compare single and mirrored."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
    from tiny import TINY, compare_roughly, run_graphs_as_traced

    from keras_vaegan.training.distribution import make_strategy

    run_graphs_as_traced()
    single, mirrored = make_strategy("single"), make_strategy("mirrored")
    results = {}
    for name in names or TINY:
        results[name] = compare_roughly(train(TINY[name], single), train(TINY[name], mirrored))
    print(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1:])
