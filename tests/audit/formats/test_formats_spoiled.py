"""Tables as people pass them on: reformatted, cut, and of programs that nobody foresaw."""

import re

import pytest
from summaries import READABLE, built, printed, table_of

import audit
import unetzoo


def one_blank(text):
    return re.sub(r"(?<=\S) {2,}", " ", text)


def markdown_table(text):
    """Rows made into a Markdown table, rules left out."""
    rows = [re.split(r" {2,}", line.strip()) for line in text.splitlines()]
    lines = [f"| {' | '.join(cells)} |" for cells in rows if len(cells) > 2]
    return "\n".join([lines[0], "|" + "---|" * lines[0].count(" | "), *lines[1:]])


def grid_table(text):
    """A reStructuredText grid, a line between any two rows."""
    rows = [re.split(r" {2,}", line.strip()) for line in text.splitlines()]
    lines = [f"| {' | '.join(cells)} |" for cells in rows if len(cells) > 2]
    return "\n+----+----+\n".join(lines)


SPOILERS = {
    "one blank": one_blank,
    "rules": lambda text: re.sub(r"(?m)^[=_-]{5,}$", "---", text),
    "no rules": lambda text: re.sub(r"(?m)^[=_-]{5,}\n", "", text),
    "batch": lambda text: text.replace("[-1,", "[8,").replace("[1,", "[8,"),
    "indented": lambda text: re.sub("(?m)^", "        ", text),
    "comment": lambda text: re.sub("(?m)^", "# ", text),
    "fence": lambda text: f"```text\n{text}\n```",
    "trailing": lambda text: re.sub("(?m)$", "   ", text),
    "html": lambda text: f"<pre>\n{text.replace('(', '&#40;').replace('[', '&#91;')}\n</pre>",
    "no end": lambda text: text[: text.index("Total params")],
    "Markdown": markdown_table,
    "grid": grid_table,
}


STYLES = [style for style in READABLE if style not in ("json", "markdown", "torchrepr")]
KERAS = [style for style in STYLES if style.startswith("keras")]
UNREADABLE = {  # their cells are not parted by two blanks, and wrapped ones by their columns alone
    "one blank": ["keras2b", "keras2c"],
    "Markdown": KERAS,
    "grid": KERAS,
}


@pytest.mark.parametrize(
    ("how", "style"),
    [(how, one) for how in SPOILERS for one in STYLES if one not in UNREADABLE.get(how, ())],
)
def test_a_spoiled_table_is_read(how, style):
    table = built("unet3d_2_5m")
    spoiled = SPOILERS[how](table.to_text(style))
    again = audit.read(f"Our network:\n\n{spoiled}\n\nIt was trained.\n")
    assert again.without_moving == table.without_moving
    assert audit.diff(again, table).same


def test_git_masters_root_row_changes_nothing():
    lines = table_of("unet3d_90m").to_text("torchsummary").splitlines()
    end = lines.index("=" * 64, 3)
    root = f"{'UNet3D-86':>20}  {'[-1, 3, 50, 50, 50]':>25} {'0':>15}"
    table = audit.read("\n".join([*lines[:end], root, *lines[end:]]))
    assert len(table) == 86
    assert audit.diff(table, unetzoo.skeleton("unet3d_90m")).same


def test_what_was_repaired_is_said():
    text = printed("torchsummary-1.3.txt")
    assert audit.read(text).repairs == ()
    frame, end = audit.read(markdown_table(text)).repairs  # it has no rule below its rows
    assert frame == "a Markdown or reStructuredText frame"
    assert end.startswith("the text ends without its closing lines")
    assert audit.read(one_blank(text)).repairs == ("columns with single spaces between them",)
    assert "lines of over 4,096 characters" in audit.read(text + "\n" + "-" * 5000).repairs


