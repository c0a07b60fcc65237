"""Why two counts of parameters differ: causes, each with its number, that add up to the gap."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from math import prod

from audit.comparison.diff import Diff, Pair, diff, shown
from audit.comparison.quirks import quirks
from audit.tables import Row, Table
from unetzoo.utils.notebook import Shown

KERNELS = {"Conv": (3, 1, 5, 7, 2, 4), "Transpose": (2, 3, 4, 5)}
Delta = tuple[str, int, str]  # cause, parameters, row


@dataclass(frozen=True)
class Cause:
    """One cause, how many parameters it adds to the first count, and the rows it comes from."""

    cause: str
    parameters: int
    rows: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.parameters:>+15,}  {self.cause} ({shown(self.rows)})"


@dataclass(frozen=True)
class Explanation(Shown):
    """The causes of a gap between two totals; what is not attributed is a cause of its own.

    Attributes:
        first: the first total.
        second: the second total.
        causes: the causes, the largest first; with ``first`` they add up to ``second``.
        notes: on figures that the programs count in their own way.
    """

    first: int
    second: int
    causes: tuple[Cause, ...]
    notes: tuple[str, ...] = ()

    @property
    def gap(self) -> int:
        """The second total less the first, each as its own program counts."""
        return self.second - self.first

    def to_json(self) -> str:
        """The causes as a JSON list; their numbers add up to the gap."""
        causes = [
            {"cause": c.cause, "parameters": c.parameters, "rows": c.rows} for c in self.causes
        ]
        return json.dumps(causes, indent=2)

    def __str__(self) -> str:
        lines = [f"{self.first:>15,}  the first", *map(str, self.causes)]
        return "\n".join([*lines, f"{self.second:>15,}  the second", *self.notes])


def explain(first: Table, second: Table) -> Explanation:
    """Attribute the difference of two totals to causes that add up to it exactly.

    Each total is its own program's: with moving statistics in Keras's tables, without them in
    PyTorch's.

    >>> import audit, unetzoo
    >>> small = audit.table(unetzoo.skeleton("unet2d_small"))
    >>> print(explain(small, audit.table(unetzoo.skeleton("unet2d_small", num_classes=2))))
             64,300  the first
               -510  number of classes (conv)
             63,790  the second
    """
    aligned = diff(first, second)
    totals = [_total(table) for table in (first, second)]
    sums: dict[str, int] = defaultdict(int)
    rows: dict[str, dict[str, None]] = defaultdict(dict)
    for cause, parameters, row in _all_deltas(aligned):
        if parameters:
            sums[cause] += parameters
            rows[cause][row] = None
    left = totals[1] - totals[0] - sum(sums.values())
    causes = [Cause(cause, sums[cause], tuple(rows[cause])) for cause in sums if sums[cause]]
    if left:
        causes.append(Cause("not attributed", left, ("rows that the tables do not show",)))
    causes.sort(key=lambda cause: -abs(cause.parameters))
    notes = [
        f"the {place} states {note}"
        for place, table in (("first", first), ("second", second))
        for note in quirks(table)
    ]
    return Explanation(totals[0], totals[1], tuple(causes), tuple(notes))


def _total(table: Table) -> int:
    """The count that the table's own program gives; Keras 3's holds the optimizer's variables."""
    if table.of_pytorch:
        return table.without_moving
    return table.total + table.stated.get("optimizer", 0)


def _all_deltas(aligned: Diff) -> Iterator[Delta]:
    """What each pair adds to the first count, by cause."""
    tables = (aligned.first, aligned.second)
    optimizers = [table.stated.get("optimizer", 0) for table in tables]
    yield "optimizer variables", optimizers[1] - optimizers[0], "the total"
    both = [pair for pair in aligned.pairs if pair.first and pair.second and _is_conv(pair.first)]
    interpolates = [_interpolates(table) for table in tables]
    single = [{_sort(p.first or p.second) for p in aligned.pairs if p.status == status}
              for status in ("missing", "extra")]  # fmt: skip
    for run in _runs(aligned.pairs):
        if run[0].status in ("missing", "extra"):
            partner = int(run[0].status == "missing")  # the number of the other table
            yield from _one_sided(run, interpolates[partner], single[partner])
            continue
        for pair in run:
            yield from _deltas(pair, head=bool(both) and pair is both[-1])


