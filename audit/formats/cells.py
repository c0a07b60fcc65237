"""Lines of a table in a text: out of their Markdown or reStructuredText frame, and whole."""

import re

FRAMED = re.compile(r"\s*\|.*\|\s*$")
TREE = re.compile(r"[├└─]|\|\s+\+")
SHOWN = 60


class BadTextError(ValueError):
    """A text that begins like a table and cannot be read as one."""


def unframed(line: str) -> str:
    """A line ``| a | b |`` of a Markdown or reStructuredText table as ``a  b``; others as they are.

    >>> unframed("| Conv2d-1 | [-1, 4, 8, 8] | 112 |")
    'Conv2d-1  [-1, 4, 8, 8]  112'
    """
    if "|" not in line or not FRAMED.match(line) or TREE.search(line):
        return line
    cells = re.split(r"(?<!\\)\|", line.strip()[1:-1])
    return "  ".join(cell.strip(" `*").replace("\\|", "|").replace("\\_", "_") for cell in cells)


def undone(header: str) -> tuple[str, ...]:
    """What was done to a table's columns, as its header's line tells."""
    if FRAMED.match(header) and not TREE.search(header):
        return ("a Markdown or reStructuredText frame",)
    return () if "  " in header.strip() else ("columns with one blank between them",)


def not_cut(lines: list[str], number: int) -> None:
    """A line that begins like a row and is none, with nothing after it: the text is cut there.

    Raises: BadTextError, a sentence that names the line.
    """
    if not any(line.strip(" `") for line in lines[number + 1 :]):
        raise BadTextError(
            f"line {number + 1}, {lines[number].strip()[:SHOWN]!r}: expected a whole row, the text "
            "ends in the middle of it; paste the rest, or leave this line out."
        )
