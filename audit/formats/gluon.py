"""MXNet Gluon's ``net.summary(x)``: torchsummary's table, with shapes as tuples."""

import re

from audit.formats.cells import Found, each_table, without_frames
from audit.formats.torchsummary import channels_last, turned
from audit.formats.totals import count_of, totals_in
from audit.styles import Style, register
from audit.tables import Row, Table

HEADER = re.compile(r"\s*Layer \(type\)\s+Output Shape\s+Param #\s*$")
ROW = re.compile(
    r"\s*(?P<kind>[A-Za-z_]\w*)(?:-(?P<number>\d+))?\s+(?P<shape>\(.*\)|\[.*\]|<Symbol .*>|None)"
    r"\s+(?P<count>\d[\d,]{0,25})\s*$"
)
SIGNS = re.compile(r"\s*Input\s+[(\[]|.*<Symbol ")
KINDS = {
    "Input": "InputLayer", "BatchNorm": "BatchNormalization", "LayerNorm": "LayerNormalization",
    "GroupNorm": "GroupNormalization", "InstanceNorm": "GroupNormalization",
    "MaxPool2D": "MaxPooling2D", "MaxPool3D": "MaxPooling3D", "AvgPool2D": "AveragePooling2D",
    "AvgPool3D": "AveragePooling3D", "GlobalAvgPool2D": "GlobalAveragePooling2D",
}  # fmt: skip


def parse(lines: list[str], repairs: tuple[str, ...]) -> Found:
    """The tables in a text, each with the line number of its header.

    An operation whose output is a symbol has no shape. Gluon counts running statistics.
    """
    lines, headers = without_frames(lines, HEADER)

    def read(start: int, end: int) -> Table | None:
        stated, length = totals_in(lines[start:end])
        if not any(SIGNS.match(line) for line in lines[start : start + length]):
            return None  # torchsummary's table, which has the same header
        matches = [ROW.match(line) for line in lines[start + 1 : start + length]]
        rows = [_row(match) for match in matches if match]
        return Table("", tuple(turned(rows)), "gluon", stated, repairs)

    return each_table(headers, lines, read)


def _row(match: re.Match[str]) -> Row:
    count = count_of(match["count"]) or 0
    kind = KINDS.get(match["kind"], match["kind"])
    sizes = re.sub(r"[()]", lambda bracket: "[]"[bracket[0] == ")"], match["shape"])
    return Row(
        name=match["kind"] + (f"-{match['number']}" if match["number"] else ""),
        layer_class=kind,
        shape=channels_last(sizes if match["shape"][0] in "([" else "[]"),
        parameters=norm_roles(kind, count),
        trainable=count // 2 if kind == "BatchNormalization" else count,
    )


def norm_roles(kind: str, count: int) -> dict[str, int]:
    """A count by role where running statistics are counted: half of a batch norm's."""
    if kind != "BatchNormalization" or count % 4:
        return {"all": count} if count else {}
    return {"scale": count // 4, "shift": count // 4, "moving": count // 2} if count else {}


register(
    Style("gluon", "MXNet Gluon's summary", None, ("inputs", "settings", "roles"), parse,
          once_a_layer=True)
)  # fmt: skip