def _runs(pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    """Consecutive pairs of one status."""
    return (list(run) for _, run in groupby(pairs, key=lambda pair: pair.status))


def _interpolates(table: Table) -> bool:
    """Whether a network has upsampling without weights: by a layer, or by a PyTorch function."""
    kinds = [row.layer_class for row in table]
    by_layer = any("psampl" in kind or "UpSampl" in kind for kind in kinds)
    return not any(kind.endswith("Transpose") for kind in kinds) and (by_layer or table.of_pytorch)


def _deltas(pair: Pair, head: bool) -> Iterator[Delta]:
    """What two rows of the same layer add to the first count."""
    first, second = pair.first, pair.second
    assert first is not None
    assert second is not None
    if first.call or second.call:  # a shared module; programs differ in whether they repeat it
        counted = (0 if second.call else second.total) - (0 if first.call else first.total)
        yield "shared modules counted twice", counted, first.name
    elif _is_conv(first) and _is_conv(second):
        yield from _conv_deltas(first, second, head)
    elif "Normalization" in first.layer_class:
        yield from _norm_deltas(first, second)
    elif first.layer_class == second.layer_class == "PositionEmbeddings":
        yield "positions on another grid", second.total - first.total, first.name
    else:
        yield f"another {first.layer_class}", second.total - first.total, first.name


def _norm_deltas(first: Row, second: Row) -> Iterator[Delta]:
    """Batch norms are counted with 0, 2 or 4 parameters for each channel."""
    moving = [row.parameters.get("moving", 0) for row in (first, second)]
    if not first.total or not second.total:
        yield "norms not counted by one side", second.total - first.total, first.name
        return
    if first.layer_class != second.layer_class:
        yield "another norm", second.total - first.total, first.name
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


def _one_sided(run: list[Pair], other_interpolates: bool, others: set[str]) -> Iterator[Delta]:
    """Rows that only one table has; several convolutions in a row are a block.

    ``others`` are the sorts of rows that only the other table has. If both tables have rows of a
    sort on their own, the rows stand at other places.
    """
    where = "second" if run[0].second else "first"
    sign = 1 if run[0].second else -1
    rows = [row for pair in run if (row := pair.first or pair.second) and row.call == 0]
    a_block = sum(_is_conv(row) and not row.layer_class.endswith("Transpose") for row in rows) > 1
    for row in rows:
        if row.layer_class.endswith("Transpose") and other_interpolates:
            cause = "up-convolution against interpolation"
        elif a_block:
            cause = f"a block that only the {where} has"
        elif (sort := _sort(row)) in others:
            cause = f"{sort} at other places"
        else:
            cause = f"{sort} that only the {where} has"
        yield cause, sign * row.total, row.name


def _sort(row: Row | None) -> str:
    """The word for rows of this sort."""
    if row is None:
        return ""
    if "Normalization" in row.layer_class:
        return "norms"
    if row.layer_class.endswith("Transpose"):
        return "up-convolutions"
    return "convolutions" if _is_conv(row) else row.layer_class


# === Convolutions: channels, width, kernel and bias, one after the other ===


@dataclass(frozen=True)
class _Conv:
    taps: int
    inputs: int
    outputs: int
    bias: bool

    def count(self) -> int:
        return self.taps * self.inputs * self.outputs + self.bias * self.outputs


def _conv_deltas(first: Row, second: Row, head: bool) -> Iterator[Delta]:
    before, after = _conv_of(first, second), _conv_of(second, first)
    if before is None or after is None:
        yield "convolutions of unknown form", second.total - first.total, first.name
        return
    transposed = first.layer_class.endswith("Transpose")
    biases = "up-convolution biases" if transposed else "convolution biases"
    if first.layer_class == "Dense":
        biases = "biases of dense layers"
    steps = (
        (
            "groups" if _groups(first) != _groups(second) else "input channels",
            _Conv(before.taps, after.inputs, before.outputs, before.bias),
        ),
        (
            "number of classes" if head else "widths",
            _Conv(before.taps, after.inputs, after.outputs, before.bias),
        ),
        ("kernel sizes", _Conv(after.taps, after.inputs, after.outputs, before.bias)),
        (biases, after),
    )
    known = before.count()
    for cause, step in steps:
        yield cause, step.count() - known, first.name
        known = step.count()


def _groups(row: Row) -> int:
    return row.settings.get("groups", 1)


def _conv_of(row: Row, partner: Row) -> _Conv | None:
    """The form of a convolution: known from a model, or worked out from its count and width.

    Several forms may give the same count; the first choice has the other row's input channels,
    the second its kernel.
    """
    width = row.shape[-1] or _width_from(row, partner)
    if not width:
        return None
    if row.layer_class == "Dense" and "kernel" in row.parameters:
        return _Conv(1, row.parameters["kernel"] // width, width, "bias" in row.parameters)
    if "kernel_size" in row.settings:
        groups = row.settings.get("groups", 1)
        inputs = (row.settings["in_channels"] or 0) // groups
        return _Conv(prod(row.settings["kernel_size"]), inputs, width, "bias" in row.parameters)
    if row.total % width:
        return None
    per_channel = row.total // width
    forms = [
        _Conv(taps, (per_channel - bias) // taps, width, bias)
        for taps in _taps(row, partner)
        for bias in (True, False)
        if (per_channel - bias) % taps == 0 and per_channel > bias
    ]
    inputs = (partner.settings.get("in_channels") or 0) // _groups(partner)
    return min(forms, key=lambda form: form.inputs != inputs, default=None)


def _taps(row: Row, partner: Row) -> list[int]:
    """The kernel volumes to try, the other row's first."""
    if row.layer_class == "Dense":
        return [1]
    rank = int(row.layer_class[4])
    sizes = KERNELS["Transpose" if row.layer_class.endswith("Transpose") else "Conv"]
    known = [prod(partner.settings["kernel_size"])] if "kernel_size" in partner.settings else []
    return [*known, *(size**rank for size in sizes)]


def _width_from(row: Row, partner: Row) -> int:
    """The width of a row whose shape was cut: the other row's, if the count allows it."""
    width = partner.shape[-1] or 0
    return width if width and row.total % width == 0 else 0


def _is_conv(row: Row) -> bool:
    """Whether it has a kernel, inputs, a width and perhaps a bias, as a dense layer has too."""
    return re.match(r"Conv\dD|Dense$", row.layer_class) is not None
