"""Recovers the sizes that a column of Keras's summary cut, from the parameters."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import product
from math import prod

from audit.tables import Row, Shape, Table
from unetzoo.utils.text import counted

KERNELS = {"Transpose": (2, 3, 4, 5), "Conv": (1, 3, 5, 7, 2, 4)}
SAME_SHAPE = ("Normalization", "Dropout", "Activation", "ReLU", "ELU", "Softmax")


def recovered(table: Table) -> Table:
    """The table with each cut size that only one number fits; its repairs say how many.

    A batch norm has four parameters for each channel, a convolution its kernel's; a concatenation
    has the channels of all its inputs; norms, dropout and activations keep their input's shape.
    """
    rows = list(table.rows)
    cut = {number for number, row in enumerate(rows) if "cut" in row.settings}
    if not cut:
        return table
    readers = {name.split("[")[0]: row.name for row in rows if _keeps(row) for name in row.inputs}
    known = {row.name: row for n, row in enumerate(rows) if n not in cut and row.shape}
    beside: dict[str, list[int]] = {}  # the cut rows of which a row may tell something
    for number in sorted(cut):
        for name in (*rows[number].inputs, readers.get(rows[number].name, "")):
            beside.setdefault(name.split("[")[0], []).append(number)
    waiting = deque(sorted(cut))
    while waiting:
        number = waiting.popleft()
        shapes = set(_candidates(rows[number], known, readers)) if number in cut else set()
        if len(shapes) == 1:
            row = rows[number] = rows[number].but(shape=shapes.pop())
            known[row.name] = row
            cut.discard(number)
            waiting += beside.get(row.name, ())
    mended = sum(new.shape != old.shape for new, old in zip(rows, table.rows, strict=True))
    if not mended:
        return table
    note = f"{counted(mended, 'cut shape')} recovered from the parameters"
    return replace(table, rows=tuple(rows), repairs=(*table.repairs, note))


def _keeps(row: Row) -> bool:
    return _keeping(row.layer_class)


@lru_cache(maxsize=1024)
def _keeping(kind: str) -> bool:
    return any(word in kind for word in SAME_SHAPE)


def _candidates(row: Row, known: dict[str, Row], readers: dict[str, str]) -> Iterator[Shape]:
    """The whole shapes that a cut one may stand for: those that begin as it does."""
    sources = [known.get(name.split("[")[0]) for name in row.inputs]
    reader = known.get(readers.get(row.name, ""))
    start = _beginning(str(row.settings["cut"]))
    for shape in [reader.shape] if reader else _shapes(row, sources):
        if None not in shape[1:] and _text(shape).startswith(start):
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
    """A convolution's possible widths: whole numbers that its count gives for a usual kernel."""
    rank = int(row.layer_class[4]) if row.layer_class[4:5].isdigit() else 1
    sizes = KERNELS["Transpose" if row.layer_class.endswith("Transpose") else "Conv"]
    weights = (prod([size] * rank) * inputs + bias for size, bias in product(sizes, (0, 1)))
    return {row.total // each for each in weights if row.total and row.total % each == 0}


@lru_cache(maxsize=1024)
def _text(shape: Shape) -> str:
    return "(" + ", ".join(map(str, shape)) + ")"


@lru_cache(maxsize=1024)
def _beginning(cut: str) -> str:
    """The printed beginning, as ``_text`` writes it."""
    return " ".join(cut.split()).lstrip("[").rstrip()
