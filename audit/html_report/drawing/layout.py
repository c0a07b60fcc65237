"""Where the boxes of the U are: data runs from left to right, each level is a row."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod, sqrt

from audit.html_report.drawing.boxes import Box, Graph, Way
from audit.html_report.text import TIMES, stacked
from audit.tables import Shape

CHAR, LINE = 6.2, 12  # a digit's width and a line's height, in pixels, at the labels' size


@dataclass(frozen=True)
class Scale:
    """The largest box, the room between boxes, and whether every box has its labels."""

    height: float = 90
    width: float = 44
    gap: float = 11
    sparse: bool = False  # labels only where the number changes


FULL = (Scale(), Scale(gap=9), Scale(width=38, gap=7), Scale(width=32, gap=6))
HALF = (Scale(72, 20, 8, True), Scale(72, 16, 6, True))
PAGE = 1198  # pixels: a page's width
ABOVE, UNDER, LANE = 16, 18, 18  # room for channels, below the sizes, for a skip
NEXT = 5  # from one skip's line to the next


@dataclass(frozen=True)
class Place:
    """A box's rectangle and its labels: channels above, its count and spatial sizes below."""

    box: Box
    x: float
    y: float
    width: float
    height: float
    above: str
    below: tuple[str, ...]

    @property
    def middle(self) -> float:
        return self.y + self.height / 2

    @property
    def center(self) -> float:
        return self.x + self.width / 2

    @property
    def right(self) -> float:
        return self.x + self.width


@dataclass(frozen=True)
class Band:
    """A level's row: its top, its height, and the line on which its boxes are centered."""

    level: int
    y: float
    height: float
    middle: float


@dataclass(frozen=True)
class Picture:
    """All places, and the size of the drawing.

    ``lanes`` holds the ways that run above their level, each with the number of its line, the
    highest first: skips, and ways with a box between their ends.
    """

    graph: Graph
    places: tuple[Place, ...]
    bands: tuple[Band, ...]
    lanes: Mapping[tuple[int, int], int]
    width: float
    height: float


def layout(graph: Graph, scales: tuple[Scale, ...] = FULL, width: float = PAGE) -> Picture:
    """Place every box: height by spatial size, width by channels, both by their square roots.

    The first scale that keeps the drawing within the width is taken, or else the last.
    """
    for scale in scales:
        picture = _placed(graph, scale)
        if picture.width <= width:
            break
    return picture


def _placed(graph: Graph, scale: Scale) -> Picture:
    boxes = graph.boxes
    columns = _columns(boxes)
    sizes = [(_width(box, boxes, scale), _height(box, graph, scale)) for box in boxes]
    labels = [_labels(box, left, scale.sparse) for box, left in _neighbours(boxes, columns)]
    lanes = _lanes(boxes, columns)
    bands = _bands(graph, [height for _, height in sizes], labels, lanes)
    rooms = [0.0] * (max(columns) + 1)
    for column, (width, _), (above, below) in zip(columns, sizes, labels, strict=True):
        room = max(width, CHAR * max(map(len, (above, *below)), default=0))
        rooms[column] = max(rooms[column], room)
    lefts = [24.0]
    for room in rooms:
        lefts.append(lefts[-1] + room + scale.gap)
    places = []
    for box, column, size, label in zip(boxes, columns, sizes, labels, strict=True):
        x = lefts[column] + (rooms[column] - size[0]) / 2
        y = bands[box.level].middle - size[1] / 2
        places.append(Place(box, x, y, *size, label[0], tuple(label[1])))
    height = bands[-1].y + bands[-1].height
    return Picture(graph, tuple(places), tuple(bands), lanes, lefts[-1], height)


def _columns(boxes: tuple[Box, ...]) -> list[int]:
    """Each box's column: the first one right of all that it reads that is free on its level.

    A way from another level turns up or down in its box's column. Its source's level is kept free
    there, and between: right of a box that is read on another level, as far as the way runs.
    """
    columns: list[int] = []
    taken: dict[tuple[int, int], int] = {}  # by a box, or by the ways of a box
    from_other = {
        way.source for box in boxes for way in box.ways if boxes[way.source].level != box.level
    }
    for box in boxes:
        others = [boxes[way.source] for way in box.ways if boxes[way.source].level != box.level]
        column = max((columns[way.source] + 1 for way in box.ways), default=0)
        while (box.level, column) in taken or any(
            taken.get((other.level, column), other.number) != other.number for other in others
        ):
            column += 1
        columns.append(column)
        taken[box.level, column] = box.number
        for other in others:
            for turn in range(columns[other.number] + 1, column + 1):
                taken.setdefault((other.level, turn), other.number)
        if box.number in from_other:
            taken.setdefault((box.level, column + 1), box.number)
    return columns


