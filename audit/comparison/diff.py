"""Two tables side by side: rows aligned by what they are, not by their numbers."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from audit.formats.keras import roles_of
from audit.formats.pytorch import as_printed, in_blocks, is_block, is_module
from audit.kinds import KINDS
from audit.styles import style_of
from audit.tables import Row, Table, times
from unetzoo.utils.notebook import Shown
from unetzoo.utils.text import few, printable

if TYPE_CHECKING:
    from rich.text import Text

ACTIVATIONS = {
    "Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "GELU", "SiLU", "Sigmoid", "Softmax", "Tanh",
}  # fmt: skip
COLORS = {"- ": "red", "+ ": "green", "~ ": "yellow"}
# How much a pair of rows of a family weighs: what makes the network's form weighs most.
WEIGHTS = {"Transpose": 90, "UpSampling": 90, "Pooling": 60, "Conv": 40, "Dense": 40,
           "Normalization": 20}  # fmt: skip
# The layers inside them may have statistics, which are not trained but do not count as frozen.
HOLDERS = {
    "Bidirectional", "FlaxLayer", "JaxLayer", "Normalization", "Pipeline", "RNN",
    "SpectralNormalization", "StackedRNNCells", "TFSMLayer", "TimeDistributed",
    "TorchModuleWrapper",
}  # fmt: skip
ABOVE, LEFT, PAIRED = range(3)  # leave out the first table's row, the second's, or neither
BAND = 1000  # rows to either side that a row is compared with
SHORTEST = 4  # letters of a cut class name that still identify it
SIGNS = {"same": " ", "changed": "~", "missing": "-", "extra": "+"}


@dataclass(frozen=True)
class Pair:
    """A row of the first table, of the second, or one row of each for the same layer."""

    status: str  # same, changed, missing (only in the first), extra (only in the second)
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


@dataclass(frozen=True)
class Diff(Shown):
    """Two tables, their rows aligned.

    Attributes:
        first: the first table.
        second: the second table.
        pairs: the aligned rows, in order; each pair is same, changed, missing or extra.
    """

    first: Table
    second: Table
    pairs: tuple[Pair, ...]

    @property
    def same(self) -> bool:
        """Whether all rows are the same, and trained alike."""
        return all(pair.status == "same" for pair in self.pairs) and not self.frozen

    @property
    def frozen(self) -> tuple[str, ...]:
        """A sentence for each side with parameters that are not trained there but are in the other.

        It names the layers if both sides say, row by row, what is trained. The rows of a text
        seldom do, but its totals may.
        """
        if not (_by_row(self.first) and _by_row(self.second)):
            first, second = _untrained(self.first), _untrained(self.second)
            if first is None or second is None or first == second:
                return ()
            return (f"frozen: {first:,} parameters in the first, {second:,} in the second",)
        both = [(p.first, p.second) for p in self.pairs if p.first and p.second]
        alone = [
            [row for row, partner in sides if _frozen(row) and not _frozen(partner)]
            for sides in (both, [(second, first) for first, second in both])
        ]
        return tuple(
            f"frozen only in the {side}: {shown([row.name for row in rows])} "
            f"({sum(map(_frozen, rows)):,} parameters)"
            for side, rows in zip(("first", "second"), alone, strict=True)
            if rows
        )

    @property
    def gap(self) -> int:
        """The second's parameters less the first's, without moving statistics."""
        return sum(pair.gap for pair in self.pairs)

    def to_json(self) -> str:
        """The whole diff as JSON."""
        pairs = [pair.to_dict() for pair in self.pairs]
        whole = {"same": self.same, "parameters": self.gap, "frozen": self.frozen, "rows": pairs}
        return json.dumps(whole, indent=2)

    def to_rich(self) -> "Text":
        """The same as ``str``, for a terminal: missing rows red, extra green, changed yellow."""
        from rich.text import Text

        text = Text()
        for line in str(self).splitlines():
            text.append(line, COLORS.get(line[:2], "")).append("\n")
        text.rstrip()
        return text

    def __str__(self) -> str:
        """The rows that differ, then the totals."""
        lines = [line for pair in self.pairs if pair.status != "same" for line in _lines(pair)]
        counts = {status: sum(pair.status == status for pair in self.pairs) for status in SIGNS}
        summary = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
        last = f"rows: {summary or 'none'}; parameters: {self.gap:+,}"
        return "\n".join([*lines, *self.frozen, last])


def diff(first: Table, second: Table) -> Diff:
    """Align two tables and compare them row by row.

    Rows that only one of the two programs prints are left out: PyTorch's summaries have no row
    for an input or a function such as cat, and Keras's have none for a block. Counts are PyTorch's,
    without moving statistics; an unknown size equals any size.

    >>> import audit, unetzoo
    >>> small = audit.table(unetzoo.skeleton("unet2d_small"))
    >>> print(diff(small, audit.table(unetzoo.skeleton("unet2d_small", num_classes=2))))
    ~ conv (Conv2D, 128 x 128 x 32, 544) -> conv (Conv2D, 128 x 128 x 2, 34)
    rows: 34 same, 1 changed; parameters: -510
    """
    rows = [_comparable(table, first, second) for table in (first, second)]
    return Diff(first, second, tuple(_aligned(*rows)))


def regrouped(aligned: Diff) -> tuple[Pair, ...]:
    """The pairs with equal rows paired wherever they stand, and what is left in order.

    Empty if there is nothing to pair so.
    """
    loose = [pair for pair in aligned.pairs if pair.status != "same"]
    sides = [pair.first for pair in loose if pair.first], [p.second for p in loose if p.second]
    waiting: dict[tuple[Any, ...], list[Row]] = {}
    for row in sides[1]:
        waiting.setdefault(_likeness(row), []).append(row)
    found = [
        _pair(row, waiting[_likeness(row)].pop(0))
        for row in sides[0]
        if row.total and waiting.get(_likeness(row))
    ]
    if not found:
        return ()
    paired = {id(row) for pair in found for row in (pair.first, pair.second)}
    rest = [[row for row in side if id(row) not in paired] for side in sides]
    return (*found, *_aligned(*rest))


def _likeness(row: Row) -> tuple[Any, ...]:
    """What two rows of equal layers have in common."""
    return (_family(row), row.without_moving, row.shape[-1:], bool(row.call))


def _comparable(table: Table, first: Table, second: Table) -> list[Row]:
    torch = first.of_pytorch or second.of_pytorch
    keras = not (first.of_pytorch and second.of_pytorch)
    partner = second if table is first else first
    rows = _classed(table, partner)
    if partner.once_a_layer:
        rows = [row for row in rows if row.call == 0]
    if partner.of_pytorch and not table.of_pytorch:
        rows = list(as_printed(rows) if partner.style == "torchrepr" else in_blocks(rows))
    if torch:
        rows = [row for row in rows if _family(row) != "function"]
    if keras:
        rows = [row for row in rows if row.total or not is_block(row)]
    return rows


def _classed(table: Table, partner: Table) -> list[Row]:
    """The rows; where a column cut off the class, a row gets that of its namesake."""
    if all(row.layer_class for row in table):
        return list(table)
    classes = {row.name: row.layer_class for row in partner}
    return [
        replace(row, layer_class=name, parameters=roles_of(name, row.total))
        if not row.layer_class and (name := classes.get(row.name, ""))
        else row
        for row in table
    ]


def _family(row: Row) -> str:
    """One word for layers that two programs name differently."""
    if row.layer_class in ACTIVATIONS:
        return "activation"
    if row.layer_class == "TensorFlowOpLayer" or not is_module(row):
        return "function"
    families = ("Dropout", "Pooling", "Normalization")
    return next((family for family in families if family in row.layer_class), row.layer_class)


def _families(first: list[Row], second: list[Row]) -> tuple[list[str], list[str]]:
    """Both tables' families; a class that a column cut is the one that begins so in the other."""
    words = [_family(row) for row in first], [_family(row) for row in second]
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


