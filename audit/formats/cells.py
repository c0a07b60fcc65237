"""Lines of a table in a text: without a Markdown or reStructuredText frame, and whole."""

import re

from unetzoo.utils.json_values import short

FRAMED = re.compile(r"\s*\|.*\|\s*$")
TREE = re.compile(r"[├└─]|\|\s+\+")


class BadTextError(ValueError):
    """A text that begins like a table but cannot be read as one."""


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
