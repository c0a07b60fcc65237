"""Names, values and tables as lines of text; what comes from files is escaped."""

import re
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from unetzoo.utils.files import replacing

LONGEST = 80  # characters of a value in a sentence


def printable(text: str) -> str:
    r"""A name for a line of text, with everything escaped that does not print.

    That includes newlines, escape codes, and characters that reverse the order of letters.

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


def duration(seconds: float) -> str:
    """Seconds in words.

    >>> [duration(s) for s in (0.2, 42, 61, 200, 4000, 90000)]
    ['1 s', '42 s', '1 min 1 s', '3 min 20 s', '1 h 6 min', '25 h 0 min']
    """
    whole = max(round(seconds), 1)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def first_of(lines: Sequence[str], most: int = 20) -> list[str]:
    """The first ``most`` lines, and one more that says how many were left out.

    >>> first_of(["a", "b", "c", "d"], most=2)
    ['a', 'b', 'and 2 more.']
    >>> first_of(["a", "b", "c"], most=2)  # "and 1 more." would take as many lines
    ['a', 'b', 'c']
    """
    if len(lines) <= most + 1:
        return list(lines)
    return [*lines[:most], f"and {len(lines) - most:,} more."]


def by_kind(faults: Iterable[str], most: int = 3) -> list[str]:
    """More than ``most`` sentences that differ only in names and numbers as their first, counted.

    >>> print(*by_kind([f"m/c{n}.png: a mask of 0 and 255." for n in range(40)] + ["It is odd."]))
    m/c0.png: a mask of 0 and 255 (and 39 like it: m/c1.png, m/c2.png, ...). It is odd.
    """
    faults, alike = list(faults), dict[str, list[str]]()
    kinds = [re.sub(r"'[^']*'|\S*/\S+|\S+\.\w+:|[\d.,]+", "*", fault) for fault in faults]
    for fault, kind in zip(faults, kinds, strict=True):
        alike.setdefault(kind, []).append(fault)
    lines = []
    for fault, kind in zip(faults, kinds, strict=True):
        if len(alike[kind]) <= most:
            lines.append(fault)
        elif fault is alike[kind][0]:
            names = ", ".join(other.partition(": ")[0] for other in alike[kind][1:most])
            more = len(alike[kind]) - 1
            lines.append(f"{fault.removesuffix('.')} (and {more:,} like it: {names}, ...).")
    return lines


def counted(number: int, thing: str) -> str:
    """A number with its noun, singular or plural.

    >>> counted(1, "case"), counted(1200, "case"), counted(2, "class"), counted(0, "axis")
    ('1 case', '1,200 cases', '2 classes', '0 axes')
    """
    if number == 1:
        return f"1 {thing}"
    plural = "axes" if thing == "axis" else f"{thing}es" if thing.endswith("s") else f"{thing}s"
    return f"{number:,} {plural}"


def few(words: Sequence[str], most: int = 10) -> str:
    r"""A list of words for a sentence, of which the first ``most`` are named.

    >>> few(["a", "b", "c", "d"], most=2), few(["a", "\x1b"], most=2)
    ('a, b and 2 more', 'a, \\x1b')
    """
    more = f" and {len(words) - most:,} more" if len(words) > most else ""
    return ", ".join(map(printable, words[:most])) + more


def shortened(text: str, limit: int) -> str:
    """A text on one line of at most ``limit`` characters, cut after a sentence or else a word.

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
    shorter = line[:limit] if words.strip() == "..." else words  # "...": the first word is longer
    return f"{sentences}." if sentences else shorter


def spreadsheet_cell(text: str) -> str:
    """A name for a CSV file: printable, and never a formula.

    >>> spreadsheet_cell("=cmd|' /C calc'!A0"), spreadsheet_cell("case-1")
    ("'=cmd|' /C calc'!A0", 'case-1')
    """
    text = printable(text)
    plain = unicodedata.normalize("NFKC", text).lstrip()  # a full-width equals sign counts too
    return f"'{text}" if plain.startswith(("=", "+", "-", "@")) else text


def aligned(rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """The lines of a table; the first ``left`` columns are aligned left, the others right.

    Widths are counted in cells of a terminal, of which 日 takes two.

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
