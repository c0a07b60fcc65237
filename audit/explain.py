"""Why two counts of parameters differ: causes, each with its number, that add up to the gap."""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from audit.diff import Pair, diff
from audit.table import Row, Table

KERNELS = {"Conv": (3, 1, 5, 7, 2, 4), "Transpose": (2, 3, 4, 5)}
Delta = tuple[str, int, str]  # cause, parameters, row


@dataclass(frozen=True)
class Cause:
    """One cause, how many parameters it adds to the first count, and the rows it comes from."""

    cause: str
    parameters: int
    rows: tuple[str, ...]

    def __str__(self) -> str:
        shown = ", ".join(self.rows[:3]) + (
            f" and {len(self.rows) - 3} more" * (len(self.rows) > 3)
        )
        return f"{self.parameters:>+15,}  {self.cause} ({shown})"


@dataclass(frozen=True)
class Explanation:
    """The causes of a gap between two totals; what has none is a cause of its own."""

    first: int
    second: int
    causes: tuple[Cause, ...]

    @property
    def gap(self) -> int:
        """The second total less the first, each as its own program counts."""
        return self.second - self.first

    def to_json(self) -> str:
        """The causes for machines; their numbers add up to the gap."""
        causes = [{"cause": c.cause, "parameters": c.parameters} for c in self.causes]
        totals = {"first": self.first, "second": self.second, "gap": self.gap}
        return json.dumps({**totals, "causes": causes}, indent=2)

    def __str__(self) -> str:
        lines = [f"{self.first:>15,}  the first", *map(str, self.causes)]
        return "\n".join([*lines, f"{self.second:>15,}  the second"])


def explain(first: Table, second: Table) -> Explanation:
    """Attribute the difference of two totals to causes that add up to it exactly.

    Each total is its own program's: with moving statistics in Keras's tables, without in PyTorch's.

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
    last = [pair for pair in aligned.pairs if pair.first and pair.second and _is_conv(pair.first)]
    for pair in aligned.pairs:
        for cause, parameters, row in _deltas(pair, head=bool(last) and pair is last[-1]):
            if parameters:
                sums[cause] += parameters
                rows[cause][row] = None
    left = totals[1] - totals[0] - sum(sums.values())
    causes = [Cause(cause, sums[cause], tuple(rows[cause])) for cause in sums if sums[cause]]
    if left:
        causes.append(Cause("not attributed", left, ("rows that the tables do not show",)))
    causes.sort(key=lambda each: -abs(each.parameters))
    return Explanation(totals[0], totals[1], tuple(causes))


def _total(table: Table) -> int:
    """The count that the table's own program gives: a shared module counts each time in PyTorch."""
    if table.of_pytorch:
        return sum(row.without_moving for row in table)
    return table.total


def _deltas(pair: Pair, head: bool) -> Iterator[Delta]:
    """What a pair adds to the first count, by cause."""
    if pair.first is None or pair.second is None:
        yield from _one_sided(pair)
        return
    first, second = pair.first, pair.second
    if _is_conv(first) and _is_conv(second):
        yield from _conv_deltas(first, second, head)
    elif "Normalization" in first.kind:
        moving = [row.parameters.get("moving", 0) for row in (first, second)]
        widths = second.without_moving - first.without_moving
        if all(moving):
            yield "widths", widths + moving[1] - moving[0], first.name
        else:
            yield "widths", widths, first.name
            yield "moving statistics counted by one side", moving[1] - moving[0], first.name
    else:
        yield f"another {first.kind}", second.total - first.total, first.name


def _one_sided(pair: Pair) -> Iterator[Delta]:
    row = pair.first or pair.second
    assert row is not None
    sign = 1 if pair.second else -1
    where = "second" if pair.second else "first"
    if "Normalization" in row.kind:
        cause = f"norms that only the {where} has"
    elif row.kind.endswith("Transpose"):
        cause = f"up-convolutions that only the {where} has"
    elif _is_conv(row):
        cause = f"convolutions that only the {where} has"
    else:
        cause = f"{row.kind} that only the {where} has"
    yield cause, sign * row.total, row.name


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
    transposed = first.kind.endswith("Transpose")
    steps = (
        ("input channels", _Conv(before.taps, after.inputs, before.outputs, before.bias)),
        (
            "number of classes" if head else "widths",
            _Conv(before.taps, after.inputs, after.outputs, before.bias),
        ),
        ("kernel sizes", _Conv(after.taps, after.inputs, after.outputs, before.bias)),
        ("up-convolution biases" if transposed else "convolution biases", after),
    )
    known = before.count()
    for cause, step in steps:
        yield cause, step.count() - known, first.name
        known = step.count()


def _conv_of(row: Row, other: Row) -> _Conv | None:
    """The form of a convolution: known from a model, else found from its count and width.

    Several forms may give the same count; the one with the other row's kernel is taken first.
    """
    width = row.shape[-1] or _width_from(row, other)
    if not width:
        return None
    if "kernel_size" in row.settings:
        groups = row.settings.get("groups", 1)
        inputs = (row.settings["in_channels"] or 0) // groups
        return _Conv(prod(row.settings["kernel_size"]), inputs, width, "bias" in row.parameters)
    if row.total % width:
        return None
    each = row.total // width
    forms = [
        _Conv(taps, (each - bias) // taps, width, bias)
        for taps in _taps(row, other)
        for bias in (True, False)
        if (each - bias) % taps == 0 and each > bias
    ]
    return forms[0] if forms else None


def _taps(row: Row, other: Row) -> list[int]:
    """Kernel volumes to try: the other row's first."""
    rank = int(row.kind[4])
    sizes = KERNELS["Transpose" if row.kind.endswith("Transpose") else "Conv"]
    known = [prod(other.settings["kernel_size"])] if "kernel_size" in other.settings else []
    return [*known, *(size**rank for size in sizes)]


def _width_from(row: Row, other: Row) -> int:
    """The width of a row whose shape was cut: the other's, if the count allows it."""
    width = other.shape[-1] or 0
    return width if width and row.total % width == 0 else 0


def _is_conv(row: Row) -> bool:
    return row.kind.startswith("Conv") and "D" in row.kind
