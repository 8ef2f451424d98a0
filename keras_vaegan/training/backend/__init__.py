"""What a training step needs beyond `keras.ops`, one module a Keras backend.

Gradients, what several devices share of a step, and compiled inference. Trainers import these names
from here and know no backend.
"""

from __future__ import annotations

import keras

from keras_vaegan.errors import InputError

if keras.backend.backend() != "tensorflow":
    raise InputError(
        f"training on the Keras backend {keras.backend.backend()!r}: expected tensorflow; set "
        "KERAS_BACKEND=tensorflow"
    )

from keras_vaegan.training.backend.tensorflow import (  # noqa: E402, F401
    average_over_replicas,
    clip_by_global_norm,
    compile_inference,
    compute_gradients,
    compute_separate_gradients,
    count_replicas,
    draw_normal,
    find_own_rows,
    fix_batch_size,
    gather_batch,
    move_averages,
    recompute,
    sum_over_workers,
    take_own_part,
)
