"""System C against its PyTorch rendition: training step and inference, time and memory.

    python benchmarks/race_resnet.py [--precisions float32 bfloat16] [--tasks train translate]
        [--batch-size 2] [--image-size 256] [--threads 2] [--rounds 3] [--filters 64 128 256]

For every precision and task the two sides run in a process each, on the same number of threads;
one waits while the other works, turn by turn. A side's first turn warms it up (compilation
included) and does not count. PyTorch runs each of its layouts (`--layouts`) and ways of calling
(`--calls`: one batch a call, or merged calls as ours), and its fastest counts. Printed are medians
of wall time, CPU time, the largest resident set, and the share of the convolution peak: the
step's convolution arithmetic over its time, over the best rate that either library reaches on the
blocks' own convolution in the same run. On a machine that others use too, take `--threads 1` and
CPU time: with more threads PyTorch's wait for each other in a loop.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import os
import resource
import time

import race

PEAK_IMAGES = 4
PEAK_CALLS = 12


# -- the sides, each in its own process -----------------------------------------------------------


def make_config(arguments):
    """The published run at the given size, batch and precision, without augmentation."""
    from keras_vaegan.config.data import AugmentationConfig
    from keras_vaegan.systems.registry import get_preset

    config = get_preset("resnet_cyclegan")
    return dataclasses.replace(
        config,
        generator=dataclasses.replace(config.generator, filters=tuple(arguments.filters)),
        data=dataclasses.replace(config.data, image_size=arguments.image_size),
        augmentation=AugmentationConfig(mode="none"),
        batch_size=arguments.batch_size,
        precision={"float32": "float32", "bfloat16": "mixed_bfloat16"}[arguments.precision],
    )


def make_images(arguments):
    """(source, target), random, NHWC in [-1, 1]."""
    import numpy as np

    shape = (2, arguments.batch_size, arguments.image_size, arguments.image_size, 1)
    return np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")


def make_keras_work(arguments):
    """Functions of our side: one turn of the task, and one convolution of the peak."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_inter_op_parallelism_threads(arguments.threads)
    config, dtype = make_config(arguments), getattr(tf, arguments.precision)
    width, side = config.generator.filters[-1], arguments.image_size // 4
    image = tf.cast(tf.random.normal((PEAK_IMAGES, side, side, width)), dtype)
    kernel = tf.cast(tf.random.normal((3, 3, width, width)), dtype)
    convolve = tf.function(lambda: tf.nn.conv2d(image, kernel, 1, "SAME"))
    source, target = map(tf.constant, make_images(arguments))
    if arguments.task == "train":
        from keras_vaegan.systems.registry import build_trainer

        trainer = build_trainer(config)
        return lambda: trainer.train_on_batch((source, target)), convolve
    from keras_vaegan.models.resnet import build_resnet_generator
    from keras_vaegan.training.distribution import dtype_policy

    with dtype_policy(config.precision):
        generator = build_resnet_generator(config.generator)
    translate = tf.function(lambda images: generator(images, training=False))
    return lambda: translate(source).numpy(), convolve


def make_torch_work(arguments):
    """The same of the PyTorch side."""
    import torch
    from torch_resnet_cyclegan import TorchCycleGAN, to_torch

    torch.set_num_threads(arguments.threads)
    torch.set_num_interop_threads(1)
    config, dtype = make_config(arguments), getattr(torch, arguments.precision)
    width, side = config.generator.filters[-1], arguments.image_size // 4
    layout = torch.channels_last if arguments.layout == "channels_last" else torch.contiguous_format
    convolution = torch.nn.Conv2d(width, width, 3, padding=1).to(dtype, memory_format=layout)
    image = torch.randn(PEAK_IMAGES, width, side, side).to(dtype, memory_format=layout)

    def convolve():
        with torch.inference_mode():
            return convolution(image)

    rival = TorchCycleGAN(
        config,
        bfloat16=arguments.precision == "bfloat16",
        channels_last=arguments.layout == "channels_last",
        merged=arguments.calls == "merged",
    )
    source, target = map(to_torch, make_images(arguments))
    if arguments.task == "train":
        return lambda: rival.step(source, target), convolve
    return lambda: rival.translate(source).numpy(), convolve


def serve_side(arguments) -> None:
    """Work when a line arrives on standard input; answer with a line of JSON."""
    make = {"keras": make_keras_work, "torch": make_torch_work}[arguments.serve]
    work, convolve = make(arguments)
    race.serve({"work": lambda: measure(work, 1), "peak": lambda: measure(convolve, PEAK_CALLS)})


