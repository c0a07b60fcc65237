"""``paddle.summary``: torchsummary's table, with a column of inputs and counts for each class."""

import re

from audit.formats.cells import Found, each_table, without_frames
from audit.formats.gluon import norm_roles
from audit.formats.torchsummary import channels_last, turned
from audit.formats.totals import count_of, totals_in
from audit.styles import Style, register
from audit.tables import Row, Table

HEADER = re.compile(r"\s*Layer \(type\)\s+Input Shape\s+Output Shape\s+Param #\s*$")
SHAPE = r"\[[^A-Za-z]*\]"
ROW = re.compile(
    r"\s*(?P<kind>[A-Za-z_]\w*)-(?P<number>\d+)\s+(?P<input>\[.*\]|None)\s+(?P<shape>\[.*\]|None)\s+"
    r"(?P<count>\d[\d,]{0,25})\s*$"
)
KINDS = {
    "Linear": "Dense", "LayerNorm": "LayerNormalization", "GroupNorm": "GroupNormalization",
    "MaxPool1D": "MaxPooling1D", "MaxPool2D": "MaxPooling2D", "MaxPool3D": "MaxPooling3D",
    "AvgPool1D": "AveragePooling1D", "AvgPool2D": "AveragePooling2D",
    "AvgPool3D": "AveragePooling3D", "MultiHeadAttention": "MultiHeadAttention",
    **{f"InstanceNorm{rank}D": "GroupNormalization" for rank in (1, 2, 3)},
    **{f"BatchNorm{rank}D": "BatchNormalization" for rank in (1, 2, 3)},
    "BatchNorm": "BatchNormalization", "SyncBatchNorm": "BatchNormalization",
}  # fmt: skip


def parse(lines: list[str], repairs: tuple[str, ...]) -> Found:
    """The tables in a text, each with the line number of its header; running statistics count."""
    lines, headers = without_frames(lines, HEADER)

    def read(start: int, end: int) -> Table | None:
        stated, length = totals_in(lines[start:end])
        found = [ROW.match(line) for line in lines[start + 1 : start + length]]
        rows = [_row(match) for match in found if match]
        return Table("", tuple(turned(rows)), "paddle", stated, repairs)

    return each_table(headers, lines, read)


def _row(match: re.Match[str]) -> Row:
    count = count_of(match["count"]) or 0
    kind = KINDS.get(match["kind"], match["kind"])
    return Row(
        name=f"{match['kind']}-{match['number']}",
        layer_class=kind,
        shape=channels_last(match["shape"].replace("[[", "[")),
        parameters=(parameters := norm_roles(kind, count)),
        trainable=count - parameters.get("moving", 0),
    )


register(Style("paddle", "paddle.summary", None, ("inputs", "settings", "roles"), parse,
               once_a_layer=True))  # fmt: skip
