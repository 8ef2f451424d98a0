"""Infer the config of a System A network from a weights-only file: kinds and shapes in order.

System A's published files carry no config; every other network of ours embeds its own. Shapes
tell filters, kernels, levels, blocks, skips, latent and heads. They do not tell the image
size of a spatial latent, the groups of a group normalisation, a normalisation without weights, how
a chain of equal convolutions falls into residual blocks, or the output's activation: those are
assumed, and named as such.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import Any

import keras

from keras_vaegan.config.base import config_to_dict
from keras_vaegan.config.networks import DiscriminatorConfig, VAEUNetConfig
from keras_vaegan.errors import InputError
from keras_vaegan.models.build import build_model
from keras_vaegan.weights.claims import MAX_KERNELS, count_kernels, is_plausible
from keras_vaegan.weights.leaves import Leaf, file_leaves, list_differences, model_leaves
from keras_vaegan.weights.weight_file import WeightFile

DEFAULT_SIDE = 256
GROUP_CHOICES = (16, 8, 4, 2, 1)
MAX_CANDIDATES = 16  # configs, the fewest levels first, whose networks are compared
MAX_ALTERNATIVES = 2
MAX_CONVOLUTIONS = 200  # of an encoder
MAX_SEGMENTS = 256  # ways to cut an encoder into levels that are looked at
FAMILIES = {VAEUNetConfig: "VAE U-Net", DiscriminatorConfig: "multi-scale discriminator"}
EXAMPLES = (  # small ones of each family, to compare with what points to none
    VAEUNetConfig(
        image_size=32, channels=1, filters=(16, 32), kernel_sizes=(3, 3),
        num_residual_blocks=(0, 1), skip_levels=1, groups=8, latent_channels=8,
    ),
    DiscriminatorConfig(image_size=32, channels=1, filters=(16, 32), num_heads=2, groups=8),
)  # fmt: skip


@dataclass(frozen=True)
class Inference:
    """What the weights of a file tell.

    Attributes:
        config: The network's config.
        assumed: Fields that no weight tells and nobody gave, and their assumed values.
        alternatives: Other configs that fit as well: between levels of equal width, a residual
            block and two changes of resolution have the same weights. The one with the fewest
            levels is taken.
    """

    config: Any
    assumed: dict[str, object]
    alternatives: tuple = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What the weights leave open, a sentence each."""
        notes = [f"fits as well: {format_config(other)}" for other in self.alternatives]
        if self.assumed:
            values = ", ".join(f"{name}={value}" for name, value in self.assumed.items())
            notes.append(f"no weight tells {values}: assumed; pass others if you know better")
        return tuple(notes)


def format_config(config: Any) -> str:
    """A network's config on one line."""
    fields = {k: v for k, v in config_to_dict(config).items() if k not in ("kind", "seed")}
    return f"{type(config).__name__}({', '.join(f'{k}={v}' for k, v in fields.items())})"


def infer_config(file: WeightFile, assume: Mapping[str, object] | None = None) -> Inference:
    """Find the config whose model has the file's weights, in kind, shape and order.

    Args:
        file: As `read_weight_file` gives it.
        assume: Values of fields that weights do not tell, such as image_size, groups,
            output_activation and upsampling ("bilinear" for "nearest"), or of any other field,
            to choose among several that fit.

    Raises:
        InputError: neither family fits: names the closest one and the first layer that differs.
    """
    assume = assume or {}
    known = {f.name for family in FAMILIES for f in dataclasses.fields(family)}
    for name in assume:
        if name not in known:
            raise InputError(f"assumed field {name!r}: expected one of {', '.join(sorted(known))}")
    leaves, weights = file_leaves(file), file.parameters
    best: tuple[int, str] = (-1, "it holds no weights")
    fitting: list = []
    configs = (_make_config(fields, leaves, assume) for read in READERS for fields in read(leaves))
    fit = [config for config in configs if config and is_plausible(config, len(leaves), weights)]
    candidates = sorted(fit, key=lambda config: len(config.filters))[:MAX_CANDIDATES]
    # Comparing means building: less the more kernels they have, but one in any case.
    costs = accumulate(count_kernels(config)[0] for config in candidates)
    affordable = max(1, sum(cost <= MAX_KERNELS for cost in costs))
    for candidate in candidates[:affordable] or (EXAMPLES if leaves else ()):
        difference = _find_difference(leaves, candidate)
        if difference is None:
            fitting.append(candidate)
        else:
            best = max(best, difference)
        if len(fitting) > MAX_ALTERNATIVES:
            break
    if not fitting:
        raise InputError(
            f"{file.path} holds no config, and its weights alone tell no network: {best[1]}; build "
            "its model in code and call load_legacy_h5(model, path)"
        )
    config = fitting[0]
    assumed = {name: getattr(config, name) for name in _untold(config) if name not in assume}
    return Inference(config, assumed, tuple(fitting[1:]))


