"""Write procedural heads: `python -m keras_vaegan.phantom --out DIR`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from keras_vaegan.cli import run


@dataclass(frozen=True)
class PhantomArguments:
    """Write CT and MRI slices of procedural heads, in the layout of the real set."""

    out: Path
    """Folder to write trainA, trainB, testA and testB into."""
    kind: Literal["folders"] = "folders"
    """What to write: folders of 2-D images."""
    count: int = 200
    """Training images per domain; the test set has an eighth of it, at least 8."""
    size: int = 128
    """Side of the CT images in pixels; MRI sizes vary around it."""
    seed: int = 0
    """Equal seeds write equal files."""
    contrast: Literal["t1", "t2", "mixture"] = "t1"
    """MRI contrast; a mixture makes the truth of a CT ambiguous."""


def main(argv: list[str] | None = None) -> int:
    """Run the command. Returns the exit status."""
    return run(write, argv, prog="python -m keras_vaegan.phantom")


def write(arguments: PhantomArguments) -> int:
    """Write the phantom as the arguments say.

    Raises:
        InputError: refused values, or an output folder that is not empty or not writable.
    """
    from keras_vaegan.data.phantom_rendering import PhantomSet, write_phantom_folders

    settings = PhantomSet(arguments.count, arguments.size, arguments.seed, arguments.contrast)
    counts = write_phantom_folders(arguments.out, settings)
    listed = ", ".join(f"{name} {count}" for name, count in counts.items())
    print(f"wrote {arguments.out}: {listed}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
