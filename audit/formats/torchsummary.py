"""torchsummary's table: written as 1.5.1 does, read as 1.1 to git master print it.

Source: docs/explanation/formats.md.
"""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache

from audit.formats.cells import Found, each_table, not_cut, undone, without_frames
from audit.formats.held_twice import called_once
from audit.formats.pytorch import (
    CONTAINERS,
    LOST,
    class_name,
    containers,
    is_module,
    keras_class,
    some_module,
    with_containers,
)
from audit.formats.totals import cut_before, totals_in
from audit.styles import Style, register
from audit.tables import Row, Shape, Table
from unetzoo.utils.json_values import short
from unetzoo.utils.text import counted, few

WIDTH = 64
BYTES = 4
MIB = 2**20
HEADER = re.compile(
    r"\s*(?:Parent Layers\s+)?Layer \(type\)\s+(?:In|Out)put Shape\s+Param\b(?!.*Connected)"
)
FIELDS = (
    r"(?P<kind>[^\s\[]+)-(?P<number>\d+)\s+(?P<shape>\[.*\])\s+(?P<count>\d[\d,]{0,25})"
    r"(?:\s+(?P<trainable>\d[\d,]{0,25}))?\s*$"
)
ROW = re.compile(r"\s*(?P<parents>)" + FIELDS)
WITH_PARENTS = re.compile(r"\s*(?P<parents>[^\s\[]+)\s+" + FIELDS)
SIZE = re.compile(r"\s*(Input|Forward/backward)(?: pass)? size \(MB\): (\d[\d,]{0,16}\.\d+)")
STARTED = re.compile(r"\s*[A-Za-z_]\w*-\d+(?:\s|$)")
LAST = {
    "Dense", "LayerNormalization", "RMSNorm", "MultiHeadAttention", "Embedding", "LSTM", "GRU",
    "RNN", "PositionEmbeddings", "TransformerEncoderLayer", "TransformerDecoderLayer",
}  # fmt: skip
TOKENS = {"features": "last"}


def render(table: Table) -> str:
    """The table as ``torchsummary.summary`` prints it, its totals and MB lines included.

    Raises: ValueError where a size is open, because the MB lines need every size.
    """
    some_module(table)
    table = with_tokens(table)
    lines = ["-" * WIDTH, _line("Layer (type)", "Output Shape", "Param #"), "=" * WIDTH]
    elements = 0
    names = containers(table.rows)
    number = 0
    for row, container in with_containers(table.rows):
        name = class_name(row) if container is None else names[container]
        if container and name in CONTAINERS:
            continue
        number += 1
        parameters = row.without_moving if container is None else 0
        shape = printed_sizes(row, table)
        elements += math.prod(shape)
        lines.append(_line(f"{name}-{number}", str([-1, *shape]), f"{parameters:,}"))
    return "\n".join([*lines, *_totals(table, elements)])


def _line(name: str, shape: str, parameters: str) -> str:
    return f"{name:>20}  {shape:>25} {parameters:>15}"


def with_tokens(table: Table) -> Table:
    """The table with the rows marked whose features PyTorch has last."""
    lasts = features_last(table.rows)
    marked = [
        replace(row, settings={**row.settings, **TOKENS}) if last else row
        for row, last in zip(table.rows, lasts, strict=True)
    ]
    return replace(table, rows=tuple(marked))


def printed_sizes(row: Row, table: Table) -> list[int]:
    """The sizes of a row's output, as PyTorch orders them. Raises: ValueError for an open size."""
    sizes = channels_first(row.shape, table)
    return [*sizes[1:], *sizes[:1]] if "features" in row.settings else sizes


def channels_first(shape: Shape, table: Table) -> list[int]:
    """A shape without its batch axis, as PyTorch orders it. Raises: ValueError for an open size."""
    sizes = [size for size in shape[1:] if size is not None]
    if len(sizes) != len(shape) - 1:
        raise ValueError(
            f"{table.name!r} has open sizes {shape}: a summary of PyTorch needs every size; "
            "give an input shape."
        )
    return [*sizes[-1:], *sizes[:-1]]


