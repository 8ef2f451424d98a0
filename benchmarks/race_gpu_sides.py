"""The sides of `benchmarks/race_gpu.py`, each in its own process: ours under JAX, and PyTorch.

A turn is some untimed steps, then the timed ones, and nothing waits for the device in between.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import math
import resource
import sys
import time

import race

PRESETS = {"c": "resnet_cyclegan", "a": "vae_cyclegan"}
WARM_STEPS = 2
DENSE_CALLS = 20
DENSE_SIZE = {"cpu": 256}  # of the square matrices; elsewhere 8192
AHEAD = 8  # batches that a stream reads ahead


# -- what both sides work on ----------------------------------------------------------------------


def make_config(arguments):
    """The published run at the given size and batch, without augmentation and image pool."""
    from keras_vaegan.config.data import AugmentationConfig
    from keras_vaegan.systems.cyclegan import presets

    config = getattr(presets, PRESETS[arguments.system])()
    generator, discriminator = config.generator, config.discriminator
    if arguments.filters:
        generator, discriminator = (narrow(part, arguments) for part in (generator, discriminator))
    return dataclasses.replace(
        config,
        generator=generator,
        discriminator=discriminator,
        data=dataclasses.replace(config.data, image_size=arguments.image_size),
        augmentation=AugmentationConfig(mode="none"),
        batch_size=arguments.batch_size or config.batch_size,
        pool_size=0,
        precision={"float32": "float32", "bfloat16": "mixed_bfloat16"}[arguments.precision],
    )


def narrow(part, arguments):
    """A network with few features a level, the last number for all further ones, and one block."""
    given = arguments.filters
    filters = tuple(given[min(k, len(given) - 1)] for k in range(len(part.filters)))
    fields = {"image_size": arguments.image_size, "filters": filters}
    if hasattr(part, "groups"):
        fields["groups"] = math.gcd(part.groups, *filters)
    blocks = getattr(part, "num_residual_blocks", None)
    if blocks is not None:
        is_one = isinstance(blocks, int)
        fields["num_residual_blocks"] = 1 if is_one else tuple(min(1, count) for count in blocks)
    return dataclasses.replace(part, **fields)


def make_images(config):
    """(source, target), random, NHWC in [-1, 1]."""
    import numpy as np

    side, channels = config.data.image_size, config.data.channels
    shape = (2, config.batch_size, side, side, channels)
    return np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")


def time_turn(run, arguments, find_peak, steps: int = 0) -> dict:
    """Seconds a step of `run(steps)`, which returns when the device has done them all."""
    steps = steps or arguments.steps
    run(WARM_STEPS * arguments.steps_per_call)
    begin = time.perf_counter()
    run(steps)
    seconds = (time.perf_counter() - begin) / steps
    return {
        "seconds": seconds,
        "peak_gib": find_peak() / 2**30,
        "tensorflow": sys.modules.get("tensorflow") is not None,
    }


def time_products(multiply, size: int) -> dict:
    """Operations a second of bfloat16 matrix products: `multiply(times)` waits for the last."""
    multiply(WARM_STEPS)
    begin = time.perf_counter()
    multiply(DENSE_CALLS)
    return {"rate": 2.0 * size**3 * DENSE_CALLS / (time.perf_counter() - begin)}


def find_resident_peak() -> int:
    """The process's largest resident set so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# -- ours -----------------------------------------------------------------------------------------


def serve_jax(arguments) -> None:
    """Serve our side, on a machine without TensorFlow: where it is installed, Keras would look."""
    sys.modules["tensorflow"] = None
    import jax
    import keras

    device, config = jax.devices()[0], make_config(arguments)
    functions = {"dense": lambda: measure_jax_products(device)}
    if arguments.task == "translate":
        run, networks = make_jax_translation(config)
    else:
        trainer = build_jax_trainer(config, arguments)
        networks = trainer.g_target, trainer.d_target
        run = make_jax_training(trainer, config)
        if arguments.task == "feeds":
            functions |= make_feeds(trainer, config, arguments)
    functions["work"] = lambda: time_turn(run, arguments, find_jax_peak)
    counts = [race.count_convolutions(network) for network in networks]
    is_translation = arguments.task == "translate"
    race.serve(
        functions,
        device=f"{device.platform} {device.device_kind}",
        versions=f"JAX {jax.__version__}, Keras {keras.__version__}",
        batch_size=config.batch_size,
        operations=config.batch_size * sum(counts[0].values())
        if is_translation
        else race.count_step(config, *counts),
    )


