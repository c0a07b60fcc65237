"""Keras 2's ``model.summary()`` up to TensorFlow 2.6 (eras A and A' of the format)."""

import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise

from audit.formats.totals import total_in
from audit.table import Row, Table

BRANCHED = (98, (32, 53, 65, 98))
LINEAR = (65, (29, 55, 65))
OP_PREFIX = "tf_op_layer_"
HEADER = re.compile(r"\s*Layer \(type\)\s+Output Shape\s+Param #(\s+Connected to)?\s*$")
ROW = re.compile(
    r"\s*(?P<name>\S+) \((?P<kind>[^\s)]*)\)?\s+(?P<shape>\[?\(.*?)\s+"
    r"(?P<count>\d{1,3}(?:,\d{3})+|\d+)(?:\s+(?P<inputs>[A-Za-z_]\S*))?\s*$"
)
MORE = re.compile(r"\s{20,}([A-Za-z_]\S*\[\d+\]\[\d+\])\s*$")
NAME = re.compile(r'\s*Model: "(.*)"\s*$')
KINDS = (
    "Activation", "Add", "AveragePooling2D", "AveragePooling3D", "BatchNormalization",
    "Concatenate", "Conv2D", "Conv2DTranspose", "Conv3D", "Conv3DTranspose", "Cropping2D",
    "Cropping3D", "Dense", "Dropout", "Flatten", "GlobalAveragePooling2D", "InputLayer",
    "LeakyReLU", "MaxPooling2D", "MaxPooling3D", "ReLU", "SpatialDropout3D",
    "TensorFlowOpLayer", "UpSampling2D", "UpSampling3D", "ZeroPadding2D", "ZeroPadding3D",
)  # fmt: skip


def render(table: Table) -> str:
    """The table as that Keras prints it: fields cut to their column, a rule after each layer.

    The program's closing rule is left out, as published tables leave it out.
    """
    branched = _branches(table)
    width, ends = BRANCHED if branched else LINEAR
    header = ["Layer (type)", "Output Shape", "Param #"] + ["Connected to"] * branched
    lines = [f'Model: "{table.name}"', "_" * width, _line(header, ends), "=" * width]
    for number, row in enumerate(table.first_calls, 1):
        fields = [f"{row.name} ({_kind(row)})", _shape(row), str(row.total)]
        inputs = _inputs(table, row) if branched else []
        lines.append(_line([*fields, *inputs[:1]] if branched else fields, ends))
        lines += [_line(["", "", "", more], ends) for more in inputs[1:]]
        lines.append(("=" if number == len(table.first_calls) else "_") * width)
    return "\n".join(
        [
            *lines,
            f"Total params: {table.total:,}",
            f"Trainable params: {table.trainable:,}",
            f"Non-trainable params: {table.total - table.trainable:,}",
        ]
    )


def _line(fields: list[str], ends: tuple[int, ...]) -> str:
    """Each field after the line's last character is blanked; cut, then padded, to its end."""
    line = ""
    for number, end in enumerate(ends):
        if number:
            line = line[:-1] + " "
        line += fields[number] if number < len(fields) else ""
        line = line[:end].ljust(end)
    return line


def _kind(row: Row) -> str:
    """Keras 2 made a layer of every bare operation and named it with this prefix."""
    is_op = row.name.startswith(OP_PREFIX) or row.kind.startswith("ops.")
    return "TensorFlowOpLayer" if is_op else row.kind


def _shape(row: Row) -> str:
    """Inputs and operations hold a list of shapes, even of one."""
    if _kind(row) in ("InputLayer", "TensorFlowOpLayer"):
        return str([row.shape])
    return str(row.shape)


def _inputs(table: Table, row: Row) -> list[str]:
    """What a layer is connected to, over all its calls."""
    return [source for each in table.rows if each.name == row.name for source in each.inputs]


def _branches(table: Table) -> bool:
    """Whether a layer has several inputs, several readers or several calls."""
    sources = [source for row in table.rows for source in row.inputs]
    several_inputs = any(len(row.inputs) > 1 for row in table.rows)
    several_readers = any(count > 1 for count in Counter(sources).values())
    return several_inputs or several_readers or len(table.first_calls) < len(table.rows)


def parse(lines: list[str], repairs: tuple[str, ...]) -> list[tuple[int, Table]]:
    """The tables in a text, each with the number of its header's line.

    A shape that the column cut holds None where the number is cut and "cut" in its row's
    settings; a cut class name is completed where only one of Keras's begins so.
    """
    headers = [number for number, line in enumerate(lines) if HEADER.match(line)]
    tables = []
    for start, end in pairwise([*headers, len(lines)]):
        rows: list[Row] = []
        stated: dict[str, int] = {}
        for line in lines[start + 1 : end]:
            if (match := ROW.match(line)) and not stated:
                rows.append(_parsed(match))
            elif rows and not stated and (more := MORE.match(line)):
                rows[-1] = replace(rows[-1], inputs=(*rows[-1].inputs, more[1]))
            elif total := total_in(line):
                stated.update(total)
            elif len(stated) == 3:
                break
        if rows:
            named = [NAME.match(line) for line in lines[max(start - 3, 0) : start]]
            name = next((match[1] for match in named if match), "")
            tables.append((start, Table(name, tuple(rows), "keras2", stated, repairs)))
    return tables


def _parsed(match: re.Match[str]) -> Row:
    count = int(match["count"].replace(",", ""))
    kind = _completed(match["kind"])
    batch_norm = kind == "BatchNormalization" and count % 4 == 0
    roles = {"scale": count // 4, "shift": count // 4, "moving": count // 2}
    shape, cut = _parsed_shape(match["shape"])
    return Row(
        name=match["name"],
        kind=kind,
        shape=shape,
        parameters=(roles if batch_norm else {"all": count}) if count else {},
        trainable=count // 2 if batch_norm else count,
        inputs=(match["inputs"],) if match["inputs"] else (),
        path=tuple(match["name"].split("-")[:-1]),
        settings={"cut": True} if cut else {},
    )


def _completed(kind: str) -> str:
    longer = [each for each in KINDS if each.startswith(kind)]
    return longer[0] if len(longer) == 1 and kind not in KINDS else kind


def _parsed_shape(text: str) -> tuple[tuple[int | None, ...], bool]:
    cut = ")" not in text
    parts = re.findall(r"None|\d+", text)
    shape = [None if part == "None" else int(part) for part in parts]
    if cut:
        shape = [*shape[:-1], None] if not text.rstrip().endswith(",") else [*shape, None]
    return tuple(shape), cut