def _totals(table: Table, elements: int) -> list[str]:
    modules = [row for row in table.rows if is_module(row)]  # a shared module counts each time
    total = sum(row.without_moving for row in modules)
    trainable = sum(min(row.trainable, row.without_moving) for row in modules)
    inputs = [row for row in table.rows if row.layer_class == "InputLayer"]
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
    if not inputs:
        return table.stated.get("input bytes", 0) // BYTES
    return math.prod(math.prod(channels_first(row.shape, table)) for row in inputs)


def parse(lines: list[str], repairs: tuple[str, ...]) -> Found:
    """The tables in a text, each with the line number of its header.

    A table ends where its totals end, at the next header, or at the end of the text.
    """
    printed = lines
    lines, headers = without_frames(lines, HEADER)

    def read(start: int, end: int) -> Table | None:
        stated, length = totals_in(lines[start:end])
        pattern = WITH_PARENTS if "Parent" in lines[start] else ROW
        rows: list[Row] = []
        unread: list[str] = []
        for number in range(start + 1, start + length):
            if row := pattern.match(lines[number]):
                rows.append(_parsed(row))
            elif rows and STARTED.match(lines[number]):
                not_cut(lines, number)
                unread.append(short(lines[number].strip()))
        rows, twice = called_once(rows)
        if "Input Shape" in lines[start]:
            rows = [replace(row, shape=(None,)) for row in rows]  # the outputs are not told
        stated |= _sizes(lines[start:end])
        style = "pytorch-model-summary" if "Tr. Param" in lines[start] else "torchsummary"
        told = f"{counted(len(unread), 'line')} not read: {few(unread, most=3)}"
        notes = (*[told] * bool(unread), *cut_before(stated, lines[start:end]), *twice)
        done = (*repairs, *undone(printed[start]), *notes)
        return Table("", tuple(turned(rows)), style, stated, done)

    return each_table(headers, lines, read)


def turned(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows with the tokens, (N, L, C), that were read as channels first turned back."""
    rows = list(rows)
    for row, last in zip(rows, features_last(rows), strict=True):
        if last:
            shape = (*row.shape[:1], *row.shape[-1:], *row.shape[1:-1])  # as it was printed
            row = row.but(shape=shape, settings={**row.settings, **TOKENS})
        yield row


def features_last(rows: Iterable[Row]) -> Iterator[bool]:
    """Whether PyTorch has each row's features last: some layers have, and then the next of the
    same sizes have too."""
    last = False
    before: Shape = ()
    for row in rows:
        own = row.layer_class in LAST
        if own or row.shape != before:
            last = own and len(row.shape) > 2
        before = row.shape
        yield last


def _sizes(lines: list[str]) -> dict[str, int]:
    """The stated sizes in bytes, exact to a hundredth of a MiB."""
    figures = {match[1].lower(): match[2] for line in lines if (match := SIZE.match(line))}
    named = {"input": "input bytes", "forward/backward": "forward/backward bytes"}
    sizes = {named[word]: float(size.replace(",", "")) for word, size in figures.items()}
    return {name: round(size * MIB) for name, size in sizes.items()}


def _parsed(match: re.Match[str]) -> Row:
    count = int(match["count"].replace(",", ""))
    trainable = match["trainable"]
    return Row(
        name=f"{match['kind']}-{match['number']}",
        layer_class=keras_class(match["kind"]),
        shape=channels_last(match["shape"]),
        parameters={"all": count} if count else {},
        trainable=int(trainable.replace(",", "")) if trainable else count,
        path=tuple(match["parents"].split("/")) if match["parents"] else (),
    )


@lru_cache(maxsize=1024)
def channels_last(text: str) -> Shape:
    """The first shape in PyTorch's text, batch axis open and channels last.

    >>> channels_last("[[-1, 64, 56, 80], [-1, 64, 112, 160]]")
    (None, 56, 80, 64)
    """
    sizes = [int(number) for number in re.findall(r"-?\d+", text.split("]")[0])]
    return (None, *sizes[2:], *sizes[1:2])


register(
    Style(
        "torchsummary", "torchsummary", render, (*LOST, "blocks", "trainable", "calls"), parse,
        pytorch=True,
    )
)  # fmt: skip
