"""Decode a training set once: `python -m keras_vaegan.prepare --data DIR --out FILE.npz`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from keras_vaegan.commands.shell import CommandOptions, import_backend, run
from keras_vaegan.commands.train import DEFAULT_PRESET
from keras_vaegan.config.data import DataConfig
from keras_vaegan.errors import InputError
from keras_vaegan.systems.registry import get_preset


@dataclass(frozen=True, kw_only=True)
class PrepareOptions(CommandOptions):
    """Options of `prepare`; a preset's own size and placement where not given."""

    data: Path
    """Folder that holds trainA (CT) and trainB (MRI), or a parent of it."""
    out: Path
    """File to write, ending in .npz: `train --data FILE.npz` reads it."""
    preset: str | None = None
    """CycleGAN preset that will train on it (vae_cyclegan_small)."""
    image_size: int | None = None
    """Side of the square network image in pixels."""
    channels: Literal[1, 3] | None = None
    """1 (gray) or 3."""
    align: Literal["none", "head"] | None = None
    """Crop every image to the head's bounding box first."""
    surroundings: Literal["keep", "black"] | None = None
    """Whether what lies apart from the head (table, head rest, writing) is painted black."""
    resize: Literal["pad", "stretch"] | None = None
    """Keep the aspect on a black square, or fill it."""


def prepare(options: PrepareOptions) -> int:
    """Decode, align and resize the images of a CycleGAN's training set into one file.

    Raises:
        InputError: another kind of preset, unusable images, or a file that cannot be written.
    """
    name = options.preset or DEFAULT_PRESET
    data = getattr(get_preset(name), "data", None)
    if not isinstance(data, DataConfig):
        raise InputError(
            f"--preset {name}: expected a CycleGAN's; the others prepare their data themselves"
        )
    if options.out.suffix != ".npz":
        raise InputError(f"--out {options.out}: expected a name that ends in .npz")
    names = ("image_size", "channels", "align", "surroundings", "resize")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    data = dataclasses.replace(data, **given)
    import_backend()
    from keras_vaegan.systems.cyclegan.prepared import write_prepared

    counts = write_prepared(options.data, options.out, data)
    listed = ", ".join(f"{folder} {count}" for folder, count in counts.items())
    print(f"wrote {options.out}: {listed}, {data.image_size}x{data.image_size}x{data.channels}")
    return 0


main = partial(run, prepare, prog="python -m keras_vaegan.prepare")
