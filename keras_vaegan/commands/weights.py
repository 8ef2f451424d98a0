"""Write the weights that ship into a folder: `python -m keras_vaegan.weights --out DIR`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from keras_vaegan.commands.shell import CommandOptions, run


@dataclass(frozen=True, kw_only=True)
class WeightsOptions(CommandOptions):
    """Options of `weights`."""

    out: Path = Path("weights")
    """New folder for them."""


DEFAULTS = WeightsOptions()


def write_weights(options: WeightsOptions = DEFAULTS) -> int:
    """Write the weights that ship with the package into a folder.

    Raises:
        InputError: the package was installed without them, or the folder holds something.
    """
    from keras_vaegan.weights.shipped import copy_shipped_weights

    count = copy_shipped_weights(options.out)
    print(f"wrote {options.out}: {count} weight files; research use only, not for diagnosis")
    return 0


main = partial(run, write_weights, prog="python -m keras_vaegan.weights")