def _untold(config) -> tuple[str, ...]:
    """Fields of a config that no weight tells."""
    names: tuple[str, ...] = ("groups",) if config.groups > 0 else ()
    if isinstance(config, DiscriminatorConfig):
        return ("image_size", *names)
    names += ("output_activation",)
    names += ("image_size",) if config.latent == "spatial" else ()
    names += ("upsampling",) if config.upsampling != "transpose" else ()
    return (*names, "gray_output") if config.channels > 1 else names


def _find_difference(leaves: list[Leaf], config) -> tuple[int, str] | None:
    """None where a config's model has just these weights, else (layers that agree, a sentence)."""
    with keras.StatelessScope(initialize_variables=False):
        expected = model_leaves(build_model(config))
    first = next(list_differences(leaves, expected), None)
    name = f"the closest one, a {FAMILIES[type(config)]},"
    return (first.place, first.describe(name)) if first else None


# -- candidates -----------------------------------------------------------------------------------


def _make_config(fields: dict, leaves: list[Leaf], assume: Mapping[str, object]):
    """A config from what was read, what is assumed, and defaults; None where it is refused."""
    cls = fields.pop("family")
    names = {item.name for item in dataclasses.fields(cls)}
    known = {name: value for name, value in assume.items() if name in names}
    stride = 2 ** (len(fields["filters"]) - (cls is VAEUNetConfig))
    fields.setdefault("image_size", max(2 * stride, DEFAULT_SIDE // stride * stride))
    if "groups" not in known:
        fields["groups"] = _guess_groups(fields, leaves)
    try:
        return cls(**{**fields, **known})
    except (InputError, TypeError):
        return None


def _guess_groups(fields: dict, leaves: list[Leaf]) -> int:
    """Instance norm by its automatic names, no norm by its absence, else the most that divide."""
    if not any("gamma" in leaf.shapes for leaf in leaves):
        return 0
    if any("instance_norm" in leaf.name.lower() for leaf in leaves):
        return -1
    return next(g for g in GROUP_CHOICES if all(f % g == 0 for f in fields["filters"]))


def _read_generator(leaves: list[Leaf]) -> Iterator[dict]:
    """What a VAE U-Net's shapes say, once per way to cut its encoder into levels."""
    weights = [leaf for leaf in leaves if "kernel" in leaf.shapes]
    if not weights or len(weights[0].shapes["kernel"]) != 4:
        return
    kernel, _, channels, base = weights[0].shapes["kernel"]
    split = _find_latent(weights)
    if split is None or channels not in (1, 3):
        return
    encoder, decoder = weights[1:split], weights[split + 2 :]
    shapes = [leaf.shapes["kernel"] for leaf in encoder]
    if len(shapes) > MAX_CONVOLUTIONS or any(len(shape) != 4 for shape in shapes):
        return
    latent_shape = weights[split].shapes["kernel"]
    is_transposed = any(leaf.shapes["kernel"][:2] == (4, 4) for leaf in decoder)
    for filters, kernels, blocks in islice(_cut_levels(shapes, base, kernel), MAX_SEGMENTS):
        fields = {
            "family": VAEUNetConfig, "channels": channels, "filters": filters,
            "kernel_sizes": kernels, "num_residual_blocks": blocks,
            "latent": "dense" if len(latent_shape) == 2 else "spatial",
            "latent_channels": latent_shape[-1],
            "upsampling": "transpose" if is_transposed else "nearest",
        }  # fmt: skip
        if fields["latent"] == "dense":
            positions = latent_shape[0] // filters[-1]
            fields["image_size"] = round(positions**0.5) * 2 ** (len(filters) - 1)
        fields["skip_levels"] = _count_skips(decoder, fields)
        if 0 <= fields["skip_levels"] < len(filters):
            yield fields


def _find_latent(weights: list[Leaf]) -> int | None:
    """Index of the two equal layers (1x1 convolutions or dense) that give mean and variance."""
    for index in range(1, len(weights) - 1):
        first, second = (weights[index + i].shapes["kernel"] for i in (0, 1))
        if first == second and (len(first) == 2 or first[:2] == (1, 1)):
            return index
    return None


def _cut_levels(shapes: list[tuple], base: int, kernel: int) -> Iterator[tuple]:
    """Ways to read an encoder's convolutions as levels: (filters, kernel sizes, blocks)."""

    def list_steps(start: int, width: int, size: int) -> Iterator[tuple[int, int, int]]:
        """How reading can go on: a convolution opens a level, or two make a block."""
        if start < len(shapes) and shapes[start][2] == width:
            yield start + 1, shapes[start][3], shapes[start][0]
        if shapes[start : start + 2] == [(size, size, width, width)] * 2:
            yield start + 2, width, size

    @functools.cache
    def completes(start: int, width: int, size: int) -> bool:
        """Whether the convolutions from `start` on can be read as levels at all."""
        steps = list_steps(start, width, size)
        return start == len(shapes) or any(completes(*step) for step in steps)

    def cut(start: int, filters: tuple, kernels: tuple, blocks: tuple) -> Iterator[tuple]:
        if start == len(shapes):
            yield filters, kernels, blocks
        for begin, width, size in list_steps(start, filters[-1], kernels[-1]):
            if not completes(begin, width, size):
                continue
            if begin == start + 1:
                yield from cut(begin, (*filters, width), (*kernels, size), (*blocks, 0))
            else:
                yield from cut(begin, filters, kernels, (*blocks[:-1], blocks[-1] + 1))

    yield from cut(0, (base,), (kernel,), (0,))


def _count_skips(decoder: list[Leaf], fields: dict) -> int:
    """Skips merge by a 1x1 convolution each; those that project before a resize do not count."""
    ones = sum(leaf.shapes["kernel"][:2] == (1, 1) for leaf in decoder)
    filters = fields["filters"]
    projections = 0
    if fields["upsampling"] != "transpose":
        projections = sum(a < b for a, b in zip(filters, filters[1:], strict=False))
    pointwise = sum(k == 1 for k in fields["kernel_sizes"])
    return ones - projections if not pointwise else len(filters) - 1


def _read_discriminator(leaves: list[Leaf]) -> Iterator[dict]:
    """What a multi-scale discriminator's shapes say: kernel 4 opens a level."""
    shapes = [leaf.shapes["kernel"] for leaf in leaves if "kernel" in leaf.shapes]
    if not shapes or any(len(shape) != 4 for shape in shapes) or shapes[0][2] not in (1, 3):
        return
    heads = [shape for shape in shapes if shape[3] == 1]
    trunk = [shape for shape in shapes if shape[3] != 1]
    filters = tuple(shape[3] for shape in trunk if shape[0] == 4)
    if heads and filters and len(trunk) % len(filters) == 0:
        yield {
            "family": DiscriminatorConfig, "channels": shapes[0][2], "filters": filters,
            "num_heads": len(heads), "head_kernel_size": heads[0][0],
            "trunk_depth": len(trunk) // len(filters),
        }  # fmt: skip


READERS = (_read_generator, _read_discriminator)
