"""What each pair of rows adds to a count, by cause."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby

from audit.comparison.alignment import Pair
from audit.comparison.diff import Diff
from audit.comparison.forms import (
    Form,
    Forms,
    forms_of,
    groups_of,
    is_conv,
    is_transposed,
    matched,
)
from audit.formats.pytorch import keras_class
from audit.tables import Row, Table, times

Delta = tuple[str, int, str]  # cause, parameters, row
UNKNOWN = "not explained"


def total_of(table: Table) -> int:
    """The count that the table's own program gives; Keras 3's holds the optimizer's variables."""
    if table.of_pytorch:
        return table.without_moving
    return table.total + table.stated.get("optimizer", 0)


def deltas(aligned: Diff) -> Iterator[Delta]:
    """What each pair adds to the first count, by cause."""
    tables = (aligned.first, aligned.second)
    sides = (tables[0].of_pytorch, tables[1].of_pytorch)
    pairs = tuple(_as_counted(pair, *sides) for pair in aligned.pairs)
    aligned = replace(aligned, pairs=pairs)
    optimizers = [table.stated.get("optimizer", 0) for table in tables]
    yield "optimizer variables", optimizers[1] - optimizers[0], "the total"
    heads = tuple(head_of(table) for table in tables)
    forms = (forms_of(tables[0]), forms_of(tables[1]))
    of_one = _OfOne(aligned, heads)
    rewired = _rewired(aligned, heads)
    for changed, run in groupby(aligned.pairs, key=lambda pair: None in (pair.first, pair.second)):
        if changed:
            yield from of_one.deltas(list(run))
            continue
        for pair in run:
            yield from _deltas(pair, forms, heads, rewired)


def _as_counted(pair: Pair, *of_pytorch: bool) -> Pair:
    """The pair, without the statistics that PyTorch does not count."""
    rows = [
        replace(row, parameters={"all": row.without_moving})
        if row and torch and "moving" in row.parameters
        else row
        for row, torch in zip((pair.first, pair.second), of_pytorch, strict=True)
    ]
    return replace(pair, first=rows[0], second=rows[1]) if any(of_pytorch) else pair


def head_of(table: Table) -> Row | None:
    """The last convolution or dense layer of a network."""
    return next((row for row in reversed(table.first_calls) if is_conv(row) and row.total), None)


def _rewired(aligned: Diff, heads: tuple[Row | None, ...]) -> bool:
    """Whether both have the same convolutions, each as wide in one as in the other."""
    return all(
        pair.first and pair.second
        and (pair.first.shape[-1:] == pair.second.shape[-1:] or pair.first is heads[0])
        for pair in aligned.pairs
        if _has_width(pair)
    )  # fmt: skip


def _has_width(pair: Pair) -> bool:
    row = pair.first or pair.second
    return row is not None and is_conv(row)


def _deltas(
    pair: Pair, forms: tuple[Forms, Forms], heads: tuple[Row | None, ...], rewired: bool
) -> Iterator[Delta]:
    """What two rows of the same layer add to the first count."""
    first, second = pair.first, pair.second
    assert first is not None
    assert second is not None
    if first.call or second.call:  # a shared module; programs differ in whether they repeat it
        counted = (0 if second.call else second.total) - (0 if first.call else first.total)
        yield "shared modules counted twice", counted, first.name
    elif (first.slack or second.slack) and first.counts_as(second):
        yield "rounded counts", second.total - first.total, first.name
    elif is_conv(first) and is_conv(second):
        ends = (first, second) == heads
        yield from _conv_deltas(first, second, forms, ends, rewired)
    elif "Normalization" in first.layer_class:
        yield from _norm_deltas(first, second)
    elif first.layer_class == second.layer_class == "PositionEmbeddings":
        yield "positions on another grid", second.total - first.total, first.name
    else:
        yield f"another {first.layer_class}", second.total - first.total, first.name


# === Norms ===


