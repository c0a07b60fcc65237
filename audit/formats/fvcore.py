"""The tables of fvcore and mmengine: modules and weights with their shapes, counts rounded."""

import re
from math import prod

from audit.formats.cells import Found, cells_of, each_table, having
from audit.formats.pytorch import LOST
from audit.formats.totals import count_of
from audit.styles import Style, register
from audit.tables import Rounded, Row, Table, slack_of

HEADER = re.compile(
    r"\s*[|│┃]\s*(?:module|name)\s*[|│┃]\s*#(?:parameters|elements)(?: or shape)?\s*[|│┃]"
)
SIZES = re.compile(r"\((\d[\d, ]*)\)$")


def parse(lines: list[str], repairs: tuple[str, ...]) -> Found:
    """The tables in a text, each with the line number of its header.

    The classes are not told. A module whose weights are printed has their exact count.
    """
    headers = [number for number in having("#", lines) if HEADER.match(lines[number])]

    def read(start: int, end: int) -> Table | None:
        counts: dict[str, int] = {}
        for line in lines[start + 1 : end]:
            cells = cells_of(line)
            if len(cells) > 1 and (count := _count(cells[1])) is not None:
                counts.setdefault(cells[0], count)
            elif counts and not cells and line.strip(" -+=|:"):
                break
        if not counts:
            return None
        root, total = next(iter(counts.items()))
        rows = _rows({name: count for name, count in counts.items() if name != root})
        stated = {"total": total}
        return Table("", tuple(rows or [_row(root, total)]), "fvcore", stated, repairs)

    return each_table(headers, lines, read)


def _count(cell: str) -> int | None:
    if sizes := SIZES.match(cell):
        return prod(int(size) for size in re.findall(r"\d{1,9}", sizes[1]))
    return count_of(cell)


def _rows(counts: dict[str, int]) -> list[Row]:
    """The innermost modules; what a module holds more than those in it is a row too."""
    inside: dict[str, list[str]] = {}
    for name in counts:
        around = name.rpartition(".")[0]
        while around and around not in counts:  # a list that holds one module has no row
            around = around.rpartition(".")[0]
        inside.setdefault(around, []).append(name)
    rows = []
    for name, count in counts.items():
        inner = {part: counts[part] for part in inside.get(name, [])}
        module, _, last = name.rpartition(".")
        if module in counts and last in ("weight", "bias"):
            continue  # counted with its module
        slack = slack_of([count, *inner.values()])
        own = count - sum(inner.values())
        if not inner:
            rows.append(_row(name, count))
        elif all(part.endswith((".weight", ".bias")) for part in inner):
            rows.append(_row(name, sum(inner.values())))
        elif own > slack:
            rows.append(_row(name, Rounded(own, slack) if slack else own))
    return rows


def _row(name: str, count: int) -> Row:
    path = name.split(".")
    parameters = {"all": count} if count else {}
    return Row("-".join(path), "", (None,), parameters, count, path=tuple(path[:-1]))


register(Style("fvcore", "fvcore's and mmengine's tables", None, (*LOST, "classes", "sizes"), parse,
               pytorch=True, once_a_layer=True))  # fmt: skip
