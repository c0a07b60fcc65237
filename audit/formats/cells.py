"""Lines of a table in a text: taken out of their frame, and checked not to be cut."""

import re
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import pairwise

from audit.tables import Table
from unetzoo.utils.json_values import short

BAR = re.compile(r"(?<!\\)\|")
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


class Lines(list[str]):
    """The lines of a text, which every format searches for the words of its header."""

    @classmethod
    def of(cls, text: str) -> "Lines":
        """The lines of a whole text."""
        lines = cls(text.split("\n"))
        lines.text = text
        return lines

    @cached_property
    def text(self) -> str:
        """The whole text."""
        return "\n".join(self)

    @cached_property
    def found(self) -> dict[str, list[int]]:
        """The numbers of the lines that hold a word, for those that were searched for."""
        return {}


def having(word: str, lines: list[str]) -> list[int]:
    """The numbers of the lines that hold a word; of 100,000 only few hold one of a header.

    >>> having("b", ["ab", "a", "bb"])
    [0, 2]
    """
    lines = lines if isinstance(lines, Lines) else Lines(lines)
    if word not in lines.found:
        lines.found[word] = list(_having(word, lines.text))
    return lines.found[word]


def matching(pattern: re.Pattern[str], lines: list[str]) -> list[int]:
    """The numbers of the lines in which a pattern is found, where one is in one line."""
    text = lines.text if isinstance(lines, Lines) else Lines(lines).text
    found: list[int] = []
    number = begin = 0
    for match in pattern.finditer(text):
        number += text.count("\n", begin, match.start())
        begin = match.start()
        found.append(number)
    return found


def _having(word: str, text: str) -> Iterator[int]:
    number = begin = 0
    while begin >= 0 and (place := text.find(word, begin)) >= 0:
        number += text.count("\n", begin, place)
        yield number
        begin = text.find("\n", place)


def unframed(line: str) -> str:
    """A line ``| a | b |`` of a Markdown or reStructuredText table as ``a  b``; others as they are.

    >>> unframed("| Conv2d-1 | [-1, 4, 8, 8] | 112 |")
    'Conv2d-1  [-1, 4, 8, 8]  112'
    """
    if "|" not in line or not _framed(line):
        return line
    inside = line.strip()[1:-1]
    if "\\" not in inside:
        return "  ".join([cell.strip(" `*") for cell in inside.split("|")])
    cells = BAR.split(inside)
    return "  ".join(cell.strip(" `*").replace("\\|", "|").replace("\\_", "_") for cell in cells)


def _framed(line: str) -> bool:
    text = line.strip()
    drawn = not text.isascii() or "+" in text  # else it is no tree
    return text[0] == text[-1] == "|" and len(text) > 1 and not (drawn and TREE.search(text))


def without_frames(lines: list[str], header: re.Pattern[str]) -> tuple[list[str], list[int]]:
    """The lines without their frames, and the numbers of those that are a header of layers.

    Without a header, the lines as they are.
    """
    headers = [n for n in having("ayer", lines) if header.match(unframed(lines[n]))]
    return ([unframed(line) for line in lines] if headers else lines), headers


def cells_of(line: str) -> list[str]:
    """The cells of a line ``| a | b |``, drawn with either sort of bar; empty for another line."""
    text = line.strip()
    if len(text) < 2 or text[0] not in "│┃|" or text[-1] != text[0]:
        return []
    return [cell.strip(" `*") for cell in text[1:-1].split(text[0])]


def undone(header: str) -> tuple[str, ...]:
    """What was done to a table's columns, as its header shows."""
    if "|" in header and _framed(header):
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
