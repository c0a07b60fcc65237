"""A table as the boxes of a picture: one for each map that is computed, and the ways between."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import log2, prod

from audit.formats.pytorch import is_block
from audit.receptive_field import SIZE_FROM_SECOND
from audit.report import arithmetic
from audit.table import Row, Shape, Table

KERNELS = ("Conv", "Separable", "Depthwise", "Dense", "MultiHeadAttention")
ACTIVATIONS = ("Activation", "Softmax", "Sigmoid", "Tanh", "SiLU", "Swish", "Mish", "Hardswish")
FITS = ("PadToMatch", "CropToMatch", "CropToMultiple", "CheckSizes")


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
    """A map: the row that makes it and those that only change its values (norm, activation)."""

    number: int
    row: Row
    family: str  # input, conv, down, up, merge, other
    level: int
    known: bool  # whether the ways into it are known or only the order of a text
    rows: list[Row] = field(default_factory=list)
    ways: list[Way] = field(default_factory=list)

    @property
    def spatial(self) -> Shape:
        return self.row.shape[1:-1]

    @property
    def channels(self) -> int | None:
        """Its channels; where a text has cut them off, those that its norm scales."""
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
    def known(self) -> bool:
        """Whether the ways are known and not only the rows' order."""
        return all(box.known for box in self.boxes)

    def side(self, box: Box) -> str:
        """Encoder, bottleneck or decoder: before, at, or after the deepest level."""
        deep = [each.number for each in self.boxes if each.level == self.deepest]
        if box.number < deep[0]:
            return "encoder"
        return "decoder" if box.number > deep[-1] else "bottleneck"


def drawable(table: Table) -> bool:
    """Whether the table holds the spatial sizes that a picture needs."""
    sized = [row for row in table if len(row.shape) > 2 and None not in row.shape[1:-1]]
    kernels = [row for row in table if row.kind.startswith("Conv")]
    return bool(sized) and all(row in sized for row in kernels)


def graph_of(table: Table) -> Graph:
    """The picture's boxes and ways. Rows without inputs are taken one after the other."""
    makers: dict[str, Way] = {}  # each output: the box that made it, and the fits since
    boxes: list[Box] = []
    previous: Way | None = None
    linked = any(row.inputs for row in table)
    for row in table:
        if not linked and is_block(row):
            continue
        ways = _ways(row, makers, previous, linked)
        previous = _placed(row, ways, boxes)
        makers[f"{row.name}[{row.call}]"] = previous
    return Graph(tuple(_levelled(boxes)))


def _ways(row: Row, makers: dict[str, Way], previous: Way | None, linked: bool) -> list[Way]:
    """Where a row's data comes from, each source once."""
    if not linked:
        return [previous] if previous else []
    names = row.inputs[:1] if row.kind in SIZE_FROM_SECOND else row.inputs
    found = [makers.get(name.rsplit("[", 1)[0]) for name in names]
    return [way for way in found if way is not None]


def _placed(row: Row, ways: list[Way], boxes: list[Box]) -> Way:
    """Put a row into a box, on a way, or into a box of its own; its output's way."""
    if len(ways) == 1:
        way, box = ways[0], boxes[ways[0].source]
        if _fits(row):
            sums = arithmetic.sums(way.shape, row)
            return Way(way.source, -1, row.shape, (*way.fits, row), (*way.sums, *sums))
        if _follows(row):
            box.rows.append(row)
            return Way(way.source, -1, _first(row.shape, way.shape), way.fits, way.sums)
    number = len(boxes)
    level = _level(row, ways, boxes)
    box = Box(number, row, _family(row, ways), level, bool(row.inputs) or not number, [row])
    main = max((way.source for way in ways), default=-1)
    for way in ways:
        skip = way.source != main
        box.ways.append(Way(way.source, number, way.shape, way.fits, way.sums, skip))
        box.rows += [fit for fit in way.fits if fit not in box.rows]
    boxes.append(box)
    return Way(number, -1, row.shape)


def _first(shape: Shape, before: Shape) -> Shape:
    """A row's shape, or that of its input where a text has none."""
    return shape if len(shape) > 1 else before


def _fits(row: Row) -> bool:
    sliced = row.kind == "TensorFlowOpLayer" and len(row.inputs) == 1
    return row.kind in FITS or row.kind.startswith(("ZeroPadding", "Cropping")) or sliced


def _follows(row: Row) -> bool:
    words = (
        "Normalization",
        "Dropout",
        "ReLU",
        "ELU",
        "GELU",
        "Identity",
        "Rescaling",
        *ACTIVATIONS,
    )
    return any(word in row.kind for word in words)


def _family(row: Row, ways: list[Way]) -> str:
    kind = row.kind
    if not ways and kind == "InputLayer":
        return "input"
    if len(ways) > 1:
        return "merge"
    resizes = "upsampling" in kind.lower() or kind == "ResizeToMatch"
    if resizes or (kind.endswith("Transpose") and _stride(row) > 1):
        return "up"
    if "Pooling" in kind or (_stride(row) > 1 and kind.startswith(KERNELS)):
        return "down"
    return "conv" if kind.startswith(KERNELS) else "other"


def _stride(row: Row) -> int:
    """The largest stride; a transposed convolution of a text is taken to have 2."""
    value = row.settings.get("strides", 2 if row.kind.endswith("Transpose") else 1)
    return max(value) if isinstance(value, tuple | list) else int(value or 1)


# === Levels ===


def _level(row: Row, ways: list[Way], boxes: list[Box]) -> int:
    """The level of its main input, one deeper or higher where the row halves or doubles."""
    if not ways:
        return 0
    main = max(ways, key=lambda way: way.source)
    level = boxes[main.source].level
    if len(ways) > 1:
        return level
    before, after = _mean(boxes[main.source].spatial), _mean(row.shape[1:-1])
    if not after and before:  # a vector: global pooling, Flatten
        return level + 1
    in_a_row = len(row.shape) != len(boxes[main.source].row.shape)  # a map's positions as tokens
    if in_a_row or not before or not after:
        return level
    if _shrinks(row, before, after):
        return level + _steps(row, before, after)
    return level - _steps(row, after, before) if after >= 1.6 * before else level


def _shrinks(row: Row, before: float, after: float) -> bool:
    """Unpadded convolutions take a few pixels and no level; strides and poolings take one."""
    if after >= before:
        return False
    if "strides" in row.settings:
        return _stride(row) > 1
    return "Pooling" in row.kind or (after <= (before + 1) / 2 and before - after > 4)


def _steps(row: Row, larger: float, smaller: float) -> int:
    """How many halvings: by the stride; else by the sizes, of which each loses up to a half."""
    stride = row.settings.get("strides", row.settings.get("size", row.settings.get("factor")))
    if stride is not None:
        return max(round(log2(max(stride) if isinstance(stride, tuple | list) else stride)), 1)
    steps = 1
    while larger // 2 ** (steps + 1) >= smaller:
        steps += 1
    return steps


def _mean(sizes: Shape) -> float:
    """The geometric mean of the spatial sizes; 0 where there are none."""
    known = [size for size in sizes if size]
    return prod(known) ** (1 / len(known)) if known else 0.0


def _levelled(boxes: list[Box]) -> Iterator[Box]:
    """The levels counted from 0 without gaps."""
    order = {level: n for n, level in enumerate(sorted({box.level for box in boxes}))}
    for box in boxes:
        box.level = order[box.level]
        yield box