def norm_of(row: Row) -> str:
    """What sort of norm a row is.

    >>> norm_of(Row("InstanceNorm3d-2", "GroupNormalization", (None, 8)))
    'instance norm'
    """
    if row.layer_class == "BatchNormalization":
        return "batch norm"
    instance = row.settings.get("groups") in (-1, row.shape[-1]) and "groups" in row.settings
    if instance or "instancenorm" in f"{row.name} {row.layer_class}".lower():
        return "instance norm"
    return {"GroupNormalization": "group norm", "LayerNormalization": "layer norm"}.get(
        row.layer_class, row.layer_class
    )


def _norm_deltas(first: Row, second: Row) -> Iterator[Delta]:
    """Batch norms are counted with 0, 2 or 4 parameters for each channel."""
    moving = [row.parameters.get("moving", 0) for row in (first, second)]
    change = second.total - first.total
    if norm_of(first) != norm_of(second) and "norm" in norm_of(first) + norm_of(second):
        bare = [" without scale and shift" * (change != 0 and not r.total) for r in (second, first)]
        cause = f"{norm_of(second)}{bare[0]} in place of {norm_of(first)}{bare[1]}"
        yield cause, change, first.name
        return
    if not first.total or not second.total:
        place = "second" if first.total else "first"
        yield f"norms without parameters in the {place}, or not counted", change, first.name
        return
    widths = second.without_moving - first.without_moving
    if first.shape[-1] and first.shape[-1] == second.shape[-1]:
        yield "norm scales or shifts", widths, first.name
        widths = 0
    if all(moving):
        yield "widths", widths + moving[1] - moving[0], first.name
    else:
        yield "widths", widths, first.name
        yield "moving statistics counted by one side", moving[1] - moving[0], first.name


# === Convolutions: channels, width, kernel and bias, one after the other ===


def _conv_deltas(
    first: Row, second: Row, forms: tuple[Forms, Forms], head: bool, rewired: bool
) -> Iterator[Delta]:
    if first.total == second.total and first.shape[-1:] == second.shape[-1:]:
        return
    found = matched(first, second, forms)
    if found is None:
        yield UNKNOWN, second.total - first.total, first.name
        return
    before, after = found
    words = _words(first, second, before, after)
    reads = "input channels" if before.first and after.first else "widths"
    if reads == "widths" and rewired and before.outputs == after.outputs:
        reads = "other inputs, at the same widths"
    steps = (
        (
            "groups" if groups_of(first) != groups_of(second) else reads,
            replace(before, inputs=after.inputs),
        ),
        (
            "number of classes" if head else "widths",
            replace(before, inputs=after.inputs, outputs=after.outputs),
        ),
        (words[0], replace(after, bias=before.bias)),
        (words[1], after),
    )
    known = before.count()
    for cause, step in steps:
        yield cause, step.count() - known, first.name
        known = step.count()


def _words(first: Row, second: Row, before: Form, after: Form) -> tuple[str, str]:
    """What other kernels and biases are called."""
    if first.layer_class == "Dense":
        return "", "biases of dense layers"
    what = "transposed convolutions" if is_transposed(first) else "convolutions"
    kernels = [_kernel(*pair) for pair in ((second, after), (first, before))]
    biases = "up-convolution biases" if is_transposed(first) else "convolution biases"
    return f"kernels of {' in place of '.join(kernels)} in {what}", biases


def _kernel(row: Row, form: Form) -> str:
    """The kernel's size, such as 3 x 3; of one that is not a cube, only the taps are known."""
    if size := row.settings.get("kernel_size"):
        return times(size)
    rank = int(row.layer_class[4])
    side = round(form.taps ** (1 / rank))
    return times([side] * rank) if side**rank == form.taps else f"{form.taps} taps"


# === Rows that only one table has ===


def sort_of(row: Row) -> str:
    """The word for rows of this sort."""
    if "Normalization" in row.layer_class:
        return "norms"
    if is_transposed(row):
        return "up-convolutions"
    return "convolutions" if is_conv(row) else row.layer_class


