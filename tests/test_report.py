"""The HTML report: its picture against the shapes, its numbers, and the page in a real browser."""

import os
import re
import shutil
from functools import cache, partial
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import commands
import keras
import pytest
from hypothesis import given
from hypothesis import strategies as st

import audit
import unetzoo
from audit.cost import cost
from audit.report import arithmetic, report, report_diff, sizes, write
from audit.report.graph import drawable, graph_of
from audit.report.layout import FULL, HALF, PAGE, extent, layout
from audit.table import Row, Table

DOCUMENTS = Path(audit.__file__).parent / "documents"
TEXTS = sorted(path.name for path in DOCUMENTS.iterdir() if path.suffix in (".txt", ".md"))
HOSTILE = "<script>alert(1)</script>"


page_of = cache(report)


def graph(source):
    return graph_of(audit.as_table(source))


# === The picture ===


def test_the_original_has_four_skips_and_its_crops():
    drawn = graph("unet2d_original")
    sums = [way.sums for way in drawn.skips]
    assert sums == [
        ("64 - 2 x 4 = 56",),
        ("136 - 2 x 16 = 104",),
        ("280 - 2 x 40 = 200",),
        ("568 - 2 x 88 = 392",),
    ]
    levels = [(drawn.boxes[w.source].level, drawn.boxes[w.target].level) for w in drawn.skips]
    assert levels == [(3, 3), (2, 2), (1, 1), (0, 0)]


def test_an_odd_size_is_padded_before_it_is_joined():
    ways = [way for box in graph("unet3d_90m").boxes for way in box.ways if way.sums]
    assert [(way.sums, way.skip) for way in ways] == [(("24 + 1 = 25",), False)]


def test_uneven_axes_have_a_sum_each():
    assert graph("unet3d_original").skips[0].sums == ("26 - 2 x 4 = 18", "22 - 2 x 4 = 14")


@given(st.integers(1, 500), st.integers(1, 500), st.sampled_from(["CropToMatch", "ZeroPadding2D"]))
def test_the_sums_are_right(before, after, kind):
    found = arithmetic.sums((None, before, 8, 3), Row("x", kind, (None, after, 8, 3)))
    assert len(found) == (before != after)
    for text in found:
        left, right = text.split(" = ")
        assert int(right) == after
        assert eval(left.replace("x", "*")) == after
        assert left.startswith(f"{before} ")


@pytest.mark.parametrize("smallest", [False, True])
@pytest.mark.parametrize("name", unetzoo.list_models())
def test_every_network_of_the_zoo_is_a_u(name, smallest):
    drawn = graph(name)
    if smallest:
        card = unetzoo.card(name)
        sizes = [card.sizes.smallest] * (len(card.input_shape) - 1)
        drawn = graph(unetzoo.skeleton(name, input_shape=(*sizes, card.input_shape[-1])))
    levels = [box.level for box in drawn.boxes]
    deepest = levels.index(drawn.deepest)
    assert levels[:deepest] == sorted(levels[:deepest])
    assert levels[deepest:] == sorted(levels[deepest:], reverse=True)
    assert levels[0] == levels[-1] == 0
    downs = sum(box.family == "down" for box in drawn.boxes)
    assert len(drawn.skips) == drawn.deepest == downs
    for skip in drawn.skips:
        source, target = drawn.boxes[skip.source], drawn.boxes[skip.target]
        assert source.level == target.level
        assert (drawn.side(source), drawn.side(target)) == ("encoder", "decoder")
        assert target.spatial == skip.shape[1:-1]


@pytest.mark.parametrize("name", unetzoo.list_models())
def test_each_row_stands_in_a_box_once(name):
    table = audit.as_table(name)
    drawn = graph_of(table)
    rows = [row.name for box in drawn.boxes for row in box.rows]
    assert sorted(rows) == sorted(row.name for row in table)
    assert sum(row.total for box in drawn.boxes for row in box.rows) == table.total


@pytest.mark.parametrize("name", unetzoo.list_models())
@pytest.mark.parametrize("scales", [FULL, HALF])
def test_boxes_follow_sizes_and_channels_and_do_not_overlap(name, scales):
    picture = layout(graph(name), scales)
    if scales is FULL:
        assert picture.width <= PAGE
    places = picture.places
    for left, right in pairwise(places):
        assert left.right < right.x
    for place in places:
        band = picture.bands[place.box.level]
        assert band.y <= place.y
        assert place.y + place.height <= band.y + band.height <= picture.height
        assert place.x > 0
        assert place.right <= picture.width
    by_size = sorted(places, key=lambda place: extent(place.box.spatial))
    assert [p.height for p in by_size] == sorted(p.height for p in places)
    by_channels = sorted(places, key=lambda place: place.box.channels)
    assert [p.width for p in by_channels] == sorted(p.width for p in places)


