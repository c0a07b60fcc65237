"""Tables in CSV, TSV and LaTeX, and in every frame that rich draws, are those of Keras."""

import csv
import io

import pytest

import audit

TITLES = ("Layer (type)", "Output Shape", "Param #")
ROWS = [
    ("in_a (InputLayer)", "(None, 64, 64, 3)", "0"),
    ("conv_1 (Conv2D)", "(None, 64, 64, 32)", "896"),
    ("norm_1 (BatchNormalization)", "(None, 64, 64, 32)", "128"),
    ("pool_1 (MaxPooling2D)", "(None, 32, 32, 32)", "0"),
    ("conv_2 (Conv2D)", "(None, 32, 32, 64)", "18,496"),
]


def assert_read(text):
    (table,) = audit.read_all(text)
    assert [(row.name, row.layer_class) for row in table] == [
        (name.split()[0], name.split("(")[1][:-1]) for name, *_ in ROWS
    ]
    assert [str(row.shape) for row in table] == [shape for _, shape, _ in ROWS]
    assert [f"{row.total:,}" for row in table] == [count for *_, count in ROWS]
    assert table.trainable == 896 + 64 + 18_496


@pytest.mark.parametrize("sign", [",", ";", "\t"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_csv(sign, quoting):
    file = io.StringIO()
    csv.writer(file, delimiter=sign, quoting=quoting).writerows([TITLES, *ROWS])
    assert_read(file.getvalue())
    assert_read(f"Our network:\n\n{file.getvalue()}\nIt is small, flat, and quick.\n")


def test_latex():
    def line(cells):
        return " & ".join(cells).replace("_", r"\_").replace("#", r"\#") + r" \\"

    lines = [r"\begin{tabular}{lll}", r"\toprule", line(TITLES), r"\midrule", *map(line, ROWS)]
    assert_read("\n".join([*lines, r"\bottomrule", r"\end{tabular}", "a & b"]))
    assert_read("\n".join(f"{each}\n\\hline" if "&" in each else each for each in lines))


@pytest.mark.parametrize(
    "box",
    [
        "ASCII",
        "ASCII2",
        "ROUNDED",
        "SQUARE",
        "HEAVY",
        "HEAVY_HEAD",
        "DOUBLE",
        "MARKDOWN",
        "SIMPLE",
        "MINIMAL",
        "MINIMAL_HEAVY_HEAD",
        "MINIMAL_DOUBLE_HEAD",
    ],
)
@pytest.mark.parametrize("ruled", [False, True])
def test_frames_of_rich(box, ruled):
    import rich.box
    from rich.console import Console
    from rich.table import Table

    drawn = Table(*TITLES, box=getattr(rich.box, box), show_lines=ruled and "SIMPLE" not in box)
    for row in ROWS:
        drawn.add_row(*row)
    file = io.StringIO()
    Console(file=file, width=100).print(drawn)
    assert_read(file.getvalue())


def test_markdown_without_totals_and_html_in_a_line():
    lines = [f"| {' | '.join(cells)} |" for cells in (TITLES, ("---",) * 3, *ROWS)]
    assert_read("\n".join(lines))
    cells = (f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in (TITLES, *ROWS))
    assert_read(f"<table>{''.join(cells)}</table>")


def test_a_table_of_restructured_text():
    rule = f"{'=' * 30} {'=' * 20} {'=' * 8}"
    lines = [f"{name:30} {shape:20} {count:8}" for name, shape, count in (TITLES, *ROWS)]
    assert_read("\n".join([rule, lines[0], rule, *lines[1:], rule]))


def test_a_header_with_commas_that_no_row_has_is_left_as_it_is():
    text = "Layer (type), Output Shape, Param #\n\nsee below.\n"
    with pytest.raises(ValueError, match="found none"):
        audit.read(text)


def test_a_header_without_its_last_bar_is_read():
    header = "│ Layer (type) │ Output Shape │ Param #"
    lines = [f"│ {' │ '.join(cells)} │" for cells in ROWS]
    assert_read("\n".join([header, *lines]))