class _OfOne:
    """Rows without a partner, in a run between two pairs.

    If both tables have rows of a sort on their own, the rows stand at other places.
    """

    def __init__(self, aligned: Diff, heads: tuple[Row | None, ...]) -> None:
        alone = [[p.first for p in aligned.pairs if p.second is None and p.first],
                 [p.second for p in aligned.pairs if p.first is None and p.second]]  # fmt: skip
        self.sorts = [{sort_of(row) for row in rows} for rows in alone]
        self.heads = heads
        lost = [any(row is head for row in rows) for rows, head in zip(alone, heads, strict=True)]
        self.other_head = all(lost)
        self.interpolates = [_interpolates(aligned.first), _interpolates(aligned.second)]

    def deltas(self, run: list[Pair]) -> Iterator[Delta]:
        sides = (
            [pair.first for pair in run if pair.first and pair.first.call == 0],
            [pair.second for pair in run if pair.second and pair.second.call == 0],
        )
        together = self._together(*sides)
        for side, (sign, where) in enumerate(((-1, "first"), (1, "second"))):
            rows = sides[side]
            a_block = sum(is_conv(row) and not is_transposed(row) for row in rows) > 1
            for row in rows:
                cause = together if together and _weighty(row) else ""
                cause = cause or self._cause(side, row, where, a_block)
                yield cause, sign * row.total, row.name

    def _together(self, first: list[Row], second: list[Row]) -> str:
        """The cause of rows that stand for each other; empty if they do not."""
        ends = [
            any(row is head for row in rows)
            for rows, head in zip((first, second), self.heads, strict=True)
        ]
        kinds = [_kinds(rows) for rows in (second, first)]
        if self.other_head and any(ends):
            return f"another head ({' in place of '.join(kinds)})" if all(kinds) else ""
        ups = [any(map(is_transposed, rows)) for rows in (first, second)]
        if sum(ups) == 1 and self.interpolates[ups.index(False)]:
            return UP_AND_CONV if _one_for_one(first, second) else ""
        return f"{' in place of '.join(kinds)}" if all(kinds) and kinds[0] != kinds[1] else ""

    def _cause(self, side: int, row: Row, where: str, a_block: bool) -> str:
        sort, others = sort_of(row), self.sorts[1 - side]
        if row is self.heads[side] and not a_block and sort not in others:
            return f"a head that only the {where} has"
        if is_transposed(row) and self.interpolates[1 - side]:
            return UP
        if a_block:
            return f"a block that only the {where} has"
        if sort in others:
            return f"{sort} at other places"
        return f"{sort} that only the {where} has"


UP = "up-convolution against interpolation"
UP_AND_CONV = "up-convolution against interpolation and a convolution"


def _weighty(row: Row) -> bool:
    """Whether it is a layer with parameters, and no norm."""
    return row.total > 0 and "Normalization" not in row.layer_class


def _one_for_one(first: list[Row], second: list[Row]) -> bool:
    """Whether each up-convolution of one side has a convolution on the other, and nothing more."""
    sides = [[row for row in rows if _weighty(row)] for rows in (first, second)]
    ups = [all(map(is_transposed, rows)) for rows in sides]
    return any(ups) and len(sides[0]) == len(sides[1])


def _kinds(rows: Iterable[Row]) -> str:
    """The classes of such layers, each once, as their program calls them."""
    names = {
        name if "-" in row.name and keras_class(name) == row.layer_class else row.layer_class: None
        for row in rows
        if _weighty(row)
        for name in [re.sub(r"-\d+$", "", row.name)]
    }
    return " and ".join(names)


def _interpolates(table: Table) -> bool:
    """Whether a network has upsampling without weights: by a layer, or by a PyTorch function."""
    kinds = [row.layer_class for row in table]
    by_layer = any("psampl" in kind or "UpSampl" in kind for kind in kinds)
    return not any(kind.endswith("Transpose") for kind in kinds) and (by_layer or table.of_pytorch)
