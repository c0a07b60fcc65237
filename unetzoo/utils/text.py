"""Names and tables as lines of text: what comes from files is escaped."""

import textwrap
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from unetzoo.utils.files import replacing

LONGEST = 80  # characters of a value in a sentence


def printable(text: str) -> str:
    r"""A name for a line of text: what does not print is escaped.

    That is newlines, escape codes, and what turns the order of letters around.

    >>> print(printable("a\nb\x1b[31m"))
    a\nb\x1b[31m
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def short(value: object) -> str:
    """A value for a sentence: as Python writes it, on one line, cut after 80 characters.

    >>> short("a" * 100)[-6:], short("two  spaces")
    ('aaa...', "'two  spaces'")
    """
    text = " ".join(line.strip() for line in repr(value).splitlines())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def first_of(lines: Sequence[str], most: int = 20) -> list[str]:
    """So many lines, and one that says how many more there are.

    >>> first_of(["a", "b", "c", "d"], most=2)
    ['a', 'b', 'and 2 more.']
    >>> first_of(["a", "b", "c"], most=2)  # a line for the last is no longer
    ['a', 'b', 'c']
    """
    if len(lines) <= most + 1:
        return list(lines)
    return [*lines[:most], f"and {len(lines) - most:,} more."]


def counted(number: int, thing: str) -> str:
    """How many of a thing there are.

    >>> counted(1, "case"), counted(1200, "case"), counted(2, "class"), counted(0, "axis")
    ('1 case', '1,200 cases', '2 classes', '0 axes')
    """
    if number == 1:
        return f"1 {thing}"
    many = "axes" if thing == "axis" else f"{thing}es" if thing.endswith("s") else f"{thing}s"
    return f"{number:,} {many}"


def few(words: Sequence[str], most: int = 10) -> str:
    """Words within a sentence.

    >>> few(["a", "b", "c", "d"], most=2), few(["a", "b"], most=2)
    ('a, b and 2 more', 'a, b')
    """
    more = f" and {len(words) - most:,} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more


def shortened(text: str, limit: int) -> str:
    """A text on one line, of so many characters at most, cut after a sentence or else a word.

    >>> shortened("This carries a potential risk", 24)
    'This carries a ...'
    >>> shortened("It is damaged. Copy it again.", 24)
    'It is damaged.'
    """
    line = " ".join(text.split())
    if len(line) <= limit or " " not in line:
        return line[:limit]
    sentences = line[:limit].rpartition(". ")[0]
    words = textwrap.shorten(line, limit, placeholder=" ...")
    few = line[:limit] if words.strip() == "..." else words  # one word that is longer
    return f"{sentences}." if sentences else few


def spreadsheet_cell(text: str) -> str:
    """A name for a CSV file: printable, and no formula.

    >>> spreadsheet_cell("=cmd|' /C calc'!A0"), spreadsheet_cell("case-1")
    ("'=cmd|' /C calc'!A0", 'case-1')
    """
    text = printable(text)
    plain = unicodedata.normalize("NFKC", text).lstrip()  # a wide equals sign is one too
    return f"'{text}" if plain.startswith(("=", "+", "-", "@")) else text


def aligned(rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Lines of columns, the first ``left`` of them to the left, the others to the right.

    A line is as wide as it needs to be, in the cells of a terminal: 日 takes two.

    >>> aligned([["a", "10"], ["bcd", "2"]], left=1)
    ['a    10', 'bcd   2']
    """
    from rich.cells import cell_len

    widths = [max(cell_len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        gaps = [" " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)]
        cells = enumerate(zip(row, gaps, strict=True))
        lines.append("  ".join(c + gap if at < left else gap + c for at, (c, gap) in cells))
    return [line.rstrip() for line in lines]


def write_text(path: Path | str, text: str) -> None:
    """Write a text file, UTF-8, whole or not at all.

    Raises: ValueError where it cannot be written.
    """
    with replacing(path) as beside:
        beside.write_bytes(text.encode())
