"""Phantom heads, a CycleGAN trained on them, and its figures: `python -m keras_vaegan.demo`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from keras_vaegan.commands.evaluate import EvaluateOptions, evaluate
from keras_vaegan.commands.phantom import PhantomOptions, write
from keras_vaegan.commands.shell import CommandOptions, run
from keras_vaegan.commands.train import TrainOptions, resolve_config, train

PRESET = "demo"
SIZE = 64


@dataclass(frozen=True, kw_only=True)
class DemoOptions(CommandOptions):
    """Options of `demo`."""

    data: Path = Path("datasets/phantom")
    """New folder for the phantom heads."""
    out: Path = Path("runs/demo")
    """New run folder; the figures go into its folder evaluation."""
    steps: int | None = None
    """Training steps; the preset's where not given."""


DEFAULTS = DemoOptions()


def demo(options: DemoOptions = DEFAULTS) -> int:
    """Draw a phantom, train a small CycleGAN on it, and evaluate it: minutes on two CPU cores.

    Returns:
        0, or what `train` returned where a signal ended it early.

    Raises:
        InputError: a folder that holds something or cannot be written, or refused steps.
    """
    from keras_vaegan.files import check_new_folder

    data, out = options.data, options.out
    training = TrainOptions(preset=PRESET, data=data, out=out, steps=options.steps)
    resolve_config(training)
    check_new_folder(data)
    check_new_folder(out)
    write(PhantomOptions(out=data, size=SIZE))
    if status := train(training):
        return status
    evaluate(EvaluateOptions(weights=out, data=data, out=out / "evaluation"))
    print(f"Pictures: {max((out / 'samples').glob('*.png'))}")
    print(f"Figures:  {out / 'evaluation' / 'metrics.json'}")
    return 0


main = partial(run, demo, prog="python -m keras_vaegan.demo")
