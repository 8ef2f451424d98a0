"""System A's training step in PyTorch: what `benchmarks/race_gpu.py` runs against.

The same layers, losses and order of updates as `keras_vaegan` with the preset `vae_cyclegan`,
written as PyTorch users write them: `nn.Module`, autocast for bfloat16, eager or compiled. Parts
have the names of the Keras layers, dots for underscores.
"""

from __future__ import annotations

import re

import torch
from torch import nn
from torch.nn import functional
from torch_training import TorchTrainer, convert, copy_pairs, to_keras, to_torch

__all__ = ["TorchVAECycleGAN", "convert", "copy_weights", "list_pairs", "to_keras", "to_torch"]

SLOPE, NORM_EPSILON, LOG_VAR_LIMIT = 0.2, 1e-3, 10.0
HEAD_CLIP_NORM = 1.0


class GroupNorm(nn.GroupNorm):
    """Normalise in the input's own precision: autocast would widen it to float32."""

    def forward(self, x):
        weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
        with torch.autocast(x.device.type, enabled=False):
            return functional.group_norm(x, self.num_groups, weight, bias, self.eps)


def make_conv(before: int, after: int, kernel_size: int, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size, or halves it at stride 2."""
    return nn.Conv2d(before, after, kernel_size, stride, (kernel_size - 1) // 2)


class Unit(nn.Module):
    """Normalisation where there are groups, LeakyReLU, then whatever convolutions are given."""

    def __init__(self, groups: int, width: int, **convolutions: nn.Module) -> None:
        super().__init__()
        groups = width if groups == -1 else groups
        self.has_norm = bool(groups)
        self.norm = GroupNorm(groups, width, NORM_EPSILON) if groups else nn.Identity()
        self.names = list(convolutions)
        for name, module in convolutions.items():
            self.add_module(name, module)

    def forward(self, x):
        x = functional.leaky_relu(self.norm(x), SLOPE, inplace=self.has_norm)
        for name in self.names:
            x = getattr(self, name)(x)
        return x


class Residual(nn.Module):
    """Two norm-activation-convolution units around a shortcut."""

    def __init__(self, before: int, after: int, kernel_size: int, groups: int) -> None:
        super().__init__()
        self.shortcut = make_conv(before, after, 1) if before != after else nn.Identity()
        first, second = (make_conv(width, after, kernel_size) for width in (before, after))
        self.add_module("1", Unit(groups, before, conv=first))
        self.add_module("2", Unit(groups, after, conv=second))

    def forward(self, x):
        return self.shortcut(x) + getattr(self, "2")(getattr(self, "1")(x))


class Generator(nn.Module):
    """A `VAEUNetConfig`'s network with a spatial latent and "nearest" enlargement."""

    def __init__(self, config) -> None:
        super().__init__()
        self.levels, self.gray = len(config.filters), config.gray_output and config.channels > 1
        self.latent_shape = (config.latent_channels, *[config.image_size // config.stride] * 2)
        self.parts = nn.ModuleDict()
        self._add_encoder(config)
        width, depth = config.filters[-1], config.latent_channels
        self.parts["latent"] = Unit(config.groups, width)
        self.parts["z_mean"] = make_conv(width, depth, 1)
        self.parts["z_log_var_raw"] = make_conv(width, depth, 1)
        self.parts["latent_conv"] = make_conv(depth, width, 3)
        self._add_decoder(config)
        self.parts["output"] = Unit(
            config.groups, config.filters[0],
            conv=make_conv(config.filters[0], config.channels, config.kernel_sizes[0]),
        )  # fmt: skip

    def _add_blocks(self, side: str, level: int, config) -> None:
        """The residual blocks of a level, in the encoder or the decoder."""
        width, kernel_size = config.filters[level], config.kernel_sizes[level]
        self.parts[f"{side}_{level}"] = nn.Sequential()
        for block in range(config.num_residual_blocks[level]):
            module = Residual(width, width, kernel_size, config.groups)
            self.parts[f"{side}_{level}"].add_module(f"block_{block + 1}", module)

    def _add_encoder(self, config) -> None:
        """The image's convolution, then level by level down."""
        filters, kernels = config.filters, config.kernel_sizes
        self.parts["stem_conv"] = make_conv(config.channels, filters[0], kernels[0])
        for level in range(self.levels):
            if level:
                conv = make_conv(filters[level - 1], filters[level], kernels[level], 2)
                self.parts[f"down_{level}"] = Unit(config.groups, filters[level - 1], conv=conv)
            self._add_blocks("encoder", level, config)

    def _add_decoder(self, config) -> None:
        """Level by level up, with the encoder's features on the coarsest `skip_levels`."""
        filters = config.filters
        for level in reversed(range(self.levels)):
            if level < self.levels - 1:
                self._add_enlargement(filters[level + 1], level, config)
                if self.levels - 1 - level <= config.skip_levels:
                    self.parts[f"up_{level}_merge"] = make_conv(
                        2 * filters[level], filters[level], 1
                    )
            self._add_blocks("decoder", level, config)

    def _add_enlargement(self, before: int, level: int, config) -> None:
        """From the level below to twice its size; fewer features before the resize."""
        width, parts = config.filters[level], {}
        if before > width:
            parts["project"] = make_conv(before, width, 1)
        parts["resize"] = nn.Upsample(scale_factor=2, mode="nearest")
        parts["conv"] = make_conv(min(before, width), width, config.kernel_sizes[level])
        self.parts[f"up_{level}"] = Unit(config.groups, before, **parts)

    def forward(self, x, noise=None):
        """Images, and float32 noise or None for the latent's mean -> (images, mean, log-var)."""
        x, skips = self.parts["stem_conv"](x), []
        for level in range(self.levels):
            if level:
                x = self.parts[f"down_{level}"](x)
            x = self.parts[f"encoder_{level}"](x)
            skips.append(x)
        x = self.parts["latent"](x)
        mean = z = self.parts["z_mean"](x).float()
        raw = self.parts["z_log_var_raw"](x).float()
        log_var = LOG_VAR_LIMIT * torch.tanh(raw / LOG_VAR_LIMIT)
        if noise is not None:
            z = mean + torch.exp(0.5 * log_var) * noise
        x = self.parts["latent_conv"](z)
        for level in reversed(range(self.levels)):
            if level < self.levels - 1:
                x = self.parts[f"up_{level}"](x)
                if f"up_{level}_merge" in self.parts:
                    x = self.parts[f"up_{level}_merge"](torch.cat([x, skips[level]], 1))
            x = self.parts[f"decoder_{level}"](x)
        x = self.parts["output"](x).float()
        if self.gray:
            x = x.mean(1, keepdim=True).expand_as(x)
        return torch.tanh(x), mean, log_var


class Discriminator(nn.Module):
    """A `DiscriminatorConfig`'s network: one trunk, a head at each of its last levels."""

    def __init__(self, config) -> None:
        super().__init__()
        self.levels, self.heads, before = nn.ModuleList(), nn.ModuleDict(), config.channels
        for level, width in enumerate(config.filters, start=1):
            trunk = nn.Sequential()
            for depth in range(config.trunk_depth):
                is_first = level == 1 and depth == 0
                conv = make_conv(before, width, *((3, 1) if depth else (4, 2)))
                trunk.add_module(f"{depth + 1}_conv", conv)
                groups = 0 if is_first else config.groups
                trunk.add_module(f"{depth + 1}", Unit(groups, width))
                before = width
            self.levels.append(trunk)
            if level > len(config.filters) - config.num_heads:
                self.heads[str(level)] = make_conv(width, 1, config.head_kernel_size)

    def forward(self, x):
        """Images -> float32 maps of scores, finest first."""
        scores = []
        for level, trunk in enumerate(self.levels, start=1):
            x = trunk(x)
            if str(level) in self.heads:
                scores.append(self.heads[str(level)](x).float())
        return scores


class TorchVAECycleGAN(TorchTrainer):
    """System A's networks and training step; arguments as `TorchTrainer`.

    Merged, it has real and fake in one call of a discriminator. `draw` gives the latent's noise.
    """

    def __init__(self, config, **how) -> None:
        super().__init__(config, {"g": Generator, "d": Discriminator}, **how)
        self.draw = torch.randn

    def compile_net(self, net) -> None:
        """A discriminator level by level, so that a fine head's gradient stops there."""
        if isinstance(net, Generator):
            super().compile_net(net)
            return
        torch._functorch.config.donated_buffer = False  # its graph is differentiated once a head
        for trunk in net.levels:
            super().compile_net(trunk)

    def generate(self, name: str, images) -> tuple:
        """(images, mean, log-var) of a generator, its latent drawn."""
        net = self.nets[name]
        noise = self.draw((len(images), *net.latent_shape), device=self.device)
        with self.cast():
            return net(images, noise)

    def score(self, name: str, *batches) -> list[list]:
        """The heads' maps of one or more batches: a list of maps for every head."""
        with self.cast():
            if self.merged:
                return [m.chunk(len(batches)) for m in self.nets[name](torch.cat(batches))]
            return list(zip(*(self.nets[name](batch) for batch in batches), strict=True))

    def update(self, source, target) -> dict:
        """Update the generators, then the discriminators. Returns the losses, on the device."""
        source, target = self.begin_step(source, target)
        fakes, logs = self._update_generators(source, target)
        logs |= self._update_discriminators(source, target, *fakes)
        self.end_step()
        return logs

    def _update_generators(self, source, target) -> tuple:
        """One step of both generators. Returns ((fake_source, fake_target), losses)."""
        self.freeze_discriminators(True)
        settings = self.config.losses
        fake_target, *latent_target = self.generate("g_target", source)
        fake_source, *latent_source = self.generate("g_source", target)
        cycled_source, *cycle_source = self.generate("g_source", fake_target)
        cycled_target, *cycle_target = self.generate("g_target", fake_source)
        losses = {}
        for name, image, fake, cycled, latents in (
            ("target", target, fake_target, cycled_target, (latent_target, cycle_target)),
            ("source", source, fake_source, cycled_source, (latent_source, cycle_source)),
        ):
            scores = [((score - 1) ** 2).mean() for (score,) in self.score(f"d_{name}", fake)]
            losses[f"adversarial_{name}"] = sum(scores) / len(scores)
            losses[f"cycle_{name}"] = (image - cycled).abs().mean()
            losses[f"kl_{name}"] = sum(kl_loss(*latent) for latent in latents) / len(latents)
        share = min(1.0, (self.step_number + 1) / max(1, settings.kl_warmup_steps))
        weights = {
            "adversarial": settings.adversarial_weight,
            "cycle": settings.cycle_weight,
            "kl": settings.kl_weight * share,
        }
        self.descend("g", sum(weights[n.split("_")[0]] * loss for n, loss in losses.items()))
        self.freeze_discriminators(False)
        losses = {name: loss.detach() for name, loss in losses.items()}
        return (fake_source.detach(), fake_target.detach()), losses

    def _update_discriminators(self, source, target, fake_source, fake_target) -> dict:
        """One step of both discriminators; returns their losses."""
        self.optimizers["d"].zero_grad(set_to_none=True)
        losses = {}
        for name, real, fake in (("source", source, fake_source), ("target", target, fake_target)):
            heads = [
                0.5 * (((on_real - 1) ** 2).mean() + (on_fake**2).mean())
                for on_real, on_fake in self.score(f"d_{name}", real, fake)
            ]
            add_clipped_gradients(heads, list(self.nets[f"d_{name}"].parameters()))
            losses[f"discriminator_{name}"] = sum(heads).detach() / len(heads)
        self.optimizers["d"].step()
        return losses

    @torch.inference_mode()
    def translate(self, source):
        """Source to target by the latent's mean, (N, C, H, W) in and out."""
        with self.cast():
            return self.nets["g_target"](self.place(source))[0]


def kl_loss(mean, log_var):
    """KL divergence from the standard normal, a mean over the latent's elements."""
    return 0.5 * (mean**2 + torch.exp(log_var) - 1 - log_var).mean()


def add_clipped_gradients(losses: list, weights: list) -> None:
    """Add to the weights' gradients those of every loss, each clipped to one norm on its own."""
    for index, loss in enumerate(losses):
        gradients = torch.autograd.grad(
            loss, weights, retain_graph=index < len(losses) - 1, allow_unused=True
        )
        touched = [(w, g) for w, g in zip(weights, gradients, strict=True) if g is not None]
        kept = [gradient for _, gradient in touched]
        norm = torch.nn.utils.get_total_norm(kept)
        torch._foreach_mul_(kept, HEAD_CLIP_NORM / norm.clamp(min=HEAD_CLIP_NORM))
        for weight, gradient in touched:
            weight.grad = gradient if weight.grad is None else weight.grad.add_(gradient)


def list_pairs(model, net: nn.Module) -> list[tuple]:
    """(Keras variable, PyTorch tensor) of every weight."""
    modules = {name_in_keras(path): module for path, module in net.named_modules()}
    pairs = []
    for layer in model.layers:
        if layer.weights:
            module = modules[layer.name]
            pairs += zip(layer.weights, (module.weight, module.bias), strict=True)
    return pairs


def name_in_keras(path: str) -> str:
    """A module's path -> the name of its Keras layer."""
    path = re.sub(r"^levels\.(\d+)", lambda found: f"level_{int(found[1]) + 1}", path)
    path = path.removeprefix("parts.").replace("heads", "head").replace(".", "_")
    return re.sub(r"(block_\d+)_(\d+)_conv$", r"\1_conv_\2", path)


def copy_weights(model, net: nn.Module) -> None:
    """Give a PyTorch network the weights of the Keras model of the same config."""
    copy_pairs(list_pairs(model, net))
