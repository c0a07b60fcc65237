"""Rows of two tables paired in order, by what they are and not by their numbers."""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from audit.formats.pytorch import is_module
from audit.kinds import KINDS
from audit.tables import Row

ACTIVATIONS = {
    "Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "GELU", "SiLU", "Sigmoid", "Softmax", "Tanh",
    "CELU", "Hardsigmoid", "Hardswish", "LogSoftmax", "Mish", "ReLU6", "SELU", "Softmax2d",
    "Softplus", "Swish",
}  # fmt: skip
UPWARD = re.compile("^(ops.)?UpSampling|LinearUpsampling|ResizeToMatch|Upsampl")
# How much a pair of rows of a family weighs: what makes the network's form weighs most.
WEIGHTS = {"Transpose": 90, "UpSampling": 90, "Pooling": 60, "Conv": 40, "Dense": 40,
           "Normalization": 20}  # fmt: skip
ABOVE, LEFT, PAIRED = range(3)  # leave out the first table's row, the second's, or neither
BAND = 1000  # rows to either side that a row is compared with
UNSEEN = ("function", "UpSampling")  # PyTorch's programs have no rows for them
SHORTEST = 4  # letters of a cut class name that still identify it


@dataclass(frozen=True)
class Pair:
    """A row of the first table, of the second, or one row of each for the same layer."""

    status: str  # same, changed, missing (only in the first), extra (only in the second), unshown
    first: Row | None
    second: Row | None

    @property
    def gap(self) -> int:
        """The second's parameters less the first's, without moving statistics."""
        counted = (row if row and row.call == 0 else None for row in (self.first, self.second))
        first, second = (row.without_moving if row else 0 for row in counted)
        return second - first

    def to_dict(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "first": _described(self.first),
            "second": _described(self.second),
            "parameters": self.gap,
        }


def family_of(row: Row) -> str:
    """One word for layers that two programs name differently."""
    if row.layer_class in ACTIVATIONS:
        return "activation"
    if UPWARD.search(row.layer_class):
        return "UpSampling"
    if row.layer_class == "TensorFlowOpLayer" or not is_module(row):
        return "function"
    families = ("Dropout", "Pooling", "Normalization")
    return next((family for family in families if family in row.layer_class), row.layer_class)


def _families(first: list[Row], second: list[Row]) -> tuple[list[str], list[str]]:
    """Both tables' families; a class that a column cut is the one that begins so in the other."""
    words = [family_of(row) for row in first], [family_of(row) for row in second]
    known = set(words[0]) | set(words[1])
    whole = {
        word: next(iter(longer))
        for word in known - set(KINDS)
        if len(longer := {w for w in known if w != word and w.startswith(word)}) == 1
        and len(word) >= SHORTEST
    }
    classes = {row.layer_class for row in (*first, *second)}
    functions = {name.removeprefix("ops.") for name in classes if "ops." in name}
    named = [[whole.get(word, word) for word in side] for side in words]
    return tuple(["function" if w in functions else w for w in side] for side in named)  # type: ignore[return-value]


def aligned(first: list[Row], second: list[Row]) -> Iterator[Pair]:
    """In order: paired rows are of one family; the others are missing or extra."""
    families = _families(first, second)
    if families[0] == families[1]:  # the same layers, whatever their widths
        yield from (_pair(x, y) for x, y in zip(first, second, strict=True))
        return
    done = [0, 0]
    for a, b in [*_matched(first, second, *families), (len(first), len(second))]:
        yield from (Pair("missing", row, None) for row in first[done[0] : a])
        yield from (Pair("extra", None, row) for row in second[done[1] : b])
        if a < len(first):
            yield _pair(first[a], second[b])
        done = [a + 1, b + 1]


