"""Training steps compile under XLA and give the update of the plain step."""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vaegan.systems.registry import PRESETS, build_trainer, get_preset
from keras_vaegan.systems.super_resolution.config import SuperResolutionConfig

# Work on the host, and results whose shape depends on values: neither runs on a TPU.
FORBIDDEN = {
    "PyFunc", "EagerPyFunc", "PyFuncStateless", "Where", "Unique", "UniqueV2", "BooleanMask",
    "NonMaxSuppressionV5", "RandomShuffle", "RandomUniform", "RandomStandardNormal",
}  # fmt: skip
FAMILIES = ("demo", "rrdbnet_x4_small", "modality_unet_small")  # resnets: by JAX's tests
EVERY = os.environ.get("KERAS_VAEGAN_EVERY_PRESET")  # 12 minutes
NAMES = PRESETS if EVERY else FAMILIES
LEVELS = None if EVERY else 2  # of a network: a level more has the same operations again
# The published ones, but for System A: demo's step has every operation of its step, and half the
# nodes.
TRACED = PRESETS if EVERY else ("demo", "resnet_cyclegan", "modality_unet", "rrdbnet_x4")
STAGES = [
    (name, stage)
    for name in NAMES
    for stage in (
        ("pixel", "adversarial") if isinstance(get_preset(name), SuperResolutionConfig) else (None,)
    )
]
TOLERANCE = 1e-2  # of the largest update of a weight


def train_once(tiny, config, stage, **how):
    """One step of plain gradient descent. Returns the changes by name."""
    trainer = build_trainer(config)
    count = 2 if hasattr(trainer, "g_optimizer") else 1
    optimizers = [keras.optimizers.SGD(1e-2) for _ in range(count)]
    trainer.compile(*optimizers, **how)
    if stage:
        trainer.set_stage(stage)
    before = tiny.read_state(trainer)
    trainer.train_on_batch(tiny.make_batch(config, 0))
    after = tiny.read_state(trainer)
    return {name: after[name] - before[name] for name in after}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "stage"), STAGES, ids=[f"{n}-{s}" if s else n for n, s in STAGES])
def test_the_step_of_a_preset_compiles_under_xla(tiny, name, stage):
    config = tiny.shrink(get_preset(name), LEVELS)
    plain = train_once(tiny, config, stage, run_eagerly=True)
    compiled = train_once(tiny, config, stage, jit_compile=True)
    networks = [key for key in plain if key[:2] in ("g_", "d_", "ne") and "optimizer" not in key]
    largest = max(np.abs(plain[key]).max() for key in networks)
    difference = max(np.abs(plain[key] - compiled[key]).max() for key in networks)
    print(f"{name} {stage or ''}: difference {difference:.1e} of updates up to {largest:.1e}")
    assert largest > 0 and difference <= TOLERANCE * largest


@pytest.mark.parametrize("name", TRACED)
def test_a_step_has_no_host_calls_and_no_shape_that_depends_on_values(tiny, name):
    config = tiny.shrink(get_preset(name), LEVELS)
    trainer = build_trainer(config)
    batch = tuple(tf.TensorSpec(part.shape) for part in tiny.make_batch(config, 0))
    step = tf.function(trainer.train_step, autograph=False)  # as Keras does it
    graph = step.get_concrete_function(batch).graph.as_graph_def()
    kinds = {node.op for node in graph.node}
    kinds |= {node.op for body in graph.library.function for node in body.node_def}
    assert not kinds & FORBIDDEN
