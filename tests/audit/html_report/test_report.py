"""The HTML report: its numbers, what it lacks, hostile names, sliders, the command."""

import re
from functools import partial
from html.parser import HTMLParser

import commands
import keras
import pytest
from reports import DOCUMENTS, HOSTILE, TEXTS, hostile, page_of, table_of

import audit
import unetzoo
from audit.analysis.cost import cost
from audit.html_report import report, report_diff, sizes, write
from audit.html_report.drawing.graph import drawable
from audit.tables import Row, Table


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
    table = table_of(name)
    assert f"{table.without_moving:,}" in text
    assert f"{cost(table).macs:,}" in text
    for heading in ("Layers", "Ledger", "Receptive field", "Memory", "What its document states"):
        assert heading in page.texts
    assert ("As volumes" in page.texts) == (len(unetzoo.card(name).input_shape) == 4)
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
    with pytest.raises(ValueError, match=r"page\.html: cannot be written \(No such file"):
        write("", tmp_path / "nowhere" / "page.html")


def test_every_layers_memory_adds_up_to_that_of_the_network():
    taken = audit.memory(audit.table(unetzoo.skeleton("unet2d_small")))
    page = page_of("unet2d_small")
    rows = page[page.index('class="layers sortable"') : page.index("<template")]
    cells = re.findall(r'<td class="n m m(\d+)( peak)?" data-value="(\d+)">', rows)
    alive, saved = cells[::2], cells[1::2]
    assert [int(value) for *_, value in saved] == [layer.saved for layer in taken.layers]
    assert sum(int(value) for *_, value in saved) == taken.saved
    assert max(int(value) for *_, value in alive) == taken.maps
    assert [mark != "" for _, mark, _ in alive].index(True) == taken.layers.index(taken.peak_layer)
    assert all(0 <= int(part) / 20 - int(value) / taken.maps < 1 / 20 for part, _, value in alive)
    assert f"the peak is {taken.maps / 2**20:,.1f} MiB, in {taken.peak}." in page


def test_a_published_table_without_kernels_has_no_columns_of_memory():
    page = page_of(DOCUMENTS / "unet2d_small.torchsummary.txt")
    assert "Alive, MiB" not in page
    assert "Saved, MiB" not in page