def find_jax_peak() -> int:
    """Bytes that the device held at most; on a CPU those of the process."""
    import jax

    facts = jax.devices()[0].memory_stats() or {}
    return facts.get("peak_bytes_in_use") or find_resident_peak()


def build_jax_trainer(config, arguments):
    """Our trainer, taking some steps a call."""
    from keras_vaegan.systems.registry import build_trainer

    trainer = build_trainer(config)
    trainer.steps_per_execution = arguments.steps_per_call
    return trainer


def fit(trainer, stream, steps: int) -> None:
    """Train as a run does, and wait for the last step's weights."""
    import jax

    trainer.fit(stream, steps_per_epoch=steps, verbose=0)
    jax.block_until_ready([variable.value for variable in trainer.list_variables()])


def make_jax_training(trainer, config):
    """Steps on one batch that is on the device already."""
    import jax

    batch = tuple(map(jax.numpy.asarray, make_images(config)))
    return lambda steps: fit(trainer, itertools.repeat(batch), steps)


def make_jax_translation(config):
    """Translations of one batch as `Translator` compiles them. Returns (run, networks)."""
    import jax

    from keras_vaegan.kernels import compile_function
    from keras_vaegan.models.build import build_model
    from keras_vaegan.training.distribution import dtype_policy

    with dtype_policy(config.precision):
        generator = build_model(config.generator)
    source = jax.numpy.asarray(make_images(config)[0])
    translate = compile_function(lambda images: generator(images, training=False))

    def run(times: int) -> None:
        for _ in range(times):
            output = translate(source)
        output.block_until_ready()

    return run, (generator,)


def make_feeds(trainer, config, arguments) -> dict:
    """Turns on a stream from the host, of its reading alone, and on images on the device."""
    import jax
    import numpy as np

    from keras_vaegan.systems.cyclegan.images import UnpairedSampler
    from keras_vaegan.training.backend import make_stream
    from keras_vaegan.training.device_store import DeviceStore

    side, channels = config.data.image_size, config.data.channels
    shape = (2, arguments.images, side, side, channels)
    images = np.random.default_rng(0).integers(0, 256, shape, "uint8")
    sampler = UnpairedSampler(*images, config.batch_size, config.seed, config.data)
    # Long enough that the batches read ahead before the turn do not count for much.
    steps = max(arguments.steps, 4 * AHEAD) if jax.default_backend() != "cpu" else arguments.steps
    streams = {"stream": make_stream(sampler.read_batch, 0, ahead=AHEAD)}

    def read(times: int) -> None:
        for _ in range(times):
            batch = next(streams["stream"])
        jax.block_until_ready(batch)

    def take_reading_turn() -> dict:
        read(AHEAD)
        return time_turn(read, arguments, find_jax_peak, steps)

    def take_turn(name: str) -> dict:
        if name == "store" and trainer.store is None:
            trainer.take_from(DeviceStore(sampler.domains, sampler.limits))
            streams["store"] = make_stream(sampler.read_places, 0, ahead=AHEAD)
        return time_turn(
            lambda times: fit(trainer, streams[name], times), arguments, find_jax_peak, steps
        )

    return {
        "reading": take_reading_turn,
        "stream": lambda: take_turn("stream"),
        "store": lambda: take_turn("store"),
    }


