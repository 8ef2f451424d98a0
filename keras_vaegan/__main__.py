"""`keras-vaegan X` and `python -m keras_vaegan X`: the same as `python -m keras_vaegan.X`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from keras_vaegan import __version__
from keras_vaegan.commands.shell import fail

PROGRAM = "keras-vaegan"
COMMANDS = {
    "demo": "draw a phantom, train on it and evaluate: minutes on two CPU cores",
    "audit": "look for copies, leaks, wrong modalities and unusable files in a set",
    "prepare": "decode and align a training set once, into one file",
    "train": "train a preset on a folder of images",
    "translate": "translate images or volumes with trained weights",
    "calibrate": "learn, on pairs, how wrong a run's translations are where",
    "synthesize": "generate a missing MRI contrast of a case, NIfTI in, NIfTI out",
    "enhance": "enlarge images or volumes with an RRDBNet",
    "evaluate": "measure a run: cycles, realism, and translation error where truth exists",
    "export": "write trained weights as a SavedModel, an ONNX or a LiteRT file",
    "app": "serve a page that translates images and volumes in a browser",
    "convert": "inspect, rebuild and rewrite Keras weight files",
    "phantom": "write procedural heads in the layout of the real data sets",
    "weights": "write the weights that ship into a folder",
    "download": "fetch the Kaggle CT and MRI set",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one of `COMMANDS`.

    Args:
        argv: Command name and its arguments; None takes `sys.argv[1:]`.

    Returns:
        The exit status.

    Raises:
        SystemExit: status 2 for an unknown command, else as the command exits.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    name = argv[0] if argv else ""
    if name in COMMANDS:
        return importlib.import_module(f"keras_vaegan.commands.{name}").main(argv[1:])
    if name in ("-h", "--help"):
        print(_usage())
    elif name == "--version":
        print(f"{PROGRAM} {__version__}")
    else:
        received = f"unknown command {name!r}" if name else "no command given"
        fail(f"{received}: expected one of {', '.join(COMMANDS)}; see `{PROGRAM} --help`")
    return 0


def _usage() -> str:
    """List the commands, one line each."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items()]
    head = f"usage: {PROGRAM} COMMAND [OPTIONS]\n\ncommands:"
    return "\n".join([head, *lines, "", f"`{PROGRAM} COMMAND --help` lists a command's options."])


if __name__ == "__main__":
    raise SystemExit(main())
