"""The sizes that a column of Keras's summary cut, found again from the parameters."""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from math import prod

from audit.tables import Row, Shape, Table

KERNELS = {"Transpose": (2, 3, 4, 5), "Conv": (1, 3, 5, 7, 2, 4)}
SAME_SHAPE = ("Normalization", "Dropout", "Activation", "ReLU", "ELU", "Softmax")


def recovered(table: Table) -> Table:
    """The table with the cut sizes that only one number fits, and a word of it in its repairs.

    A batch norm has four parameters a channel, a convolution its kernel's; a concatenation has the
    channels of all its inputs; norms, dropout and activations keep their input's shape.
    """
    rows = list(table.rows)
    cut = {number for number, row in enumerate(rows) if "cut" in row.settings}
    readers = {name.split("[")[0]: row.name for row in rows if _keeps(row) for name in row.inputs}
    known = {row.name: row for n, row in enumerate(rows) if n not in cut and row.shape}
    found = True
    while cut and found:
        found = False
        for number in sorted(cut):
            shapes = set(_candidates(rows[number], known, readers))
            if len(shapes) == 1:
                rows[number] = replace(rows[number], shape=shapes.pop())
                known[rows[number].name] = rows[number]
                cut.discard(number)
                found = True
    mended = sum(new.shape != old.shape for new, old in zip(rows, table.rows, strict=True))
    if not mended:
        return table
    note = f"{mended} cut shapes recovered from the parameters"
    return replace(table, rows=tuple(rows), repairs=(*table.repairs, note))


def _keeps(row: Row) -> bool:
    return any(word in row.layer_class for word in SAME_SHAPE)


def _candidates(row: Row, known: dict[str, Row], readers: dict[str, str]) -> Iterator[Shape]:
    """The whole shapes that the cut one may be, as far as they begin as it does."""
    sources = [known.get(name.split("[")[0]) for name in row.inputs]
    reader = known.get(readers.get(row.name, ""))
    for shape in [reader.shape] if reader else _shapes(row, sources):
        if _text(shape).startswith(_text_of(row)) and None not in shape[1:]:
            yield shape


def _shapes(row: Row, sources: list[Row | None]) -> Iterator[Shape]:
    first = sources[0] if sources else None
    if first and _keeps(row):
        yield first.shape
    elif row.layer_class == "BatchNormalization" and row.total % 4 == 0:
        yield (*row.shape[:-1], row.total // 4)
    elif (
        row.layer_class in ("Concatenate", "TensorFlowOpLayer")
        and len(sources) > 1
        and all(sources)
    ):
        channels = [source.shape[-1] for source in sources if source]
        if None not in channels:
            yield (*row.shape[:-1], sum(size or 0 for size in channels))
    elif row.layer_class.startswith("Conv") and first and first.shape[-1]:
        yield from ((*row.shape[:-1], width) for width in _widths(row, first.shape[-1]))
    elif first and "Pooling" in row.layer_class and row.shape[-1] is None:
        yield (*row.shape[:-1], first.shape[-1])


def _widths(row: Row, inputs: int) -> set[int]:
    """A convolution's possible widths: whole numbers that its count leaves for a usual kernel."""
    rank = int(row.layer_class[4]) if row.layer_class[4:5].isdigit() else 1
    sizes = KERNELS["Transpose" if row.layer_class.endswith("Transpose") else "Conv"]
    each = (prod([size] * rank) * inputs + bias for size, bias in product(sizes, (0, 1)))
    return {row.total // weights for weights in each if row.total and row.total % weights == 0}


def _text(shape: Shape) -> str:
    return "(" + ", ".join(map(str, shape)) + ")"


def _text_of(row: Row) -> str:
    """The printed beginning, as ``_text`` writes it."""
    return re.sub(r"\s+", " ", str(row.settings["cut"])).strip().lstrip("[").rstrip()
