"""A Markdown table: every row, nothing cut."""

import re
from collections.abc import Iterator

from audit.formats.cells import Found, each_table, without_frames
from audit.formats.keras import LOST, roles_of
from audit.styles import Style, register
from audit.tables import Row, Table, times

HEADER = re.compile(r"\s*layer\s+type\s+output\s+parameters\s+inputs\s*$")
CELLS = re.compile(
    r"\s*(?P<name>\S+)\s+(?P<kind>\S+)\s+(?P<shape>(?:[\d?]+(?: x [\d?]+)*)?)\s+"
    r"(?P<count>\d[\d,]{0,25})(?P<inputs>(?:\s.*)?)$"
)
TOTALS = re.compile(
    r"\s*(?P<name>.*): (?P<total>\d[\d,]{0,25}) parameters, (?P<trainable>\d[\d,]{0,25}) trainable;"
)


def render(table: Table) -> str:
    """A line for each row, then the totals in both conventions."""
    header = ("layer", "type", "output", "parameters", "inputs")
    cells = [header, *(_cells(row) for row in table.rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = [_line(row, widths) for row in cells]
    lines.insert(1, "|" + "|".join(_rule(n, width) for n, width in enumerate(widths)) + "|")
    lines += [
        "",
        f"{table.name}: {table.total:,} parameters, {table.trainable:,} trainable; "
        f"{table.without_moving:,} without moving statistics",
    ]
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    inputs = ", ".join(source.removesuffix("[0][0]") for source in row.inputs)
    cells = (row.name, row.layer_class, times(row.shape[1:]), f"{row.total:,}", inputs)
    return tuple(cell.replace("|", "\\|") for cell in cells)


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    padded = [
        cell.rjust(width) if column == 3 else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"| {' | '.join(padded)} |"


def _rule(column: int, width: int) -> str:
    return "-" * (width + 1) + ":" if column == 3 else "-" * (width + 2)


def parse(lines: list[str], repairs: tuple[str, ...]) -> Found:
    """The tables that ``render`` wrote, each with the line number of its header.

    Only the network's total says what is trainable, so all is taken as trainable but the moving
    statistics.
    """
    lines, headers = without_frames(lines, HEADER)

    def read(start: int, end: int) -> Table | None:
        matches = [CELLS.match(line) for line in lines[start + 1 : end]]
        rows = tuple(_called([_parsed(match) for match in matches if match]))
        totals = next(filter(None, map(TOTALS.match, lines[start:end])), None)
        stated = {
            key: int(totals[key].replace(",", "")) for key in ("total", "trainable") if totals
        }
        return Table(totals["name"] if totals else "", rows, "markdown", stated, repairs)

    return each_table(headers, lines, read)


def _called(rows: list[Row]) -> Iterator[Row]:
    """A name that appears again is a further call of its layer."""
    calls: dict[str, int] = {}
    for row in rows:
        call = calls.get(row.name, 0)
        yield row.but(call=call) if call else row
        calls[row.name] = call + 1


def _parsed(match: re.Match[str]) -> Row:
    count = int(match["count"].replace(",", ""))
    sizes = re.findall(r"\d+|\?", match["shape"])
    sources = match["inputs"].replace(",", " ").split()
    return Row(
        name=match["name"],
        layer_class=match["kind"],
        shape=(None, *(None if size == "?" else int(size) for size in sizes)),
        parameters=(parameters := roles_of(match["kind"], count)),
        trainable=count - parameters.get("moving", 0),
        inputs=tuple(name if name.endswith("]") else f"{name}[0][0]" for name in sources),
    )


register(Style("markdown", "audit's own table in Markdown", render, LOST, parse))
