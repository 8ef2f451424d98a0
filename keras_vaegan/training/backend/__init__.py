"""What a training step needs beyond `keras.ops`, a few modules a Keras backend.

Gradients and what several devices share of a step (`tensorflow.py`, `jax.py`); how a trainer runs
it and its batches come (`tensorflow.py`, where Keras does most, and `jax_runner.py`); which devices
there are (`tensorflow_devices.py`, `jax_devices.py`). The rest of the package imports these names
from here and knows no backend.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from keras_vaegan.errors import InputError

if TYPE_CHECKING or keras.backend.backend() == "tensorflow":
    from keras_vaegan.training.backend.tensorflow import (  # noqa: F401
        StepRunner,
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
        make_run_callbacks,
        make_stream,
        move_averages,
        recompute,
        sum_over_workers,
        take_own_part,
    )
    from keras_vaegan.training.backend.tensorflow_devices import (  # noqa: F401
        OUT_OF_MEMORY,
        current_strategy,
        find_free_memory,
        has_bfloat16,
        is_chief,
        is_multi_worker,
        should_compile_with_xla,
        start_strategy,
        use_determinism,
    )
elif keras.backend.backend() == "jax":
    from keras_vaegan.training.backend.jax import (  # noqa: F401
        average_over_replicas,
        clip_by_global_norm,
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
    from keras_vaegan.training.backend.jax_devices import (  # noqa: F401
        OUT_OF_MEMORY,
        current_strategy,
        find_free_memory,
        has_bfloat16,
        is_chief,
        is_multi_worker,
        should_compile_with_xla,
        start_strategy,
        use_determinism,
    )
    from keras_vaegan.training.backend.jax_runner import (  # noqa: F401
        StepRunner,
        compile_inference,
        make_run_callbacks,
        make_stream,
    )
else:
    raise InputError(
        f"training on the Keras backend {keras.backend.backend()!r}: expected tensorflow or jax; "
        "set KERAS_BACKEND"
    )
