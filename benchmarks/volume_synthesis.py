"""Seconds to synthesise a whole 240x240x155 case, next to the same network in PyTorch eager.

    python benchmarks/volume_synthesis.py [--case DIR] [--presets modality_unet modality_unet_small]
        [--precisions float32 mixed_bfloat16] [--repeats 3] [--threads 2]

Needs PyTorch (`pip install torch`). Both networks have the same random weights; their outputs are
compared first. Then they take turns in one process: the same windows, batches and blending, from
normalised slices to the whole volume. PyTorch runs as a plain port does (channels first), and with
channels last. Ratios are PyTorch's seconds over ours, of the clock and of the processor; other work
on the machine disturbs the processor's less. Last comes the `synthesize` command in a process of
its own, from NIfTI files to a NIfTI file, with its largest resident set. Without --case, a phantom
case is drawn.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def build_torch(network, config):
    """The network in PyTorch, with a Keras network's weights."""
    import torch
    from torch import nn

    def load(module, *arrays):
        for parameter, array in zip((module.weight, module.bias), arrays, strict=False):
            parameter.data.copy_(torch.from_numpy(np.ascontiguousarray(array)))
        return module

    def unit(name, level, index):
        kernel = network.get_layer(f"{name}_{level}_{index}_conv").get_weights()[0]
        norm = network.get_layer(f"{name}_{level}_{index}_norm")
        gamma, beta, mean, variance = norm.get_weights()
        conv = nn.Conv2d(kernel.shape[2], kernel.shape[3], 3, padding=1, bias=False)
        batch_norm = load(nn.BatchNorm2d(len(gamma), eps=norm.epsilon), gamma, beta)
        batch_norm.running_mean.copy_(torch.from_numpy(mean))
        batch_norm.running_var.copy_(torch.from_numpy(variance))
        return [load(conv, kernel.transpose(3, 2, 0, 1)), batch_norm, nn.ReLU(inplace=True)]

    def level_block(name, level):
        return nn.Sequential(*unit(name, level, 1), *unit(name, level, 2))

    def dense(name):
        kernel, bias = network.get_layer(name).get_weights()
        return load(nn.Linear(*kernel.shape), kernel.T, bias)

    class TorchUNet(nn.Module):
        """System B's network."""

        def __init__(self):
            super().__init__()
            levels = range(len(config.filters))
            self.encoder = nn.ModuleList(level_block("encoder", level) for level in levels)
            self.decoder = nn.ModuleList(level_block("decoder", level) for level in levels)
            self.pool = nn.MaxPool2d(2)
            self.ups = nn.ModuleList()
            for level in levels:
                kernel, bias = network.get_layer(f"decoder_{level}_transpose").get_weights()
                up = nn.ConvTranspose2d(kernel.shape[3], kernel.shape[2], 2, 2)
                self.ups.append(load(up, kernel.transpose(3, 2, 0, 1), bias))
            self.z_mean, self.expand = dense("z_mean"), dense("latent_expand")
            kernel, bias = network.get_layer("output").get_weights()
            self.head = load(nn.Conv2d(kernel.shape[2], 1, 1), kernel.transpose(3, 2, 0, 1), bias)

        def forward(self, x):
            skips = []
            for block in self.encoder:
                x = block(x)
                skips.append(x)
                x = self.pool(x)
            count, depth, side, _ = x.shape
            z = self.z_mean(x.permute(0, 2, 3, 1).reshape(count, -1))
            x = self.expand(z).reshape(count, side, side, depth).permute(0, 3, 1, 2)
            for level in reversed(range(len(skips))):
                x = self.decoder[level](torch.cat([self.ups[level](x), skips[level]], 1))
            return torch.sigmoid(self.head(x))

    return TorchUNet().eval()


class TorchRunner:
    """A PyTorch module behind the call that the synthesiser makes."""

    def __init__(self, module, precision: str, channels_last: bool) -> None:
        import torch

        self.torch = torch
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.dtype = torch.bfloat16 if precision == "mixed_bfloat16" else torch.float32
        self.module = module.to(self.dtype).to(memory_format=self.format)

    def predict_on_batch(self, inputs: np.ndarray) -> np.ndarray:
        with self.torch.inference_mode():
            x = self.torch.from_numpy(inputs).permute(0, 3, 1, 2)
            x = x.to(self.dtype).contiguous(memory_format=self.format)
            return self.module(x).float().permute(0, 2, 3, 1).numpy()


