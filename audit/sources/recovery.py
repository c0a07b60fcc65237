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
Sources = tuple[Shape | None, ...]  # the shapes of a row's inputs, as far as they are known
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
    keeping = [row for row in rows if _keeps(row.layer_class)]
    readers = {name.partition("[")[0]: row.name for row in keeping for name in row.inputs}
    known = {row.name: row.shape for n, row in enumerate(rows) if n not in cut and row.shape}
    beside: dict[str, list[int]] = {}  # the rows that wait for the shape of another
    tried: set[int] = set()
    waiting = deque(sorted(cut))
    mended = 0
    while waiting:
        number = waiting.popleft()
        row = rows[number]
        if number in cut and (shape := _recovered(row, known, readers)):
            rows[number], known[row.name] = row.but(shape=shape), shape
            mended += shape != row.shape
            cut.discard(number)
            waiting += beside.pop(row.name, ())
        elif number not in tried:
            tried.add(number)
            for name in (*row.inputs, readers.get(row.name, "")):
                beside.setdefault(name.partition("[")[0], []).append(number)
    if not mended:
        return table
    note = f"{counted(mended, 'cut shape')} recovered from the parameters"
    return replace(table, rows=tuple(rows), repairs=(*table.repairs, note))


@lru_cache(maxsize=1024)
def _keeps(kind: str) -> bool:
    return any(word in kind for word in SAME_SHAPE)


def _recovered(row: Row, known: dict[str, Shape], readers: dict[str, str]) -> Shape | None:
    sources = tuple([known.get(name.partition("[")[0]) for name in row.inputs])
    reader = known.get(readers.get(row.name, ""))
    cut = str(row.settings["cut"])
    return _whole(row.layer_class, cut, row.shape, row.total, sources, reader)


@lru_cache(maxsize=1024)
def _whole(
    kind: str, cut: str, shape: Shape, count: int, sources: Sources, reader: Shape | None
) -> Shape | None:
    """The whole shape that a cut one stands for, if just one begins as it does."""
    start = " ".join(cut.split()).lstrip("[").rstrip()  # as str(tuple) writes it
    shapes = [reader] if reader else _shapes(kind, shape, count, sources)
    fits = {one for one in shapes if None not in one[1:] and str(one).startswith(start)}
    return fits.pop() if len(fits) == 1 else None


def _shapes(kind: str, shape: Shape, count: int, sources: Sources) -> Iterator[Shape]:
    first = sources[0] if sources else None
    if first and _keeps(kind):
        yield first
    elif kind == "BatchNormalization" and count % 4 == 0:
        yield (*shape[:-1], count // 4)
    elif kind in ("Concatenate", "TensorFlowOpLayer") and len(sources) > 1 and all(sources):
        channels = [source[-1] for source in sources if source]
        if None not in channels:
            yield (*shape[:-1], sum(size or 0 for size in channels))
    elif kind.startswith("Conv") and first and first[-1]:
        yield from ((*shape[:-1], width) for width in _widths(kind, count, first[-1]))
    elif first and "Pooling" in kind and shape[-1] is None:
        yield (*shape[:-1], first[-1])


def _widths(kind: str, count: int, inputs: int) -> set[int]:
    """A convolution's possible widths: whole numbers that its count gives for a usual kernel."""
    rank = int(kind[4]) if kind[4:5].isdigit() else 1
    sizes = KERNELS["Transpose" if kind.endswith("Transpose") else "Conv"]
    weights = (prod([size] * rank) * inputs + bias for size, bias in product(sizes, (0, 1)))
    return {count // each for each in weights if count and count % each == 0}
