"""The skip playground in a real browser, Debian's chromium."""

from functools import partial

import keras
import numpy as np
import pytest

import unetzoo
from audit.html_report import write
from audit.playground.measuring import in_words, measured
from audit.playground.page import page_of
from audit.playground.scenes import scene_of

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def everything():
    keras.utils.set_random_seed(2)
    model = unetzoo.build("unet2d_small", input_shape=(40, 40, 1), num_classes=3)
    image = np.random.default_rng(0).standard_normal((40, 40, 1)).astype("float32")
    labels = np.zeros((40, 40), int)
    labels[4:12, 4:12], labels[20:34, 18:30] = 1, 2
    return measured(scene_of(model, image, labels, class_names=("background", "<b>", "core")))


@pytest.fixture(scope="module")
def place(everything, tmp_path_factory):
    return write(page_of(everything), tmp_path_factory.mktemp("pages") / "skips.html")


@pytest.fixture
def open_page(offline, place):
    return partial(offline, place, may_read=("file:", "data:"))


def source(page, selector):
    return page.locator(selector).get_attribute("src")


def row_of(page, bits):
    return page.locator(f'tr[data-on="{bits}"]')


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_opens_and_scrolls_only_inside(open_page, width, scheme):
    page = open_page(width, color_scheme=scheme)
    assert page.get_by_role("switch").count() == 3
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".view .mask").evaluate("mask => mask.naturalWidth") == 40


def test_every_combination_shows_its_mask_and_says_its_numbers(open_page, everything):
    page = open_page()
    whole = everything.combinations[0]
    for each in everything.combinations:
        for switch, on in zip(page.get_by_role("switch").all(), each.on, strict=True):
            switch.set_checked(on)
        bits = "".join("1" if on else "0" for on in each.on)
        assert page.locator("#said").inner_text() == in_words(each, whole, "px")
        assert source(page, ".view .mask") == row_of(page, bits).get_attribute("data-mask")
        assert page.locator("tr.current").get_attribute("data-on") == bits
        shown = page.locator("table.classes:visible")
        assert shown.get_attribute("data-classes") == bits
        dices = shown.locator("tbody tr td:nth-child(2)").all_inner_texts()
        assert dices == [f"{c.dice:.2f}" for c in each.classes]
        assert page.locator("path.off").count() == each.on.count(False)


def test_the_keyboard_is_enough(open_page):
    page = open_page()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "skip1"
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert page.locator("#said").inner_text().startswith("Skips 1 and 3 are on; skip 2 is off.")
    page.get_by_role("button", name="All off", exact=True).focus()
    page.keyboard.press("Enter")
    assert page.locator("#said").inner_text().startswith("All skips are off.")
    page.get_by_role("button", name="Skip 3 is on; skips 1 and 2 are off").focus()
    page.keyboard.press("Enter")
    assert [each.is_checked() for each in page.get_by_role("switch").all()] == [False, False, True]


def test_a_screen_reader_has_a_name_for_everything(open_page):
    page = open_page()
    names = [
        each.evaluate("each => each.labels[0].textContent")
        for each in page.get_by_role("switch").all()
    ]
    assert names == ["Skip 1, the finest", "Skip 2", "Skip 3, the deepest"]
    described = page.locator("#skip1").get_attribute("aria-describedby")
    assert "4 channels" in page.locator(f"#{described}").inner_text()
    assert page.get_by_role("status").get_attribute("aria-live") == "polite"
    view = page.get_by_role("img", name="The image with the mask over it")
    assert view.get_attribute("aria-describedby") == "said"
    assert page.get_by_role("group", name="Switch each skip on or off").count() == 1
    assert page.locator("h1").count() == 1
    assert page.get_by_role("rowheader", name="<b>").count() == 1


def test_the_outline_can_be_taken_away(open_page):
    page = open_page()
    assert page.locator(".view .outline").is_visible()
    page.get_by_label("Outline of the labels, white").uncheck()
    assert not page.locator(".view .outline").is_visible()


def test_without_scripts_the_mask_and_all_numbers_are_there(open_page):
    page = open_page(java_script_enabled=False)
    assert page.locator(".view .mask").is_visible()
    assert page.locator("table.combinations tbody tr").count() == 8
    assert page.locator("#said").inner_text().startswith("All skips are on.")
    assert not page.locator(".switches").is_visible()
