"""torchsummary 1.5.1's table, written; and those of 1.1 to git master, read."""

import math
import re
from itertools import pairwise

from audit.formats.pytorch import (
    class_name,
    container_name,
    is_module,
    keras_kind,
    sequentials,
    with_containers,
)
from audit.formats.totals import total_in
from audit.table import Row, Shape, Table

WIDTH = 64
BYTES = 4
MIB = 2**20
HEADER = re.compile(r"\s*Layer \(type\)\s+Output Shape\s+Param\b(?!.*Connected)")
ROW = re.compile(r"\s*(?P<kind>\S.*?)-(?P<number>\d+)\s+(?P<shape>\[.*\])\s+(?P<count>[\d,]+)\s*$")


def render(table: Table) -> str:
    """The table as ``torchsummary.summary`` prints it, its totals and MB lines included.

    Raises: ValueError where a size is open, for the MB lines need every size.
    """
    lines = ["-" * WIDTH, _line("Layer (type)", "Output Shape", "Param #"), "=" * WIDTH]
    elements = 0
    numbered = sequentials(table.rows)
    number = 0
    for row, container in with_containers(table.rows):
        if container in numbered:
            continue
        number += 1
        name = class_name(row) if container is None else container_name(container[-1])
        parameters = row.without_moving if container is None else 0
        shape = _channels_first(row.shape, table)
        elements += math.prod(shape)
        lines.append(_line(f"{name}-{number}", str([-1, *shape]), f"{parameters:,}"))
    return "\n".join([*lines, *_totals(table, elements)])


def _line(name: str, shape: str, parameters: str) -> str:
    return f"{name:>20}  {shape:>25} {parameters:>15}"


def _channels_first(shape: Shape, table: Table) -> list[int]:
    sizes = [size for size in shape[1:] if size is not None]
    if len(sizes) != len(shape) - 1:
        raise ValueError(
            f"{table.name!r} has open sizes {shape}: torchsummary needs every size; "
            "give an input shape."
        )
    return [*sizes[-1:], *sizes[:-1]]


def _totals(table: Table, elements: int) -> list[str]:
    modules = [row for row in table.rows if is_module(row)]  # a shared module counts each time
    total = sum(row.without_moving for row in modules)
    trainable = sum(min(row.trainable, row.without_moving) for row in modules)
    inputs = [row for row in table.rows if row.kind == "InputLayer"]
    input_size = _input_elements(table, inputs) * BYTES / MIB
    output_size = 2 * elements * BYTES / MIB
    parameter_size = total * BYTES / MIB
    return [
        "=" * WIDTH,
        f"Total params: {total:,}",
        f"Trainable params: {trainable:,}",
        f"Non-trainable params: {total - trainable:,}",
        "-" * WIDTH,
        f"Input size (MB): {input_size:0.2f}",
        f"Forward/backward pass size (MB): {output_size:0.2f}",
        f"Params size (MB): {parameter_size:0.2f}",
        f"Estimated Total Size (MB): {input_size + output_size + parameter_size:0.2f}",
        "-" * WIDTH,
    ]


def _input_elements(table: Table, inputs: list[Row]) -> int:
    """The program multiplies the sizes of all inputs together."""
    return math.prod(math.prod(_channels_first(row.shape, table)) for row in inputs)


def parse(lines: list[str], repairs: tuple[str, ...]) -> list[tuple[int, Table]]:
    """The tables in a text, each with the number of its header's line.

    A table ends where its totals end, at the next header, or at the text's end.
    """
    headers = [number for number, line in enumerate(lines) if HEADER.match(line)]
    tables = []
    for start, end in pairwise([*headers, len(lines)]):
        rows: list[Row] = []
        stated: dict[str, int] = {}
        for line in lines[start + 1 : end]:
            if (row := ROW.match(line)) and not stated:
                rows.append(_parsed(row))
            elif total := total_in(line):
                stated.update(total)
            elif stated and line.strip(" -=") and ":" not in line:
                break
        if rows:
            tables.append((start, Table("", tuple(rows), "torchsummary", stated, repairs)))
    return tables


def _parsed(match: re.Match[str]) -> Row:
    count = int(match["count"].replace(",", ""))
    shape = [int(number) for number in re.findall(r"-?\d+", match["shape"].split("]")[0])]
    channels_last = (None, *shape[2:], *shape[1:2])
    kind = keras_kind(match["kind"])
    parameters = {"all": count} if count else {}
    name = f"{match['kind']}-{match['number']}"
    return Row(name, kind, channels_last, parameters, trainable=count)
