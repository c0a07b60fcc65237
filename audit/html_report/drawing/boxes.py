"""What a picture is made of: boxes, the ways between them, and the two together."""

from dataclasses import dataclass, field

from audit.tables import Row, Shape


@dataclass(frozen=True)
class Way:
    """The data's way from one box to the next; ``fits`` are the crops and pads on it."""

    source: int
    target: int
    shape: Shape  # as it arrives
    fits: tuple[Row, ...] = ()
    sums: tuple[str, ...] = ()  # their arithmetic, such as "64 - 2 x 4 = 56"
    skip: bool = False


@dataclass
class Box:
    """A map: the row that makes it, and the rows that only change its values (norm, activation).

    A unit is several maps in one box, named after the last; ``times`` counts the equal boxes or
    units that are drawn as one.
    """

    number: int
    row: Row
    family: str  # input, conv, down, up, merge, unit, other
    level: int
    known: bool  # whether the ways into it are known, and not only the order of a text's rows
    rows: list[Row] = field(default_factory=list)
    ways: list[Way] = field(default_factory=list)
    line: int = 0  # the deepest level on its main line, the longest way down of the data
    below: int = 0  # the deepest level of all that it depends on
    unit: bool = False
    times: int = 1
    beside: bool = False  # whether the equal ones stand side by side, not one after the other

    @property
    def spatial(self) -> Shape:
        return self.row.shape[1:-1]

    @property
    def channels(self) -> int | None:
        """Its channels; if a text has cut them off, those that its norm scales."""
        scales = [row.parameters["scale"] for row in self.rows if "scale" in row.parameters]
        return self.row.shape[-1] or (scales[0] if scales else None)


@dataclass(frozen=True)
class Graph:
    """The boxes of a network in the order in which they run."""

    boxes: tuple[Box, ...]

    @property
    def skips(self) -> list[Way]:
        return [way for box in self.boxes for way in box.ways if way.skip]

    @property
    def deepest(self) -> int:
        return max((box.level for box in self.boxes), default=0)

    @property
    def axes(self) -> int:
        """The number of the input's spatial axes."""
        return len(self.boxes[0].spatial) if self.boxes else 0

    @property
    def known(self) -> bool:
        """Whether the ways are known, and not only the rows' order."""
        return all(box.known for box in self.boxes)

    def side(self, box: Box) -> str:
        """Encoder, bottleneck or decoder: before, at, or after the deepest level."""
        deep = [other.number for other in self.boxes if other.level == self.deepest]
        if box.number < deep[0]:
            return "encoder"
        return "decoder" if box.number > deep[-1] else "bottleneck"