def measure_jax_products(device) -> dict:
    """The rate of dense bfloat16 products of JAX."""
    import jax

    size = DENSE_SIZE.get(device.platform, 8192)
    first, second = (
        jax.random.normal(jax.random.key(k), (size, size), "bfloat16") for k in range(2)
    )
    product = jax.jit(lambda a, b: a @ b)

    def multiply(times: int) -> None:
        for _ in range(times):
            result = product(first, second)
        result.block_until_ready()

    return time_products(multiply, size)


# -- PyTorch --------------------------------------------------------------------------------------


def serve_torch(arguments) -> None:
    """Serve PyTorch's side."""
    import torch

    on_gpu = torch.cuda.is_available()
    device, config = torch.device("cuda" if on_gpu else "cpu"), make_config(arguments)
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")  # TF32, as JAX by default
    rival = build_rival(config, arguments, device)
    run = make_torch_run(rival, config, arguments.task == "train")
    race.serve(
        {
            "work": lambda: take_torch_turn(run, arguments),
            "dense": lambda: measure_torch_products(device),
        },
        device=torch.cuda.get_device_name() if on_gpu else "cpu",
        versions=f"PyTorch {torch.__version__}",
        batch_size=config.batch_size,
    )


def build_rival(config, arguments, device):
    """The PyTorch rendition of the system."""
    from torch_resnet_cyclegan import TorchCycleGAN
    from torch_vae_cyclegan import TorchVAECycleGAN

    rival = {"c": TorchCycleGAN, "a": TorchVAECycleGAN}[arguments.system]
    return rival(
        config,
        device=device,
        bfloat16=arguments.precision == "bfloat16",
        channels_last=arguments.layout == "channels_last",
        compiled=arguments.call == "compiled",
        merged=True,
    )


def make_torch_run(rival, config, is_training: bool):
    """Steps, or translations, of one batch that is on the device already."""
    from torch_training import to_torch

    source, target = (rival.place(to_torch(images)) for images in make_images(config))

    def run(times: int) -> None:
        for _ in range(times):
            if is_training:
                rival.update(source, target)
            else:
                rival.translate(source)
        synchronize()

    return run


def take_torch_turn(run, arguments) -> dict:
    """A turn, after which the memory kept for the next one is the other sides'."""
    import torch

    turn = time_turn(run, arguments, find_torch_peak)
    torch.cuda.empty_cache()
    return turn


def synchronize() -> None:
    """Wait for the device."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def find_torch_peak() -> int:
    """Bytes that the device held at most; on a CPU those of the process."""
    import torch

    return torch.cuda.max_memory_allocated() or find_resident_peak()


def measure_torch_products(device) -> dict:
    """The rate of dense bfloat16 products of PyTorch."""
    import torch

    size = DENSE_SIZE.get(device.type, 8192)
    first, second = torch.randn(2, size, size, device=device, dtype=torch.bfloat16)

    def multiply(times: int) -> None:
        for _ in range(times):
            torch.matmul(first, second)
        synchronize()

    return time_products(multiply, size)


# -- the command ----------------------------------------------------------------------------------


def main() -> None:
    """Serve one side until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", choices=["jax", "torch"], required=True)
    parser.add_argument("--system", choices=list(PRESETS), required=True)
    parser.add_argument("--task", choices=["train", "translate", "feeds"], required=True)
    parser.add_argument("--precision", choices=["bfloat16", "float32"], default="bfloat16")
    parser.add_argument("--call", choices=["eager", "compiled"], default="eager")
    parser.add_argument("--layout", choices=["channels_last", "contiguous"])
    parser.add_argument("--batch-size", type=int, default=0)
    parser.add_argument("--image-size", type=int, default=256)
    parser.add_argument("--filters", type=int, nargs="*", default=[])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--steps-per-call", type=int, default=1)
    parser.add_argument("--images", type=int, default=512)
    arguments = parser.parse_args()
    try:
        {"jax": serve_jax, "torch": serve_torch}[arguments.library](arguments)
    except Exception as error:  # whatever a library raises: the race goes on without this side
        race.say({"error": f"{type(error).__name__}: {str(error)[:500]}"})
        raise


if __name__ == "__main__":
    main()
