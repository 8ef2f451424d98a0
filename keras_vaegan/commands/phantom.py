"""Write procedural heads: `python -m keras_vaegan.phantom --out DIR`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from keras_vaegan.commands.shell import CommandOptions, run
from keras_vaegan.errors import InputError


@dataclass(frozen=True, kw_only=True)
class PhantomOptions(CommandOptions):
    """Options of `phantom`."""

    out: Path
    """Folder to write trainA, trainB, testA and testB, or a folder a case, into."""
    kind: Literal["folders", "brats"] = "folders"
    """What to write: folders of 2-D images, or skull-stripped cases as BraTS has them."""
    count: int | None = None
    """Training images per domain (200), of which the test set has an eighth, at least 8; or cases
    (20)."""
    size: int | None = None
    """Side of the CT images in pixels (128), MRI sizes vary around it; or of the volumes (240, for
    240x240x155 at 1 mm)."""
    seed: int = 0
    """Equal seeds write equal files."""
    contrast: Literal["t1", "t2", "mixture"] | None = None
    """MRI contrast of the folders (t1); a mixture makes the truth of a CT ambiguous."""


def write(options: PhantomOptions) -> int:
    """Write procedural heads: CT and MRI slices, or four MRI contrasts as NIfTI cases.

    Raises:
        InputError: refused values, or an output folder that is not empty or not writable.
    """
    names = ("count", "size", "seed", "contrast")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if options.kind == "folders":
        from keras_vaegan.phantom.rendering import PhantomSet, write_phantom_folders

        counts = write_phantom_folders(options.out, PhantomSet(**given))
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
    elif options.contrast is not None:
        raise InputError(
            f"--contrast {options.contrast} given with --kind brats: expected it with --kind "
            "folders only, cases have all contrasts; drop it"
        )
    else:
        from keras_vaegan.phantom.brats import BratsPhantomSet, write_phantom_cases

        cases = BratsPhantomSet(**given)
        count = write_phantom_cases(options.out, cases, min(os.cpu_count() or 1, cases.count))
        listed = f"{count} cases"
    print(f"wrote {options.out}: {listed}")
    return 0


main = partial(run, write, prog="python -m keras_vaegan.phantom")
