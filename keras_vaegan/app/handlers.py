"""From the page's events to the desk, and from the desk's screens to the page's components."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import gradio as gr
import matplotlib

from keras_vaegan.app.desk import Desk, Order, Screen
from keras_vaegan.evaluation.overlay import HEAT

DIRECTIONS = {"mri2ct": "MRI → CT", "ct2mri": "CT → MRI"}
EMPTY = "Drop a file or take an example to begin."
SHOWN = (
    "title", "messages", "slice", "preview", "compare", "generated", "legend", "download",
    "download_std", "series", "anonymize", "enhance", "translate", "stop",
)  # fmt: skip


class Handlers:
    """The page's events; each gives values for the components of `SHOWN`, in that order.

    Args:
        desk: What does the work.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def open_file(self, path: str, direction: str, request: gr.Request) -> list:
        """Take an upload; also empties the drop zone and sets the direction, if the input tells."""
        screen = self.desk.open_file(_key(request), Path(path))
        return [*self.draw(screen), None, _suggest(screen, direction)]

    def refuse_file(self, name: str, size: float, request: gr.Request) -> list:
        """Say why a file was not sent; what is loaded stays."""
        return self.draw(self.desk.refuse_file(_key(request), name, int(size)))

    def open_example(self, label: str, direction: str, request: gr.Request) -> list:
        """Take an example, otherwise as `open_file`."""
        screen = self.desk.open_example(_key(request), label)
        return [*self.draw(screen), None, _suggest(screen, direction)]

    def choose_series(self, uid: str, request: gr.Request) -> list:
        """Take another series of a zip."""
        return self.draw(self.desk.choose_series(_key(request), uid))

    def show_slice(self, number: int, request: gr.Request) -> list:
        """Show another slice, counted from 1; the slider itself stays."""
        values = self.draw(self.desk.show(_key(request), int(number) - 1))
        values[SHOWN.index("slice")] = gr.skip()
        return values

    def start(self) -> list:
        """Offer to stop while a translation goes on."""
        return [gr.update(interactive=False), gr.update(visible=True)]

    def translate(
        self, network: str, direction: str, samples: int, enhance: bool, anonymize: bool,
        request: gr.Request, progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> list:  # fmt: skip
        """Translate what is loaded."""

        def report(done: int, total: int) -> None:
            progress((done, total), desc="Translating", unit="batches")

        order = Order(network, direction, int(samples), enhance, anonymize)
        return self.draw(self.desk.translate(_key(request), order, report))

    def stop(self, request: gr.Request) -> None:
        """End a translation."""
        self.desk.stop(_key(request))

    def close(self, request: gr.Request) -> None:
        """Forget a user who has left."""
        self.desk.close(_key(request))

    def choose_network(self, name: str, direction: str) -> list:
        """Offer the directions of a network, and samples where it has a latent."""
        offered = self.list_directions(name)
        values = [value for _, value in offered]
        kept = direction if direction in values else values[0]
        return [gr.update(choices=offered, value=kept), gr.update(visible=self.has_latent(name))]

    def list_directions(self, name: str) -> list[tuple[str, str]]:
        """(label, value) of what a network can do."""
        offered = self.desk.networks.choices[name]
        return [(label, value) for value, label in DIRECTIONS.items() if value in offered]

    def has_latent(self, name: str) -> bool:
        """Whether a network's translations can be drawn."""
        return any(n.translator.latent for n in self.desk.networks.choices[name].values())

    def draw(self, screen: Screen) -> list:
        """A screen as values of the components of `SHOWN`."""
        ready, done = screen.source is not None, screen.generated is not None
        pair = (screen.source, screen.generated) if done else None
        source, generated = screen.names
        overlaid = f"{generated}, uncertainty over it" if screen.overlay else generated
        files = [*screen.downloads, None, None]
        labels = [
            f"Download {what} ({_name_format(file)})"
            for what, file in zip((generated, "uncertainty"), files, strict=False)
        ]
        enhancer = self.desk.networks.enhancer is not None
        return [
            write_title(screen),
            write_messages(screen),
            gr.update(
                visible=screen.slices > 1, maximum=max(2, screen.slices), value=screen.index + 1
            ),
            gr.update(visible=ready and not done, value=None if done else screen.source),
            gr.update(visible=done, value=pair, label=f"{source}  ◂ ▸  {generated}"),
            gr.update(visible=done, value=screen.overlay or screen.generated, label=overlaid),
            write_legend(screen),
            gr.update(visible=bool(files[0]), value=files[0], label=labels[0]),
            gr.update(visible=bool(files[1]), value=files[1], label=labels[1]),
            gr.update(visible=len(screen.series) > 1, value=screen.chosen or None,
                      choices=[(label, uid) for uid, label in screen.series.items()]),
            gr.update(visible=screen.volume),
            gr.update(visible=enhancer and not screen.volume),
            gr.update(interactive=ready),
            gr.update(visible=False),
        ]  # fmt: skip


def write_title(screen: Screen) -> str:
    """Which input is loaded, as HTML."""
    if not screen.title:
        return f'<p class="empty">{EMPTY}</p>'
    name, _, kind = screen.title.rpartition(": ")
    return f"<p><strong>{html.escape(name)}</strong> <span>{html.escape(kind)}</span></p>"


def write_messages(screen: Screen) -> str:
    """Error, warnings and notes, as HTML."""
    lines = [("error", screen.error)] if screen.error else []
    lines += [("warning", text) for text in screen.warnings]
    lines += [("note", text) for text in screen.notes]
    return "".join(
        f'<p class="{kind}" role="{"note" if kind == "note" else "alert"}">{html.escape(text)}</p>'
        for kind, text in lines
    )


def write_legend(screen: Screen) -> str:
    """What the overlay's colours mean, as HTML."""
    if not screen.overlay:
        return ""
    heat = matplotlib.colormaps[HEAT]
    colours = ", ".join(matplotlib.colors.to_hex(heat(i / 8)) for i in range(9))
    return (
        f'<div class="bar" style="background: linear-gradient(to right, {colours})"></div>'
        f'<div class="ends"><span>0</span><span>{html.escape(screen.scale)}</span></div>'
        f"<p>{html.escape(screen.meaning)}</p>"
    )


def _key(request: gr.Request) -> str:
    """What tells a user's session."""
    return str(request.session_hash)


def _suggest(screen: Screen, direction: str) -> Any:
    """The direction that an input is for, where it tells."""
    return {"mri": "mri2ct", "ct": "ct2mri"}.get(screen.domain or "", direction)


def _name_format(file: str | None) -> str:
    """How a file is stored, in a word."""
    name = (file or "").lower()
    if name.endswith(".zip"):
        return "DICOM zip"
    return "NIfTI" if ".nii" in name else Path(name).suffix[1:].upper()
