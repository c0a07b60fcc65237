"""Recovers the classes that a column of Keras's summary cut, and what its totals tell of the rows.

A class is recovered only where its beginning, the layer's name, the number of axes and the
parameters leave one; else it stays as it was printed, and the repairs say so.
"""

import re
from dataclasses import replace
from functools import cache, lru_cache

from audit.formats.keras import roles_of
from audit.kinds import KINDS
from audit.styles import style_of
from audit.tables import Row, Shape, Table
from unetzoo.utils.text import counted, few

AXES = re.compile(r"(\d)D(Transpose)?$")
WITHOUT = re.compile(
    r"(Global|Max|Average|Adaptive)\w*Pooling|UpSampling|ZeroPadding|Cropping|\w*Dropout|Activation|"
    r"Add$|Subtract|Multiply|Average$|Maximum|Minimum|Concatenate|Flatten|Reshape|Permute|ReLU$|"
    r"LeakyReLU|ELU|Softmax|InputLayer|Random|Rescaling|Resizing|RepeatVector|Masking|Gaussian|Dot$"
)
WITH = re.compile(r"(Depthwise|Separable)?Conv|Dense|Embedding|LSTM|GRU|BatchNormalization|PReLU")


def classed(table: Table) -> Table:
    """The table with the classes that can be told, and sentences on those that cannot."""
    table = _frozen(table)
    unsure = [number for number, row in enumerate(table.rows) if "cut class" in row.settings]
    if not unsure:
        return table
    rows = list(table.rows)
    known = {row.name: row.shape for row in rows if row.shape}
    for number in unsure:
        if kind := _fitting(rows[number], known):
            rows[number] = _as(rows[number], kind)
    left = [number for number in unsure if "cut class" in rows[number].settings]
    moving = sum(row.parameters.get("moving", 0) for row in rows)
    if still := table.stated.get("not trainable", 0) - moving:
        norms = [number for number in left if _may_be_norm(rows[number])]
        if norms and still == sum(rows[number].total // 2 for number in norms):
            for number in norms:
                rows[number] = _as(rows[number], "BatchNormalization")
            left = [number for number in left if "cut class" in rows[number].settings]
    notes = []
    if found := len(unsure) - len(left):
        notes.append(f"{counted(found, 'cut class')} recovered")
    if left:
        names = few([rows[number].name for number in left], most=3)
        notes.append(f"{counted(len(left), 'class')} cut off and unknown: {names}")
    return replace(table, rows=tuple(rows), repairs=(*table.repairs, *notes))


def _as(row: Row, kind: str) -> Row:
    """The row as one of a class."""
    parameters = roles_of(kind, row.total, row.shape)
    settings = {key: value for key, value in row.settings.items() if key != "cut class"}
    trainable = min(row.trainable, row.total - parameters.get("moving", 0))
    return row.but(layer_class=kind, parameters=parameters, trainable=trainable, settings=settings)


def _fitting(row: Row, known: dict[str, Shape]) -> str | None:
    """The class that a row has, if it can have one only."""
    whole = "cut" not in row.settings and len(row.shape) > 1
    axes, some = len(row.shape) - 2 if whole else None, bool(row.parameters)
    kinds = _possible(row.layer_class, axes, some)
    name = row.name.rstrip("…")  # as Keras gives it: conv2d_transpose_3
    stem, _, number = name.rpartition("_")
    named = kinds.get(name) or (kinds.get(stem) if number.isdecimal() else None)
    named = named or (name if name in kinds.values() else None)  # as some write it by hand
    if named or not row.layer_class:
        return named
    before = known.get(row.inputs[0].partition("[")[0]) if row.inputs else None
    return _only(row.layer_class, axes, some, _direction(before, row.shape))


@lru_cache(maxsize=1024)
def _only(beginning: str, axes: int | None, some: bool, direction: str) -> str | None:
    """The class of ``_possible`` that enlarges, "up", or does not, "down", if it is just one."""
    fits = [
        kind
        for kind in _possible(beginning, axes, some).values()
        if direction in ("", "up" if kind.endswith("Transpose") else "down")
    ]
    return fits[0] if len(fits) == 1 else None


@lru_cache(maxsize=1024)
def _possible(beginning: str, axes: int | None, some: bool) -> dict[str, str]:
    """Keras's classes that begin so, take that many axes, and have some parameters or none.

    By the names that Keras gives their layers.
    """
    kinds = {kind: _facts(kind) for kind in KINDS if kind.startswith(beginning)}
    return {
        _snake(kind): kind
        for kind, (fixed, without, with_some) in kinds.items()
        if not (without if some else with_some) and (axes is None or fixed in (0, axes))
    }


@cache
def _facts(kind: str) -> tuple[int, bool, bool]:
    """A class's number of axes, 0 if it takes any; whether it never has parameters; always."""
    axes = AXES.search(kind)
    fixed = axes and "Global" not in kind and "LSTM" not in kind
    return int(axes[1]) if axes and fixed else 0, bool(WITHOUT.match(kind)), bool(WITH.match(kind))


def _snake(kind: str) -> str:
    snake = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", kind)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", snake).lower()


@lru_cache(maxsize=1024)
def _direction(before: Shape | None, shape: Shape) -> str:
    """Whether an output is larger than its input, "up", smaller, "down", or unknown."""
    if before is None or len(before) != len(shape):
        return ""
    pairs = list(zip(before[1:-1], shape[1:-1], strict=True))
    if any(a is None or b is None for a, b in pairs):
        return ""
    larger = [(b or 0) - (a or 0) for a, b in pairs]
    return "up" if min(larger, default=0) > 0 else "down" if max(larger, default=0) < 0 else ""


def _may_be_norm(row: Row) -> bool:
    return (
        bool(row.total) and row.total % 4 == 0 and "BatchNormalization".startswith(row.layer_class)
    )


def _frozen(table: Table) -> Table:
    """The table with a sentence, if its totals say that some rows are frozen, but not which."""
    rows = sum(row.trainable for row in table.first_calls)
    stated = table.stated.get("trainable", rows)
    unsure = any("cut class" in row.settings for row in table.rows)  # its moving statistics, too
    if stated >= rows or (unsure and stated) or table.slack or table.inconsistencies():
        return table
    if stated == 0:
        return replace(table, rows=tuple(replace(row, trainable=0) for row in table.rows))
    if style_of(table.style).name == "":
        return table
    note = f"{rows - stated:,} parameters are frozen; the text does not say in which rows"
    return replace(table, repairs=(*table.repairs, note))
