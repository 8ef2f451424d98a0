"""Which graph stands for which network: found by the config that a weight file tells."""

from __future__ import annotations

import dataclasses
import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_vaegan.config.base import VALUE_RANGES
from keras_vaegan.errors import InputError
from keras_vaegan.interop.keras_h5.load import read_network_config
from keras_vaegan.weights.manifest import find_row
from keras_vaegan.weights.names import GENERATOR_FILES, find_weight_file

if TYPE_CHECKING:
    import tensorflow as tf

DIRECTIONS = {"mri2ct": "MRI to CT", "ct2mri": "CT to MRI"}
_GENERATOR_ROLES = {name: direction for direction, name in GENERATOR_FILES.items()}
_MAPPED = (
    "8 and 16-bit values are divided by 255 and 65535; each float image is mapped by its own "
    "lowest and highest value."
)


@dataclass(frozen=True)
class Exportable:
    """A network ready to be written as a SavedModel.

    Attributes:
        file: The weight file that it came from.
        module: The graph; `make_signatures()` gives its concrete functions.
        title: What it is, for the model card.
        purpose: What it does, in one sentence.
        intensities: How values are mapped on the way in and out.
        caveats: What a user must know of its results.
        config: The weight file's config, or None for another code's architecture.
        row: What the manifest beside the file says of it, or nothing.
    """

    file: Path
    module: tf.Module
    title: str
    purpose: str
    intensities: str
    caveats: tuple[str, ...]
    config: Any = None
    row: dict = field(default_factory=dict)


def open_network(path: str | Path, direction: str | None = None, tile: int = 256) -> Exportable:
    """Load a network together with its preparation and its way back, as a graph.

    Args:
        path: Weight file, run folder, or folder of published names.
        direction: "mri2ct" or "ct2mri", for a folder of CycleGAN generators.
        tile: Tile of an enlarging network in input pixels; 0 for the whole image at once.

    Raises:
        InputError: no weights there, or a network that has no graph, such as a discriminator.
    """
    file = find_weight_file(path, direction)
    config = read_network_config(file)
    kind = type(config).__name__
    # Full models of other code have no config of ours: they translate, image to image.
    load = load_translation if config is None else _LOADERS.get(kind)
    if load is None:
        raise InputError(
            f"{file} holds a network of {kind}: expected one of {', '.join(_LOADERS)}; export a "
            "generator"
        )
    row = find_row(file) or {}
    return dataclasses.replace(load(file, config, tile), row=row)


def load_translation(file: Path, config, tile: int) -> Exportable:
    """A CycleGAN generator, or a full model of other code, image to image."""
    module = importlib.import_module("keras_vaegan.systems.cyclegan.export")
    from keras_vaegan.systems.cyclegan.translator import Translator

    translator = Translator.load(file)
    data = translator.data
    way = DIRECTIONS.get(_GENERATOR_ROLES.get(file.name, ""), "one modality to another")
    placed = {
        ("pad", "none"): "the whole frame on a centred black square",
        ("stretch", "none"): "the whole frame, stretched to a square",
    }.get((data.resize, data.align), "the square around the head, found by its intensities")
    return Exportable(
        file,
        module.TranslationModule(translator),
        f"Translation of brain slices, {way}",
        f"Translates two-dimensional brain slices, {way}, at the input's own size and type.",
        f"{_MAPPED} Of {'colour images the luma' if data.channels == 1 else 'gray images a copy'} "
        f"{'is taken' if data.channels == 1 else 'per channel is taken'}; {placed} is brought to "
        f"{data.image_size} x {data.image_size} pixels and to the network's "
        f"{list(VALUE_RANGES[data.value_range])}. The result takes the way back and is clipped to "
        "the input's range; outside the square it is black. Values are relative brightness, not "
        "Hounsfield units.",
        (
            "A translated image shows what the network expects to see. It can leave out or "
            "invent a lesion.",
            "Trained on unpaired images: no pixel of a result was ever compared with the truth "
            "of the same patient.",
        ),
        config,
    )


def load_enhancement(file: Path, config, tile: int) -> Exportable:
    """An RRDBNet."""
    module = importlib.import_module("keras_vaegan.systems.super_resolution.export")
    from keras_vaegan.systems.super_resolution.enhancer import Enhancer

    enhancer = Enhancer.load(file, tile)
    tiles = f"tiles of {enhancer.tile} pixels" if enhancer.tile else "one piece"
    return Exportable(
        file,
        module.EnhancementModule(enhancer),
        f"Enlargement of images, x{enhancer.scale}",
        f"Makes images {enhancer.scale} times as large along each axis, in {tiles}.",
        f"{_MAPPED} The network works on [0, 1]; its result is clipped and takes the way back.",
        ("Fine structure of an enlarged image is made up to look likely; it was not measured.",),
        config,
    )


def load_synthesis(file: Path, config, tile: int) -> Exportable:
    """A missing-modality network."""
    module = importlib.import_module("keras_vaegan.systems.modality.export")
    from keras_vaegan.models.modality_unet import fold_normalization
    from keras_vaegan.systems.modality.slices import list_inputs, list_targets
    from keras_vaegan.systems.modality.weights import load_modality_unet

    network, _, data = load_modality_unet(file)
    targets = list_targets(config)
    closest = ", ".join(f"{module.find_closest(target)} for {target}" for target in targets)
    low, high = data.percentiles
    what = targets[0] if len(targets) == 1 else "one missing contrast"
    return Exportable(
        file,
        module.SynthesisModule(fold_normalization(network, config), config, data),
        f"Synthesis of {what} from other MRI contrasts",
        f"Makes {what} of a skull-stripped brain from {', '.join(list_inputs(targets[0]))}"
        f"{'' if len(targets) == 1 else ' and so on'}: whole volumes, slice by slice.",
        "Volumes are (X, Y, Z) float32 on one grid, axes right, front and up, in a constant "
        "background of any value. Of each volume the brain's "
        f"{low:g}th to {high:g}th percentile become 0 to 1; the result takes the range of the "
        f"input closest to it ({closest}), and its background outside the brain.",
        (
            "A made contrast shows what the network expects to see. It can leave out or invent "
            "a lesion.",
        ),
        config,
    )


_LOADERS = {
    "VAEUNetConfig": load_translation,
    "ResnetGeneratorConfig": load_translation,
    "RRDBNetConfig": load_enhancement,
    "ModalityUNetConfig": load_synthesis,
}
