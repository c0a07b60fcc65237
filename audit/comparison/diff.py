"""Two tables side by side: rows aligned by what they are, not by their numbers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from audit.comparison.alignment import UNSEEN, Pair, aligned, family_of, regrouped
from audit.comparison.unshown import marked, sentence
from audit.formats.keras import roles_of
from audit.formats.pytorch import as_printed, in_blocks, is_block
from audit.kinds import KINDS
from audit.styles import style_of
from audit.tables import Row, Table, times
from unetzoo.utils.notebook import Shown
from unetzoo.utils.text import few, printable

if TYPE_CHECKING:
    from rich.text import Text

COLORS = {"- ": "red", "+ ": "green", "~ ": "yellow"}
# The layers inside them may have statistics, which are not trained but do not count as frozen.
HOLDERS = {
    "Bidirectional", "FlaxLayer", "JaxLayer", "Normalization", "Pipeline", "RNN",
    "SpectralNormalization", "StackedRNNCells", "TFSMLayer", "TimeDistributed",
    "TorchModuleWrapper",
}  # fmt: skip
UNORDERED = {  # their rows are not in the order of use
    "torchrepr", "torchrepr-statistics", "lightning", "fvcore", "r-torch", "state dict",
}  # fmt: skip
SIGNS = {"same": " ", "changed": "~", "missing": "-", "extra": "+", "unshown": " "}


@dataclass(frozen=True)
class Diff(Shown):
    """Two tables, their rows aligned.

    Attributes:
        first: the first table.
        second: the second table.
        pairs: the aligned rows, in order; each pair is same, changed, missing, extra, or unshown:
            of a row without parameters that the other table's program need not print.
    """

    first: Table
    second: Table
    pairs: tuple[Pair, ...]

    @property
    def same(self) -> bool:
        """Whether it is one network: all rows that both show are the same, and trained alike."""
        alike = all(pair.status in ("same", "unshown") for pair in self.pairs)
        return alike and not self.frozen

    @property
    def unshown(self) -> str:
        """What only one of the tables shows, such as activations; empty if there is nothing."""
        return sentence(self.pairs)

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
        whole = {"same": self.same, "parameters": self.gap, "frozen": self.frozen,
                 "unshown": self.unshown, "rows": pairs}  # fmt: skip
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
        told = ("same", "unshown")
        lines = [line for pair in self.pairs if pair.status not in told for line in _lines(pair)]
        counts = {status: sum(pair.status == status for pair in self.pairs) for status in SIGNS}
        summary = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
        if self.unshown:
            lines.append(f"{'the same network; ' * self.same}{self.unshown}")
        last = f"rows: {summary or 'none'}; parameters: {self.gap:+,}"
        return "\n".join([*lines, *self.frozen, last])


def diff(first: Table, second: Table) -> Diff:
    """Align two tables and compare them row by row.

    Rows that only one of the two programs prints are left out: PyTorch's summaries have no row
    for an input or a function such as cat, and Keras's have none for a block. An activation within
    a convolution, dropout, a crop or an input that only one shows makes no other network. Counts
    are PyTorch's, without moving statistics; an unknown size equals any size.

    >>> import audit, unetzoo
    >>> small = audit.table(unetzoo.skeleton("unet2d_small"))
    >>> print(diff(small, audit.table(unetzoo.skeleton("unet2d_small", num_classes=2))))
    ~ conv (Conv2D, 128 x 128 x 32, 544) -> conv (Conv2D, 128 x 128 x 2, 34)
    rows: 34 same, 1 changed; parameters: -510
    """
    rows = [_comparable(table, first, second) for table in (first, second)]
    pairs = tuple(aligned(*rows))
    if UNORDERED & {first.style, second.style} and (others := regrouped(pairs)):
        together = tuple(pair for pair in pairs if pair.status == "same") + others
        pairs = min((pairs, together), key=_differences)  # not in the order of use
    return Diff(first, second, tuple(marked(pairs, first, second)))


def _differences(pairs: tuple[Pair, ...]) -> int:
    """How many layers with parameters differ."""
    different = (pair for pair in pairs if pair.status != "same")
    return sum(bool(row and row.total) for pair in different for row in (pair.first, pair.second))


def _comparable(table: Table, first: Table, second: Table) -> list[Row]:
    torch = first.of_pytorch or second.of_pytorch
    keras = not (first.of_pytorch and second.of_pytorch)
    partner = second if table is first else first
    rows = _classed(table, partner)
    if partner.once_a_layer:
        rows = [row for row in rows if row.call == 0]
    if partner.of_pytorch and not table.of_pytorch:
        rows = list(as_printed(rows) if partner.style in UNORDERED else in_blocks(rows))
    if torch:
        rows = [row for row in rows if family_of(row) not in UNSEEN]
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


def _lines(pair: Pair) -> list[str]:
    texts = []
    for row in (pair.first, pair.second):
        if row is not None:
            shape = times(row.shape[1:])
            texts.append(
                printable(f"{row.name} ({row.layer_class}, {shape}, {row.without_moving:,})")
            )
    return [f"{SIGNS[pair.status]} {' -> '.join(texts)}"]
