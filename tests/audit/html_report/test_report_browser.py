"""The report in a real browser, Debian's chromium."""

from itertools import combinations, product

import numpy as np
import pytest
from reports import HOSTILE, VARIANTS, hostile, page_of, table_of

import audit
import unetzoo
from audit.analysis.cost import cost
from audit.html_report import report, report_diff, write


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    for name in ("unet2d_original", "unet3d_90m"):
        write(page_of(name), folder / f"{name}.html")
    write(report(hostile()), folder / "hostile.html")
    write(report_diff("unet2d_small", "unet2d_large"), folder / "diff.html")
    for name in VARIANTS:
        write(report(table_of(name)), folder / f"{name}.html")
    return folder


@pytest.fixture
def open_page(offline, folder):
    return lambda name, *width, **settings: offline(folder / f"{name}.html", *width, **settings)


def panel(page):
    pairs = page.locator("#panel dl > div").all()
    return {p.locator("dt").inner_text(): p.locator("dd").inner_text() for p in pairs}


def box(page, layer):
    return page.locator(f'.box[aria-label^="Layer: {layer} "]')


def names_of_layers(page):
    return page.locator("table.layers tbody tr td:nth-child(2)").all_inner_texts()


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("name", ["unet2d_original", "unet3d_90m", "transunet", "diff", "hostile"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_open_from_disk_and_scroll_only_inside(open_page, name, width, scheme):
    page = open_page(name, width, color_scheme=scheme)
    assert page.locator("svg.u").first.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    light = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert light == (scheme == "light")


@pytest.mark.browser
def test_hover_shows_a_boxes_numbers(open_page):
    page = open_page("unet2d_original")
    row = next(r for r in audit.as_table("unet2d_original") if r.name == "down1-double_conv-conv1")
    box(page, row.name).hover()
    shown = panel(page)
    assert shown["Output shape"] == "282 x 282 x 128"
    assert shown["Parameters"].startswith(f"{row.total:,} ")
    assert shown["MACs"].startswith(f"{9 * 64 * 282 * 282 * 128:,} ")
    box(page, "up1-concat").hover()
    assert panel(page)["Crop or pad"] == "cropped: 64 - 2 x 4 = 56 (up1-crop)"


@pytest.mark.browser
def test_a_box_that_stands_for_several_says_so(open_page):
    page = open_page("transunet")
    page.locator(".box.unit", has_text="12").last.hover()
    shown = panel(page)
    assert shown["Layers"] == "transformer1-attention to transformer-norm"
    assert shown["Equal"] == "12, in sequence"
    rows = [row for row in table_of("transunet") if row.name.startswith("transformer")]
    total = sum(row.total for row in rows if row.name != "transformer1-norm1")
    assert shown["Parameters"].startswith(f"{total:,} ")


@pytest.mark.browser
@pytest.mark.parametrize("name", [*VARIANTS, "unet2d_original", "unet3d_90m"])
def test_no_text_of_a_picture_is_cut_or_lies_on_another(open_page, name):
    page = open_page(name)
    texts = page.locator("svg.u text").evaluate_all(
        "all => all.map(each => [each.textContent, each.getBBox()])"
        ".map(([text, box]) => [text, box.x, box.y, box.x + box.width, box.y + box.height])"
    )
    width, height = (int(page.locator("svg.u").get_attribute(key)) for key in ("width", "height"))
    assert len(texts) > 30
    for text, left, top, right, bottom in texts:
        assert left >= 0 <= top, text
        assert right <= width, text
        assert bottom <= height, text
    for one, two in combinations(texts, 2):
        beside = one[3] <= two[1] or two[3] <= one[1]
        apart = one[4] <= two[2] + 4 or two[4] <= one[2] + 4  # a line's box is higher than its ink
        assert beside or apart, (one[0], two[0])


@pytest.mark.browser
def test_the_keyboard_walks_the_datas_way(open_page):
    page = open_page("unet2d_original")
    box(page, "input").focus()
    assert panel(page)["Output shape"] == "572 x 572 x 1"
    page.keyboard.press("Enter")
    assert panel(page)["Layer"] == "double_conv-conv1 (Conv2D)"
    page.keyboard.press("Tab")
    assert panel(page)["Layer"] == "double_conv-conv2 (Conv2D)"
    page.keyboard.press("ArrowRight")
    assert panel(page)["Layer"] == "down1-pool (MaxPooling2D)"
    for _ in range(12):
        page.keyboard.press("Enter")
    assert panel(page)["Layer"] == "up1-up (Conv2DTranspose)"
    page.keyboard.press("ArrowRight")
    assert panel(page)["Arithmetic"] == "cropped: 64 - 2 x 4 = 56 (up1-crop)"
    page.keyboard.press("Enter")
    assert panel(page)["Layer"] == "up1-concat (Concatenate)"
    assert page.locator(".way.walked").count() == 13


@pytest.mark.browser
def test_clicks_walk_on_from_the_box_that_was_clicked(open_page):
    page = open_page("unet2d_original")
    for expected in ("double_conv-conv2", "down1-pool", "down1-double_conv-conv1"):
        box(page, "double_conv-conv1").click()
        assert panel(page)["Layer"].startswith(f"{expected} (")
    assert page.locator(".way.walked").count() == 3


@pytest.mark.browser
def test_a_tap_shows_and_the_next_tap_walks(open_page):
    page = open_page("unet2d_original", 400, has_touch=True)
    for expected in ("input", "double_conv-conv1"):
        box(page, "input").tap()
        assert panel(page)["Layer"].startswith(f"{expected} (")


@pytest.mark.browser
@pytest.mark.parametrize("name", ["unet2d_original", "unet3d_90m"])
def test_the_slider_shows_what_building_at_that_size_gives(open_page, name):
    page = open_page(name)
    slider = page.locator("#size")
    layer = {"unet2d_original": "up1-crop", "unet3d_90m": "up3-pad"}[name]
    *_, channels = unetzoo.card(name).input_shape
    slider.focus()
    page.keyboard.press("Home")
    seen = []
    for _ in range(int(slider.get_attribute("max")) + 1):
        label = page.locator(".slider output").inner_text()
        shape = tuple(int(size) for size in label.split(" x "))
        assert shape[-1] == channels
        seen.append(shape)
        table = audit.table(unetzoo.skeleton(name, input_shape=shape))
        work = {each.row.name: each.macs for each in cost(table).work}
        assert f"{cost(table).macs:,}" in page.locator(".totals").inner_text()
        cells = page.locator("table.layers tbody tr").evaluate_all(
            "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
        )
        for row, line in zip(table, cells, strict=True):
            assert line[1] == row.name
            assert line[4] == " x ".join(map(str, row.shape[1:]))
            assert line[6] == f"{work[row.name]:,}"
        fitted = next(row for row in table if row.name == layer)
        box(page, layer.rsplit("-", 1)[0] + "-concat").hover()
        assert panel(page)["Output shape"].startswith(" x ".join(map(str, fitted.shape[1:-1])))
        slider.focus()
        page.keyboard.press("ArrowRight")
    assert len(set(seen)) == 5


@pytest.mark.browser
def test_sorting_by_numbers_and_back(open_page):
    page = open_page("unet2d_original")
    table = audit.as_table("unet2d_original")
    head = page.locator("table.layers th button")
    head.nth(5).click()
    most = sorted(table, key=lambda row: -row.total)
    assert names_of_layers(page)[:3] == [row.name for row in most[:3]]
    assert page.locator("table.layers th").nth(5).get_attribute("aria-sort") == "descending"
    page.locator("#size").focus()
    page.keyboard.press("ArrowRight")
    assert names_of_layers(page)[:3] == [row.name for row in most[:3]]
    head.nth(0).click()
    assert names_of_layers(page) == [row.name for row in table]


@pytest.mark.browser
def test_a_hostile_name_is_shown(open_page):
    page = open_page("hostile")
    assert HOSTILE in names_of_layers(page)
    page.locator(".box").nth(1).hover()
    assert HOSTILE in panel(page)["Layer"]
    assert page.locator("script").count() == 1


@pytest.mark.browser
def test_without_scripts_the_picture_and_the_tables_are_there(open_page):
    page = open_page("unet3d_90m", java_script_enabled=False)
    assert page.locator("svg.u").is_visible()
    assert page.locator("svg.v").is_visible()
    assert page.locator("svg.u .box").count() == 32
    assert page.locator("table.layers tbody tr").count() == 76
    assert not page.locator(".slider").is_visible()
    assert not page.locator("#panel").is_visible()


@pytest.mark.browser
def test_every_box_and_skip_has_a_name_and_takes_the_focus_in_the_datas_order(open_page):
    page = open_page("unet2d_original")
    order = page.locator("svg.u [tabindex='0']").evaluate_all(
        "all => all.map(each => [each.getAttribute('aria-label'), each.dataset.box || ''])"
    )
    assert all(label for label, _ in order)
    boxes = [int(number) for _, number in order if number]
    assert boxes == list(range(32))
    assert sum(number == "" for _, number in order) == 4
    assert page.locator("h1").count() == 1
    assert page.locator("html").get_attribute("lang") == "en"


def faces(page):
    return page.locator("svg.v .solid path").evaluate_all(
        "all => all.map(e => e.getAttribute('d'))"
    )


def corners(page, number):
    """The corners of a volume's three visible sides, on the screen."""
    paths = page.locator("svg.v .solid").nth(number).locator("path")
    texts = paths.evaluate_all("all => all.map(each => each.getAttribute('d'))")
    points = [point.split() for text in texts for point in text.strip("Mz").split("L")]
    return np.unique(np.array(points, float).round(1), axis=0)


def turned(size, yaw, pitch):
    """The same by rotation matrices: without the one corner that is farthest away."""
    half = np.array(size) / 2
    points = np.array(list(product((-1, 1), repeat=3))) * half
    around_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    around_x = np.array(
        [[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]]
    )
    points = points @ (around_x @ around_y).T
    return points[points[:, 2] < points[:, 2].max() - 1e-9, :2]


@pytest.mark.browser
def test_the_volumes_turn_by_keys_as_cuboids_do(open_page):
    page = open_page("unet3d_90m")
    page.locator("svg.v").focus()
    for key, times in (("ArrowRight", 3), ("ArrowUp", 1), ("ArrowLeft", 1)):
        for _ in range(times):
            page.keyboard.press(key)
    yaw, pitch = np.radians(25 + 10), np.radians(-22 - 5)
    for number in (0, 4, 8):
        solid = page.locator("svg.v .solid").nth(number)
        at, size = (
            np.array(solid.get_attribute(f"data-{key}").split(), float) for key in ("at", "size")
        )
        expected = turned(size, yaw, pitch) + at
        found = corners(page, number)
        assert len(found) == 7
        gaps = np.linalg.norm(found[:, None] - expected[None], axis=-1).min(1)
        assert gaps.max() < 0.1
    page.keyboard.press("Home")
    begun = faces(page)
    page.get_by_role("button", name="Turn the volumes left").click()
    assert faces(page) != begun
    page.get_by_role("button", name="Turn the volumes back").click()
    assert faces(page) == begun


@pytest.mark.browser
def test_the_volumes_turn_by_dragging_and_stay_so_at_another_size(open_page):
    page = open_page("unet3d_90m")
    before = faces(page)
    page.locator("svg.v").scroll_into_view_if_needed()
    inside = page.locator("svg.v .solid").first.bounding_box()
    page.mouse.move(inside["x"] + 30, inside["y"] + 30)
    page.mouse.down()
    page.mouse.move(inside["x"] + 130, inside["y"] + 40)
    page.mouse.up()
    after = faces(page)
    assert after != before
    page.mouse.move(inside["x"] + 60, inside["y"] + 90)
    assert faces(page) == after
    page.locator("#size").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert faces(page) == after


@pytest.mark.browser
def test_a_level_lights_up_on_both_sides(open_page):
    page = open_page("unet3d_90m")
    table = table_of("unet3d_90m")
    box(page, "down1-double_conv-conv1").hover()
    lit = page.locator("svg.u .box.lit").evaluate_all(
        "all => all.map(each => JSON.parse(each.dataset.facts)[0][1].split(' ')[0])"
    )
    places = page.locator("svg.u .box.lit").evaluate_all(
        "all => all.map(each => JSON.parse(each.dataset.facts).pop()[1])"
    )
    assert set(places) == {"encoder, level 1", "decoder, level 1"}
    assert {"down1-double_conv-conv2", "up3-concat", "up3-double_conv-conv2"} <= set(lit)
    assert {row.name for row in table} >= set(lit)
    assert page.locator("svg.u .skip.lit").count() == 1
    assert page.locator("svg.v .solid.lit").count() == 2
    page.locator("svg.v .solid").nth(4).focus()
    assert page.locator("svg.v .solid.lit").count() == 1
    assert page.locator("svg.u .box.lit").count() > 1
    assert page.locator("svg.u text.level.lit").inner_html() == "4"


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 400])
def test_the_turned_volumes_stay_apart_and_inside(open_page, width):
    page = open_page("unet3d_90m", width)
    page.locator("svg.v").focus()
    for _ in range(24):
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        boxes = page.locator("svg.v .solid").evaluate_all(
            "all => all.map(each => each.getBBox())"
            ".map(box => [box.x, box.y, box.x + box.width, box.y + box.height])"
        )
        for one, two in combinations(boxes, 2):
            assert one[2] <= two[0] or two[2] <= one[0] or one[3] <= two[1] or two[3] <= one[1]
        height = float(page.locator("svg.v").get_attribute("height"))
        assert min(b[1] for b in boxes) > -8 and max(b[3] for b in boxes) < height + 8  # noqa: PT018
    assert page.evaluate("document.documentElement.scrollWidth") <= width
