"""The lines of totals below a table, and counts that a program rounds."""

import re
from collections.abc import Mapping

from audit.tables import Rounded

LINE = re.compile(
    r"[\s*-]*(Total|Trainable|Non-trainable|Optimizer) params:?\s*(?:tensor\()?"
    r"(\d[\d,]*(?:\.\d+)?(?:\s?[kKMGBT](?![\w.]))?)"
)
CLOSED = re.compile(r"\s*(?:=[= ]{4,}$|[└╰┗╚][─━═┴┻╩]{3})")
TITLES = 4  # lines of a header, with its rule
STATED = {
    "Total": "total",
    "Trainable": "trainable",
    "Non-trainable": "not trainable",
    "Optimizer": "optimizer",
}
SCALES = {"": 0, "k": 3, "K": 3, "M": 6, "G": 9, "B": 9, "T": 12}
COUNT = re.compile(r"([\d,]{1,26})(?:\.(\d{0,12}))?\s*([kKMGBT]?)$")


def count_of(text: str) -> int | None:
    """The count that a program printed, with a unit or without; None for any other text.

    >>> count_of("1,792"), count_of("31.0 M"), count_of("31.0 M").slack, count_of("-")
    (1792, 31000000, 50000, None)
    """
    match = COUNT.match(text.strip())
    if not match or not (whole := match[1].replace(",", "")):
        return None
    digits, places = match[2] or "", SCALES[match[3]]
    shown = int(whole + digits)
    last = places - len(digits)  # the power of ten of the last digit
    if last <= 0:
        return shown // 10**-last if shown % 10**-last == 0 else round(shown / 10**-last)
    return Rounded(shown * 10**last, 10**last // 2)


def total_in(line: str) -> dict[str, int]:
    """The total that a line states, by its name; empty for any other line.

    >>> total_in("Trainable params: 63,972")
    {'trainable': 63972}
    """
    match = LINE.match(line)
    count = count_of(match[2]) if match else None
    return {} if match is None or count is None else {STATED[match[1]]: count}


def ending(line: str) -> bool:
    """Whether a line after the first total is neither a rule, nor empty, nor a further figure."""
    return bool(line.strip(" -=_`")) and ":" not in line


def totals_in(lines: list[str]) -> tuple[dict[str, int], int]:
    """The totals that a table's lines state, and how many lines stand before the first."""
    stated: dict[str, int] = {}
    first = len(lines)
    for number, line in enumerate(lines):
        if "params" in line and (total := total_in(line)):
            first = min(first, number)
            stated = {**total, **stated}
        elif stated and ending(line):
            break
    return stated, first


def cut_before(stated: Mapping[str, int], below: list[str]) -> tuple[str, ...]:
    """What to say of a table without a total or a closing rule, of a program that prints both.

    Below are the lines from its header on.

    >>> cut_before({"total": 112}, []), cut_before({}, [])
    ((), ('the text ends without its closing lines and totals: rows may be missing',))
    """
    if "total" in stated or any(map(CLOSED.match, below[TITLES:])):
        return ()
    return ("the text ends without its closing lines and totals: rows may be missing",)
