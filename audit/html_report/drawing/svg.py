"""The U as inline SVG."""

import json
from collections.abc import Collection, Iterator

from audit.html_report import facts
from audit.html_report.drawing.boxes import Box, Way
from audit.html_report.drawing.layout import CHAR, LANE, LINE, NEXT, Picture, Place
from audit.html_report.facts import Counted, Facts
from audit.html_report.text import escape

FAMILIES = {
    "input": "input",
    "conv": "convolution",
    "down": "down: pooling or stride",
    "up": "up: transposed or interpolated",
    "merge": "joined: concatenated or added",
    "unit": "unit: layers and the shortcut around them, or a gate",
    "other": "other",
}


def draw(picture: Picture, count: Counted, title: str, marked: Collection[str] = ()) -> str:
    """The whole drawing; ``marked`` names rows that differ from another network's."""
    width, height = round(picture.width), round(picture.height)
    parts = [
        f'<svg class="u" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="group" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
        *_bands(picture),
        *(_way(picture, way) for box in picture.graph.boxes for way in box.ways if not way.skip),
    ]
    for place in picture.places:
        parts += [_skip(picture, way) for way in place.box.ways if way.skip]
        parts.append(_box(picture, place, count, marked))
    return "\n".join([*parts, "</svg>"])


def _bands(picture: Picture) -> Iterator[str]:
    for band in picture.bands:
        y = band.y
        if band.level:
            yield f'<path class="band" d="M0 {y:.1f}H{picture.width:.0f}"/>'
        yield (
            f'<text class="level" data-level="{band.level}" x="2" y="{y + 12:.1f}">'
            f"{band.level}</text>"
        )


def _focusable(css: str, told: Facts, number: str, inner: str) -> str:
    """A group that takes the focus and says its facts."""
    said = facts.sentence(told)
    data = escape(json.dumps(told, ensure_ascii=False))
    return (
        f'<g class="{css}" tabindex="0" role="img" {number} aria-label="{escape(said)}" '
        f'data-facts="{data}"><title>{escape(said)}</title>{inner}</g>'
    )


def _box(picture: Picture, place: Place, count: Counted, marked: Collection[str]) -> str:
    box = place.box
    differs = any(row.name in marked for row in box.rows)
    css = f"box {box.family}{' differs' if differs else ''}"
    told = facts.of_box(box, picture.graph, count)
    following = _following(picture, box)
    number = f'data-box="{box.number}" data-level="{box.level}" data-next="{following}"'
    return _focusable(css, told, number, "".join(_shapes(place)))


def _following(picture: Picture, box: Box) -> str:
    """The next box on the data's way: the first that reads this one, skips last."""
    readers = [
        (way.skip, reader.number)
        for reader in picture.graph.boxes
        for way in reader.ways
        if way.source == box.number
    ]
    return str(min(readers)[1]) if readers else ""


def _shapes(place: Place) -> Iterator[str]:
    x, y, width, height = place.x, place.y, place.width, place.height
    yield (  # what the pointer hits, wider than a narrow box
        f'<rect class="hit" x="{x - 4:.1f}" y="{y - 14:.1f}" width="{width + 8:.1f}" '
        f'height="{height + 16:.1f}"/>'
    )
    yield f'<rect class="map" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
    part = _skipped(place)
    if part:
        yield (
            f'<rect class="copied" x="{x:.1f}" y="{y:.1f}" width="{part:.1f}" '
            f'height="{height:.1f}"/>'
        )
    if place.above:
        above = escape(place.above)
        yield f'<text class="channels" x="{place.center:.1f}" y="{y - 4:.1f}">{above}</text>'
    for n, line in enumerate(place.below):
        top = y + height + LINE * (n + 1) - 1
        css = "times" if place.box.times > 1 and n == 0 else "sizes"
        yield f'<text class="{css}" x="{place.center:.1f}" y="{top:.1f}">{escape(line)}</text>'


def _skipped(place: Place) -> float:
    """The width of the channels that came through skips, if a concatenation's channels add up."""
    channels = [(way.shape[-1], way.skip) for way in place.box.ways]
    whole = place.box.row.shape[-1]
    if len(channels) < 2 or not whole or sum(c or 0 for c, _ in channels) != whole:
        return 0
    return place.width * sum(c or 0 for c, skip in channels if skip) / whole


# === Ways ===


