"""What the PyTorch renditions of Systems A and C share: networks, optimisers, device, precision.

PyTorch's strided convolutions start one pixel before the image where TensorFlow's end one pixel
after it; with every kernel and image mirrored (`convert`, `to_torch`) the two compute the same
numbers.
"""

from __future__ import annotations

import contextlib
import copy
import math

import numpy as np
import torch

NAMES = ("g_target", "g_source", "d_source", "d_target")


class TorchTrainer:
    """Two generators, two discriminators and how they run; a subclass has the step, `update`.

    Args:
        config: A `CycleGANConfig` without copies, noise, start terms or pool.
        build: Of the generators ("g") and the discriminators ("d"): config -> module.
        device: Where everything lives.
        bfloat16: Compute in bfloat16 under autocast; weights and losses stay float32.
        channels_last: Memory layout of images and kernels.
        compiled: Run the networks through `torch.compile`.
        merged: Have calls of a network that do not depend on each other in one.
    """

    compile_options = {"dynamic": False, "fullgraph": True}  # a program for each batch size

    def __init__(
        self, config, build: dict, *, device="cpu", bfloat16: bool = False,
        channels_last: bool = False, compiled: bool = False, merged: bool = False,
    ) -> None:  # fmt: skip
        self.config, self.bfloat16, self.merged = config, bfloat16, merged
        self.device, self.step_number = torch.device(device), 0
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        parts = {"g": config.generator, "d": config.discriminator}
        self.nets = {
            name: build[name[0]](parts[name[0]]).to(self.device, memory_format=self.layout)
            for name in NAMES
        }
        decay = config.optimizer.ema_decay
        self.averages = {
            name: copy.deepcopy(net).requires_grad_(False)
            for name, net in self.nets.items()
            if decay and name[0] == "g"
        }
        if compiled:
            torch._dynamo.config.cache_size_limit = 64
            for net in self.nets.values():
                self.compile_net(net)
        rates = config.optimizer
        self.rates = {
            "g": rates.learning_rate,
            "d": rates.discriminator_learning_rate or rates.learning_rate,
        }
        self.optimizers = {kind: self._make_adam(kind) for kind in ("g", "d")}

    def compile_net(self, net) -> None:
        """Compile a network as a whole."""
        net.compile(**self.compile_options)

    def _make_adam(self, kind: str):
        """Adam of the networks of a kind; one kernel for all weights on a GPU."""
        rates = self.config.optimizer
        # Keras adds epsilon to the uncorrected second moment's root: the same at the first step.
        return torch.optim.Adam(
            [p for name, net in self.nets.items() if name[0] == kind for p in net.parameters()],
            lr=self.rates[kind],
            betas=(rates.beta_1, rates.beta_2),
            eps=rates.epsilon / math.sqrt(1 - rates.beta_2),
            fused=self.device.type == "cuda" or None,
        )

    def cast(self):
        """The precision that networks run in."""
        if self.bfloat16:
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return contextlib.nullcontext()

    def place(self, images):
        """Images on the device, in the layout of the networks."""
        return images.to(self.device, memory_format=self.layout)

    # -- the step ----------------------------------------------------------------------------------

    def update(self, source, target) -> dict:
        """Update the generators, then the discriminators. Returns the losses, on the device."""
        raise NotImplementedError

    def step(self, source, target) -> dict[str, float]:
        """One step on images (N, C, H, W) in [-1, 1]. Returns the losses as numbers."""
        return {name: value.item() for name, value in self.update(source, target).items()}

    def begin_step(self, source, target) -> tuple:
        """Set the rates of this step and place its images."""
        rates, step = self.config.optimizer, self.step_number
        share = 1 / (1 + rates.decay * step)
        if rates.cosine_steps:
            share *= 0.5 + 0.5 * math.cos(math.pi * step / rates.cosine_steps)
        for kind, optimizer in self.optimizers.items():
            optimizer.param_groups[0]["lr"] = self.rates[kind] * share
        return self.place(source), self.place(target)

    @torch.no_grad()
    def end_step(self) -> None:
        """Move the averaged weights, and count."""
        step = self.step_number
        decay = min(self.config.optimizer.ema_decay, (1 + step) / (10 + step))
        for name, average in self.averages.items():
            now = [weight.detach() for weight in self.nets[name].parameters()]
            torch._foreach_lerp_(list(average.parameters()), now, 1 - decay)
        self.step_number += 1

    def descend(self, kind: str, loss) -> None:
        """Differentiate a loss and move the networks of a kind."""
        self.optimizers[kind].zero_grad(set_to_none=True)
        loss.backward()
        self.optimizers[kind].step()

    def freeze_discriminators(self, frozen: bool) -> None:
        """Spare the generators' update the gradients of the discriminators' weights."""
        for name in ("d_source", "d_target"):
            self.nets[name].requires_grad_(not frozen)


def to_torch(images: np.ndarray) -> torch.Tensor:
    """(N, H, W, C) -> (N, C, H, W), mirrored in height and width."""
    return torch.from_numpy(np.ascontiguousarray(images[:, ::-1, ::-1].transpose(0, 3, 1, 2)))


def to_keras(images: torch.Tensor) -> np.ndarray:
    """The inverse of `to_torch`."""
    return images.detach().numpy().transpose(0, 2, 3, 1)[:, ::-1, ::-1]


def convert(array: np.ndarray) -> np.ndarray:
    """A Keras weight in PyTorch's order: kernels (h, w, a, b) -> (b, a, h, w), mirrored.

    Both hold a transposed convolution's kernel with its input and output the other way round, so
    one rule serves both kinds.
    """
    return array[::-1, ::-1].transpose(3, 2, 0, 1) if array.ndim == 4 else array


def copy_pairs(pairs: list[tuple]) -> None:
    """Give PyTorch tensors the values of their Keras variables: [(variable, tensor)]."""
    with torch.no_grad():
        for ours, theirs in pairs:
            theirs.copy_(torch.from_numpy(np.ascontiguousarray(convert(np.array(ours)))))