def prepare_network(preset: str):
    """A network of random weights, normalisation statistics included, and its config."""
    from keras_vaegan.models.modality_unet import build_modality_unet
    from keras_vaegan.systems.registry import get_preset

    config = get_preset(preset)
    network = build_modality_unet(config.generator)
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if layer.name.endswith("_norm"):
            shape = layer.gamma.shape
            layer.set_weights([
                rng.uniform(0.8, 1.2, shape), rng.normal(0, 0.1, shape),
                rng.normal(0, 0.1, shape), rng.uniform(0.8, 1.2, shape),
            ])  # fmt: skip
    return network, config


def compare(preset: str, precision: str, case, repeats: int) -> dict:
    """Time one preset and precision, taking turns."""
    import copy

    from keras_vaegan.systems.modality.synthesizer import Synthesizer

    network, config = prepare_network(preset)
    runners = {"keras": Synthesizer(network, config.generator, config.data, precision)}
    module = build_torch(network, config.generator)
    for name, channels_last in (("torch", False), ("torch_channels_last", True)):
        runner = Synthesizer(network, config.generator, config.data, precision)
        runner.network = TorchRunner(copy.deepcopy(module), precision, channels_last)
        runners[name] = runner
    target = config.generator.target
    made = {name: runner.synthesize(case, target)[0] for name, runner in runners.items()}
    difference = max(float(np.abs(made["keras"] - image).max()) for image in made.values())
    tolerance = 1e-3 if precision == "float32" else 0.1
    assert difference < tolerance, f"outputs differ by {difference}"
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runners}
    for _ in range(repeats):
        for name, runner in runners.items():
            begin = time.perf_counter(), time.process_time()
            runner.synthesize(case, target)
            times[name].append((time.perf_counter() - begin[0], time.process_time() - begin[1]))
    medians = {name: np.median(values, axis=0) for name, values in times.items()}
    best = np.minimum(medians["torch"], medians["torch_channels_last"])
    return {
        "preset": preset,
        "precision": precision,
        **{f"{name}_s": round(clock, 2) for name, (clock, _) in medians.items()},
        **{f"{name}_processor_s": round(used, 2) for name, (_, used) in medians.items()},
        "ratio_to_torch": np.round(medians["torch"] / medians["keras"], 2).tolist(),
        "ratio_to_faster_torch": np.round(best / medians["keras"], 2).tolist(),
        "largest_difference": float(f"{difference:.1e}"),
    }


def run_command(preset: str, precision: str, folder: Path) -> dict:
    """The whole command in a process of its own: seconds and peak memory."""
    from keras_vaegan.weights.legacy_h5 import save_legacy_h5
    from keras_vaegan.weights.record import WeightsRecord

    network, config = prepare_network(preset)
    with tempfile.TemporaryDirectory() as scratch:
        weights = Path(scratch) / "modality_unet_weights.h5"
        save_legacy_h5(network, weights, WeightsRecord(config.generator, config.data))
        command = [
            sys.executable, "-m", "keras_vaegan.synthesize", "--weights", str(weights), "--input",
            str(folder), "--output", str(Path(scratch) / "out.nii.gz"), "--precision", precision,
        ]  # fmt: skip
        begin = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    return {"command_s": round(seconds, 1), "command_peak_gib": round(peak, 2)}


def main() -> None:
    """Print a row a preset and precision."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", type=Path)
    parser.add_argument("--presets", nargs="+", default=["modality_unet", "modality_unet_small"])
    parser.add_argument("--precisions", nargs="+", default=["float32", "mixed_bfloat16"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch; TensorFlow's: taskset")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import torch

    from keras_vaegan.data.brats import read_case
    from keras_vaegan.phantom.brats import BratsPhantomSet, write_phantom_cases
    from keras_vaegan.systems.modality.slices import list_inputs

    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.case
        if folder is None:
            write_phantom_cases(scratch, BratsPhantomSet(count=1))
            folder = Path(scratch) / "phantom-00000"
        case = read_case(folder, list_inputs("flair"))
        for preset in arguments.presets:
            for precision in arguments.precisions:
                row = compare(preset, precision, case, arguments.repeats)
                # The largest child so far: presets come largest first, precisions widest first.
                row |= run_command(preset, precision, folder)
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
