"""Where the boxes of the U stand: data runs left to right, each resolution level is a row."""

from dataclasses import dataclass
from math import prod, sqrt

from audit.report.graph import Box, Graph
from audit.report.text import stacked
from audit.table import Shape

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


@dataclass(frozen=True)
class Place:
    """A box's rectangle and its labels: channels above, spatial sizes below."""

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
    def centre(self) -> float:
        return self.x + self.width / 2

    @property
    def right(self) -> float:
        return self.x + self.width


@dataclass(frozen=True)
class Band:
    """A level's row: its top, its height, and the line on which its boxes are centred."""

    level: int
    y: float
    height: float
    middle: float


@dataclass(frozen=True)
class Picture:
    """All places, and the size of the drawing."""

    graph: Graph
    places: tuple[Place, ...]
    bands: tuple[Band, ...]
    width: float
    height: float


def layout(graph: Graph, scales: tuple[Scale, ...] = FULL, width: float = PAGE) -> Picture:
    """Place every box: height by spatial size, width by channels, both by their square roots.

    The first of the scales that keeps the drawing within the width is taken, else the last.
    """
    for scale in scales:
        picture = _placed(graph, scale)
        if picture.width <= width:
            break
    return picture


def _placed(graph: Graph, scale: Scale) -> Picture:
    boxes = graph.boxes
    sizes = [(_width(box, boxes, scale), _height(box, boxes, scale)) for box in boxes]
    labels = [_labels(boxes, n, scale.sparse) for n in range(len(boxes))]
    bands = _bands(graph, [height for _, height in sizes], labels)
    places: list[Place] = []
    x = 24.0
    for box, (width, height), (above, below) in zip(boxes, sizes, labels, strict=True):
        room = max(width, CHAR * max(map(len, (above, *below)), default=0))
        y = bands[box.level].middle - height / 2
        places.append(Place(box, x + (room - width) / 2, y, width, height, above, tuple(below)))
        x += room + scale.gap
    return Picture(graph, tuple(places), tuple(bands), x, bands[-1].y + bands[-1].height)


def _bands(graph: Graph, heights: list[float], labels: list[tuple[str, list[str]]]) -> list[Band]:
    """The rows from the finest level down, with room for labels, skips and sums."""
    bands: list[Band] = []
    y = 2.0
    for level in range(graph.deepest + 1):
        boxes = [box for box in graph.boxes if box.level == level]
        tallest = max(heights[box.number] for box in boxes)
        lanes = LANE * any(way.skip for box in boxes for way in box.ways)
        lines = max(len(labels[box.number][1]) for box in boxes)
        lines += any(way.sums and not way.skip for box in boxes for way in box.ways)
        height = lanes + ABOVE + tallest + LINE * lines + UNDER
        bands.append(Band(level, y, height, y + lanes + ABOVE + tallest / 2))
        y += height
    return bands


def _width(box: Box, boxes: tuple[Box, ...], scale: Scale) -> float:
    most = max((each.channels or 0 for each in boxes), default=0)
    if not box.channels or not most:
        return scale.width / 3
    return max(scale.width * sqrt(box.channels / most), 3)


def _height(box: Box, boxes: tuple[Box, ...], scale: Scale) -> float:
    largest = max(extent(each.spatial) for each in boxes)
    return max(scale.height * sqrt(extent(box.spatial) / largest), 14)


def extent(sizes: Shape) -> float:
    """The geometric mean of spatial sizes; 1 where there are none."""
    known = [size for size in sizes if size]
    return prod(known) ** (1 / len(known)) if known else 1.0


def _labels(boxes: tuple[Box, ...], number: int, sparse: bool) -> tuple[str, list[str]]:
    """The channels and the sizes, where they differ from the box before in the same level."""
    box = boxes[number]
    above = "?" if box.channels is None else str(box.channels)
    below = stacked(box.spatial)
    before = boxes[number - 1] if number else None
    if before is not None and before.level == box.level:
        if before.spatial == box.spatial:
            below = []
        if sparse and before.channels == box.channels:
            above = ""
    return above, below