def test_a_text_without_connections_is_drawn_in_its_order():
    drawn = graph(DOCUMENTS / "unet3d_90m.torchsummary.txt")
    assert not drawn.known
    assert drawn.skips == []
    assert [box.level for box in drawn.boxes if box.family in ("down", "up")] == [
        1, 2, 3, 4, 3, 2, 1, 0,
    ]  # fmt: skip


def test_sizes_that_halve_unevenly_take_one_level_each():
    rows = [Row("in", "Conv2D", (None, 25, 25, 4))]
    rows += [Row(f"p{n}", "MaxPooling2D", (None, n, n, 4)) for n in (12, 6, 3, 1)]
    rows += [Row(f"u{n}", "UpSampling2D", (None, n, n, 4)) for n in (2, 6, 12, 24)]
    assert [box.level for box in graph(Table("", tuple(rows))).boxes] == [0, 1, 2, 3, 4, 3, 2, 1, 0]


def test_a_stride_of_four_takes_two_levels():
    entry = keras.Input((230, 230, 3))
    x = keras.layers.Conv2D(8, 7, strides=4)(entry)
    x = keras.layers.UpSampling2D()(keras.layers.MaxPooling2D()(x))
    assert [box.level for box in graph(keras.Model(entry, x)).boxes] == [0, 1, 2, 1]


def test_residual_blocks_and_nested_skips_are_drawn():
    layers = keras.layers
    entry = keras.Input((32, 32, 3))
    x = layers.Conv2D(8, 3, padding="same")(entry)
    x = layers.Add()([x, layers.Conv2D(8, 1)(entry)])
    y = layers.UpSampling2D()(layers.Conv2D(16, 3, strides=2, padding="same")(x))
    out = layers.Conv2D(1, 1)(layers.Concatenate()([x, y]))
    drawn = graph(keras.Model(entry, out))
    assert [box.level for box in drawn.boxes] == [0, 0, 0, 0, 1, 0, 0, 0]
    assert len(drawn.skips) == 2
    assert "<svg" in report(keras.Model(entry, out))


# === The page ===


