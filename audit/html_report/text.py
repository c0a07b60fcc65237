"""Numbers, shapes and names as a page shows them; what comes from a file is escaped."""

import html
from collections.abc import Sequence
from itertools import groupby

from audit.tables import Shape, times

TIMES = "\N{MULTIPLICATION SIGN}"
UNITS = ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"))


def escape(text: object) -> str:
    """A text as HTML may hold it, in quoted attributes too."""
    return html.escape(str(text), quote=True)


def of_sample(shape: Shape) -> str:
    """A row's shape without the batch axis."""
    return times(shape[1:]) or "not known"


def stacked(sizes: Sequence[int | None]) -> list[str]:
    """Spatial sizes as short lines, one below the other; equal axes are a power.

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
    """A large number as three digits and a unit.

    >>> short(69_140_480), short(640)
    ('69.1 M', '640')
    """
    for unit, sign in UNITS:
        if number >= unit:
            value = number / unit
            return f"{value:.0f} {sign}" if value >= 100 else f"{value:.3g} {sign}"
    return str(number)


def share(part: int, whole: int) -> str:
    """A part in percent; empty if the whole is 0."""
    return f"{100 * part / whole:.1f} %" if whole else ""
