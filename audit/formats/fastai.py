"""fastai's ``learn.summary()``: the outputs stand on lines of their own, above their layers."""

import re

from audit.formats.cells import Found, each_table, having
from audit.formats.pytorch import LOST, keras_class
from audit.formats.torchsummary import channels_last, turned
from audit.formats.totals import count_of
from audit.styles import Style, register
from audit.tables import Row, Table

HEADER = re.compile(r"\s*Layer \(type\)\s+Output Shape\s+Param #\s+Trainable\s*$")
TITLE = re.compile(r"\s*(?P<name>\w+) \(Input shape: (?P<shape>.*)\)")
SHAPE = re.compile(r"\s+(?P<shape>\[\]|\[?'?-?\d+(?: x \d+)*'?.*)$")
ROW = re.compile(r"(?P<kind>[A-Za-z]\w*)(?:\s+(?P<count>[\d,]+)\s+(?P<trainable>True|False))?\s*$")
TOTAL = re.compile(r"Total (?P<which>trainable |non-trainable |)params: (?P<count>[\d,]+)\s*$")
STATED = {"": "total", "trainable ": "trainable", "non-trainable ": "not trainable"}


def parse(lines: list[str], repairs: tuple[str, ...]) -> Found:
    """The tables in a text, each with the line number of its header.

    Only layers with another output than the layer before show it; the others have the same.
    """
    headers = [number for number in having("ayer", lines) if HEADER.match(lines[number])]

    def read(start: int, end: int) -> Table | None:
        rows: list[Row] = []
        stated: dict[str, int] = {}
        shape = "[]"
        for line in (text.strip("\n") for text in lines[start + 1 : end]):
            if total := TOTAL.match(line.strip()):
                stated[STATED[total["which"]]] = count_of(total["count"]) or 0
            elif stated:
                continue
            elif row := ROW.match(line.strip()):
                rows.append(_row(len(rows) + 1, row, shape))
            elif output := SHAPE.match(line):
                shape = "[" + re.sub(r"\s*x\s*", ", ", output["shape"].strip("[]'\" ")) + "]"
        title = next(filter(None, map(TITLE.match, lines[max(start - 3, 0) : start])), None)
        return Table(title["name"] if title else "", tuple(turned(rows)), "fastai", stated, repairs)

    return each_table(headers, lines, read)


def _row(number: int, match: re.Match[str], shape: str) -> Row:
    count = count_of(match["count"] or "0") or 0
    return Row(
        name=f"{match['kind']}-{number}",
        layer_class=keras_class(match["kind"]),
        shape=channels_last(shape),
        parameters={"all": count} if count else {},
        trainable=0 if match["trainable"] == "False" else count,
    )


register(Style("fastai", "fastai's learn.summary", None, LOST, parse, pytorch=True, trainable=True))
