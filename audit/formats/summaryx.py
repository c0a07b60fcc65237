"""torchsummaryX's table, which pandas prints: names without classes, counts that are rounded."""

import re

from audit.formats.cells import Found, each_table, having
from audit.formats.pytorch import LOST, keras_class
from audit.formats.torchsummary import channels_last, turned
from audit.formats.totals import count_of
from audit.styles import Style, register
from audit.tables import Row, Table, slack_of

HEADER = re.compile(r"\s*Kernel Shape\s+Output Shape\s+Params(?!\S)")
ROW = re.compile(
    r"\s*(?P<number>\d+)_(?P<name>\S+)\s+(?P<kernel>-|\[[\d, ]*\])\s+(?P<shape>\[[-\d, ]*\])\s+"
    r"(?P<count>-|NaN|\(recursive\)|[\d.,]+[kKMG]?)(?:\s+\S+)?\s*$"
)
CLASSED = re.compile(r"(?P<kind>[A-Z][A-Za-z0-9]*)_(?P<name>\w+)$")  # inside a module
TOTAL = re.compile(r"\s*(Total|Trainable|Non-trainable) params\s+([\d.,]+\s?[kKMG]?)\s*$")
STATED = {"Total": "total", "Trainable": "trainable", "Non-trainable": "not trainable"}


def parse(lines: list[str], repairs: tuple[str, ...]) -> Found:
    """The tables in a text, each with the line number of its header. The class is told
    of modules inside others only."""
    headers = [n for n in having("Kernel Shape", lines) if HEADER.match(lines[n])]

    def read(start: int, end: int) -> Table | None:
        rows, stated = [], {}
        for line in lines[start + 1 : end]:
            if match := ROW.match(line):
                rows.append(_row(match))
            elif total := TOTAL.match(line):
                stated[STATED[total[1]]] = count_of(total[2]) or 0
        return Table("", tuple(turned(rows)), "torchsummaryX", stated, repairs)

    return each_table(headers, lines, read)


def _row(match: re.Match[str]) -> Row:
    *path, name = match["name"].split(".")
    classed = CLASSED.match(name) if path else None
    shape = channels_last(match["shape"])
    count = _exact(count_of(match["count"]) or 0, match["kernel"])
    return Row(
        name="-".join([*path, classed["name"] if classed else name]),
        layer_class=keras_class(classed["kind"]) if classed else "",
        shape=shape,
        parameters={"all": count} if count else {},
        trainable=count,
        path=tuple(path),
        call=int("recursive" in match["count"]),
    )


def _exact(count: int, kernel: str) -> int:
    """The count that the kernel gives, with a bias or without, if only one is the rounded one."""
    sizes = [int(size) for size in re.findall(r"\d{1,9}", kernel)]
    weights = 1
    for size in sizes:
        weights *= size
    biases = [0, *sizes[:2]] if len(sizes) > 1 else []
    fits = {weights + bias for bias in biases if abs(weights + bias - count) <= slack_of([count])}
    return fits.pop() if len(fits) == 1 else count


register(Style("torchsummaryX", "torchsummaryX", None, (*LOST, "classes"), parse, pytorch=True))
