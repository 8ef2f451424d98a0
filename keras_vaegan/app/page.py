"""The page: controls on the left, pictures on the right; `Handlers` answers its events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from keras_vaegan.app.desk import Desk, Screen
from keras_vaegan.app.examples import EXAMPLES
from keras_vaegan.app.handlers import SHOWN, Handlers, write_title
from keras_vaegan.app.limits import UPLOAD_BYTES

TITLE = "MRI ↔ CT translation"
NOTICE = (
    "<p><strong>Research use only: not for diagnosis.</strong> <span>A generated image shows what "
    "a network expects to see. It can leave out or invent a lesion.</span></p>"
)
HINT = (
    "<p>PNG, JPEG, TIFF, BMP, NIfTI, or a zip of a DICOM series; up to "
    f"{UPLOAD_BYTES // 2**20} MB. Or an example, a drawn head:</p>"
)
MOST_SAMPLES, SAMPLES = 16, 8
CSS, JS = (Path(__file__).with_name(name) for name in ("page.css", "page.js"))
SWEEP = (3600, 86_400)  # Gradio looks every hour for what lies a day; a session's end is earlier
# On a phone the result lies below the controls.
GO_TO_RESULT = """() => {
    if (innerWidth <= 640)
        document.getElementById("result").scrollIntoView({behavior: "smooth"});
    return [];
}"""
PRIVATE: dict[str, Any] = {"api_visibility": "private"}


def make_theme() -> gr.themes.Base:
    """Calm colours and the system's own fonts: nothing is fetched."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.blue,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_md,
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )


def build_page(desk: Desk) -> gr.Blocks:
    """Lay the page out and wire it to a desk."""
    handlers = Handlers(desk)
    with gr.Blocks(
        title=TITLE, analytics_enabled=False, delete_cache=SWEEP, fill_width=True
    ) as page:
        gr.HTML(NOTICE, elem_id="notice")
        gr.HTML(f"<h1>{TITLE}</h1>", elem_id="headline")
        with gr.Row(elem_id="columns"):
            with gr.Column(scale=0, min_width=340, elem_id="controls"):
                part = _add_input() | _add_options(handlers)
            with gr.Column(scale=1, min_width=320, elem_id="result"):
                part |= _add_result()
        _wire_input(handlers, part)
        _wire_options(handlers, part)
        page.unload(handlers.close)
    return page


def _add_input() -> dict[str, Any]:
    """The drop zone, examples, and the series of a zip."""
    gr.HTML("<h2>Input</h2>")
    upload = gr.File(show_label=False, height=120, elem_id="upload", container=False)
    gr.HTML(HINT, elem_classes="hint")
    with gr.Row(elem_id="examples"):
        examples = [gr.Button(label, size="sm", min_width=90) for label in EXAMPLES]
    series = gr.Dropdown(label="Series", visible=False, interactive=True)
    refuse = gr.Button(visible="hidden", elem_id="refuse")  # page.js clicks it
    return {"upload": upload, "examples": examples, "series": series, "refuse": refuse}


def _add_options(handlers: Handlers) -> dict[str, Any]:
    """How to translate, and the buttons."""
    networks = handlers.desk.networks
    names = list(networks.choices)
    directions = handlers.list_directions(names[0])
    gr.HTML("<h2>Translation</h2>")
    return {
        "direction": gr.Radio(directions, value=directions[0][1], label="Direction"),
        "network": gr.Dropdown(names, value=names[0], label="Network", visible=len(names) > 1),
        "samples": gr.Slider(
            0, MOST_SAMPLES, SAMPLES, step=2, label="Samples", buttons=[],
            info="Translations drawn to tell uncertainty; 0 takes the mean alone.",
            visible=handlers.has_latent(names[0]),
        ),
        "enhance": gr.Checkbox(
            label="Enhance by super-resolution", visible=networks.enhancer is not None
        ),
        "anonymize": gr.Checkbox(label="Leave the patient out of the file", visible=False),
        "translate": gr.Button("Translate", variant="primary", interactive=False),
        "stop": gr.Button("Stop", visible=False),
    }  # fmt: skip


def _add_result() -> dict[str, Any]:
    """Messages, pictures and downloads."""
    picture: dict[str, Any] = {"interactive": False, "buttons": ["fullscreen"], "visible": False}
    part: dict[str, Any] = {
        "messages": gr.HTML("", elem_id="messages"),
        "title": gr.HTML(write_title(Screen()), elem_id="loaded"),
    }
    part["slice"] = gr.Slider(
        1, 2, 1, step=1, label="Slice, from the feet up", buttons=[], visible=False,
        interactive=True, elem_id="slice",
    )  # fmt: skip
    with gr.Row(elem_id="pictures"):
        with gr.Column(min_width=280):
            part["preview"] = gr.Image(label="Input", elem_id="preview", **picture)
            part["compare"] = gr.ImageSlider(elem_id="compare", **picture)
        with gr.Column(min_width=280):
            part["generated"] = gr.Image(elem_id="generated", **picture)
            part["legend"] = gr.HTML("", elem_id="legend")
    with gr.Row(elem_id="downloads"):
        part["download"] = gr.DownloadButton(visible=False, variant="primary", elem_id="download")
        part["download_std"] = gr.DownloadButton(visible=False, elem_id="download-std")
    return part


def _wire_input(handlers: Handlers, part: dict[str, Any]) -> None:
    """What happens when an input comes."""
    shown = [part[name] for name in SHOWN]
    opened = [*shown, part["upload"], part["direction"]]
    part["upload"].upload(
        handlers.open_file, [part["upload"], part["direction"]], opened, **PRIVATE
    ).then(None, js=GO_TO_RESULT)
    file = [gr.Textbox(visible=False), gr.Number(visible=False)]  # name, bytes
    part["refuse"].click(
        handlers.refuse_file, file, shown, js="() => window.refused", queue=False, **PRIVATE
    ).then(None, js=GO_TO_RESULT)
    for button in part["examples"]:
        button.click(
            handlers.open_example, [gr.State(button.value), part["direction"]], opened, **PRIVATE
        ).then(None, js=GO_TO_RESULT)
    part["series"].input(handlers.choose_series, part["series"], shown, **PRIVATE)
    part["slice"].input(
        handlers.show_slice, part["slice"], shown, trigger_mode="always_last",
        show_progress="hidden", **PRIVATE,
    )  # fmt: skip


def _wire_options(handlers: Handlers, part: dict[str, Any]) -> None:
    """What happens when an option is changed, or the translation begins or is stopped."""
    part["network"].input(
        handlers.choose_network, [part["network"], part["direction"]],
        [part["direction"], part["samples"]], show_progress="hidden", **PRIVATE,
    )  # fmt: skip
    chosen = [part[n] for n in ("network", "direction", "samples", "enhance", "anonymize")]
    part["translate"].click(
        handlers.start, None, [part["translate"], part["stop"]], queue=False, js=GO_TO_RESULT,
        **PRIVATE,
    ).then(
        handlers.translate, chosen, [part[name] for name in SHOWN],
        show_progress_on=[part["preview"], part["compare"], part["generated"]],
        **PRIVATE,
    )  # fmt: skip
    part["stop"].click(handlers.stop, None, None, queue=False, **PRIVATE)
