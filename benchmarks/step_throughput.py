"""Training-step throughput and peak memory of the CycleGAN presets.

    python benchmarks/step_throughput.py [--presets vae_cyclegan_small vae_cyclegan]
        [--precisions float32 mixed_bfloat16] [--steps 5] [--image-size 256] [--batch-sizes 1 4]
        [--recompute off on]

Every row runs in a process of its own on random images: compile, one warm-up step, then the
timed steps. A pair is one source and one target image drawn from the data; with the augmented
copies each pair stands for two of each in the step. Peak memory is the process's largest
resident set.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import time


def measure(arguments) -> dict:
    """Time one preset's step in this process."""
    import dataclasses

    import tensorflow as tf

    from keras_vaegan.systems.registry import build_trainer, get_preset

    preset, precision = arguments.presets[0], arguments.precisions[0]
    image_size, steps = arguments.image_size, arguments.steps
    config = get_preset(preset)
    batch_size = arguments.batch_sizes[0] or config.batch_size
    recompute = arguments.recompute[0] == "on"
    config = dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, image_size=image_size),
        precision=precision,
        batch_size=batch_size,
        pool_size=config.pool_size and max(config.pool_size, 2 * batch_size),
        recompute=recompute,
    )
    trainer = build_trainer(config)
    shape = (config.batch_size, image_size, image_size, config.data.channels)
    pair = (tf.random.uniform(shape, -1, 1), tf.random.uniform(shape, -1, 1))
    begin = time.perf_counter()
    trainer.train_on_batch(pair)
    compile_seconds = time.perf_counter() - begin
    trainer.train_on_batch(pair)
    times = []
    for _ in range(steps):
        begin = time.perf_counter()
        trainer.train_on_batch(pair)
        times.append(time.perf_counter() - begin)
    median = sorted(times)[len(times) // 2]
    return {
        "preset": preset,
        "precision": precision,
        "batch": config.batch_size,
        "recompute": recompute,
        "generator_parameters": trainer.g_target.count_params(),
        "compile_s": round(compile_seconds, 1),
        "step_s": round(median, 3),
        "pairs_per_s": round(config.batch_size / median, 3),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }


def main() -> None:
    """Run every combination in a process of its own and print a row each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", nargs="+", default=["vae_cyclegan_small", "vae_cyclegan"])
    parser.add_argument("--precisions", nargs="+", default=["float32", "mixed_bfloat16"])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--image-size", type=int, default=256)
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[0], help="0: the preset's")
    parser.add_argument("--recompute", nargs="+", choices=["off", "on"], default=["off"])
    parser.add_argument("--one", action="store_true", help="measure in this process")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments)))
        return
    names = ("presets", "precisions", "batch_sizes", "recompute")
    for values in itertools.product(*(getattr(arguments, name) for name in names)):
        command = [
            sys.executable, __file__, "--one",
            "--steps", str(arguments.steps), "--image-size", str(arguments.image_size),
        ]  # fmt: skip
        for name, value in zip(names, values, strict=True):
            command += [f"--{name.replace('_', '-')}", str(value)]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run(
            command, check=True, env=environment, stdout=subprocess.PIPE, text=True
        )
        print(done.stdout.splitlines()[-1], flush=True)


if __name__ == "__main__":
    main()
