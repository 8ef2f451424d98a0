"""The page in a browser: upload, translate, download, a wrong file, and leaving."""

from __future__ import annotations

import importlib.util
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest

from keras_vaegan.app.server import open_server
from keras_vaegan.data.image import read_image

SIZES = {"phone": (390, 844), "desktop": (1280, 860)}
PATIENCE = 60_000  # milliseconds
pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("gradio") is None, reason="no gradio"),
    pytest.mark.filterwarnings("ignore::Warning:gradio"),  # of what it asks of pandas
]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Where the server's temporary folder lies."""
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def address(networks, root) -> Iterator[str]:
    """One server for all tests, which takes uploads of 1 MB; at its end nothing is left."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(root))
        patch.setattr("keras_vaegan.app.limits.UPLOAD_BYTES", 1_000_000)
        patch.setenv("GRADIO_TEMP_DIR", "")
        with open_server(networks, port=find_port()) as running:
            yield running
        assert list(root.glob("keras_vaegan_app_*")) == []


def find_port() -> int:
    """A free port."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture
def open_page(browser, address):
    """Opens the page and, at the end, checks that nothing failed or was asked of elsewhere."""
    pages, troubles = [], []

    def watch(request) -> None:
        if not request.url.startswith((address, "data:", "blob:")):
            troubles.append(request.url)

    def open_one(size: str = "desktop", scheme: str = "light"):
        width, height = SIZES[size]
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", watch)
        page.goto(address)
        page.locator("#upload input[type=file]").wait_for(state="attached")
        pages.append(page)
        return page

    yield open_one
    for page in pages:
        page.close()
    assert troubles == []


def load(page, path) -> None:
    """Upload a file and wait for its picture."""
    page.locator("#upload input[type=file]").set_input_files(path)
    page.locator("#loaded", has_text=Path(path).name).wait_for()


def translate(page) -> None:
    """Translate and wait for the result."""
    page.get_by_role("button", name="Translate").click()
    page.locator("#compare img").first.wait_for()
    page.locator("#download").wait_for()


def download(page, where: Path, button: str = "#download") -> Path:
    """What a button gives."""
    with page.expect_download() as waiting:
        page.locator(button).click()
    path = where / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


@pytest.mark.parametrize("size", SIZES)
def test_an_image_is_translated_and_downloaded(open_page, inputs, tmp_path, size):
    page = open_page(size, "dark" if size == "phone" else "light")
    assert page.locator("#notice").is_visible()
    assert page.get_by_role("button", name="Translate").is_disabled()
    load(page, inputs / "deep.png")
    assert "48 × 40, 16 bit" in page.locator("#loaded").inner_text()
    translate(page)
    assert page.locator("#compare img").count() == 2
    assert "drawn translations" in page.locator("#legend").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    assert page.evaluate("scrollY") > 0 or size == "desktop"
    assert page.locator("#notice").bounding_box()["y"] == pytest.approx(0, abs=1)
    file = download(page, tmp_path)
    made = read_image(file)
    assert file.name == "deep_synthetic_ct.png"
    assert (made.shape, made.dtype) == ((40, 48), np.dtype("uint16"))
    assert read_image(download(page, tmp_path, "#download-std")).dtype == "float32"


def test_a_volume_is_seen_by_its_slices(open_page, inputs, tmp_path):
    page = open_page()
    load(page, inputs / "mri.nii.gz")
    page.get_by_label("Network").click()
    page.get_by_role("option", name="CycleGAN · resnet", exact=True).click()
    page.get_by_label("Samples").first.wait_for(state="hidden")
    translate(page)
    assert page.locator("#legend").is_hidden()
    before = page.locator("#generated img").get_attribute("src")
    slider = page.locator("#slice input[type=range]")
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "before => document.querySelector('#generated img')?.getAttribute('src') != before",
        arg=before,
    )
    assert slider.input_value() == "6"
    file = nibabel.load(download(page, tmp_path))
    np.testing.assert_array_equal(file.affine, nibabel.load(inputs / "mri.nii.gz").affine)


def test_wrong_files_are_told_of_in_a_line(open_page, inputs, tmp_path):
    page = open_page("phone")
    page.locator("#upload input[type=file]").set_input_files(inputs / "words.txt")
    message = page.locator("#messages .error")
    message.wait_for()
    assert "words.txt is not an image" in message.inner_text()
    assert "Traceback" not in page.content() and str(tmp_path.anchor + "tmp") not in page.content()
    load(page, inputs / "plain.png")
    assert message.count() == 0


def test_what_is_too_large_is_not_sent(open_page, inputs, tmp_path):
    page = open_page()
    load(page, inputs / "plain.png")
    sent = []
    page.on("request", lambda request: sent.append(request.url))
    large = tmp_path / "large.png"
    large.write_bytes(bytes(1_100_000))
    message = page.locator("#messages .error")
    page.locator("#upload input[type=file]").set_input_files(large)
    message.wait_for()
    assert message.inner_text() == (
        "large.png has 2 MB: expected at most 1 MB here; use the command `translate` for it"
    )
    assert "plain.png" in page.locator("#loaded").inner_text()
    load(page, inputs / "deep.png")
    assert message.count() == 0
    dropped = page.evaluate_handle(
        """() => {
            const held = new DataTransfer();
            held.items.add(new File([new Uint8Array(1_100_000)], "dropped.nii"));
            return held;
        }"""
    )
    page.dispatch_event("#upload button", "drop", {"dataTransfer": dropped})
    message.wait_for()
    assert message.inner_text().startswith("dropped.nii has 2 MB")
    assert sum("/upload?" in url for url in sent) == 1 and page.locator(".toast-body").count() == 0


def test_a_session_that_ends_leaves_nothing(open_page, inputs, root):
    page = open_page()
    load(page, inputs / "plain.png")
    assert list(root.rglob("plain.png"))
    page.close()
    deadline = time.monotonic() + 30
    while list(root.rglob("session-*")) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not list(root.rglob("session-*")) and not list(root.rglob("plain.png"))
