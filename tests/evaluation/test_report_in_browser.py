"""The page as a browser shows it: phone and desktop, light and dark, with and without scripts."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from keras_vaegan.evaluation.report.content import (
    Content,
    Curves,
    Distribution,
    Example,
    Examples,
    Table,
    Tile,
)
from keras_vaegan.evaluation.report.page import write_report

SIZES = {"phone": (390, 844), "desktop": (1200, 900)}


def make_content() -> Content:
    """A report whose words, tables and pictures are wider than a phone."""
    rng = np.random.default_rng(0)
    pictures = {name: rng.uniform(size=(48, 64)) for name in ("input", "translation", "truth")}
    error = np.abs(pictures["translation"] - pictures["truth"])
    example = Example("worst", "a" * 90 + ".png", pictures, error, error / 4, "|difference|")
    points = [(step, 1 + 1 / step) for step in range(1, 400)]
    panels = {f"loss {i}": {"CT": points, "MRI": points[:9]} for i in range(5)}
    sections = [
        Table("Figures", [f"column {i}" for i in range(12)], [[f"{i:.4f}" for i in range(12)]] * 3),
        Distribution("PSNR of each image [dB]", {"ct": rng.normal(20, 2, 200).tolist()}),
        Examples("Examples", [example, example]),
        Curves("Training", panels),
    ]
    tiles = [Tile(f"CT: figure {i}", "23.456 dB", "a baseline", "27.27 dB") for i in range(4)]
    facts = {"Commit": "0123456789abcdef" * 4}
    return Content("A report " * 9, facts, tiles, ["An alarm."], sections, ["A part."],
                   {"key": "value" * 80})  # fmt: skip


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> str:
    """Where the report lies."""
    folder = tmp_path_factory.mktemp("report")
    write_report(folder, {}, [], make_content())
    return (folder / "report.html").as_uri()


@pytest.fixture
def open_page(browser, address):
    """Opens the report and, at the end, checks that nothing was complained of or asked for."""
    pages, troubles = [], []

    def watch(request) -> None:
        if request.url != address and not request.url.startswith("data:"):
            troubles.append(request.url)

    def open_one(size: str, scheme: str = "light", scripts: bool = True):
        width, height = SIZES[size]
        page = browser.new_page(
            viewport={"width": width, "height": height}, color_scheme=scheme,
            java_script_enabled=scripts,
        )  # fmt: skip
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", watch)
        page.goto(address)
        pages.append(page)
        return page

    yield open_one
    for page in pages:
        page.close()
    assert troubles == []


def take_picture(page) -> np.ndarray:
    """What the window shows: (H, W, 3) uint8."""
    return cv2.imdecode(np.frombuffer(page.screenshot(), "uint8"), cv2.IMREAD_COLOR)


@pytest.mark.parametrize("size", SIZES)
def test_it_fits_phone_and_desktop_in_light_and_in_dark(open_page, size):
    shots = {}
    for scheme in ("light", "dark"):
        page = open_page(size, scheme)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        wide = page.locator(".scroll").first
        assert size == "desktop" or wide.evaluate("box => box.scrollWidth > box.clientWidth")
        shots[scheme] = take_picture(page)
        assert shots[scheme].std() > 10
        shown = page.locator(".chart").first.evaluate(
            "chart => 12.5 * chart.getScreenCTM().a"  # of its letters, in pixels
        )
        assert 10 <= shown <= 18
    assert shots["light"].mean() > 200 and shots["dark"].mean() < 80


def find_divider(page) -> float:
    """Where the first divider stands, as a share of its pictures' width."""
    return page.locator(".stage").first.evaluate("""stage => {
        const whole = stage.getBoundingClientRect();
        const line = stage.querySelector('.divider').getBoundingClientRect();
        return (line.x + line.width / 2 - whole.x) / whole.width;
    }""")


@pytest.mark.parametrize("size", SIZES)
def test_the_divider_follows_keys_and_pointer(open_page, size):
    page = open_page(size)
    slider = page.locator(".stage input").first
    assert find_divider(page) == pytest.approx(0.5, abs=0.01)
    slider.focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    assert find_divider(page) == pytest.approx(0.6, abs=0.01)
    page.keyboard.press("Home")
    assert find_divider(page) == pytest.approx(0, abs=0.01)
    before = take_picture(page)
    width = slider.bounding_box()["width"]
    slider.hover(position={"x": 0.8 * width, "y": 20})  # once it stands still
    box = slider.bounding_box()
    page.mouse.down()
    assert find_divider(page) == pytest.approx(0.8, abs=0.03)
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 40)
    page.mouse.up()
    assert find_divider(page) == pytest.approx(0.3, abs=0.03)
    assert (before != take_picture(page)).any()


def test_the_pictures_to_compare_are_chosen(open_page):
    page = open_page("desktop")
    left, right = page.locator(".choice").first.locator("select").all()
    tags = page.locator(".stage").first.locator(".tag")
    assert tags.all_text_contents() == ["translation", "truth"]
    source = page.locator(".stage .left").first.get_attribute("src")
    left.select_option(label="input")
    right.select_option(label="translation")
    assert tags.all_text_contents() == ["input", "translation"]
    assert page.locator(".stage .right").first.get_attribute("src") == source
    slider = page.locator(".stage input").first
    assert "Divider" in slider.get_attribute("aria-label")


def test_the_button_switches_light_and_dark(open_page):
    page = open_page("desktop", "light")
    button = page.locator("#theme")
    assert button.text_content() == "Dark"
    button.click()
    assert take_picture(page).mean() < 80 and button.text_content() == "Light"
    button.focus()
    page.keyboard.press("Enter")
    assert take_picture(page).mean() > 200


def test_without_scripts_the_pictures_stand_side_by_side(open_page):
    page = open_page("desktop", scripts=False)
    first = page.locator(".compare").first
    shown = [figure.bounding_box() for figure in first.locator("figure").all()]
    assert len(shown) == 3 and len({box["y"] for box in shown}) == 1
    assert all(box["width"] > 100 and box["height"] > 50 for box in shown)
    assert not page.locator("#theme").is_visible() and page.locator(".stage").count() == 0


def test_on_paper_every_picture_is_shown(open_page):
    page = open_page("desktop", "dark")
    page.emulate_media(media="print")
    assert page.locator(".pictures figure").first.is_visible()
    assert not page.locator(".stage").first.is_visible() and not page.locator("nav").is_visible()
    assert take_picture(page).mean() > 200
