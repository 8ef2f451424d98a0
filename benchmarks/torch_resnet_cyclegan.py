"""System C's training step in PyTorch: what `race_resnet.py` and `race_gpu.py` run against.

The same layers, losses and order of updates as `keras_vaegan` with the preset `resnet_cyclegan`,
written as PyTorch users write them: `nn.Module`, autocast for bfloat16, eager or compiled.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from torch_training import TorchTrainer, convert, copy_pairs, to_keras, to_torch

__all__ = ["TorchCycleGAN", "convert", "copy_weights", "list_pairs", "to_keras", "to_torch"]

SSIM_WINDOW, SSIM_SIGMA = 11, 1.5
OUTER_KERNEL, PATCH_KERNEL = 7, 4


class Reflect(nn.ReflectionPad2d):
    """Mirror the borders in the input's own precision: autocast would widen it to float32."""

    def forward(self, x):
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x)


class Residual(nn.Module):
    """Two 3x3 convolutions with instance normalisation around a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            Reflect(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width), nn.ReLU(True),
            Reflect(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width),
        )  # fmt: skip

    def forward(self, x):
        return x + self.body(x)


def build_generator(config) -> nn.Sequential:
    """A `ResnetGeneratorConfig`'s network (two convolutions a block)."""
    filters, outer = config.filters, OUTER_KERNEL

    def close(width: int) -> list[nn.Module]:
        return [nn.InstanceNorm2d(width), nn.ReLU(True)]

    layers = [Reflect(outer // 2), nn.Conv2d(config.channels, filters[0], outer)]
    layers += close(filters[0])
    for before, after in zip(filters, filters[1:], strict=False):
        layers += [nn.Conv2d(before, after, 3, 2, 1), *close(after)]
    layers += [Residual(filters[-1]) for _ in range(config.num_residual_blocks)]
    for before, after in zip(filters[:0:-1], filters[-2::-1], strict=True):
        layers += [nn.ConvTranspose2d(before, after, 3, 2, 1, output_padding=1), *close(after)]
    layers += [Reflect(outer // 2), nn.Conv2d(filters[0], config.channels, outer)]
    return nn.Sequential(*layers, nn.Tanh())


class SpectralConv2d(nn.Conv2d):
    """Convolution over its kernel's largest singular value; `advance` once a training step."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.register_buffer("u", functional.normalize(torch.randn(self.out_channels), dim=0))

    def forward(self, x):
        with torch.autocast(x.device.type, enabled=False):
            sigma = torch.mv(self.weight.flatten(1).t(), self.u).norm()
            kernel = self.weight / sigma
        return self._conv_forward(x, kernel, self.bias)

    @torch.no_grad()
    def advance(self) -> None:
        """One power iteration."""
        matrix = self.weight.flatten(1)
        v = functional.normalize(torch.mv(matrix.t(), self.u), dim=0)
        self.u.copy_(functional.normalize(torch.mv(matrix, v), dim=0))


def build_discriminator(config) -> nn.Sequential:
    """A `PatchDiscriminatorConfig`'s network, with both kinds of normalisation."""
    layers: list[nn.Module] = []
    before, kernel, pad = config.channels, PATCH_KERNEL, 1
    for level, (after, stride) in enumerate(
        zip(config.filters, config.layer_strides, strict=False)
    ):
        layers.append(SpectralConv2d(before, after, kernel, stride, pad))
        layers += [nn.InstanceNorm2d(after)] if level else []
        layers.append(nn.LeakyReLU(0.2, True))
        before = after
    return nn.Sequential(*layers, nn.Conv2d(before, 1, kernel, 1, pad))


def ssim_loss(first, second):
    """1 - mean SSIM of two batches (N, C, H, W) in [0, 1], in the `tf` flavour."""
    offsets = torch.arange(SSIM_WINDOW, device=first.device) - SSIM_WINDOW // 2
    window = torch.exp(-(offsets**2) / (2 * SSIM_SIGMA**2))
    window = window / window.sum()
    maps = torch.stack([first, second, first * first + second * second, first * second])
    maps = maps.reshape(-1, 1, *first.shape[2:])
    maps = functional.conv2d(maps, window.reshape(1, 1, -1, 1))
    maps = functional.conv2d(maps, window.reshape(1, 1, 1, -1))
    mean_1, mean_2, squares, product = maps.reshape(4, -1, *maps.shape[2:])
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_1 * mean_2 + c1) / (mean_1**2 + mean_2**2 + c1)
    structure = (2 * (product - mean_1 * mean_2) + c2) / (squares - mean_1**2 - mean_2**2 + c2)
    return 1 - (luminance * structure).mean()


class TorchCycleGAN(TorchTrainer):
    """System C's networks and training step; arguments as `TorchTrainer`.

    Merged, it translates and keeps identity in one call, and has real and fake in one call of a
    discriminator.
    """

    def __init__(self, config, **how) -> None:
        super().__init__(config, {"g": build_generator, "d": build_discriminator}, **how)
        self.ssim_loss = ssim_loss
        if how.get("compiled"):
            self.ssim_loss = torch.compile(ssim_loss, **self.compile_options)

    def run(self, name: str, *batches):
        """A network on one or more batches, in one call where `merged`; float32 outputs."""
        with self.cast():
            if self.merged and len(batches) > 1:
                outputs = self.nets[name](torch.cat(batches)).chunk(len(batches))
            else:
                outputs = [self.nets[name](batch) for batch in batches]
        return [output.float() for output in outputs]

    def update(self, source, target) -> dict:
        """Update the generators, then the discriminators. Returns the losses, on the device."""
        source, target = self.begin_step(source, target)
        for name in ("d_source", "d_target"):
            for layer in self.nets[name]:
                if isinstance(layer, SpectralConv2d):
                    layer.advance()
        fakes, logs = self._update_generators(source, target)
        logs |= self._update_discriminators(source, target, *fakes)
        self.end_step()
        return logs

    def _update_generators(self, source, target):
        """One step of both generators. Returns ((fake_source, fake_target), losses)."""
        self.freeze_discriminators(True)
        settings = self.config.losses
        fake_target, same_target = self.run("g_target", source, target)
        fake_source, same_source = self.run("g_source", target, source)
        (cycled_source,) = self.run("g_source", fake_target)
        (cycled_target,) = self.run("g_target", fake_source)
        losses = {}
        for name, image, fake, cycled, same in (
            ("target", target, fake_target, cycled_target, same_target),
            ("source", source, fake_source, cycled_source, same_source),
        ):
            (score,) = self.run(f"d_{name}", fake)
            losses[f"adversarial_{name}"] = ((score - 1) ** 2).mean()
            losses[f"cycle_{name}"] = (image - cycled).abs().mean()
            losses[f"ssim_{name}"] = self.ssim_loss((image + 1) / 2, (cycled + 1) / 2)
            losses[f"identity_{name}"] = (image - same).abs().mean()
        total = sum(
            getattr(settings, f"{name.split('_')[0]}_weight") * loss
            for name, loss in losses.items()
        )
        self.descend("g", total)
        self.freeze_discriminators(False)
        losses = {name: loss.detach() for name, loss in losses.items()}
        return (fake_source.detach(), fake_target.detach()), losses

    def _update_discriminators(self, source, target, fake_source, fake_target) -> dict:
        """One step of both discriminators; returns their losses."""
        losses = {}
        for name, real, fake in (("source", source, fake_source), ("target", target, fake_target)):
            on_real, on_fake = self.run(f"d_{name}", real, fake)
            loss = 0.5 * (((on_real - 1) ** 2).mean() + (on_fake**2).mean())
            losses[f"discriminator_{name}"] = loss
        self.descend("d", sum(losses.values()))
        return {name: loss.detach() for name, loss in losses.items()}

    @torch.inference_mode()
    def translate(self, source):
        """Source to target, (N, C, H, W) in and out."""
        return self.run("g_target", self.place(source))[0]


def list_pairs(model, net: nn.Module) -> list[tuple]:
    """(Keras variable, PyTorch tensor) of every weight and power-iteration vector."""
    ours = [layer for layer in model.layers if layer.weights]
    theirs = [m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))]
    pairs = []
    for layer, module in zip(ours, theirs, strict=True):
        pairs += [(layer.kernel, module.weight), (layer.bias, module.bias)]
        if isinstance(module, SpectralConv2d):
            pairs.append((layer.vector_u, module.u))
    return pairs


def copy_weights(model, net: nn.Module) -> None:
    """Give a PyTorch network the weights of the Keras model of the same config."""
    copy_pairs(list_pairs(model, net))
