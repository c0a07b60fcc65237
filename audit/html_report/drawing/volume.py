"""3D networks as volumes: the last map of each level on either side, all to one scale."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from audit.html_report.drawing.boxes import Box, Graph
from audit.html_report.drawing.svg import tip
from audit.html_report.text import escape
from audit.tables import times

LARGEST, LEAST = 96, 4  # pixels of the longest and of the shortest side
SLANT = 0.42  # of the depth, to the right and up
STEP, MARGIN, LABEL = 96, 30, 40


@dataclass(frozen=True)
class Solid:
    """A cuboid: its front's upper left corner, width and height, and the slant of its depth."""

    box: Box
    x: float
    y: float
    width: float
    height: float
    slant: float

    @property
    def middle(self) -> float:
        return self.y + self.height / 2

    @property
    def center(self) -> float:
        return self.x + (self.width + self.slant) / 2

    @property
    def right(self) -> float:
        return self.x + self.width + self.slant


def draw(graph: Graph, title: str) -> str:
    """The drawing; empty for a network that is not 3D, or has no level below the first."""
    chosen = _chosen(graph)
    if not graph.deepest or not chosen or any(_open(box) for box in chosen):
        return ""
    solids, width, height = _placed(chosen, graph.deepest)
    label = f"{title}: {'; '.join(_said(solid.box) for solid in solids)}"
    parts = [
        f'<svg class="v" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(label)}">',
        f"<title>{escape(title)}</title>",
        *_lines(solids, graph),
    ]
    for solid in solids:
        parts += _solid(solid)
    return "\n".join([*parts, "</svg>"])


def _chosen(graph: Graph) -> list[Box]:
    """The last map of each level on the way down, the deepest, and those on the way up."""
    last = {(graph.side(box), box.level): box for box in graph.boxes}
    return sorted(last.values(), key=lambda box: box.number)


def _open(box: Box) -> bool:
    return len(box.spatial) != 3 or not all(box.spatial)


def _said(box: Box) -> str:
    return f"{box.row.name} {times(box.spatial)} with {box.channels or '?'} channels"


def _placed(boxes: list[Box], deepest: int) -> tuple[list[Solid], float, float]:
    """The cuboids' places: in a U, nearer to the middle the deeper they are."""
    longest = max(size or 1 for box in boxes for size in box.spatial)
    bottom = next(n for n, box in enumerate(boxes) if box.level == deepest)
    width = 2 * MARGIN + 2 * LARGEST + STEP * 2 * deepest
    tops = _tops(boxes, deepest, longest)
    solids = []
    for n, box in enumerate(boxes):
        depth, height, across = (
            max(LARGEST * (size or 1) / longest, LEAST) for size in box.spatial
        )
        slant = depth * SLANT
        step = MARGIN + LARGEST / 1.5 + STEP * box.level
        center = width / 2 if n == bottom else step if n < bottom else width - step
        x = center - (across + slant) / 2
        room = tops[box.level + 1] - tops[box.level] - LABEL - (height + slant)
        solids.append(Solid(box, x, tops[box.level] + room / 2 + slant, across, height, slant))
    return solids, width, tops[-1]


def _tops(boxes: list[Box], deepest: int, longest: int) -> list[float]:
    """The upper edge of each level, and the lower edge of the last."""
    tops = [6.0]
    for level in range(deepest + 1):
        heights = [0.0]
        for box in boxes:
            if box.level == level:
                depth, height = (max(LARGEST * (s or 1) / longest, LEAST) for s in box.spatial[:2])
                heights.append(height + depth * SLANT)
        tops.append(tops[-1] + max(heights) + LABEL)
    return tops


def _solid(solid: Solid) -> Iterator[str]:
    x, y, w, h, s = solid.x, solid.y, solid.width, solid.height, solid.slant
    yield (
        f'<g class="solid" data-level="{solid.box.level}" data-at="{solid.center:.1f} '
        f'{y + (h - s) / 2:.1f}" data-size="{w:.1f} {h:.1f} {s / SLANT:.1f}" '
        f'data-label="{y + h + 14:.1f}">'
        f"<title>{escape(_said(solid.box))}</title>"
    )
    yield f'<path class="front" d="M{x:.1f} {y:.1f}h{w:.1f}v{h:.1f}h{-w:.1f}z"/>'
    yield f'<path class="top" d="M{x:.1f} {y:.1f}l{s:.1f} {-s:.1f}h{w:.1f}l{-s:.1f} {s:.1f}z"/>'
    yield (
        f'<path class="side" d="M{x + w:.1f} {y:.1f}l{s:.1f} {-s:.1f}v{h:.1f}l{-s:.1f} {s:.1f}z"/>'
    )
    label = f"{times(solid.box.spatial)} x {solid.box.channels or '?'}"
    yield f'<text x="{solid.center:.1f}" y="{y + h + 14:.1f}">{escape(label)}</text></g>'


def _lines(solids: list[Solid], graph: Graph) -> Iterator[str]:
    """The data's way down and up, and the skips across."""
    for near, far in pairwise(solids):
        down = far.box.level > near.box.level
        end = far.y - far.slant - 3 if down else far.y + far.height + 18
        d = f"M{near.right:.1f} {near.middle:.1f}H{far.center:.1f}V{end:.1f}"
        head = tip("down" if down else "up", far.center, end)
        yield f'<g class="way"><path d="{d}"/>{head}</g>'
    joined = {(graph.boxes[way.source].level, graph.boxes[way.target].level) for way in graph.skips}
    bottom = max(solid.box.level for solid in solids)
    for level in range(bottom):
        across = [solid for solid in solids if solid.box.level == level]
        if len(across) == 2 and (level, level) in joined:
            y = across[1].middle - across[1].height * 0.2
            d = f"M{across[0].right:.1f} {y:.1f}H{across[1].x:.1f}"
            head = tip("right", across[1].x - 1, y)
            yield f'<g class="across" data-level="{level}"><path class="line" d="{d}"/>{head}</g>'
