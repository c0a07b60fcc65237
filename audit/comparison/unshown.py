"""Rows without parameters that one program prints and another does not, of the same network."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from audit.comparison.alignment import Pair, family_of
from audit.comparison.forms import is_conv
from audit.formats.pytorch import is_block
from audit.tables import Row, Table
from unetzoo.utils.text import few

# Inputs, and what makes sizes fit: in the other network a function, or a layer of another class.
FITTING = re.compile(r"InputLayer|Crop|Pad|CheckSizes|Identity$|Center|Slice")
FUNCTIONS = re.compile(r"Pooling|UpSampl|Upsampl")  # of torch.nn.functional, too


def marked(pairs: Sequence[Pair], first: Table, second: Table) -> Iterator[Pair]:
    """The pairs; a row that the other table's program need not show is ``unshown``.

    Between two networks, of which all is known, only activations within a convolution are; one at
    the network's end, which gives probabilities, may be part of a text alone.
    """
    sides = _Side(first, pairs, 0), _Side(second, pairs, 1)
    for number, pair in enumerate(pairs):
        row = pair.first or pair.second
        if pair.status not in ("missing", "extra") or row is None or row.total:
            yield pair
            continue
        mine, other = sides if pair.first else sides[::-1]
        hidden = other.hides(row, number, after_all=number > mine.last, by_text=mine.text)
        yield replace(pair, status="unshown") if hidden else pair


class _Side:
    """One of two tables: what its program shows."""

    def __init__(self, table: Table, pairs: Sequence[Pair], side: int) -> None:
        self.text = bool(table.style)
        self.pytorch = table.of_pytorch
        rows = [(pair.first, pair.second)[side] for pair in pairs]
        layers = [n for n, row in enumerate(rows) if row and is_conv(row) and row.total]
        self.last = layers[-1] if layers else len(rows)
        shown = sum(bool(row) and family_of(row) == "activation" for row in rows if row)
        self.activated = 2 * shown >= len(layers)  # each activation is a row
        self.before: list[Row | None] = [None]  # the last layer with parameters before a row
        for row in rows:
            self.before.append(row if row and row.total else self.before[-1])

    def hides(self, row: Row, number: int, after_all: bool, by_text: bool) -> bool:
        """Whether a network may have this row though its table does not show it."""
        if family_of(row) == "activation":
            return (after_all and (self.text or by_text)) or self._activates(number)
        if not self.text and not by_text:
            return False
        if FUNCTIONS.search(row.layer_class):
            return self.pytorch
        kind = row.name if row.layer_class == "TensorFlowOpLayer" else row.layer_class
        return "Dropout" in kind or is_block(row) or bool(FITTING.search(kind))

    def _activates(self, number: int) -> bool:
        """Whether the layer before it may hold the activation."""
        if self.text:
            return not self.activated
        before = self.before[number]
        fused = before.settings.get("activation") if before else None
        return fused not in (None, "linear")


def sentence(pairs: Sequence[Pair]) -> str:
    """What only one of the tables shows; empty if there is nothing."""
    rows = [pair.first or pair.second for pair in pairs if pair.status == "unshown"]
    kinds: dict[str, int] = {}
    for row in rows:
        if row:
            kinds[row.layer_class] = kinds.get(row.layer_class, 0) + 1
    if not kinds:
        return ""
    return "only one table shows " + few([f"{count} {kind}" for kind, count in kinds.items()])
