"""The page's server: on this machine, without Gradio's telemetry, in a folder that goes with it."""

from __future__ import annotations

import importlib.util
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from keras_vaegan.errors import InputError

if TYPE_CHECKING:
    from keras_vaegan.app.networks import Networks

QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_RUN_HISTORY": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


def check_gradio() -> None:
    """Refuse to go on without Gradio.

    Raises:
        InputError: it is not installed.
    """
    if importlib.util.find_spec("gradio") is None:
        raise InputError(
            "Gradio is not installed: expected it for the page; run "
            "`pip install 'keras_vaegan[app]'`"
        )


def check_address(host: str, port: int) -> None:
    """Refuse an address that cannot be served at.

    Raises:
        InputError: it is another machine's, or the port is taken or none.
    """
    if not 0 < port < 2**16:
        raise _refuse(host, port)
    try:
        kind, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(kind) as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(place)
    except (OSError, UnicodeError) as error:
        raise _refuse(host, port) from error


@contextmanager
def open_server(networks: Networks, host: str = "127.0.0.1", port: int = 7860) -> Iterator[str]:
    """Serve the page for as long as the block runs; then nothing of it is left on disk.

    Args:
        networks: What it offers.
        host: Address to bind to.
        port: Port to bind to.

    Yields:
        The page's address.

    Raises:
        InputError: Gradio is missing, or the port is taken.
    """
    check_gradio()
    os.environ.update(QUIET)
    with tempfile.TemporaryDirectory(prefix="keras_vaegan_app_") as root:
        os.environ["GRADIO_TEMP_DIR"] = os.path.realpath(root)
        from keras_vaegan.app.desk import Desk
        from keras_vaegan.app.limits import UPLOAD_BYTES
        from keras_vaegan.app.page import CSS, JS, build_page, make_theme

        desk = Desk(networks, Path(os.environ["GRADIO_TEMP_DIR"]))
        page = build_page(desk)
        try:
            _, address, _ = page.launch(
                server_name=host, server_port=port, theme=make_theme(), css_paths=CSS,
                js=JS.read_text(),
                max_file_size=UPLOAD_BYTES, share=False, run_history=False, footer_links=[],
                ssr_mode=False, mcp_server=False, pwa=False, enable_monitoring=False,
                prevent_thread_lock=True, quiet=True,
            )  # fmt: skip
        except OSError as error:
            raise _refuse(host, port) from error
        try:
            yield address
        finally:
            page.close(verbose=False)
            desk.sessions.close_all()


def _refuse(host: str, port: int) -> InputError:
    """What to say of an address that cannot be served at."""
    return InputError(
        f"cannot serve at {host}:{port}: expected an address of this machine and a free port; "
        "choose another --host or --port"
    )
