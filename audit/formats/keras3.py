"""Keras 3's ``model.summary()``, a table drawn by rich: eras D and E.

Source: docs/explanation/formats.md, which tells the eras apart.
"""

import io
import re
from functools import partial

from audit.formats.cells import Found, each_table, having, not_cut
from audit.formats.keras import (
    LOST,
    branches,
    class_shown,
    connections,
    connections_in,
    leaves,
    named,
    readable_bytes,
    row_of,
)
from audit.formats.totals import cut_before, totals_in
from audit.styles import Style, register
from audit.tables import Row, Shape, Table

WIDTHS = {"keras3": (88, 108), "keras3d": (84, 108)}
POSITIONS = {
    "keras3": ((0.45, 0.80, 1.0), (0.3, 0.56, 0.74, 1.0)),
    "keras3d": ((0.45, 0.84, 1.0), (0.3, 0.56, 0.70, 1.0)),
}
HEADER = re.compile(r"\s*[┃│║|]\s*Layer \(type\)\s*[┃│║|]\s*Output Shape\s*[┃│║|]\s*Param #")
BARS = re.compile(r"[┃│║|]")
BORDER = re.compile(r"\s*(?:[┏┡├└╇┗╭╰┌╔╠╚┣]|\+[-=]|\|[-=]+[+|])")
SIDES = "│┃║"
GRID = re.compile(r"\s*\+[-=]")
NAMED = re.compile(r"(?P<name>[^(…]+)(?:…?\s*\((?P<kind>[^)…]*…?)|…)")
COUNT = re.compile(r"[\d,]{1,26}$")
DIGITS = tuple("0123456789,")
WIDEST = 1000
BYTES = 4  # of a weight


def render(table: Table, width: int | None = None, style: str = "keras3") -> str:
    """The table as ``model.summary(line_length=width)`` prints it (style "keras3d": before 3.0.5).

    Args:
        width: in characters; None for Keras's own: 108 for a network that branches, else 88.

    Raises: ValueError for a width that leaves a column under 4 characters.
    """
    from rich.console import Console
    from rich.table import Column
    from rich.table import Table as RichTable

    branched = branches(table)
    width = width or WIDTHS[style][branched]
    ends = [int(position * width) for position in POSITIONS[style][branched]]
    widths = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    if min(widths) < 4 or width > WIDEST:
        raise ValueError(f"width {width}: expected 25 to {WIDEST} characters.")
    titles = ("Layer (type)", "Output Shape", "Param #", "Connected to")
    drawn = RichTable(
        *(
            Column(title, width=size, justify="right" if title == "Param #" else "left")
            for title, size in zip(titles, widths, strict=False)
        ),
        width=width,
        show_lines=True,
    )
    from rich.text import Text

    sources = connections(table)
    shapes = {row.name: row.shape for row in table.rows}  # of the last call
    for row in table.first_calls:
        fields = _fields(row, shapes[row.name], sources[row.name])
        drawn.add_row(*map(Text, fields[: len(widths)]))
    out = io.StringIO()
    console = Console(
        file=out, width=max(width, 80), highlight=False, force_terminal=False, color_system=None
    )
    console.print(Text(f'Model: "{table.name}"'))
    console.print(drawn)
    return "\n".join([out.getvalue().rstrip("\n"), *_totals(table)])


def _fields(row: Row, shape: Shape, sources: list[str]) -> list[str]:
    inputs = ", ".join(sources) or "-"
    return [f"{row.name} ({class_shown(row)})", str(shape), f"{row.total:,}", inputs]


def _totals(table: Table) -> list[str]:
    """The totals and their memory; the total includes the optimizer's variables once they exist."""
    optimizer = table.stated.get("optimizer", 0)
    held = table.stated.get("optimizer bytes", BYTES * optimizer)
    counts = {
        "Total": table.total + optimizer,
        "Trainable": table.trainable,
        "Non-trainable": table.total - table.trainable,
    }
    sizes = [BYTES * count for count in counts.values()]
    sizes[0] += held - BYTES * optimizer
    lines = [
        f" {word} params: {count:,} ({readable_bytes(size)})"
        for (word, count), size in zip(counts.items(), sizes, strict=True)
    ]
    if optimizer:
        size = readable_bytes(held)
        lines.append(f" Optimizer params: {optimizer:,} ({size})")
    return lines


