"""A table as the boxes of a picture, one for each map, and the ways between them."""

from collections.abc import Iterator
from dataclasses import replace
from math import log2, prod

from audit.formats.pytorch import is_block
from audit.html_report.drawing import arithmetic
from audit.html_report.drawing.boxes import Box, Graph, Way
from audit.html_report.drawing.folding import folded
from audit.kinds import FITS, SIZE_FROM_SECOND
from audit.tables import Row, Shape, Table

KERNELS = ("Conv", "Separable", "Depthwise", "Dense", "MultiHeadAttention")
ACTIVATIONS = ("Activation", "Softmax", "Sigmoid", "Tanh", "SiLU", "Swish", "Mish", "Hardswish")


def drawable(table: Table) -> bool:
    """Whether the table holds the spatial sizes that a picture needs."""
    sized = [row for row in table if len(row.shape) > 2 and None not in row.shape[1:-1]]
    kernels = [row for row in table if row.layer_class.startswith("Conv")]
    return bool(sized) and all(row in sized for row in kernels)


def graph_of(table: Table) -> Graph:
    """The picture's boxes and ways. Rows without inputs follow each other in order."""
    makers: dict[str, Way] = {}  # for each output: the box that made it, and the fits since
    boxes: list[Box] = []
    previous: Way | None = None
    linked = any(row.inputs for row in table)
    for row in table:
        if not linked and is_block(row):
            continue
        ways = _ways(row, makers, previous, linked)
        previous = _placed(row, ways, boxes)
        makers[row.key] = previous
    return Graph(tuple(_levelled(folded(boxes))))


def _ways(row: Row, makers: dict[str, Way], previous: Way | None, linked: bool) -> list[Way]:
    """Where a row's data comes from, each source once."""
    if not linked:
        return [previous] if previous else []
    sources = row.sources[:1] if row.layer_class in SIZE_FROM_SECOND else row.sources
    ways: list[Way] = []
    for source in sources:
        way = makers.get(source)
        if way is not None and way not in ways:
            ways.append(way)
    return ways


def _placed(row: Row, ways: list[Way], boxes: list[Box]) -> Way:
    """Put a row into a box, on a way, or into a box of its own; return the way of its output."""
    if len(ways) == 1:
        way, box = ways[0], boxes[ways[0].source]
        if _fits(row):
            sums = arithmetic.sums(way.shape, row)
            return Way(way.source, -1, row.shape, (*way.fits, row), (*way.sums, *sums))
        if _follows(row):
            box.rows.append(row)
            return Way(way.source, -1, _first(row.shape, way.shape), way.fits, way.sums)
    number = len(boxes)
    main = _main(row, ways, boxes)
    level = _level(row, ways, main) if main else 0
    box = Box(number, row, _family(row, ways), level, bool(row.inputs) or not number, [row])
    box.line = max(level, main.line) if main else level
    box.below = max([level, *(boxes[way.source].below for way in ways)])
    for way in ways:
        box.ways.append(replace(way, target=number))
        box.rows += [fit for fit in way.fits if fit not in box.rows]
    boxes.append(box)
    return Way(number, -1, row.shape)


def _main(row: Row, ways: list[Way], boxes: list[Box]) -> Box | None:
    """The box that a row's data mainly comes from: of several, the one with the deepest line.

    The weights of a product, whose shape differs from the product's, do not count.
    """
    if row.layer_class == "Multiply":
        ways = [way for way in ways if way.shape == row.shape] or ways
    sources = [boxes[way.source] for way in ways]
    return max(sources, key=lambda box: (box.line, box.number), default=None)


def _first(shape: Shape, before: Shape) -> Shape:
    """A row's shape, or that of its input if a text has none."""
    return shape if len(shape) > 1 else before


def _fits(row: Row) -> bool:
    sliced = row.layer_class == "TensorFlowOpLayer" and len(row.inputs) == 1
    return (
        row.layer_class in FITS or row.layer_class.startswith(("ZeroPadding", "Cropping")) or sliced
    )


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
    return any(word in row.layer_class for word in words)


def _family(row: Row, ways: list[Way]) -> str:
    name = row.layer_class
    if not ways and name == "InputLayer":
        return "input"
    if len(ways) > 1:
        return "merge"
    resizes = "upsampling" in name.lower() or name == "ResizeToMatch"
    if resizes or (name.endswith("Transpose") and _stride(row) > 1):
        return "up"
    if "Pooling" in name or (_stride(row) > 1 and name.startswith(KERNELS)):
        return "down"
    return "conv" if name.startswith(KERNELS) else "other"


def _stride(row: Row) -> int:
    """The largest stride; 2 is assumed for a transposed convolution in a text."""
    value = row.settings.get("strides", 2 if row.layer_class.endswith("Transpose") else 1)
    return max(value) if isinstance(value, tuple | list) else int(value or 1)


# === Levels ===


def _level(row: Row, ways: list[Way], main: Box) -> int:
    """The level of its main input, one deeper or higher where the row halves or doubles."""
    level = main.level
    if len(ways) > 1:
        return level
    before, after = _mean(main.spatial), _mean(row.shape[1:-1])
    to_vector = not after or row.layer_class.startswith("Global")  # flattened, or pooled
    if before and to_vector:
        return level + 1
    in_a_row = len(row.shape) != len(main.row.shape)  # a map's positions as tokens
    if in_a_row or not before or not after:
        return level
    if _shrinks(row, before, after):
        return level + _steps(row, before, after)
    return level - _steps(row, after, before) if _grows(row, before, after) else level


def _shrinks(row: Row, before: float, after: float) -> bool:
    """Whether a row goes a level down: strides and poolings do, unpadded convolutions do not.

    A stride does so even if there is only one pixel to step over.
    """
    if after > before:
        return False
    if "strides" in row.settings:
        return _stride(row) > 1
    if after == before:
        return False
    return "Pooling" in row.layer_class or (after <= (before + 1) / 2 and before - after > 4)


def _grows(row: Row, before: float, after: float) -> bool:
    """Whether a row goes a level up: it grows much, or at all if that is what the row is for."""
    return after >= 1.6 * before or (after > before and _family(row, []) == "up")


def _steps(row: Row, larger: float, smaller: float) -> int:
    """How many halvings: by the stride, or else by the sizes; an odd size loses half a pixel."""
    stride = row.settings.get("strides", row.settings.get("size", row.settings.get("factor")))
    if stride is not None:
        return max(round(log2(max(stride) if isinstance(stride, tuple | list) else stride)), 1)
    steps = 1
    while larger // 2 ** (steps + 1) >= smaller:
        steps += 1
    return steps


def _mean(sizes: Shape) -> float:
    """The geometric mean of the spatial sizes; 0 if there are none."""
    known = [size for size in sizes if size]
    return prod(known) ** (1 / len(known)) if known else 0.0


def _levelled(boxes: list[Box]) -> Iterator[Box]:
    """The boxes with levels from 0 without gaps, and with skips marked."""
    order = {level: n for n, level in enumerate(sorted({box.level for box in boxes}))}
    for box in boxes:
        ways = [replace(way, skip=_skips(boxes[way.source], box)) for way in box.ways]
        yield replace(box, level=order[box.level], ways=ways)


def _skips(source: Box, target: Box) -> bool:
    """Whether a way joins, on its level, what stayed there with what went down."""
    joined = len(target.ways) > 1 and source.level == target.level
    return joined and source.line < target.below
