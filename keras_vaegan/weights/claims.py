"""The kernels that a network's config asks for, to be compared with what its file holds.

Building a network takes the memory and the time that its config asks for, and a config of a few
bytes can ask for anything. So its kernels are counted first, as `models/` builds them: nearly all
values of a network lie in them.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

from keras_vaegan.config.networks import (
    DiscriminatorConfig,
    ModalityUNetConfig,
    NetworkConfig,
    PatchDiscriminatorConfig,
    ResnetGeneratorConfig,
    RRDBNetConfig,
    VAEUNetConfig,
)
from keras_vaegan.errors import InputError

MAX_KERNELS = 600  # of a network that is built from a file alone; RRDBNet's published size has 351
FREE_KERNELS, FREE_WEIGHTS = 50, 100_000  # that a config may ask for beyond twice its file's


def check_claim(path: str | Path, network: NetworkConfig, layers: int, weights: int) -> None:
    """Refuse a network that its file cannot hold.

    Args:
        path: The file, to name it.
        network: What it asks for.
        layers: How many layers with weights the file holds.
        weights: How many values.

    Raises:
        InputError: the network is far larger than that, or than any that is known.
    """
    if not is_plausible(network, layers, weights):
        raise InputError(
            f"{path}: its config asks for a network far larger than its {weights:,} parameters "
            f"in {layers} layers, or of over {MAX_KERNELS} kernels: use an undamaged file"
        )


def is_plausible(network: NetworkConfig, layers: int, weights: int) -> bool:
    """Whether a network may be that of a file with so many layers and values."""
    kernels, values = count_kernels(network)
    return (
        kernels <= min(MAX_KERNELS, 2 * layers + FREE_KERNELS)
        and values <= 2 * weights + FREE_WEIGHTS
    )


def count_kernels(network: NetworkConfig) -> tuple[int, int]:
    """(kernels, values in them) of a network, which is not built; biases and norms aside."""
    kernels = _LISTS[type(network)](network)
    return sum(count for count, _ in kernels), sum(count * size for count, size in kernels)


def _list_vae_unet(c: VAEUNetConfig) -> list[tuple[int, int]]:
    """(how many, values in each): both ends, blocks on both sides, down and up, the latent."""
    sides = [k * k for k in c.kernel_sizes]
    kernels = [(2, sides[0] * c.channels * c.filters[0])]
    for side, width, blocks in zip(sides, c.filters, c.num_residual_blocks, strict=True):
        kernels.append((4 * blocks, side * width * width))
    for (side, fine), (side_below, coarse) in pairwise(zip(sides, c.filters, strict=True)):
        kernels.append((1, side_below * fine * coarse))
        if c.upsampling == "transpose":
            kernels.append((1, 16 * coarse * fine))
        else:  # fewer features before the resize
            kernels += [(int(coarse > fine), coarse * fine), (1, side * min(coarse, fine) * fine)]
    merged = c.filters[-1 - c.skip_levels : -1]
    kernels += [(1, 2 * width * width) for width in merged]
    positions, last, size = (c.image_size // c.stride) ** 2, c.filters[-1], c.latent_channels
    if c.latent == "dense":
        kernels += [(2, positions * last * size), (1, positions * size * size)]
    else:
        kernels.append((2, last * size))
    return [*kernels, (1, 9 * size * last)]


def _list_discriminator(c: DiscriminatorConfig) -> list[tuple[int, int]]:
    """(how many, values in each): the trunk and its heads."""
    trunk = pairwise((c.channels, *c.filters))
    return [
        *((1, 16 * given * taken) for given, taken in trunk),
        *((c.trunk_depth - 1, 9 * width * width) for width in c.filters),
        *((1, c.head_kernel_size**2 * width) for width in c.filters[-c.num_heads :]),
    ]


def _list_resnet(c: ResnetGeneratorConfig) -> list[tuple[int, int]]:
    """(how many, values in each): both ends, down and up, the blocks."""
    return [
        (2, 49 * c.channels * c.filters[0]),
        *((2, 9 * given * taken) for given, taken in pairwise(c.filters)),
        (c.num_residual_blocks * c.convs_per_block, 9 * c.filters[-1] ** 2),
    ]


def _list_patch_discriminator(c: PatchDiscriminatorConfig) -> list[tuple[int, int]]:
    """(how many, values in each): the trunk and its output."""
    return [(1, 16 * given * taken) for given, taken in pairwise((c.channels, *c.filters, 1))]


def _list_rrdbnet(c: RRDBNetConfig) -> list[tuple[int, int]]:
    """(how many, values in each): the ends, the dense blocks, body and upsampling."""
    width, growth, blocks = c.num_features, c.growth_channels, 3 * c.num_blocks
    return [
        (1, 9 * c.channels * c.unshuffle**2 * width),
        (4, 9 * width * width),
        (1, 9 * width * c.generated_channels),
        *((blocks, 9 * (width + number * growth) * growth) for number in range(4)),
        (blocks, 9 * (width + 4 * growth) * width),
    ]


def _list_modality_unet(c: ModalityUNetConfig) -> list[tuple[int, int]]:
    """(how many, values in each): down, up, the dense latent, the output."""
    below = (*c.filters[1:], c.filters[-1])
    return [
        *((1, 9 * given * taken) for given, taken in pairwise((c.channels, *c.filters))),
        *((1, 9 * width * width) for width in c.filters),
        *((1, 4 * given * taken) for given, taken in zip(below, c.filters, strict=True)),
        *((1, 9 * 2 * width * width) for width in c.filters),
        *((1, 9 * width * width) for width in c.filters),
        (3, (c.image_size // c.stride) ** 2 * c.filters[-1] * c.latent_channels),
        (1, c.filters[0]),
    ]


_LISTS: dict[type, Any] = {
    VAEUNetConfig: _list_vae_unet,
    DiscriminatorConfig: _list_discriminator,
    ResnetGeneratorConfig: _list_resnet,
    PatchDiscriminatorConfig: _list_patch_discriminator,
    RRDBNetConfig: _list_rrdbnet,
    ModalityUNetConfig: _list_modality_unet,
}