class Page(HTMLParser):
    """The tags, the attributes and the texts outside of scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]

    def handle_data(self, data):
        self.texts.append(data)


@pytest.mark.parametrize("name", unetzoo.list_models())
def test_every_network_has_a_whole_page(name, monkeypatch):
    monkeypatch.setattr(sizes, "FACTORS", (1.0, 0.5))  # for speed
    text = report(name)
    page = Page(text)
    table = audit.as_table(name)
    assert f"{table.without_moving:,}" in text
    assert f"{cost(table).macs:,}" in text
    for heading in ("Layers", "Ledger", "Receptive field", "Memory", "What its document states"):
        assert heading in page.texts
    assert ("As volumes" in page.texts) == ("3d" in name)
    assert page.tags.count("template") == 2
    visible = text.split("<template")[0]
    assert all(row.name in visible for row in table)


@pytest.mark.parametrize("name", ["unet2d_small", TEXTS[0]])
def test_the_page_loads_nothing_and_runs_only_its_own_script(name):
    page = Page(page_of(name if name in unetzoo.list_models() else DOCUMENTS / name))
    assert page.tags.count("script") == page.tags.count("style") == 1
    assert not {"link", "img", "iframe", "object", "image", "use"} & set(page.tags)
    names = {attribute for _, attribute, _ in page.attributes}
    assert not any(name.startswith("on") or name in ("src", "href", "style") for name in names)
    policy = next(v for tag, key, v in page.attributes if tag == "meta" and key == "content")
    assert policy.startswith("default-src 'none'")


@pytest.mark.parametrize("file", TEXTS)
def test_every_published_text_has_a_page_that_says_what_it_lacks(file):
    text = report(DOCUMENTS / file)
    assert ("<svg" in text) == drawable(audit.read(DOCUMENTS / file))
    assert "Its text holds no" in text
    assert re.search("no (work|multiply.*) (is|are) counted", text)
    assert "<template" not in text


def test_a_table_with_holes_does_not_fail():
    rows = [
        Row("a", "Conv2D", (None, 8, None, 4)),
        Row("b", "Unheard", (None,)),
        Row("c", "Concatenate", (None, 8, 8, 4), inputs=("nowhere[0][0]", "a[0][0]")),
    ]
    for some in (rows, rows[1:], rows[:1], [rows[1]], [rows[2]]):
        assert "Layers" in report(Table("holes", tuple(some)))


def hostile():
    rows = (
        Row("in", "InputLayer", (None, 8, 8, 1)),
        Row(HOSTILE, "Conv2D", (None, 8, 8, 4), {"kernel": 36}, inputs=("in[0][0]",)),
        Row('"><b>', "</template><script>alert(2)</script>", (None, 8, 8, 4), inputs=(HOSTILE,)),
    )
    return Table(HOSTILE, rows, style="</style>", repairs=("<i>",))


def test_names_are_shown_and_not_run():
    for text in (report(hostile()), report_diff(hostile(), "unet2d_small")):
        page = Page(text)
        assert page.tags.count("script") == 1
        assert page.tags.count("style") == 1
        assert "b" not in page.tags
        assert HOSTILE not in text
        assert HOSTILE in page.texts
        assert any(HOSTILE in (value or "") for _, _, value in page.attributes)


def saved(tmp_path, shape=(64, 48, 1), head=None):
    entry = keras.Input(shape)
    x = keras.layers.Conv2D(4, 3, padding="same")(entry)
    y = keras.layers.Conv2DTranspose(4, 2, strides=2)(keras.layers.MaxPooling2D()(x))
    x = keras.layers.Concatenate()([x, y])
    path = tmp_path / "mine.keras"
    keras.Model(entry, head(x) if head else x).save(path)
    return path


def labels_of(text):
    return re.search(r'data-labels="([^"]*)"', text)[1].split("|")


def test_a_saved_model_is_made_anew_at_other_sizes(tmp_path):
    assert labels_of(report(saved(tmp_path))) == [
        "32 x 24 x 1", "48 x 36 x 1", "64 x 48 x 1", "96 x 72 x 1", "128 x 96 x 1",
    ]  # fmt: skip


def test_open_sizes_are_drawn_at_one_that_is_said(tmp_path):
    text = report(saved(tmp_path, (None, None, 1)))
    assert "leaves its input size open" in text
    assert labels_of(text)[2] == "64 x 64 x 1"


def test_a_model_that_is_another_at_other_sizes_has_no_slider(tmp_path):
    def head(x):
        return keras.layers.Dense(3)(keras.layers.Flatten()(x))

    assert "data-labels" not in report(saved(tmp_path, head=head))


def test_the_sizes_of_the_slider_are_allowed():
    labels = labels_of(page_of("unet2d_original"))
    offered = [int(label.split(" ")[0]) for label in labels]
    assert 572 in offered
    assert offered == sorted(set(offered))
    assert all(unetzoo.card("unet2d_original").sizes.allow(size) for size in offered)
    assert len(page_of("unet2d_original")) < 2_000_000


def test_two_networks_side_by_side():
    text = report_diff("unet2d_small", "unet2d_large")
    page = Page(text)
    assert page.tags.count("main") == 1
    assert text.count('<svg class="u"') == 2
    assert "differs" in text
    gap = audit.diff("unet2d_small", "unet2d_large").gap
    assert f"{gap:+,}" in text
    for cause in audit.explain("unet2d_small", "unet2d_large").causes:
        assert f"{cause.parameters:,}" in text
    same = report_diff("unet2d_small", DOCUMENTS / "unet2d_small.torchsummary.txt")
    assert "The same, row by row" in same
    assert "What differs" not in same


# === The command ===


command = partial(commands.command, "unetzoo-audit", "report")


def test_the_command_writes_the_page_and_prints_its_path(tmp_path):
    path = tmp_path / "page.html"
    done = command(str(DOCUMENTS / TEXTS[0]), "-o", str(path))
    assert (done.returncode, done.stdout) == (0, f"{path}\n")
    assert path.read_text().startswith("<!DOCTYPE html>")
    assert list(tmp_path.iterdir()) == [path]


def test_bad_input_is_one_sentence_and_leaves_no_file(tmp_path):
    path = tmp_path / "page.html"
    done = command("unet3d_91m", "-o", str(path))
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(r"error: network 'unet3d_91m': .*\.\n", done.stderr)
    assert not path.exists()
    with pytest.raises(ValueError, match="no folder"):
        write("", tmp_path / "nowhere" / "page.html")


# === In the browser ===


@pytest.fixture(scope="module")
def chromium():
    path = shutil.which("chromium")
    if path is None:
        message = "chromium is missing: apt-get install chromium"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=path, args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    for name in ("unet2d_original", "unet3d_90m"):
        write(page_of(name), folder / f"{name}.html")
    write(report(hostile()), folder / "hostile.html")
    write(report_diff("unet2d_small", "unet2d_large"), folder / "diff.html")
    return folder


@pytest.fixture
def open_page(chromium, folder):
    """Opens a page from disk without a network; anything it complains of fails the test."""
    contexts, complaints = [], []

    def opened(name, width=1280, **settings):
        context = chromium.new_context(
            offline=True, viewport={"width": width, "height": 900}, **settings
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on(
            "request",
            lambda request: request.url.startswith("file:") or complaints.append(request.url),
        )
        page.goto((folder / f"{name}.html").as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def panel(page):
    pairs = page.locator("#panel dl > div").all()
    return {p.locator("dt").inner_text(): p.locator("dd").inner_text() for p in pairs}


def box(page, layer):
    return page.locator(f'.box[aria-label^="Layer: {layer} "]')


def names_of_layers(page):
    return page.locator("table.layers tbody tr td:nth-child(2)").all_inner_texts()


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("name", ["unet2d_original", "unet3d_90m", "diff", "hostile"])
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
