"""Sums around blocks, and gates of channels: a table has no row for them, but for their parts."""

import re
from collections.abc import Sequence

from audit.rebuilding.maps import Assumed, Maps, Value
from audit.tables import Row

ADDING = re.compile(  # of ResNets and MobileNets, but not MONAI's UnetBasicBlock
    r"((SE)?(ResNet|ResNeXt)?(BasicBlock|Bottleneck)|InvertedResidual)(_\d+)*$"
)


class Residuals(Maps):
    """The layers so far, with the blocks that add their input: what each reads, and its end."""

    def __init__(self, rows: Sequence[Row], rank: int, assumed: Assumed):
        super().__init__(rank, assumed)
        self.ends = {block: row.name for row in rows if (block := _block_of(row))}
        self.entered: dict[tuple[str, ...], Value] = {}

    def enter(self, row: Row) -> None:
        """Remember the map before a block's first row."""
        if block := _block_of(row):
            self.entered.setdefault(block, self.current)

    def add_around(self, row: Row) -> None:
        """At the end of a block that adds its input, add it, unless a shortcut has been."""
        block, current = _block_of(row), self.current
        if not block or self.ends[block] != row.name or current.kind == "Add":
            return
        read = self.entered[block]
        if read is not current and alike(read, current):
            total = self.give("Add", "add", {}, (read, current), read.sizes, read.width)
            called = ADDING.match(block[-1])
            kind = called[1] if called else block[-1]
            self.assume(f"a {kind} adds what it reads (or does not)", total.name)

    def weigh(self) -> None:
        """Let a gate of one number for each channel weigh the map of whose means it was made."""
        gate = source = self.current
        if not gate.gate or max(gate.sizes) > 1:
            return
        while len(source.sources) == 1 and not source.kind.startswith("Global"):
            source = self.values[source.sources[0]]
        if not source.kind.startswith("Global"):
            return
        squeezed = self.values[source.sources[0]]
        if squeezed.width == gate.width and max(squeezed.sizes) > 1:
            self.give("Multiply", "weighed", {}, (squeezed, gate), squeezed.sizes, gate.width)
            self.assume("a gate weighs the map of whose means it was made", self.current.name)


def alike(first: Value, second: Value) -> bool:
    """Whether two maps have the same shape."""
    return first.sizes == second.sizes and first.width == second.width


def _block_of(row: Row) -> tuple[str, ...]:
    """The path of the innermost block around a row that adds its input; empty if there is none."""
    depths = (n for n in range(len(row.path), 0, -1) if ADDING.match(row.path[n - 1]))
    return row.path[: next(depths, 0)]
