"""Numbers, shapes and names as a page shows them; everything that comes from a file is escaped."""

from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby

from audit.tables import Shape

TIMES = "\N{MULTIPLICATION SIGN}"
UNITS = ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"))


def e(text: object) -> str:
    """A text as it may stand in HTML, in quoted attributes too."""
    return escape(str(text), quote=True)


def times(sizes: Iterable[int | None]) -> str:
    """Sizes with crosses between them; what is open or unknown is a question mark.

    >>> times((50, 50, None))
    '50 x 50 x ?'
    """
    return " x ".join("?" if size is None else str(size) for size in sizes)


def of_sample(shape: Shape) -> str:
    """A row's shape without the batch axis."""
    return times(shape[1:]) or "not known"


def stacked(sizes: Sequence[int | None]) -> list[str]:
    """Spatial sizes as short lines to write under each other; equal axes are a power.

    >>> stacked((132, 132, 116)), stacked((50, 50, 50))
    (['132²', 'x 116'], ['50³'])
    """
    powers = {1: "", 2: "²", 3: "³"}
    lines: list[str] = []
    for size, group in groupby(sizes):
        count = len(list(group))
        power = powers.get(count, f"^{count}")
        lines.append(f"{'x ' if lines else ''}{'?' if size is None else size}{power}")
    return lines


def short(number: int) -> str:
    """A large number in three figures and a unit.

    >>> short(69_140_480), short(640)
    ('69.1 M', '640')
    """
    for unit, sign in UNITS:
        if number >= unit:
            value = number / unit
            return f"{value:.0f} {sign}" if value >= 100 else f"{value:.3g} {sign}"
    return str(number)


def count(number: int, noun: str) -> str:
    """A number with its noun.

    >>> count(1, "row"), count(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def share(part: int, whole: int) -> str:
    """A part in per cent; empty where the whole is nothing."""
    return f"{100 * part / whole:.1f} %" if whole else ""
