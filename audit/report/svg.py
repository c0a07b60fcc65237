"""The U as inline SVG."""

import json
from collections.abc import Collection, Iterator

from audit.report import facts
from audit.report.facts import Counted, Facts
from audit.report.graph import Box, Way
from audit.report.layout import CHAR, LANE, LINE, Picture, Place
from audit.report.text import e

FAMILIES = {
    "input": "input",
    "conv": "convolution",
    "down": "down: pooling or stride",
    "up": "up: transposed or interpolated",
    "merge": "joined: concatenated or added",
    "other": "other",
}


def draw(picture: Picture, count: Counted, title: str, marked: Collection[str] = ()) -> str:
    """The whole drawing; ``marked`` names rows that differ from another network's."""
    width, height = round(picture.width), round(picture.height)
    parts = [
        f'<svg class="u" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="group" aria-label="{e(title)}">',
        f"<title>{e(title)}</title>",
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
        yield f'<text class="level" x="2" y="{y + 12:.1f}">{band.level}</text>'


def _focusable(css: str, told: Facts, number: str, inner: str) -> str:
    """A group that takes the focus and tells its facts."""
    said = facts.sentence(told)
    data = e(json.dumps(told, ensure_ascii=False))
    return (
        f'<g class="{css}" tabindex="0" role="img" {number} aria-label="{e(said)}" '
        f'data-facts="{data}"><title>{e(said)}</title>{inner}</g>'
    )


def _box(picture: Picture, place: Place, count: Counted, marked: Collection[str]) -> str:
    box = place.box
    differs = any(row.name in marked for row in box.rows)
    css = f"box {box.family}{' differs' if differs else ''}"
    told = facts.of_box(box, picture.graph, count)
    following = _following(picture, box)
    number = f'data-box="{box.number}" data-next="{following}"'
    return _focusable(css, told, number, "".join(_shapes(place)))


def _following(picture: Picture, box: Box) -> str:
    """The next box on the data's way: the one that reads this one first, without skips."""
    readers = [
        (way.skip, each.number)
        for each in picture.graph.boxes
        for way in each.ways
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
        yield (
            f'<text class="channels" x="{place.centre:.1f}" y="{y - 4:.1f}">{e(place.above)}</text>'
        )
    for n, line in enumerate(place.below):
        top = y + height + LINE * (n + 1) - 1
        yield f'<text class="sizes" x="{place.centre:.1f}" y="{top:.1f}">{e(line)}</text>'


def _skipped(place: Place) -> float:
    """The width of the channels that came by skips, where a concatenation's add up."""
    channels = [(way.shape[-1], way.skip) for way in place.box.ways]
    whole = place.box.row.shape[-1]
    if len(channels) < 2 or not whole or sum(c or 0 for c, _ in channels) != whole:
        return 0
    return place.width * sum(c or 0 for c, skip in channels if skip) / whole


# === Ways ===


def _way(picture: Picture, way: Way) -> str:
    """A short arrow within a level, an elbow between two; a pad's sum stands below its target."""
    source, target = picture.places[way.source], picture.places[way.target]
    y = source.middle + min(source.height, target.height) * 0.2
    lines = len(target.below)
    if source.box.level == target.box.level:
        d = f"M{source.right:.1f} {y:.1f}H{target.x - 1:.1f}"
        head = tip("right", target.x - 1, y)
    else:
        down = target.box.level > source.box.level
        end = target.y - 15 if down else target.y + target.height + LINE * lines + 3
        d = f"M{source.right:.1f} {y:.1f}H{target.centre:.1f}V{end:.1f}"
        head = tip("down" if down else "up", target.centre, end)
    label = ""
    if way.sums:
        top = target.y + target.height + LINE * (lines + 1) - 1
        text = e("; ".join(way.sums))
        label = f'<text class="sum fit" x="{target.x - 3:.1f}" y="{top:.1f}">{text}</text>'
    tag = f'data-from="{way.source}" data-to="{way.target}"'
    return f'<g class="way" {tag}><path d="{d}"/>{head}{label}</g>'


def _skip(picture: Picture, way: Way) -> str:
    """Across above its level: over the boxes between, down into the one that reads it."""
    source, target = picture.places[way.source], picture.places[way.target]
    band = picture.bands[min(source.box.level, target.box.level)]
    ways = [each for each in target.box.ways if each.skip]
    shift = 4 * ways.index(way)  # several skips into one box run beside each other
    start, lane, end = source.y + 6, band.y + LANE - 2 - shift, target.y - 15
    left, x = source.right, target.centre + shift
    rise = max(left + 5, source.centre + CHAR * len(source.above) / 2 + 3)  # beside the label
    d = f"M{left:.1f} {start:.1f}H{rise:.1f}V{lane:.1f}H{x:.1f}V{end:.1f}"
    text = "; ".join(way.sums)
    middle = (left + x) / 2
    label = (
        f'<text class="sum" x="{middle:.1f}" y="{lane - 4:.1f}">{e(text)}</text>' if text else ""
    )
    drawn = f'<path class="hit" d="{d}"/><path class="line" d="{d}"/>{tip("down", x, end)}{label}'
    told = facts.of_way(way, picture.graph)
    return _focusable("skip", told, f'data-from="{way.source}" data-to="{way.target}"', drawn)


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