def _neighbours(boxes: tuple[Box, ...], columns: list[int]) -> Iterable[tuple[Box, Box | None]]:
    """Each box with the one in the column before it, if that is on the same level."""
    at = {(box.level, column): box for box, column in zip(boxes, columns, strict=True)}
    for box, column in zip(boxes, columns, strict=True):
        yield box, at.get((box.level, column - 1))


def _lanes(boxes: tuple[Box, ...], columns: list[int]) -> dict[tuple[int, int], int]:
    """The line of each way that runs above its level; a box's ways share one."""
    lanes: dict[tuple[int, int], int] = {}
    ends: dict[tuple[int, int], int] = {}  # how far each line of a level is in use
    for box in boxes:
        over = [way for way in _ways_from(box, boxes) if _runs_over(way, boxes, columns)]
        if over:
            line = 0
            while ends.get((box.level, line), -1) > columns[box.number]:
                line += 1
            ends[box.level, line] = max(columns[way.target] for way in over)
            lanes |= {(way.source, way.target): line for way in over}
    return lanes


def _ways_from(box: Box, boxes: tuple[Box, ...]) -> list[Way]:
    return [way for reader in boxes for way in reader.ways if way.source == box.number]


def _runs_over(way: Way, boxes: tuple[Box, ...], columns: list[int]) -> bool:
    """Whether it is a skip, or has another box of its level in its way."""
    source, target = boxes[way.source], boxes[way.target]
    if way.skip or source.level != target.level:
        return way.skip
    between = range(columns[source.number] + 1, columns[target.number])
    return any(
        box.level == source.level and column in between
        for box, column in zip(boxes, columns, strict=True)
    )


def _bands(
    graph: Graph,
    heights: list[float],
    labels: list[tuple[str, list[str]]],
    lanes: Mapping[tuple[int, int], int],
) -> list[Band]:
    """The rows from the finest level down, with room for labels, skips and sums."""
    bands: list[Band] = []
    y = 2.0
    for level in range(graph.deepest + 1):
        boxes = [box for box in graph.boxes if box.level == level]
        tallest = max(heights[box.number] for box in boxes)
        ways = [(way.source, way.target) for box in boxes for way in box.ways]
        lines = [lanes[way] for way in ways if way in lanes]
        over = LANE + NEXT * max(lines) if lines else 0
        below = max(len(labels[box.number][1]) for box in boxes)
        below += any(_sum_level(way, graph) == level for box in graph.boxes for way in box.ways)
        height = over + ABOVE + tallest + LINE * below + UNDER
        bands.append(Band(level, y, height, y + over + ABOVE + tallest / 2))
        y += height
    return bands


def _sum_level(way: Way, graph: Graph) -> int | None:
    """The level below whose boxes a pad's sum is: the higher one; a skip's sum is beside it."""
    if not way.sums or way.skip:
        return None
    return min(graph.boxes[way.source].level, graph.boxes[way.target].level)


def _width(box: Box, boxes: tuple[Box, ...], scale: Scale) -> float:
    most = max((other.channels or 0 for other in boxes), default=0)
    if not box.channels or not most:
        return scale.width / 3
    return max(scale.width * sqrt(box.channels / most), 3)


def _height(box: Box, graph: Graph, scale: Scale) -> float:
    largest = max(extent(other.spatial, graph.axes) for other in graph.boxes)
    return max(scale.height * sqrt(extent(box.spatial, graph.axes) / largest), 14)


def extent(sizes: Shape, axes: int) -> float:
    """The geometric mean of spatial sizes; 1 if there are none.

    Fewer sizes than the input has axes, as for tokens, become a square or cube of as many voxels.

    >>> extent((196,), 2), extent((32, 8), 2)
    (14.0, 16.0)
    """
    known = [size for size in sizes if size]
    power = len(known) if len(sizes) >= axes else axes
    return prod(known) ** (1 / power) if known else 1.0


def _labels(box: Box, before: Box | None, sparse: bool) -> tuple[str, list[str]]:
    """The channels, and the count and sizes, where they differ from the box to the left."""
    above = "?" if box.channels is None else str(box.channels)
    below = stacked(box.spatial)
    if before is not None:
        if before.spatial == box.spatial:
            below = []
        if sparse and before.channels == box.channels:
            above = ""
    return above, [counted(box), *below] if box.times > 1 else below


def counted(box: Box) -> str:
    """How many equal boxes a box stands for."""
    return f"{box.times}{TIMES}"