def measure(function, times: int) -> dict:
    """Mean wall and CPU time of some calls, and the largest resident set so far."""
    begin, cpu = time.perf_counter(), time.process_time()
    for _ in range(times):
        function()
    return {
        "wall": (time.perf_counter() - begin) / times,
        "cpu": (time.process_time() - cpu) / times,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def open_side(arguments, task: str, precision: str, library: str, **how) -> race.Side:
    """Start one library's process."""
    options = {"task": task, "precision": precision, "serve": library, **how}
    for name in ("batch_size", "image_size", "threads"):
        options[name.replace("_", "-")] = getattr(arguments, name)
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    words += ["--filters", *map(str, arguments.filters)]
    environment = {
        "OMP_NUM_THREADS": str(arguments.threads),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
    }
    side = race.Side(" ".join([library, *how.values()]), [__file__, *words], environment)
    side.wait()
    return side


# -- arithmetic -----------------------------------------------------------------------------------


def count_operations(arguments, task: str) -> float:
    """Floating-point operations of one turn's convolutions, those of the gradients included."""
    from keras_vaegan.models.build import build_model

    config = make_config(arguments)
    generator = race.count_convolutions(build_model(config.generator))
    if task == "translate":
        return config.batch_size * sum(generator.values())
    discriminator = race.count_convolutions(build_model(config.discriminator))
    return race.count_step(config, generator, discriminator)


def measure_peak(sides: list[race.Side], arguments) -> dict[str, float]:
    """The best convolution rate of any side, in operations per second of wall and CPU time."""
    width, side = arguments.filters[-1], arguments.image_size // 4
    operations = 2.0 * PEAK_IMAGES * side**2 * 9 * width**2
    for one in sides:
        one.ask("peak")
    answers = [one.ask("peak") for one in sides for _ in range(2)]
    return {key: max(operations / answer[key] for answer in answers) for key in ("wall", "cpu")}


# -- the race -------------------------------------------------------------------------------------


def run_race(arguments, task: str, precision: str) -> None:
    """Run one task in one precision and print its rows."""
    arguments.precision = precision
    sides = [open_side(arguments, task, precision, "keras")]
    for layout, calls in itertools.product(arguments.layouts, arguments.calls):
        how = {"layout": layout, "calls": calls}
        sides.append(open_side(arguments, task, precision, "torch", **how))
    rounds = arguments.rounds if task == "train" else 3 * arguments.rounds
    for side in sides:
        side.ask("work")
    peaks = []
    for _ in range(rounds):
        peaks.append(measure_peak(sides, arguments))
        for side in sides:
            side.take_turn()
    for side in sides:
        side.stop()
    operations = count_operations(arguments, task)
    peak = {key: max(one[key] for one in peaks) for key in ("wall", "cpu")}
    print(
        f"{task} {precision}: {operations / 1e12:.2f} TFLOP; convolution peak "
        f"{peak['wall'] / 1e9:.0f} GFLOP/s ({peak['cpu'] / 1e9:.0f} per CPU second)",
        flush=True,
    )
    for side in sides:
        share = {key: operations / side.median(key) / peak[key] for key in peak}
        print(
            f"  {side.name}: {side.median('wall'):.2f} s ({side.median('cpu'):.2f} s CPU), "
            f"{arguments.batch_size / side.median('wall'):.3f} "
            f"{'pairs' if task == 'train' else 'images'}/s, "
            f"{side.turns[-1]['peak_gib']:.2f} GiB, "
            f"{share['wall']:.0%} of the peak ({share['cpu']:.0%} by "
            "CPU time); turns "
            + " ".join(f"{turn['wall']:.2f} ({turn['cpu']:.2f})" for turn in side.turns),
            flush=True,
        )
    best = min(sides[1:], key=lambda side: side.median("wall"))
    print(
        f"  ours over {best.name}: {best.median('wall') / sides[0].median('wall'):.2f}x "
        f"(CPU time {best.median('cpu') / sides[0].median('cpu'):.2f}x), memory "
        f"{sides[0].turns[-1]['peak_gib'] / best.turns[-1]['peak_gib']:.2f}x",
        flush=True,
    )


def main() -> None:
    """Run every task in every precision."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--tasks", nargs="+", default=["train", "translate"])
    parser.add_argument("--layouts", nargs="+", default=["channels_last", "contiguous"])
    parser.add_argument("--calls", nargs="+", default=["single"])
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--image-size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--filters", type=int, nargs="+", default=[64, 128, 256])
    for name in ("task", "precision", "serve", "layout"):
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        arguments.calls = arguments.calls[0]
        serve_side(arguments)
        return
    for precision, task in itertools.product(arguments.precisions, arguments.tasks):
        run_race(arguments, task, precision)


if __name__ == "__main__":
    main()
