"""Lines of a table in a text: taken out of their frame, and checked not to be cut."""

import re
from collections.abc import Callable, Iterator
from itertools import pairwise

from audit.tables import Table
from unetzoo.utils.json_values import short

FRAMED = re.compile(r"\s*\|.*\|\s*$")
TREE = re.compile(r"[├└─]|\|\s+\+")
Found = list[tuple[int, "Table | BadTextError"]]


class BadTextError(ValueError):
    """A text that begins like a table but cannot be read as one."""


def each_table(
    starts: list[int], lines: list[str], read: Callable[[int, int], Table | None]
) -> Found:
    """What ``read`` makes of the lines from each start to the next one: a table, or its error."""
    return list(_each(starts, lines, read))


def _each(
    starts: list[int], lines: list[str], read: Callable[[int, int], Table | None]
) -> Iterator[tuple[int, "Table | BadTextError"]]:
    for start, end in pairwise([*starts, len(lines)]):
        try:
            table = read(start, end)
        except BadTextError as error:
            yield start, error
        else:
            if table is not None and table.rows:
                yield start, table


def unframed(line: str) -> str:
    """A line ``| a | b |`` of a Markdown or reStructuredText table as ``a  b``; others as they are.

    >>> unframed("| Conv2d-1 | [-1, 4, 8, 8] | 112 |")
    'Conv2d-1  [-1, 4, 8, 8]  112'
    """
    if "|" not in line or not FRAMED.match(line) or TREE.search(line):
        return line
    cells = re.split(r"(?<!\\)\|", line.strip()[1:-1])
    return "  ".join(cell.strip(" `*").replace("\\|", "|").replace("\\_", "_") for cell in cells)


def cells_of(line: str) -> list[str]:
    """The cells of a line ``| a | b |``, drawn with either sort of bar; empty for another line."""
    text = line.strip()
    bar = next((bar for bar in "│┃|" if text.startswith(bar) and text.endswith(bar)), "")
    return [cell.strip(" `*") for cell in text[1:-1].split(bar)] if bar and len(text) > 1 else []


def undone(header: str) -> tuple[str, ...]:
    """What was done to a table's columns, as its header shows."""
    if FRAMED.match(header) and not TREE.search(header):
        return ("a Markdown or reStructuredText frame",)
    return () if "  " in header.strip() else ("columns with single spaces between them",)


def not_cut(lines: list[str], number: int) -> None:
    """Check that a line which begins like a row but is not one does not end the text.

    Raises: BadTextError if it does: the text was cut there.
    """
    if not any(line.strip(" `") for line in lines[number + 1 :]):
        raise BadTextError(
            f"line {number + 1}, {short(lines[number].strip())}: expected a whole row, but the "
            "text ends in the middle of it; paste the rest, or leave this line out."
        )
