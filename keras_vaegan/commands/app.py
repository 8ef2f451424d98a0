"""Serve the browser page: `keras-vaegan app`."""

from __future__ import annotations

import signal
import sys
import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from keras_vaegan.commands.shell import CommandOptions, import_backend, run

LOCAL = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, kw_only=True)
class AppOptions(CommandOptions):
    """Options of `app`."""

    weights: tuple[Path, ...] = ()
    """Run folder, folder of published weight files, or folder of such folders; repeatable. By
    default the weights that ship."""
    enhance: Path | None = None
    """RRDBNet weight file; by default the one beside the weights, if there is one."""
    host: str = "127.0.0.1"
    """Address to serve at: this machine alone can reach the default one."""
    port: int = 7860
    """Port to serve at."""


DEFAULTS = AppOptions()


def app(options: AppOptions = DEFAULTS) -> int:
    """Serve a page that translates images and volumes in a browser, until Ctrl-C.

    Nothing that is loaded or made there stays on disk.

    Raises:
        InputError: Gradio is missing, bad weights, or an address that cannot be served at.
    """
    from keras_vaegan.app.server import check_address, check_gradio, open_server

    check_gradio()
    check_address(options.host, options.port)
    import_backend()
    from keras_vaegan.app.networks import load_networks
    from keras_vaegan.weights.shipped import find_shipped_weights

    networks = load_networks(options.weights or (find_shipped_weights(),), options.enhance)
    if options.host not in LOCAL:
        print(
            f"warning: whoever reaches {options.host} can use the page: it has no password",
            file=sys.stderr,
        )
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _end)
    try:
        with open_server(networks, options.host, options.port) as address:
            print(f"open {address} in a browser; Ctrl-C ends it", flush=True)
            threading.Event().wait()
    except KeyboardInterrupt:
        print("ended", file=sys.stderr)
    return 0


def _end(number: int, frame: object) -> None:
    """End as Ctrl-C does, so that the temporary folder goes."""
    sys.exit(128 + number)


main = partial(run, app, prog="python -m keras_vaegan.app")