def parse(lines: list[str], repairs: tuple[str, ...]) -> Found:
    """The tables in a text, each with the line number of its header.

    A field wraps over several lines of its row; a name that its column cut ends in "…".
    """
    headers = [
        number
        for number in having("ayer", lines)
        if HEADER.match(lines[number]) or _is_narrow(lines, number)
    ]

    def read(start: int, end: int) -> Table | None:
        if "|" in lines[start] and not any(map(GRID.match, lines[max(start - 1, 0) : end])):
            return None  # a Markdown table of another format
        stated, length = totals_in(lines[start:end])
        rows = _rows(lines[start + 1 : start + length], _flagged(lines[start]))
        style = "keras3" if _is_late(lines[start]) else "keras3d"
        done = (*repairs, *cut_before(stated, lines[start:end]))
        return Table(named(lines, start), rows, style, stated, done)

    return each_table(headers, lines, read)


def _is_narrow(lines: list[str], number: int) -> bool:
    """Whether it is the last line of a header whose columns are so narrow that titles wrap."""
    line, above = lines[number], lines[max(number - 1, 0)]
    if not ("┃" in line and "┃" in above and "Layer (type)" in line):
        return False
    pairs = zip(BARS.split(above), BARS.split(line), strict=False)
    titles = [f"{a.strip()} {b.strip()}".strip() for a, b in pairs]
    return titles[1:3] == ["Layer (type)", "Output Shape"] and "".join(titles[3:4])[:2] == "Pa"


def _flagged(header: str) -> bool:
    """Whether the last column is Trainable, which may be cut or wrapped."""
    titles = [title.strip() for title in BARS.split(header)[1:-1]]
    return len(titles) > 3 and titles[-1][:1] == "T"


def _rows(lines: list[str], flagged: bool) -> tuple[Row, ...]:
    blocks: list[list[str]] = []
    fresh = True
    for number, line in enumerate(lines):
        text = line.strip()
        if text[:1] not in SIDES and BORDER.match(line):
            fresh = True
            continue
        if "│" in text and text[-1] not in "│┃":
            not_cut(lines, number)
        cells = _cells(text)
        if len(cells) < 3:
            continue
        if fresh or len(cells) != len(blocks[-1]) or (cells[2] and _is_count(blocks[-1][2])):
            blocks.append(cells)
        else:
            blocks[-1] = [a + b.strip() for a, b in zip(blocks[-1], cells, strict=True)]
        fresh = False
    rows = [(_depth(block[0]), _row(block, flagged)) for block in blocks]
    return tuple(leaves((depth, row) for depth, row in rows if row))


def _depth(cell: str) -> int:
    """How many models a row is in: it begins with 3 spaces for each, and a mark."""
    spaces = len(cell) - len(cell.lstrip(" "))
    return max(spaces - 1, 3) // 3 if cell[spaces : spaces + 1] in ("└", ">") else 0


def _cells(line: str) -> list[str]:
    """A line's cells; a name may hold a ``|`` if the frame is drawn with other signs."""
    bar = "│" if "│" in line else next((side for side in SIDES if side in line), "|")
    cells = line.split(bar)[1:-1] or [""]
    return [cells[0].rstrip(), *map(str.strip, cells[1:])]


def _is_count(cell: str) -> bool:
    return COUNT.match(cell) is not None


def _row(cells: list[str], flagged: bool) -> Row | None:
    match = NAMED.match(cells[0])
    if not match or cells[2][:1] not in DIGITS:
        return None
    name = match["name"].strip().lstrip("└> ")
    inputs = connections_in("".join(cells[3:]))
    flag = cells[-1] if flagged else ""
    return row_of(name, match["kind"] or "…", cells[1], cells[2], inputs, flag)


def _is_late(header: str) -> bool:
    """Keras 3.0.5 and later have a wider column for the parameters."""
    bars = [match.start() for match in BARS.finditer(header)]
    if len(bars) < 4:
        return True  # its end is missing
    share = (bars[3] - bars[2]) / max(bars[-1] - bars[0], 1)
    return share > (0.155 if len(bars) > 4 else 0.18)


_LOST = (*LOST, "the ends of names longer than their column")
register(Style("keras3", "Keras 3", render, _LOST, parse, once_a_layer=True, wide=True))
register(
    Style(
        "keras3d", "Keras 3 before 3.0.5", partial(render, style="keras3d"), _LOST,
        once_a_layer=True, wide=True,
    )
)  # fmt: skip