def _aligned(first: list[Row], second: list[Row]) -> Iterator[Pair]:
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

    ``line[b]`` is the weight of the first's rows so far against b rows of the second; a byte for
    each two rows says whether they are paired, or which of them is left out. In long tables
    a row is only compared with rows at about the same place.
    """
    band = BAND + abs(len(first) - len(second))
    line = [0] * (len(second) + 1)
    ways = []
    for a, (row, family) in enumerate(zip(first, of_first, strict=True)):
        middle = a * len(second) // len(first)
        start, end = max(middle - band, 0), min(middle + band, len(second))
        way, before = bytearray(end - start), line[start]
        for b in range(start, end):
            weight, choice = line[b + 1], ABOVE
            if line[b] > weight:
                weight, choice = line[b], LEFT
            if of_second[b] == family:
                paired = before + _weight(row, second[b], family)
                if paired > weight:
                    weight, choice = paired, PAIRED
            before, line[b + 1], way[b - start] = line[b + 1], weight, choice
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


def _weight(first: Row, second: Row, family: str) -> int:
    """How well two rows of a family match: by family, size, shape and name."""
    weight = next((w for part, w in WEIGHTS.items() if part in family), 10)
    if first.total and first.without_moving == second.without_moving:
        weight += 40
    if first.shape[1:] == second.shape[1:]:
        weight += 8
    return weight + (first.name == second.name)


def _pair(first: Row, second: Row) -> Pair:
    shared = bool(first.call or second.call)  # one program repeats the count, another does not
    counts = shared or first.without_moving == second.without_moving
    same = counts and _same_shape(first, second)
    return Pair("same" if same else "changed", first, second)


def _same_shape(first: Row, second: Row) -> bool:
    if len(first.shape) != len(second.shape):  # PyTorch's repr only shows the channels
        return True
    pairs = zip(first.shape[1:], second.shape[1:], strict=True)
    return all(x is None or y is None or x == y for x, y in pairs)


def _by_row(table: Table) -> bool:
    """Whether each row says how much of it is trained."""
    return style_of(table.style).trainable


def _frozen(row: Row) -> int:
    """How many parameters could be trained and are not; moving statistics never count."""
    return max(row.without_moving - row.trainable, 0) if row.call == 0 else 0


def _untrained(table: Table) -> int | None:
    """The same for a table, from its totals if its rows do not say it; None if unknown."""
    if _by_row(table):
        return sum(map(_frozen, table))
    stated = table.stated
    if (
        "trainable" not in stated
        or table.inconsistencies()
        or not all(row.layer_class for row in table)
    ):
        return None
    untrained = max(table.without_moving - stated["trainable"], 0)
    unsure = not table.of_pytorch and any(map(_may_have_statistics, table))
    return None if untrained and unsure else untrained


def _may_have_statistics(row: Row) -> bool:
    """Whether a row counts parameters whose roles are unknown, such as a nested model's."""
    unknown = row.layer_class not in KINDS or row.layer_class in HOLDERS
    return unknown and "all" in row.parameters


def shown(names: Sequence[str]) -> str:
    """The first three names, and how many more there are."""
    return few(list(map(printable, names)), most=3)


def _described(row: Row | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        "name": row.name,
        "kind": row.layer_class,
        "shape": list(row.shape[1:]),
        "parameters": row.without_moving,
    }


def _lines(pair: Pair) -> list[str]:
    texts = []
    for row in (pair.first, pair.second):
        if row is not None:
            shape = times(row.shape[1:])
            texts.append(
                printable(f"{row.name} ({row.layer_class}, {shape}, {row.without_moving:,})")
            )
    return [f"{SIGNS[pair.status]} {' -> '.join(texts)}"]
