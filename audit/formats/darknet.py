"""Darknet's log of a network as it is loaded: a layer a line, sizes with the width first."""

import re

from audit.formats.cells import Found, each_table, having
from audit.styles import Style, register
from audit.tables import Row, Shape, Table

HEADER = re.compile(r"\s*layer\s+filters\s+size(?:/strd\(dil\))?\s+input\s+output\s*$")
ROW = re.compile(r"\s*(?P<number>\d{1,5}):? (?P<kind>[A-Za-z]\w*)\b(?P<rest>.*)$")
SIZES = r"(\d+) x\s*(\d+) x\s*(\d+)"
MAPS = re.compile(rf"(?:{SIZES}\s*)?->\s*{SIZES}")
FILTERS = re.compile(
    r"\s*(?P<width>\d+)(?:/\s*(?P<groups>\d+))?\s+(?P<height>\d+) x\s*(?P<size>\d+)\s*/"
)
DENSE = re.compile(r"\s*(?P<inputs>\d+)\s*->\s*(?P<outputs>\d+)\s*$")
KINDS = {
    "conv": "Conv2D", "max": "MaxPooling2D", "avg": "GlobalAveragePooling2D", "res": "Add",
    "Shortcut": "Add", "shortcut": "Add", "route": "Concatenate", "upsample": "UpSampling2D",
    "connected": "Dense", "dropout": "Dropout", "softmax": "Softmax", "deconv": "Conv2DTranspose",
}  # fmt: skip
NOTE = "batch norms are not printed: convolutions are counted with a bias each"


def parse(lines: list[str], repairs: tuple[str, ...]) -> Found:
    """The logs in a text, each with the line number of its header.

    Counts are worked out from the sizes; the log does not tell batch norms, which is said.
    """
    headers = [number for number in having("ayer", lines) if HEADER.match(lines[number])]

    def read(start: int, end: int) -> Table | None:
        rows: list[Row] = []
        for line in lines[start + 1 : end]:
            match = ROW.match(line)
            if match and int(match["number"]) == len(rows):
                rows.append(_row(match, rows[-1].shape if rows else (None,)))
        return Table("", tuple(rows), "darknet", {}, (*repairs, NOTE))

    return each_table(headers, lines, read)


def _row(match: re.Match[str], before: Shape) -> Row:
    rest = match["rest"]
    maps, dense = MAPS.search(rest), DENSE.match(rest)
    shape: Shape = before if match["kind"] in ("dropout", "softmax", "Shortcut") else (None,)
    parameters: dict[str, int] = {}
    if maps:
        shape = (None, int(maps[5]), int(maps[4]), int(maps[6]))
    elif dense:
        outputs = int(dense["outputs"])
        parameters = {"kernel": int(dense["inputs"]) * outputs, "bias": outputs}
        shape = (None, outputs)
    if maps and maps[3] and (filters := FILTERS.match(rest)):
        width, taps = int(filters["width"]), int(filters["height"]) * int(filters["size"])
        groups = int(filters["groups"] or 1) or 1
        parameters = {"kernel": taps * int(maps[3]) * width // groups, "bias": width}
    if match["kind"] not in ("conv", "connected", "deconv"):
        parameters = {}
    return Row(
        name=f"{match['kind']}-{match['number']}",
        layer_class=KINDS.get(match["kind"], match["kind"]),
        shape=shape,
        parameters=parameters,
        trainable=sum(parameters.values()),
    )


register(Style("darknet", "darknet's log", None, ("batch norms", "inputs", "settings"), parse))
