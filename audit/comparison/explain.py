"""Why two counts of parameters differ: causes, each with its number, that add up to the gap."""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

from audit.comparison.alignment import regrouped
from audit.comparison.causes import UNKNOWN, Delta, deltas, total_of
from audit.comparison.diff import Diff, diff, shown
from audit.comparison.quirks import quirks
from audit.comparison.scaling import alike, factors, scaled, words
from audit.tables import Table
from unetzoo.utils.notebook import Shown

Way = tuple[list[Delta], Diff]  # what is known beforehand, and the rest row by row


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
    """The causes of a gap between two totals; what is not explained is a cause of its own.

    Attributes:
        first: the first total.
        second: the second total.
        causes: the causes, the largest first; with ``first`` they add up to ``second``.
        notes: on figures that the programs count in their own way.
        doubts: where a text's rows contradict the totals that it states; the causes are those of
            its rows.
    """

    first: int
    second: int
    causes: tuple[Cause, ...]
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

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
        return "\n".join([*self.doubts, *lines, f"{self.second:>15,}  the second", *self.notes])


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
    ways = [_causes(way, first, second) for way in _ways(first, second)]
    causes = min(ways, key=_complexity)
    sides = (("first", first), ("second", second))
    notes = [f"the {place} states {note}" for place, table in sides for note in quirks(table)]
    doubts = [
        f"the {place} contradicts itself: {doubt}"
        for place, table in sides
        for doubt in table.inconsistencies()
    ]
    return Explanation(total_of(first), total_of(second), causes, tuple(notes), tuple(doubts))


def _ways(first: Table, second: Table) -> Iterator[Way]:
    """What is known beforehand, and the rest row by row: the ways in which a gap may be seen.

    The widths are multiplied throughout, or not; rows are in the same order, or in another.
    """
    aligned = diff(first, second)
    starts: list[Way] = []
    for factor in factors(aligned):
        table = scaled(first, factor)
        if table and alike(table, second) > alike(first, second):
            starts.append((_widened(first, table, words(factor)), diff(table, second)))
    for known, rest in [*starts, ([], aligned)]:
        yield known, rest
        if pairs := regrouped(rest.pairs):
            yield known, replace(rest, pairs=pairs)


def _widened(first: Table, table: Table, cause: str) -> list[Delta]:
    """What each row of a table with other widths adds, as the table's program counts."""
    counted = (lambda row: row.without_moving) if first.of_pytorch else (lambda row: row.total)
    return [
        (cause, counted(new) - counted(old), old.name)
        for new, old in zip(table, first, strict=True)
        if old.call == 0
    ]


def _causes(way: Way, first: Table, second: Table) -> tuple[Cause, ...]:
    known, rest = way
    sums: dict[str, int] = defaultdict(int)
    rows: dict[str, dict[str, None]] = defaultdict(dict)
    for cause, parameters, row in [*known, *deltas(rest)]:
        if parameters:
            sums[cause] += parameters
            rows[cause][row] = None
    left = total_of(second) - total_of(first) - sum(sums.values())
    causes = [Cause(cause, sums[cause], tuple(rows[cause])) for cause in sums if sums[cause]]
    if left and abs(left) <= first.slack + second.slack:
        causes.append(Cause("rounded counts", left, ("the totals",)))
    elif left:
        causes.append(Cause(UNKNOWN, left, ("rows that the tables do not show",)))
    return tuple(sorted(causes, key=lambda cause: -abs(cause.parameters)))


def _complexity(causes: tuple[Cause, ...]) -> tuple[int, int, int]:
    """What is not explained, how many causes there are (two for a vague one), and their sizes."""
    unknown = sum(abs(cause.parameters) for cause in causes if cause.cause == UNKNOWN)
    vague = sum(cause.cause == "widths" or "other places" in cause.cause for cause in causes)
    return unknown, len(causes) + vague, sum(abs(cause.parameters) for cause in causes)
