"""Lightning's ModelSummary: a module a line, drawn with bars or as a table of rich."""

import re
from dataclasses import replace

from audit.formats.cells import Found, each_table, having
from audit.formats.pytorch import LOST, keras_class
from audit.formats.torchsummary import channels_last, turned
from audit.formats.totals import count_of
from audit.styles import Style, register
from audit.tables import Rounded, Row, Table

BARS = re.compile(r"[|│┃]")
HEADER = re.compile(r"[\s|│┃]*[|│┃]\s*Name\s*[|│┃]\s*Type\s*[|│┃]\s*Params\b")
TOTAL = re.compile(
    r"\s*(?P<count>[\d.,]+(?: [KMBT])?)\s+(?P<word>Trainable|Non-trainable|Total) params\s*$"
    r"|\s*(?P<word2>Trainable|Non-trainable|Total) params: *(?P<count2>[\d.,]+(?: [KMBT])?)\s*$"
)
STATED = {"Trainable": "trainable", "Non-trainable": "not trainable", "Total": "total"}


def parse(lines: list[str], repairs: tuple[str, ...]) -> Found:
    """The tables in a text, each with the line number of its header.

    Counts are rounded. A module's row is above those of the modules in it, if they are printed.
    """
    headers = [number for number in having("Name", lines) if HEADER.match(lines[number])]

    def read(start: int, end: int) -> Table | None:
        titles = _cells(lines[start])
        modules, stated = [], {}
        for line in lines[start + 1 : end]:
            if total := TOTAL.match(line):
                word = total["word"] or total["word2"]
                stated[STATED[word]] = counted(total["count"] or total["count2"])
            elif not stated and (module := dict(zip(titles, _cells(line), strict=False))):
                modules.append(module)
        rows = tuple(turned(_leaves(modules)))
        return Table("", rows, "lightning", {k: n for k, n in stated.items() if n is not None},
                     repairs)  # fmt: skip

    return each_table(headers, lines, read)


def _cells(line: str) -> list[str]:
    """The cells between bars; the first holds the number of the module."""
    text = line.strip()
    if len(BARS.findall(text)) < 3:
        return []
    if text[0] in "|│┃" and text[-1] in "|│┃":
        text = text[1:-1]
    return [cell.strip(" *`") for cell in BARS.split(text)]


def counted(text: str) -> int | None:
    """The count of a cell; from a hundred units on, Lightning cuts off what follows them.

    >>> counted("108 K").slack, counted("31.0 M").slack
    (1000, 50000)
    """
    count = count_of(text)
    cut = isinstance(count, Rounded) and "." not in text
    return Rounded(count, 2 * count.slack) if cut and isinstance(count, Rounded) else count


def _leaves(modules: list[dict[str, str]]) -> list[Row]:
    """The modules without others in them, and what a module holds more than those in it."""
    rows = [row for module in modules if module.get("Name") and (row := _row(module))]
    inside: dict[str, tuple[int, int]] = {}  # the parameters of a module's modules, and their slack
    for row in rows:
        total, slack = inside.get(above := "-".join(row.path), (0, 0))
        inside[above] = total + row.total, slack + row.slack
    return [left for row in rows if (left := _own(row, *inside.get(row.name, (None, 0))))]


def _own(row: Row, inner: int | None, slack: int) -> Row | None:
    """A module's row with the parameters that are in none of its modules; None without any."""
    if inner is None:
        return row
    own = row.total - inner
    slack += row.slack
    if own <= slack:
        return None
    return replace(row, parameters={"all": Rounded(own, slack)}, trainable=own)


def _row(module: dict[str, str]) -> Row | None:
    count = counted(module.get("Params", "").split("(")[0])
    if count is None:
        return None
    path = module["Name"].split(".")
    return Row(
        name="-".join(path),
        layer_class=keras_class(module.get("Type", "")),
        shape=channels_last(module.get("Out sizes", "[]")),
        parameters={"all": count} if count else {},
        trainable=count,
        path=tuple(path[:-1]),
    )


register(Style("lightning", "Lightning's ModelSummary", None, LOST, parse, pytorch=True,
               once_a_layer=True))  # fmt: skip