def _matched(
    first: list[Row], second: list[Row], of_first: list[str], of_second: list[str]
) -> list[tuple[int, int]]:
    """The numbers of the rows to pair: of all pairings in order, the one with the most weight.

    Two rows of a family match by family, count, shape and name, in this order.

    ``line[b]`` is the weight of the first's rows so far against b rows of the second; a byte for
    each two rows says whether they are paired, or which of them is left out. In long tables
    a row is only compared with rows at about the same place.
    """
    band = BAND + abs(len(first) - len(second))
    line = [0] * (len(second) + 1)
    ways = []
    others = [
        (family, row.without_moving, row.slack, row.shape[1:], row.name)
        for row, family in zip(second, of_second, strict=True)
    ]
    for a, (row, family) in enumerate(zip(first, of_first, strict=True)):
        middle = a * len(second) // len(first)
        start, end = max(middle - band, 0), min(middle + band, len(second))
        way, before, left = bytearray(end - start), line[start], line[start]
        least, shape, name = _family_weight(family), row.shape[1:], row.name
        count, slack = row.without_moving, row.slack
        for b, (kind, number, loose, sizes, other) in enumerate(others[start:end], start):
            weight, choice = line[b + 1], ABOVE
            above = weight
            if left > weight:
                weight, choice = left, LEFT
            if kind == family:
                same = row.total > 0 and abs(number - count) <= slack + loose
                paired = before + least + 40 * same + 8 * (sizes == shape) + (other == name)
                if paired > weight:
                    weight, choice = paired, PAIRED
            before, left, line[b + 1], way[b - start] = above, weight, weight, choice
        ways.append((start, way))
    return _followed(ways, len(second))


def _followed(ways: list[tuple[int, bytearray]], b: int) -> list[tuple[int, int]]:
    """The pairs, from the end back; a row outside the band is left out."""
    pairs = []
    a = len(ways)
    while a and b:
        start, way = ways[a - 1]
        at = b - 1 - start
        choice = way[at] if 0 <= at < len(way) else ABOVE
        a, b = a - (choice != LEFT), b - (choice != ABOVE)
        if choice == PAIRED:
            pairs.append((a, b))
    return pairs[::-1]


@cache
def _family_weight(family: str) -> int:
    return next((weight for part, weight in WEIGHTS.items() if part in family), 10)


def _pair(first: Row, second: Row) -> Pair:
    shared = bool(first.call or second.call)  # one program repeats the count, another does not
    counts = shared or first.counts_as(second)
    same = counts and _same_shape(first, second)
    return Pair("same" if same else "changed", first, second)


def _same_shape(first: Row, second: Row) -> bool:
    if len(first.shape) != len(second.shape):  # PyTorch's repr only shows the channels
        return True
    pairs = zip(first.shape[1:], second.shape[1:], strict=True)
    return all(x is None or y is None or x == y for x, y in pairs)


def regrouped(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    """The pairs with equal rows paired wherever they stand, and what is left in order.

    Empty if there is nothing to pair so.
    """
    loose = [pair for pair in pairs if pair.status != "same"]
    sides = [pair.first for pair in loose if pair.first], [p.second for p in loose if p.second]
    waiting: dict[tuple[Any, ...], deque[Row]] = {}
    for row in sides[1]:
        waiting.setdefault(_likeness(row), deque()).append(row)
    found = [
        _pair(row, waiting[_likeness(row)].popleft())
        for row in sides[0]
        if row.total and waiting.get(_likeness(row))
    ]
    if not found:
        return ()
    paired = {id(row) for pair in found for row in (pair.first, pair.second)}
    rest = [[row for row in side if id(row) not in paired] for side in sides]
    return (*found, *aligned(*rest))


def _likeness(row: Row) -> tuple[Any, ...]:
    """What two rows of equal layers have in common."""
    return (family_of(row), row.without_moving, row.shape[-1:], bool(row.call))


def _described(row: Row | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        "name": row.name,
        "kind": row.layer_class,
        "shape": list(row.shape[1:]),
        "parameters": row.without_moving,
    }