def _way(picture: Picture, way: Way) -> str:
    """A short arrow within a level, an elbow between two."""
    source, target = picture.places[way.source], picture.places[way.target]
    y = source.middle + min(source.height, target.height) * 0.2
    lines = len(target.below)
    if (way.source, way.target) in picture.lanes:
        drawn = _over(picture, way)
    elif source.box.level == target.box.level:
        d = f"M{source.right:.1f} {y:.1f}H{target.x - 1:.1f}"
        drawn = f'<path d="{d}"/>{tip("right", target.x - 1, y)}'
    else:
        y = source.middle + _lowest(picture, source) * 0.2
        down = target.box.level > source.box.level
        end = target.y - 15 if down else target.y + target.height + LINE * lines + 3
        d = f"M{source.right:.1f} {y:.1f}H{target.center:.1f}V{end:.1f}"
        drawn = f'<path d="{d}"/>{tip("down" if down else "up", target.center, end)}'
    label = _sum(picture, way) if way.sums else ""
    return f'<g class="way" {_ends(way)}>{drawn}{label}</g>'


def _lowest(picture: Picture, source: Place) -> float:
    """The height of the lowest box that a box's ways to other levels join, itself included."""
    targets = [
        picture.places[box.number].height
        for box in picture.graph.boxes
        for way in box.ways
        if way.source == source.box.number and box.level != source.box.level
    ]
    return min(source.height, *targets)


def _sum(picture: Picture, way: Way) -> str:
    """A pad's sum: below its target or, if the way comes from above, to its left."""
    source, target = picture.places[way.source], picture.places[way.target]
    text = "; ".join(way.sums)
    x, y = target.x - 3, target.y + target.height + LINE * (len(target.below) + 1) - 1
    if target.box.level > source.box.level:
        y = picture.bands[target.box.level].y - 7
        x = target.center - 5 - CHAR * len(text)
        if x < 0:
            x = target.center + 5
    return f'<text class="sum fit" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _skip(picture: Picture, way: Way) -> str:
    drawn = _over(picture, way)
    text = "; ".join(way.sums)
    if text:
        middle = (picture.places[way.source].right + _landing(picture, way)) / 2
        top = _lane(picture, way) - 4
        drawn += f'<text class="sum" x="{middle:.1f}" y="{top:.1f}">{escape(text)}</text>'
    level = picture.graph.boxes[way.target].level
    number = f'{_ends(way)} data-level="{level}"'
    return _focusable("skip", facts.of_way(way, picture.graph), number, drawn)


def _ends(way: Way) -> str:
    return f'data-from="{way.source}" data-to="{way.target}"'


def _over(picture: Picture, way: Way) -> str:
    """Across above its level: over the boxes between, down into the one that reads it."""
    source, target = picture.places[way.source], picture.places[way.target]
    start, lane, end = source.y + 6, _lane(picture, way), target.y - 15
    left, x = source.right, _landing(picture, way)
    rise = max(left + 5, source.center + CHAR * len(source.above) / 2 + 3)  # beside the label
    d = f"M{left:.1f} {start:.1f}H{rise:.1f}V{lane:.1f}H{x:.1f}V{end:.1f}"
    hit = f'<path class="hit" d="{d}"/>' if way.skip else ""
    return f'{hit}<path class="line" d="{d}"/>{tip("down", x, end)}'


def _lane(picture: Picture, way: Way) -> float:
    """The height of a way's line."""
    band = picture.bands[picture.graph.boxes[way.target].level]
    return band.y + LANE - 2 + NEXT * picture.lanes[way.source, way.target]


def _landing(picture: Picture, way: Way) -> float:
    """Where a way from above meets its box: several are drawn beside each other."""
    target = picture.places[way.target]
    over = [other for other in target.box.ways if (other.source, other.target) in picture.lanes]
    return target.center + 4 * (over.index(way) - (len(over) - 1) / 2)


def tip(direction: str, x: float, y: float) -> str:
    """An arrow's head that ends at a point."""
    corners = {
        "right": ((-5, -3), (-5, 3)),
        "down": ((-3, -5), (3, -5)),
        "up": ((-3, 5), (3, 5)),
    }[direction]
    points = [(x, y), *((x + dx, y + dy) for dx, dy in corners)]
    drawn = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
    return f'<polygon class="tip" points="{drawn}"/>'