def test_a_line_that_cannot_be_read_is_said():
    lines = printed("torchsummary-1.3.txt").splitlines()
    row = next(number for number, line in enumerate(lines) if "Conv2d-13" in line)
    lines[row] = lines[row].replace("[-1, 64", "")
    table = audit.read("\n".join(lines[:-5]))
    assert len(table) == 27
    told, end = table.repairs
    assert told.startswith("1 line not read: 'Conv2d-13")
    assert end.startswith("the text ends without its closing lines")


def test_several_outputs_show_the_first():
    text = printed("torchsummary-1.3.txt").replace(
        "[-1, 4, 128, 128]", "[[-1, 4, 128, 128], [-1, 9, 1, 1]]"
    )
    assert audit.read(text).rows[0].shape == (None, 128, 128, 4)


def test_any_layer_of_any_rank_is_read():
    lines = ["  Layer (type)   Output Shape   Param #", "=" * 64]
    lines += ["  MyOddLayer-1   [-1, 7]   1,234", "  Conv1d-2   [-1, 8, 100]   32"]
    lines += ["  LSTM-3   [[-1, 10, 20], [[-1, 2, 20], [-1, 2, 20]]]   5,000"]
    odd, conv, recurrent = audit.read("\n".join(lines))
    assert (odd.layer_class, odd.shape, odd.total) == ("MyOddLayer", (None, 7), 1234)
    assert (conv.layer_class, conv.shape) == ("Conv1D", (None, 100, 8))
    assert (recurrent.layer_class, recurrent.total) == ("LSTM", 5000)


def test_a_shape_that_is_not_printed_stays_open():
    lines = [
        'Model: "odd"',
        "_" * 65,
        " Layer (type)                Output Shape              Param #",
    ]
    lines += ["=" * 65, " conv (Conv2D)               multiple                  160", " " * 65]
    lines += [" head (Conv2D)               ?                         34", " " * 65]
    table = audit.read("\n".join(lines))
    assert [row.shape for row in table] == [(None,), (None,)]
    assert audit.explain(table, "unet2d_small").first == 194


@pytest.mark.parametrize("style", ["torchsummary", "torchinfo", "keras2", "keras2c", "keras3"])
def test_a_table_cut_in_the_middle_of_a_row_is_a_sentence(style):
    text = table_of("unet2d_small").to_text(style)
    lines = text[: text.index("Total params")].splitlines()
    row = max(n for n, line in enumerate(lines) if "Conv2" in line)
    end = lines[row].index("onv2") + 30
    cut = "\n".join([*lines[:row], lines[row][:end]])
    with pytest.raises(ValueError, match=r"expected a whole row"):
        audit.read(cut.rstrip())


@pytest.mark.parametrize("style", STYLES)
def test_a_table_that_is_cut_between_two_rows_says_so(style):
    text = table_of("unet2d_small").to_text(style)
    closed = text[: text.index("Total params")].rstrip()
    told = "the text ends without its closing lines and totals: rows may be missing"
    assert told not in audit.read(text).repairs
    assert told not in audit.read(closed).repairs
    rows = closed.rstrip("=┘┴─└\n ")
    assert told in audit.read(rows).repairs
    assert told in audit.read(f"{rows}\n\nIt is small.\n").repairs


def test_a_table_cut_by_hand_before_a_row_is_read():
    text = table_of("unet2d_small").to_text("torchsummary")
    lines = text.splitlines()
    assert len(audit.read("\n".join([*lines[:9], lines[9][:30], "..."]))) == 6


def test_a_print_that_is_cut_between_two_modules_says_so():
    nn = pytest.importorskip("torch").nn
    text = str(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 1, 1)))
    lines = text.split("\n")
    assert audit.read(text).repairs == ()
    for cut in (lines[:2], [*lines[:2], "...", *lines[3:]], [*lines[:3], "", "It is small."]):
        table = audit.read("\n".join([*cut, ""]))
        assert table.repairs == ("the print ends without its bracket: it is cut",)
